#!/bin/bash
# SPDX-License-Identifier: MIT
#
# vgpu-run as people use it: exit codes, streams, signals, no mediator, a mediator.
set -u
. "$(dirname "$0")/lib.sh"

run=$bin/vgpu-run
status() { "$@" >/dev/null 2>&1; echo $?; }
is() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }

check 'a program, private mediator' "$run" --backend soft -- "$build/client/worker" 1 2
check 'exit code' is "$(status "$run" --backend soft -- sh -c 'exit 7')" 7
check 'killed by a signal' is "$(status "$run" --backend soft -- sh -c 'kill -9 $$')" 137
check 'no such program' is "$(status "$run" --backend soft -- /no/such/program)" 127
check 'bad option' eval '"$run" --backend fast -- true 2>&1 | grep -q "auto.*soft.*cuda\|auto.*cuda.*soft"'
check 'input and output pass through' is "$(echo hello | "$run" --backend soft -- tr a-z A-Z)" HELLO
check 'nothing is left' eval '! pgrep -f "vgpu-mediator.*vgpu-run" >/dev/null'
mediator_start
check 'a program, running mediator' host "$build/client/worker" 2 2
check 'is counted there' eval 'admin list | grep -q worker'
[ $failures = 0 ]
