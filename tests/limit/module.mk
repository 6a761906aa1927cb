# SPDX-License-Identifier: MIT
# The limits' pure part: the token bucket and the shared account.
tests += check-limit
check-limit-src  := tests/limit/check_limit.c mediator/limit/bucket.c mediator/limit/account.c
check-limit-pkgs := check
