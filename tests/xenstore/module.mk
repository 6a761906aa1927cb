# SPDX-License-Identifier: MIT
#
# The plan by itself, and the watcher with the real daemons of Debian's xen-utils.
tests += check-plan
check-plan-src  := tests/xenstore/check_plan.c
check-plan-libs := libvgdaemon.a libvgbase.a
check-plan-pkgs := check

# Stand-ins for hypervisor and domains. Without Xen's headers the script says what it lacks.
ifneq ($(wildcard /usr/include/xenctrl.h),)
extra-test-files += $(B)/tests/libfake-xen.so $(B)/tests/xen-domain
objects += $(OBJ)/tests/xenstore/fake_xen.o $(OBJ)/tests/xenstore/domain.o
endif

$(B)/tests/libfake-xen.so: $(OBJ)/tests/xenstore/fake_xen.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -o $@ $^ -ldl

$(B)/tests/xen-domain: $(OBJ)/tests/xenstore/domain.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lxenstore

# It is loaded into programs of others, which have no runtime of a sanitizer.
$(OBJ)/tests/xenstore/fake_xen.o: CFLAGS := $(filter-out -fsanitize% -fno-sanitize%,$(CFLAGS))


extra-test-files += $(B)/tests/xen-peer
objects += $(OBJ)/tests/xenstore/peer.o
$(B)/tests/xen-peer: $(OBJ)/tests/xenstore/peer.o $(B)/lib/libvgbase.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

test-scripts += tests/xenstore/watcher.sh tests/xenstore/wrapper.sh
