# SPDX-License-Identifier: MIT
# The test VM. vm-probe runs inside it, so it is no test of its own.
vm-probe := $(B)/tests/vm-probe
extra-test-files += $(vm-probe)
objects += $(OBJ)/tests/vm/probe.o
$(vm-probe): $(OBJ)/tests/vm/probe.o $(B)/lib/libvgproto.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^
test-scripts += tests/vm/check-vm.sh tests/vm/check-vm-mediator.sh
