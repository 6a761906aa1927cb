# SPDX-License-Identifier: MIT
# The executor: its parts as units, and the real process driven over its ring.
tests += check-executor-units check-executor check-filter
check-filter-src  := tests/executor/check_filter.c
check-filter-libs := libvgexec.a libvgproto.a
check-filter-pkgs := check
check-filter-ldlibs := -ldl
check-executor-units-src  := tests/executor/check_units.c
check-executor-units-libs := libvgexec.a libvgproto.a
check-executor-units-pkgs := check
check-executor-units-ldlibs := -ldl
tests += check-fetch
check-fetch-src  := tests/executor/check_fetch.c
check-fetch-libs := libvgexec.a libvgproto.a
check-fetch-pkgs := check
check-fetch-ldlibs := -ldl
tests += check-cubin
check-cubin-src  := tests/executor/check_cubin.c
check-cubin-libs := libvgexec.a libvgproto.a
check-cubin-pkgs := check
check-cubin-ldlibs := -ldl
test-scripts     += tests/executor/cubin.sh
check-executor-src  := $(addprefix tests/executor/,check_process.c check_work.c check_ahead.c \
    check_array.c check_aside.c check_held.c check_copying.c held_stage.c check_graph.c \
    check_limits.c check_images.c harness.c) \
    mediator/limit/account.c
check-executor-libs := libvgproto.a
check-executor-pkgs := check
check-executor-deps := $(B)/bin/vgpu-executor $(B)/tests/libheld-cuda.so

# The software GPU, with calls that the test can hold up, and one that is late.
$(B)/tests/lib%-cuda.so: $(OBJ)/tests/executor/%.o $(B)/lib/libvgpu-softcuda.so
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,--no-as-needed -Wl,-rpath,'$$ORIGIN/../lib' -o $@ $^ -ldl
objects          += $(OBJ)/tests/executor/held.o $(OBJ)/tests/executor/late.o
extra-test-files += $(B)/tests/libheld-cuda.so $(B)/tests/liblate-cuda.so

# What measures and holds back work, on a driver of the test's own.
tests += check-gate
check-gate-src  := tests/executor/check_gate.c
check-gate-libs := libvgexec.a libvgproto.a
check-gate-pkgs := check
check-gate-ldlibs := -ldl

# What a wait takes besides the looks at what is waited for.
tests += check-waits
check-waits-src  := tests/executor/check_waits.c
check-waits-libs := libvgexec.a libvgproto.a
check-waits-pkgs := check
check-waits-ldlibs := -ldl
tests += check-kept
check-kept-src  := tests/executor/check_kept.c
check-kept-libs := libvgexec.a libvgproto.a
check-kept-pkgs := check
check-kept-ldlibs := -ldl

# Not tests themselves: cost.sh counts the instructions of the serve loop with gate and meter, and
# without. vg_now is theirs.
define launches_rule
$(B)/tests/$(1): $(2) $(B)/lib/libvgexec.a $(B)/lib/libvgproto.a
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS) -pthread -Wl,--wrap=vg_now -o $$@ $$^ -ldl
endef
$(eval $(call launches_rule,launches,$(OBJ)/tests/executor/launches.o))
$(eval $(call launches_rule,launches-free,$(OBJ)/tests/executor/launches.o $(OBJ)/tests/executor/without_gate.o))
objects          += $(OBJ)/tests/executor/launches.o $(OBJ)/tests/executor/without_gate.o
bench-files      := $(B)/tests/launches $(B)/tests/launches-free
extra-test-files += $(bench-files)
test-scripts     += tests/executor/cost.sh

# Parts of the region, on a driver that takes some of them.
tests += check-pins
check-pins-src  := tests/executor/check_pins.c
check-pins-libs := libvgexec.a libvgproto.a
check-pins-pkgs := check
check-pins-ldlibs := -ldl

# Code that is compiled once, on a driver whose compiler the test is.
tests += check-jit
check-jit-src  := tests/executor/check_jit.c
check-jit-libs := libvgexec.a libvgproto.a
check-jit-pkgs := check
check-jit-ldlibs := -ldl

# Two libraries at the same moment.
tests += check-placing
check-placing-src  := tests/executor/check_placing.c
check-placing-libs := libvgexec.a libvgproto.a
check-placing-ldlibs := -ldl -pthread

# The linker, on a driver that keeps what it is given.
tests += check-links
check-links-src  := tests/executor/check_links.c
check-links-libs := libvgexec.a libvgproto.a
check-links-pkgs := check
check-links-ldlibs := -ldl
