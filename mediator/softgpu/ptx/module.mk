# SPDX-License-Identifier: MIT
# The PTX interpreter: a library without CUDA, linked into libvgpu-softcuda.so and the tests.
ptx := mediator/softgpu/ptx

libs += libvg-ptx.a
libvg-ptx.a-src := $(wildcard $(ptx)/*.c)

# The loops over 32 lanes are written to be vectorised; no trap or errno is looked at.
ifeq ($(VARIANT),release)
$(OBJ)/$(ptx)/%.o: CFLAGS += -O3
endif
$(OBJ)/$(ptx)/%.o: CFLAGS += -fno-math-errno -fno-trapping-math -Wno-pass-failed
