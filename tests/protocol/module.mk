# SPDX-License-Identifier: MIT
tests += check-ring check-codec check-region check-digest
check-ring-src   := tests/protocol/check_ring.c
check-codec-src  := tests/protocol/check_codec.c
check-region-src := tests/protocol/check_region.c
check-digest-src := tests/protocol/check_digest.c
check-ring-libs  := libvgproto.a
check-codec-libs := libvgproto.a
check-region-libs := libvgproto.a
check-digest-libs := libvgproto.a
check-ring-pkgs  := check
check-codec-pkgs := check
check-region-pkgs := check
check-digest-pkgs := check
