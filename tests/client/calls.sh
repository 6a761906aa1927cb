#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# Groups of driver calls through the whole path on the software GPU, each a program
# that runs on any driver.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

mediator_start || { echo 'no mediator'; exit 1; }
check 'linking' host "$build/client/link"
check 'batches of copies' host "$build/client/batch"
check 'the oldest calls and the newest' host "$build/client/legacy"
check 'green contexts' host "$build/client/green"
[ $failures = 0 ]
