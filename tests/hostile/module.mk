# SPDX-License-Identifier: MIT
# A guest that breaks the rules, against the real mediator, executor and software GPU.
tests += hostile-fuzz hostile-cases
hostile-fuzz-src   := tests/hostile/fuzz_guest.c tests/hostile/guest.c
hostile-fuzz-libs  := libvgproto.a
hostile-fuzz-deps  := $(B)/bin/vgpu-mediator $(B)/bin/vgpu-executor $(B)/lib/libvgpu-softcuda.so
hostile-cases-src  := tests/hostile/cases.c tests/hostile/mappings.c tests/hostile/sharing.c tests/hostile/linking.c \
                      tests/hostile/storms.c tests/hostile/guest.c
hostile-cases-libs := libvgproto.a
hostile-cases-deps := $(hostile-fuzz-deps)
