# SPDX-License-Identifier: MIT
# The guest's libcuda and its helper process. Depends on the C library only.
shlibs += libvgpu-cuda.so
libvgpu-cuda.so-src := $(wildcard guest-shim/*.c)
libvgpu-cuda.so-libs := libvgproto.a
libvgpu-cuda.so-map = $(vg-api-map)
libvgpu-cuda.so-soname := libcuda.so.1
# Never unloaded: its threads and thread-local destructors outlive a dlclose.
libvgpu-cuda.so-ldlibs := -Wl,-z,nodelete -Wl,-z,defs -ldl

progs += vgpu-warden
vgpu-warden-src := $(wildcard guest-shim/warden/*.c)
vgpu-warden-libs := libvgproto.a

# What programs look for, in a directory of its own: build tools must not find it by -L$(B)/lib.
extra-files += $(B)/lib/guest/libcuda.so.1
$(B)/lib/guest/libcuda.so.1: $(B)/lib/libvgpu-cuda.so
	@mkdir -p $(@D)
	$(Q)ln -sfn ../libvgpu-cuda.so $@ && ln -sfn libcuda.so.1 $(@D)/libcuda.so
