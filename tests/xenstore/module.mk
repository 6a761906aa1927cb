# SPDX-License-Identifier: MIT
tests += check-plan
check-plan-src  := tests/xenstore/check_plan.c
check-plan-libs := libvgdaemon.a libvgbase.a
check-plan-pkgs := check
