# SPDX-License-Identifier: MIT
#
# The CUDA test programs.  Built only where tools/cuda-toolkit.sh finds a
# toolkit (`make check` has it installed before).  They are the same for every
# VARIANT of the product, so they lie in $(O)/cuda:
#   static  static cudart          shared  libcudart.so
#   ptds    static cudart, per-thread default streams
#   sm80    a cubin for sm_80 beside the PTX; lz4, raw  the PTX compressed
#           with LZ4, and not at all (the others: zstd)
# PTX for compute_75 alone serves the software GPU and, by its JIT, every GPU.

cuda-home := $(shell tools/cuda-toolkit.sh --find)

ifneq ($(cuda-home),)

cuda-b     := $(O)/cuda
cuda-names := $(notdir $(basename $(wildcard tests/cuda/*.cu)))
nvcc       := $(cuda-home)/bin/nvcc -std=c++17 -O2 -Xcompiler -Wall,-Wextra
cuda-ptx   := -gencode arch=compute_75,code=compute_75
cuda-lib   := $(firstword $(wildcard $(cuda-home)/lib64 $(cuda-home)/targets/x86_64-linux/lib))
cudart-a   := -L$(cuda-lib) -lcudart_static -ldl -lrt -pthread
cudart-so  := -L$(cuda-lib) -lcudart -Wl,-rpath,$(cuda-lib) -pthread

cuda-flags-plain := $(cuda-ptx)
cuda-flags-ptds  := $(cuda-ptx) --default-stream per-thread
cuda-flags-sm80  := -arch=sm_80
cuda-flags-lz4   := $(cuda-ptx) -Xfatbin -compress-all --compress-mode speed
cuda-flags-raw   := $(cuda-ptx) --compress-mode none
cuda-kinds       := plain ptds sm80 lz4 raw

# Programs carry the path of libcudart.so: another toolkit makes them anew.
$(cuda-b)/toolkit: FORCE
	@mkdir -p $(@D)
	@echo '$(cuda-home)' | cmp -s - $@ || echo '$(cuda-home)' >$@
.PHONY: FORCE

define cuda_object_rule
$(cuda-b)/obj/$(1)/%.o: tests/cuda/%.cu tests/cuda/common.cuh tests/cuda/module.mk $(cuda-b)/toolkit
	$$(call say,NVCC,$$< ($(1)))
	@mkdir -p $$(@D)
	$$(Q)$(nvcc) $$(cuda-flags-$(1)) -c -o $$@ $$<
endef
$(foreach k,$(cuda-kinds),$(eval $(call cuda_object_rule,$(k))))
.PRECIOUS: $(cuda-kinds:%=$(cuda-b)/obj/%/%.o)

# $(1): directory of programs, $(2): kind of object, $(3): how cudart is linked
define cuda_link_rule
$(cuda-b)/$(1)/%: $(cuda-b)/obj/$(2)/%.o
	@mkdir -p $$(@D)
	$$(Q)$$(CXX) -o $$@ $$< $(3)
endef
$(eval $(call cuda_link_rule,static,plain,$(cudart-a)))
$(eval $(call cuda_link_rule,shared,plain,$(cudart-so)))
$(foreach k,ptds sm80 lz4 raw,$(eval $(call cuda_link_rule,$(k),$(k),$(cudart-a))))

cuda-programs := $(foreach d,static shared ptds,$(cuda-names:%=$(cuda-b)/$(d)/%)) \
                 $(addprefix $(cuda-b)/sm80/,vectoradd reduce graphs) \
                 $(addprefix $(cuda-b)/lz4/,vectoradd matmul) \
                 $(addprefix $(cuda-b)/raw/,vectoradd matmul)
extra-test-files += $(cuda-programs)

.PHONY: cuda-programs
cuda-programs: $(cuda-programs)

endif

test-scripts += $(addprefix tests/cuda/,static.sh shared.sh ptds.sh variants.sh vm.sh)
