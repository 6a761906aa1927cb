# SPDX-License-Identifier: MIT
#
# One make for the whole tree; every directory adds to it by a module.mk.
#
# A module.mk appends names to these lists and describes each by variables:
#   libs   += libx.a      static library          -> $(B)/lib/libx.a
#   shlibs += liby.so     shared library          -> $(B)/lib/liby.so
#   progs  += vgpu-z      program                 -> $(B)/bin/vgpu-z
#   tests  += test-t      test program (exit 0 passed, 77 skipped) -> $(B)/tests/test-t
#   <name>-src    sources, relative to the root
#   <name>-libs   static libraries of ours to link, in order
#   <name>-pkgs   pkg-config packages (flags for compiling and linking)
#   <name>-ldlibs further linker arguments
#   <name>-map    version script, <name>-soname soname (shared libraries)
#   <name>-deps   further prerequisites
#   test-scripts += tests/x.sh    run by `make check` with VG_BUILD=$(B) (same exit codes)
# Flags for one directory: `$(OBJ)/dir/%.o: CFLAGS += -O3`.
#
# Objects lie in $(OBJ)/<source path>.o; nothing is written outside $(O).

O       ?= build
JOBS    ?= $(shell nproc)
VARIANT ?= release
B       := $(O)/$(VARIANT)
OBJ     := $(B)/obj

ifeq ($(VARIANT),release)
  OPT := -O2 -g
else ifeq ($(VARIANT),debug)
  OPT := -Og -g3
else ifeq ($(VARIANT),asan)
  OPT := -O1 -g3 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifeq ($(VARIANT),tsan)
  # gcc warns that it does not see fences: kernels under the interpreter may use them.
  OPT := -O1 -g3 -fsanitize=thread -fno-omit-frame-pointer \
         $(if $(findstring clang,$(CC)),,-Wno-tsan)
else ifeq ($(VARIANT),fuzz)
  CC  := clang
  OPT := -O1 -g3 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
else
  $(error VARIANT=$(VARIANT): choose release, debug, asan, tsan or fuzz)
endif

WARN := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla \
        -Wpointer-arith -Wundef
# gcc 4.8 has the first where a distributor has put it in (CentOS 7), else only the second.
STACK := $(shell echo | $(CC) -fstack-protector-strong -E -xc - >/dev/null 2>&1 && \
                 echo -fstack-protector-strong || echo -fstack-protector-all)
CFLAGS   := -std=gnu99 $(OPT) $(WARN) -fPIC -fvisibility=hidden $(STACK) \
            -ffp-contract=off -pthread $(EXTRA_CFLAGS)
CPPFLAGS := -Iprotocol -I. -D_GNU_SOURCE
ifneq ($(filter release,$(VARIANT)),)
  CPPFLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
LDFLAGS  := $(filter -fsanitize=%,$(OPT)) -Wl,-z,relro,-z,now $(EXTRA_LDFLAGS)

ifeq ($(V),1)
  Q :=
else
  Q := @
endif
say = $(if $(Q),@printf '  %-7s %s\n' '$(1)' '$(2)')

.DEFAULT_GOAL := all
libs :=
shlibs :=
progs :=
tests :=
test-scripts :=

modules := $(wildcard */module.mk */*/module.mk */*/*/module.mk)
include $(modules)

# ---- rules ------------------------------------------------------------------

comma := ,

# Objects of a target; its pkg-config flags reach them as a target-specific variable.
objs_of = $(patsubst %.c,$(OBJ)/%.o,$($(1)-src))
pkg_libs = $(if $($(1)-pkgs),$(shell pkg-config --libs $($(1)-pkgs)))
lib_files = $(addprefix $(B)/lib/,$($(1)-libs))

$(OBJ)/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

define lib_rule
$(B)/lib/$(1): $$(call objs_of,$(1))
	$$(call say,AR,$$@)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
objects += $$(call objs_of,$(1))
endef

define shlib_rule
$(B)/lib/$(1): $$(call objs_of,$(1)) $$(call lib_files,$(1)) $$($(1)-map) $$($(1)-deps)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -shared $$(LDFLAGS) -pthread $$(if $$($(1)-soname),-Wl$$(comma)-soname$$(comma)$$($(1)-soname)) \
	    $$(if $$($(1)-map),-Wl$$(comma)--version-script=$$($(1)-map)) -o $$@ \
	    $$(call objs_of,$(1)) $$(call lib_files,$(1)) $$(call pkg_libs,$(1)) $$($(1)-ldlibs)
objects += $$(call objs_of,$(1))
endef

# $(2): directory under $(B)
define prog_rule
$(B)/$(2)/$(1): $$(call objs_of,$(1)) $$(call lib_files,$(1)) $$($(1)-deps)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS) -pthread -o $$@ $$(call objs_of,$(1)) $$(call lib_files,$(1)) \
	    $$(call pkg_libs,$(1)) $$($(1)-ldlibs)
objects += $$(call objs_of,$(1))
endef

define pkg_rule
$$(call objs_of,$(1)): PKG_CFLAGS += $$(shell pkg-config --cflags $($(1)-pkgs))
endef

$(foreach l,$(libs),$(eval $(call lib_rule,$(l))))
$(foreach l,$(shlibs),$(eval $(call shlib_rule,$(l))))
$(foreach p,$(progs),$(eval $(call prog_rule,$(p),bin)))
$(foreach t,$(tests),$(eval $(call prog_rule,$(t),tests)))
$(foreach t,$(libs) $(shlibs) $(progs) $(tests),$(if $($(t)-pkgs),$(eval $(call pkg_rule,$(t)))))
-include $(patsubst %.o,%.d,$(sort $(objects)))

lib-files  := $(addprefix $(B)/lib/,$(libs) $(shlibs))
prog-files := $(addprefix $(B)/bin/,$(progs))
test-files := $(addprefix $(B)/tests/,$(tests))

# ---- targets ----------------------------------------------------------------

.PHONY: all build build-tests check check-xen check-unit demo bench clean help

all: build
build: $(lib-files) $(prog-files) $(extra-files)
	@:
build-tests: build $(test-files) $(extra-test-files)
	@:

# The product's two commands. Each first installs what this machine lacks.
# `make demo VM=no` does without QEMU.
ifneq ($(filter-out yes no,$(VM)),)
  $(error VM=$(VM): choose yes or no)
endif
demo-vm := $(if $(filter no,$(VM)),,vm)
demo:
	@tools/bootstrap.sh build $(demo-vm:vm=qemu vm)
	@$(MAKE) --no-print-directory -j$(JOBS) build $(demo-vm:vm=qemu)
	@VG_BUILD=$(B) tests/demo/demo.sh

# XEN=yes: and check-xen, as the last test.
check:
	@tools/bootstrap.sh build qemu vm cuda clang tests $(if $(filter yes,$(XEN)),xen)
	@tools/cuda-toolkit.sh >/dev/null
	@tools/client-libraries.sh >/dev/null
	@$(MAKE) --no-print-directory -j$(JOBS) build-tests qemu
	@tools/run-tests.sh $(B) $(or $(TESTS),$(tests) $(test-scripts)) $(if $(filter yes,$(XEN)),$(xen-test))

# The product on real Xen, emulated: minutes, and nothing else should run beside it.
xen-test := tests/xen/check-xen.sh
check-xen:
	@tools/bootstrap.sh build qemu vm xen
	@$(MAKE) --no-print-directory -j$(JOBS) build-tests qemu
	@tools/run-tests.sh $(B) $(xen-test)

# Only what needs neither VM nor toolkit: seconds, for the edit loop.
check-unit: build-tests
	@tools/run-tests.sh $(B) $(tests)

bench: build $(bench-files)
	@VG_BUILD=$(B) tests/bench/bench

clean:
	rm -rf $(O)

help:
	@echo 'make demo        boot a VM with the software GPU and run CUDA programs in it'
	@echo '                 (VM=no: the same programs on this host, no QEMU needed)'
	@echo 'make check       build and run every test (installs what is missing; XEN=yes: check-xen too)'
	@echo 'make             build the product into $(O)/release'
	@echo 'make check-xen   the product on real Xen, emulated (minutes)'
	@echo 'make check-unit  the unit tests only'
	@echo 'make bench       print the tables of costs'
	@echo 'make qemu        build QEMU with the device (cached outside the tree)'
	@echo 'make fuzz        fuzz the decoders for FUZZ_SECONDS (60)'
	@echo 'make rpm         packages for Dom0 and for EL guests (DIST=.xcpng8.3)'
	@echo 'make deb         the package for Debian and Ubuntu guests'
	@echo 'make dist        the archive that rpmbuild -ta takes'
	@echo 'make clean       remove $(O)'
	@echo
	@echo 'VARIANT=release|debug|asan|tsan|fuzz   O=build   V=1   CC=gcc|clang   TESTS="name ..."'

# The lists, for tools/run-tests.sh.
print-%:
	@echo '$($*)'
