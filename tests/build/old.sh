#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What is built here must also build where Dom0 and the oldest guests are built: gcc 4.8, glibc 2.17.
# That compiler is not to be had everywhere, so this looks for what it has not: words of later
# compilers, names of later headers that are used without asking whether they are there, and
# functions that later C libraries have brought.
set -u
bad=0
complain() { echo "$*"; bad=1; }

# All that `make build` compiles.
sources=(mediator guest-shim protocol xapi-plugin xenstore-watcher qemu-device tests/client tests/demo)
lines() { git grep -nE "$@" -- "${sources[@]/%//*.[ch]}"; }
lines 'int main\(' >/dev/null || { echo 'git finds no sources here'; exit 1; }

# ---- the compiler -----------------------------------------------------------

lines '__builtin_([su]?(add|sub|mul)l?l?_overflow|assume_aligned_t|speculation|has_attribute)' &&
    complain 'gcc 5 and later: compare before you calculate'
lines '__has_(attribute|include|builtin|c_attribute)\b|\b__auto_type\b|\b_Generic\b|include *<(stdatomic|threads)\.h>|\b_Atomic\b' &&
    complain 'gcc 4.9 and later'
lines 'attribute__ *\(\((__)?(fallthrough|no_sanitize|nonstring|copy|target_clones|access|symver|no_split_stack)\b' &&
    complain 'attributes of gcc 5 and later'
lines '#pragma GCC (target|unroll|push_options)' && complain 'gcc 4.8 dies of vectors behind such a pragma'
lines '__builtin_cpu_supports\("' |
    grep -vE '"(cmov|mmx|popcnt|sse|sse2|sse3|ssse3|sse4\.1|sse4\.2|avx|avx2)"' |
    grep -v 'vg_digest\(_wide\)\?\.c:.*avx512' && # for later compilers alone
    complain 'gcc 4.8 cannot be asked for that'
git grep -n 'GCC ivdep' -- "${sources[@]}" | grep -v alu_simd.h && complain 'gcc 4.9 and later'

# ---- the headers ------------------------------------------------------------

# Later than glibc 2.17 and Linux 3.10. Who uses one asks, in the same file, whether it is there.
names='SYS_(memfd_create|getrandom|seccomp|bpf|execveat|copy_file_range|preadv2|statx|pidfd_[a-z_]+|close_range|renameat2|rseq|clone3)
MFD_[A-Z]+
F_(ADD|GET)_SEALS
O_TMPFILE
MAP_(FIXED_NOREPLACE|SYNC)
MADV_(FREE|WIPEONFORK|COLD|PAGEOUT|POPULATE_[A-Z]+)
SECCOMP_(SET_MODE|GET_ACTION|FILTER_FLAG|RET_LOG|RET_KILL_PROCESS)[A-Z_]*
PTRACE_O_EXITKILL
PR_CAP_AMBIENT[A-Z_]*
EPOLLEXCLUSIVE'
for name in $names; do
    while IFS=: read -r file found; do
        # They come with what makes them possible.
        case $found in
            MFD_*) ask='(MFD_[A-Z]+|SYS_memfd_create)' ;;
            F_GET_SEALS) ask='F_(ADD|GET)_SEALS' ;;
            *) ask=$found ;;
        esac
        grep -qE "#[ \t]*(if|ifdef|ifndef|elif)\b.*\b$ask\b" "$file" ||
            complain "$file: $found, and no #ifndef"
    done < <(git grep -oE "\b$name\b" -- "${sources[@]/%//*.[ch]}" | sort -u)
done

# ---- the C library ----------------------------------------------------------

# In later libraries these have later versions, but glibc 2.17 has them too (or its macros: stat).
old=' __libc_start_main dladdr dlclose dlerror dlopen dlsym dlvsym exp exp2 exp2f expf log log2 log2f logf
 pow powf fmod fmodf hypot hypotf memcpy glob fcntl64 fstat fstatat lstat stat mknod nanosleep clock_gettime
 pthread_attr_setstacksize pthread_create pthread_detach pthread_getspecific
 pthread_join pthread_key_create pthread_key_delete pthread_kill pthread_mutex_trylock
 pthread_mutexattr_settype pthread_once pthread_rwlock_rdlock pthread_rwlock_unlock
 pthread_rwlock_wrlock pthread_setname_np pthread_setspecific pthread_sigmask pthread_timedjoin_np
 sem_init sem_post sem_wait sigaction shm_open shm_unlink timer_create timer_settime '
old=" $(echo $old) "
# later FILE: functions that glibc 2.18 and later brought, and it needs.
later() {
    objdump -T "$1" | awk '/\*UND\*/ { for (i = 1; i < NF; i++) if ($i ~ /GLIBC_2\.[0-9]/) {
        split($i, v, /[._)]/); if (v[3] + 0 > 17) print $NF } }' | sort -u |
        while read -r name; do case $old in *" $name "*) ;; *) echo "$name" ;; esac; done
}
count=0
for file in "$VG_BUILD"/bin/* "$VG_BUILD"/lib/*.so; do
    [ -f "$file" ] || continue
    count=$((count + 1))
    found=$(later "$file")
    [ -z "$found" ] || complain "$file needs, and glibc 2.17 has not: $found"
done
[ "$count" -ge 15 ] || complain "only $count programs and libraries in $VG_BUILD"
# It can tell.
later "$(command -v bash)" | grep -q . || complain 'no later function in a bash of today: is objdump read rightly?'
exit $bad
