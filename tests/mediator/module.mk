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
                       tests/mediator/restart.c \
                       $(wildcard tests/mediator/test_*.c)
check-mediator-libs := libvgdaemon.a libvgbase.a libvgproto.a
check-mediator-pkgs := check json-c
check-mediator-deps := $(B)/bin/vgpu-mediator $(B)/tests/fake-executor

tests += check-base check-daemon
check-base-src    := tests/mediator/check_base.c tests/mediator/check_file.c
check-base-libs   := libvgbase.a
check-base-pkgs   := check
check-daemon-src  := tests/mediator/check_daemon.c
check-daemon-libs := libvgdaemon.a libvgbase.a libvgproto.a
check-daemon-pkgs := check json-c
tests += check-turns
check-turns-src  := tests/mediator/check_turns.c
check-turns-libs := libvgdaemon.a libvgsched.a libvgbase.a libvgproto.a
check-turns-pkgs := check json-c
tests += check-page
check-page-src  := tests/mediator/check_page.c
check-page-libs := libvgdaemon.a libvgbase.a libvgproto.a
check-page-pkgs := check json-c
tests += check-verbs
check-verbs-src  := tests/mediator/check_verbs.c
check-verbs-libs := libvgdaemon.a libvgbase.a libvgproto.a
check-verbs-pkgs := check json-c
test-scripts += tests/mediator/programs.sh tests/mediator/admin.sh tests/mediator/metrics.sh

# `make fuzz-mediator`: both doors of the daemon, FUZZ_SECONDS each.
ifeq ($(VARIANT),fuzz)
progs += fuzz-control fuzz-peer
fuzz-control-src    := tests/mediator/fuzz_control.c
fuzz-control-libs   := libvgdaemon.a libvgbase.a libvgproto.a
fuzz-control-pkgs   := json-c
fuzz-control-ldlibs := -fsanitize=fuzzer
fuzz-peer-src       := tests/mediator/fuzz_peer.c
fuzz-peer-libs      := $(fuzz-control-libs)
fuzz-peer-pkgs      := json-c
fuzz-peer-ldlibs    := -fsanitize=fuzzer
endif

# `make fuzz-mediator-fixed`: the same search each time.
.PHONY: fuzz-mediator-fixed
fuzz-mediator-fixed:
	@$(MAKE) --no-print-directory VARIANT=fuzz $(O)/fuzz/bin/fuzz-control $(O)/fuzz/bin/fuzz-peer
	@for t in control peer; do \
	    rm -rf $(O)/fuzz/fixed-$$t && mkdir -p $(O)/fuzz/fixed-$$t $(O)/fuzz/findings; \
	    $(O)/fuzz/bin/fuzz-$$t -seed=1 -runs=$(FUZZ_RUNS) -max_len=4096 -timeout=10 \
	        -artifact_prefix=$(O)/fuzz/findings/ -verbosity=1 -print_final_stats=1 \
	        $(O)/fuzz/fixed-$$t tests/mediator/corpus-$$t || exit 1; \
	done

.PHONY: fuzz-mediator
fuzz-mediator:
	@$(MAKE) --no-print-directory VARIANT=fuzz $(O)/fuzz/bin/fuzz-control $(O)/fuzz/bin/fuzz-peer
	@for t in control peer; do \
	    mkdir -p $(O)/fuzz/corpus-$$t $(O)/fuzz/findings; \
	    $(O)/fuzz/bin/fuzz-$$t -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 \
	        -artifact_prefix=$(O)/fuzz/findings/ -verbosity=1 -print_final_stats=1 \
	        $(O)/fuzz/corpus-$$t tests/mediator/corpus-$$t || exit 1; \
	done

tests += check-place
check-place-src  := tests/mediator/check_place.c
check-place-libs := libvgdaemon.a libvgbase.a libvgproto.a
check-place-pkgs := check json-c
