# SPDX-License-Identifier: MIT
#
# One program compiled in parts (relocatable device code), as PTX only: the driver
# links them when the program loads them.

ifneq ($(cuda-home),)

$(cuda-b)/rdc/rdc: $(wildcard tests/cuda/rdc/*.cu) tests/cuda/rdc/parts.cuh tests/cuda/common.cuh \
                   $(cuda-b)/toolkit
	$(call say,NVCC,$@)
	@mkdir -p $(@D)
	$(Q)$(nvcc) $(cuda-ptx) -rdc=true -Itests/cuda -o $@ $(filter %.cu,$^)

extra-test-files += $(cuda-b)/rdc/rdc

endif
