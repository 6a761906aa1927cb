# SPDX-License-Identifier: MIT
# The guest's NVML: a client in C, and NVIDIA's and other people's programs on it.
$(B)/client/nvml: $(OBJ)/tests/nvml/client.o $(OBJ)/tests/client/vg_drv.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ -ldl
# Functions are called with whatever arguments they are asked to bear.
$(OBJ)/tests/nvml/client.o: CFLAGS += -Wno-strict-prototypes
$(OBJ)/tests/nvml/client.o: CPPFLAGS += -Itests/client
$(OBJ)/tests/nvml/client.o: guest-shim/nvml/nvml.def

objects          += $(OBJ)/tests/nvml/client.o
extra-test-files += $(B)/client/nvml
test-scripts     += tests/nvml/host.sh
