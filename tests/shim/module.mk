# SPDX-License-Identifier: MIT
# The shim's objects are linked in, so that the tests reach what the library hides.
tests += check-shim check-shim-alone
shim-objects := $(wildcard guest-shim/*.c)
check-shim-src  := $(addprefix tests/shim/,check_shim.c check_shim_api.c check_shim_lend.c fake_host.c) \
    $(shim-objects)
check-shim-libs := libvgproto.a
check-shim-pkgs := check
check-shim-ldlibs := -ldl
check-shim-alone-src    := tests/shim/check_alone.c $(shim-objects)
check-shim-alone-libs   := libvgproto.a
check-shim-alone-pkgs   := check
check-shim-alone-ldlibs := -ldl

# Parts that stand alone.
tests += check-warden
check-warden-src      := tests/shim/check_warden.c guest-shim/warden/hold.c guest-shim/warden/keep.c
check-warden-libs     := libvgproto.a
check-warden-pkgs     := check
tests += check-image check-handle-map check-launch check-jitcache check-digest-parts
check-digest-parts-src    := tests/shim/check_digest_parts.c guest-shim/digest.c guest-shim/lock.c
check-digest-parts-libs   := libvgproto.a
check-digest-parts-pkgs   := check
check-image-src       := tests/shim/check_image.c guest-shim/image.c
check-handle-map-src  := tests/shim/check_handle_map.c guest-shim/handle_map.c guest-shim/lock.c
check-launch-src      := tests/shim/check_launch.c guest-shim/launch_pack.c guest-shim/jit.c
check-launch-libs     := libvgproto.a
check-jitcache-src    := tests/shim/check_jitcache.c guest-shim/jitcache.c
check-jitcache-ldlibs := -ldl
check-jitcache-pkgs   := check
check-image-pkgs      := check
check-handle-map-pkgs := check
check-launch-pkgs     := check

# Clients that run on any driver.
shim-clients := $(B)/client/images
$(B)/client/images: $(OBJ)/tests/shim/images.o $(OBJ)/tests/client/vg_drv.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ -ldl
$(OBJ)/tests/shim/images.o: CPPFLAGS += -Itests/client

objects          += $(OBJ)/tests/shim/images.o
extra-test-files += $(shim-clients)
