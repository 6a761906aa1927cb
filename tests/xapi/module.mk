# SPDX-License-Identifier: MIT
# The toolstack's side: the plugin as XAPI runs it, with a XAPI that can misbehave.
$(B)/tests/xenstore/libxenstore.so.4: $(OBJ)/tests/xapi/fake_xenstore.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,-soname,libxenstore.so.4 -o $@ $^
objects          += $(OBJ)/tests/xapi/fake_xenstore.o
extra-test-files += $(B)/tests/xenstore/libxenstore.so.4

test-scripts += tests/xapi/plugin.py tests/xapi/hooks.py tests/xapi/cloudstack.py tests/xapi/rrdd.py tests/xapi/live.sh
