# SPDX-License-Identifier: MIT
# The device: its core alone, and inside the QEMU that `make qemu` built.
tests += check-stub check-qtest
check-stub-src   := $(patsubst %,tests/qemu/%.c,check_stub check_stub_region check_stub_saved stub_host) \
                    $(patsubst %,qemu-device/vgpu_stub_%.c,core region regs saved slot)
check-stub-libs  := libvgproto.a
check-stub-pkgs  := check
check-qtest-src  := tests/qemu/check_qtest.c tests/qemu/qtest.c tests/qemu/qtest_peer.c
check-qtest-libs := libvgproto.a
check-qtest-pkgs := check
