# SPDX-License-Identifier: MIT
# The shelf of images: what is kept, what makes room, and what processes that die leave behind.
tests += check-shelf
check-shelf-src  := tests/shelf/check_shelf.c mediator/shelf/shelf.c
check-shelf-libs := libvgproto.a
check-shelf-pkgs := check
