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
# By flags, not by a pragma: with that gcc 4.8 dies of an internal error.
ifeq ($(shell uname -m),x86_64)
$(OBJ)/$(ptx)/alu_avx2.o: CFLAGS += -mavx2 -mfma -mbmi -mbmi2
endif
