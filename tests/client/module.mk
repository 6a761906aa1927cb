# SPDX-License-Identifier: MIT
#
# Test clients in plain C on the driver API: $(B)/client/<name>.  No toolkit
# needed; they open libcuda.so.1 at run time.

client-names := copies worker victim fault vmm share peers costs ways quiet tensormap profiler
client-names += link crossings storm ollama
client-names += green batch legacy limits flood
client-names += hostile spin resend backlog pins knots readback arrive
clients      := $(client-names:%=$(B)/client/%)

$(B)/client/%: $(OBJ)/tests/client/%.o $(OBJ)/tests/client/vg_drv.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ -ldl

$(client-names:%=$(OBJ)/tests/client/%.o): tests/client/kernels.ptx tests/client/tma.ptx \
    tests/client/limits.ptx tests/client/spin.ptx
$(OBJ)/tests/client/%.o: CPPFLAGS += -Itests/client

objects     += $(client-names:%=$(OBJ)/tests/client/%.o) $(OBJ)/tests/client/vg_drv.o
extra-files += $(clients)
.SECONDARY: $(client-names:%=$(OBJ)/tests/client/%.o) $(OBJ)/tests/client/vg_drv.o
test-scripts += tests/client/processes.sh tests/client/profiler.sh
test-scripts += tests/client/backlog.sh tests/client/calls.sh tests/client/crossings.sh tests/client/readback.sh tests/client/arrive.sh
