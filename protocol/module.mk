# SPDX-License-Identifier: MIT
# What shim, device, mediator and executor share; no system calls, no allocation, no CUDA.
libs += libvgproto.a
libvgproto.a-src := $(wildcard protocol/*.c)
# Following variables of vector types, gcc 4.8 dies.
$(OBJ)/protocol/vg_digest_wide.o: CFLAGS += -O3
$(OBJ)/protocol/vg_digest.o: CFLAGS += $(if $(findstring clang,$(CC)),,-fno-var-tracking-assignments)

# The version script of a library that exports exactly the table's symbols (and nothing else), from
# the table itself. Use: libx.so-map := $(vg-api-map)
vg-api-map := $(B)/gen/libcuda.map
$(vg-api-map): protocol/vg_api.def
	$(call say,GEN,$@)
	@mkdir -p $(@D)
	$(Q){ echo '{'; echo '  global:'; \
	    $(CC) -E -P -x c -D'VG_API(id, symbol, base, since, mode, class)=EXPORT symbol' $< | \
	    sed -n 's/^EXPORT \(cu[A-Za-z0-9_]*\)$$/    \1;/p'; \
	    echo '  local: *;'; echo '};'; } >$@
