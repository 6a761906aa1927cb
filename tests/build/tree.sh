#!/bin/sh
# SPDX-License-Identifier: MIT
# House rules that a machine can check: licence lines, unfinished marks, layers.
set -u
bad=0
complain() { echo "$*"; bad=1; }

for f in $(git ls-files '*.c' '*.h' '*.def' '*.sh' '*.mk' '*.cu' Makefile); do
    case $f in qemu-device/*) want=GPL-2.0-or-later ;; *) want=MIT ;; esac
    head -n 3 "$f" | grep -q "SPDX-License-Identifier: $want" || complain "$f: no SPDX line ($want)"
done

# protocol/ is pure: no system calls, no allocation, nothing of ours from elsewhere.
grep -nE '#include *[<"](unistd|stdlib|pthread|sys/|fcntl|guest-shim|mediator)' protocol/*.[ch] &&
    complain 'protocol/ includes what it must not'
grep -nE '\b(malloc|calloc|realloc|free|printf|fprintf)\(' protocol/*.c &&
    complain 'protocol/ allocates or prints'

# The daemon knows no CUDA, the shim no mediator, the executor no daemon.
grep -nE '#include *"(mediator|qemu-device)/' guest-shim/*.[ch] && complain 'guest-shim/ includes host code'
grep -nE 'dlopen\(|vg_ring\.h' mediator/daemon/*.[ch] mediator/base/*.[ch] &&
    complain 'the daemon loads libraries or reads the ring'
grep -nE '#include *"mediator/(daemon|admin|run)/' mediator/executor/*.[ch] &&
    complain 'the executor includes the daemon'

git grep -nE '\b(TODO|FIXME|XXX|HACK)\b' -- '*.c' '*.h' '*.sh' ':!tests/build/tree.sh' &&
    complain 'unfinished marks'
exit $bad
