# SPDX-License-Identifier: MIT
# The software GPU: a libcuda of its own.
softgpu := mediator/softgpu

shlibs += libvgpu-softcuda.so
libvgpu-softcuda.so-src := $(addprefix $(softgpu)/,arena.c array.c capture.c copy.c copyarray.c ctx.c \
    ctxprop.c device.c machine.c error.c event.c func.c graph.c graphapi.c graphexec.c graphnode.c \
    green.c handle.c \
    hostmem.c image.c kernel.c launch.c library.c link.c mem.c memset.c module.c occupancy.c op.c \
    pool.c proc.c ptds.c ptrattr.c stream.c streamapi.c task.c tensormap.c texture.c vmm.c \
    ipc.c memfile.c phys.c poolshare.c)
libvgpu-softcuda.so-src += $(addprefix $(softgpu)/,graphcond.c graphdot.c userobj.c)
libvgpu-softcuda.so-libs := libvg-ptx.a libvgproto.a
libvgpu-softcuda.so-pkgs := libzstd liblz4
libvgpu-softcuda.so-ldlibs := -lm -ldl -Wl,-z,nodelete
libvgpu-softcuda.so-map := $(softgpu)/softcuda.map
libvgpu-softcuda.so-soname := libvgpu-softcuda.so

tests += check-softgpu-api
check-softgpu-api-src := $(wildcard tests/softgpu/api_*.c)
check-softgpu-api-pkgs := check libzstd liblz4
check-softgpu-api-deps := $(B)/lib/libvgpu-softcuda.so
check-softgpu-api-ldlibs := $(B)/lib/libvgpu-softcuda.so -Wl,-rpath,'$$ORIGIN/../lib'
