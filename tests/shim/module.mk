# SPDX-License-Identifier: MIT
# The shim's objects are linked in, so that the tests reach what the library hides.
tests += check-shim
check-shim-src  := tests/shim/check_shim.c tests/shim/fake_host.c \
                   $(filter-out guest-shim/warden.c,$(wildcard guest-shim/*.c))
check-shim-libs := libvgproto.a
check-shim-pkgs := check
check-shim-ldlibs := -ldl
