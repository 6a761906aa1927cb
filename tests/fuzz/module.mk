# SPDX-License-Identifier: MIT
# `make fuzz` builds with the sanitizers in a variant of its own and runs for FUZZ_SECONDS. New
# inputs stay in $(O)/fuzz/corpus, so that the next run goes on from there. `make fuzz-fixed` is the
# same search each time: the inputs of the tree, and FUZZ_RUNS more by one seed.
FUZZ_SECONDS ?= 60
FUZZ_RUNS    ?= 60000
fuzz-options := -max_len=8192 -timeout=10 -rss_limit_mb=2048 -verbosity=1

ifeq ($(VARIANT),fuzz)
progs += fuzz-executor
fuzz-executor-src    := tests/fuzz/fuzz_executor.c tests/fuzz/fake_cuda.c tests/fuzz/fake_graph.c \
    tests/fuzz/fake_link.c tests/fuzz/fake_pins.c
fuzz-executor-libs   := libvgexec.a libvgproto.a
fuzz-executor-ldlibs := -fsanitize=fuzzer -ldl
endif

.PHONY: fuzz
fuzz:
	@$(MAKE) --no-print-directory VARIANT=fuzz $(O)/fuzz/bin/fuzz-executor
	@mkdir -p $(O)/fuzz/corpus $(O)/fuzz/findings
	@UBSAN_OPTIONS=print_stacktrace=1 $(O)/fuzz/bin/fuzz-executor -max_total_time=$(FUZZ_SECONDS) \
	    $(fuzz-options) -artifact_prefix=$(O)/fuzz/findings/ $(O)/fuzz/corpus tests/fuzz/corpus

.PHONY: fuzz-fixed
fuzz-fixed:
	@$(MAKE) --no-print-directory VARIANT=fuzz $(O)/fuzz/bin/fuzz-executor
	@rm -rf $(O)/fuzz/fixed && mkdir -p $(O)/fuzz/fixed $(O)/fuzz/findings
	@UBSAN_OPTIONS=print_stacktrace=1 $(O)/fuzz/bin/fuzz-executor -seed=1 -runs=$(FUZZ_RUNS) \
	    $(fuzz-options) -artifact_prefix=$(O)/fuzz/findings/ $(O)/fuzz/fixed tests/fuzz/corpus
