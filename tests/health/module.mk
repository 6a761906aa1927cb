# SPDX-License-Identifier: MIT
# Watchdog, faults and Xid lines as units, on a virtual clock.
tests += check-health
check-health-src  := tests/health/check_health.c
check-health-libs := libvgdaemon.a
check-health-pkgs := check
