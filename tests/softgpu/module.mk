# SPDX-License-Identifier: MIT
# The PTX interpreter: instructions against C, execution, modules and damaged texts.
ptx-tests := check-ptx-int check-ptx-float check-ptx-exec check-ptx-module check-ptx-new check-ptx-tex
tests += $(ptx-tests)
check-ptx-int-src    := tests/softgpu/ptx_oracle_int.c tests/softgpu/ptx_harness.c
check-ptx-float-src  := tests/softgpu/ptx_oracle_float.c tests/softgpu/ptx_harness.c
check-ptx-exec-src   := tests/softgpu/ptx_exec.c tests/softgpu/ptx_harness.c
check-ptx-new-src    := tests/softgpu/ptx_newops.c tests/softgpu/ptx_harness.c
check-ptx-tex-src    := tests/softgpu/ptx_tex.c tests/softgpu/ptx_harness.c
check-ptx-module-src := tests/softgpu/ptx_module.c tests/softgpu/ptx_harness.c
$(foreach t,$(ptx-tests),$(eval $(t)-libs := libvg-ptx.a))
$(foreach t,$(ptx-tests),$(eval $(t)-pkgs := check))
$(foreach t,$(ptx-tests),$(eval $(t)-ldlibs := -lm))
