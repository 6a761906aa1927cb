# SPDX-License-Identifier: MIT
# The guest's NVML: clients in C, and NVIDIA's and other people's programs on it.
nvml-clients := $(B)/client/nvml $(B)/client/nvml-answers $(B)/client/nvml-devices
nvml-objects := $(OBJ)/tests/nvml/client.o $(OBJ)/tests/nvml/answers.o $(OBJ)/tests/nvml/devices.o

$(B)/client/nvml: $(OBJ)/tests/nvml/client.o
$(B)/client/nvml-answers: $(OBJ)/tests/nvml/answers.o
$(B)/client/nvml-devices: $(OBJ)/tests/nvml/devices.o
$(nvml-clients): $(OBJ)/tests/client/vg_drv.o $(B)/lib/libvgproto.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) $(filter %.a,$^) -ldl

# Functions are called with whatever arguments they are asked to bear.
$(nvml-objects): CFLAGS += -Wno-strict-prototypes
$(nvml-objects): CPPFLAGS += -Itests/client

objects          += $(nvml-objects)
extra-test-files += $(nvml-clients)
test-scripts     += tests/nvml/host.sh tests/nvml/smi.sh tests/nvml/pools.sh

# A driver for the mediator's backend "cuda": the software GPU as libcuda, and a made-up NVML beside it.
fake-gpu := $(B)/tests/fake-gpu
$(fake-gpu)/libnvidia-ml.so.1: $(OBJ)/tests/nvml/fake_nvml.o $(B)/lib/libvgproto.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,-soname,libnvidia-ml.so.1 -Wl,-z,defs -o $@ $^
	$(Q)ln -sfn ../../lib/libvgpu-softcuda.so $(@D)/libcuda.so.1
objects          += $(OBJ)/tests/nvml/fake_nvml.o
extra-test-files += $(fake-gpu)/libnvidia-ml.so.1
test-scripts     += tests/nvml/host_nvml.sh tests/nvml/vm.sh tests/nvml/others.sh
