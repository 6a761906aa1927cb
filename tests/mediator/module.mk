# SPDX-License-Identifier: MIT
#
# Tests of the mediator: units by Check, the daemon's conversations with a fake device and a
# fake executor, and the programs as users run them.

# Not a test itself: what the daemon under test starts.
$(B)/tests/fake-executor: $(OBJ)/tests/mediator/fake_executor.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^
objects          += $(OBJ)/tests/mediator/fake_executor.o
extra-test-files += $(B)/tests/fake-executor

tests += check-mediator
check-mediator-src  := tests/mediator/check_mediator.c tests/mediator/fixture.c \
                       $(wildcard tests/mediator/test_*.c)
check-mediator-libs := libvgdaemon.a libvgbase.a libvgproto.a
check-mediator-pkgs := check json-c
check-mediator-deps := $(B)/bin/vgpu-mediator $(B)/tests/fake-executor

tests += check-base check-daemon
check-base-src    := tests/mediator/check_base.c
check-base-libs   := libvgbase.a
check-base-pkgs   := check
check-daemon-src  := tests/mediator/check_daemon.c
check-daemon-libs := libvgdaemon.a libvgbase.a libvgproto.a
check-daemon-pkgs := check json-c
test-scripts += tests/mediator/programs.sh
