/* SPDX-License-Identifier: MIT */
/*
 * System calls an executor may make once it serves: memory, threads, waiting, and
 * the descriptors it has. No files, no programs, no new sockets, no other processes.
 */
#include "mediator/executor/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mediator/base/regmem.h"

#if defined(__x86_64__)

/* Numbers that the headers of an old distribution lack; the kernel may know them all the same. */
#ifndef SYS_seccomp
#define SYS_seccomp 317
#endif
#ifndef SYS_getrandom
#define SYS_getrandom 318
#endif
#ifndef SYS_memfd_create
#define SYS_memfd_create 319
#endif
#ifndef SYS_bpf
#define SYS_bpf 321
#endif
#ifndef SYS_execveat
#define SYS_execveat 322
#endif
#ifndef SYS_userfaultfd
#define SYS_userfaultfd 323
#endif
#ifndef SYS_membarrier
#define SYS_membarrier 324
#endif
#ifndef SYS_rseq
#define SYS_rseq 334
#endif
#ifndef SYS_rt_tgsigqueueinfo
#define SYS_rt_tgsigqueueinfo 297
#endif
#ifndef SYS_open_by_handle_at
#define SYS_open_by_handle_at 304
#endif
#ifndef SYS_kcmp
#define SYS_kcmp 312
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_io_uring_enter
#define SYS_io_uring_enter 426
#endif
#ifndef SYS_io_uring_register
#define SYS_io_uring_register 427
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SECCOMP_RET_LOG
#define SECCOMP_RET_LOG 0x7ffc0000u
#endif
#ifndef SECCOMP_FILTER_FLAG_TSYNC
#define SECCOMP_FILTER_FLAG_TSYNC 1u
#endif
#ifndef SECCOMP_SET_MODE_FILTER
#define SECCOMP_SET_MODE_FILTER 1u
#endif

/* The sanitizers' reports want more than an executor needs. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* The hot ones first: the filter walks the list. */
static const uint16_t allowed[] = {
    SYS_futex, SYS_read, SYS_write, SYS_ppoll, SYS_sched_yield, SYS_clock_nanosleep, SYS_nanosleep,
    SYS_poll, SYS_mincore, SYS_madvise, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_brk,
    SYS_clock_gettime, SYS_gettimeofday, SYS_clock_getres, SYS_recvfrom, SYS_recvmsg, SYS_sendto,
    SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigaction, SYS_sigaltstack, SYS_restart_syscall,
    SYS_set_robust_list, SYS_rseq, SYS_set_tid_address, SYS_exit,
    SYS_exit_group, SYS_getpid, SYS_gettid, SYS_sched_getaffinity, SYS_getrandom,
    SYS_close, SYS_fstat, SYS_lseek, SYS_writev, SYS_fcntl, SYS_uname, SYS_sysinfo, SYS_getcpu,
    SYS_memfd_create, SYS_ftruncate, SYS_sendmsg, SYS_recvmsg, SYS_pread64, SYS_pwrite64,
};

/* What a vendor's driver is known to do besides: talk to its devices. */
static const uint16_t allowed_driver[] = {
    SYS_ioctl, SYS_openat, SYS_open, SYS_newfstatat, SYS_stat, SYS_dup, SYS_eventfd2,
    SYS_mlock, SYS_munlock, SYS_mbind, SYS_get_mempolicy,
    SYS_prctl, SYS_epoll_wait, SYS_epoll_ctl, SYS_epoll_create1, SYS_readlink, SYS_getdents64,
    SYS_access, SYS_pipe2, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_membarrier,
    SYS_sched_setaffinity, SYS_sched_getparam, SYS_sched_getscheduler,
    SYS_sched_get_priority_max, SYS_sched_get_priority_min, SYS_unlink, SYS_symlink,
};

/* Never, whatever the driver. */
static const uint16_t refused[] = {
    SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_mount,
    SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare, SYS_bpf, SYS_kexec_load,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_keyctl, SYS_add_key, SYS_request_key,
    SYS_perf_event_open, SYS_userfaultfd, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_setuid,
    SYS_setgid, SYS_setresuid, SYS_setresgid, SYS_socket, SYS_kill, SYS_iopl, SYS_ioperm,
    SYS_fork, SYS_vfork,
    SYS_setreuid, SYS_setregid, SYS_setfsuid, SYS_setfsgid, SYS_setgroups,
    /* Other processes of the same user are those of the same VM. */
    SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_open, SYS_pidfd_send_signal,
    SYS_kcmp,
    /* What makes system calls of its own, past this list. */
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_open_by_handle_at,
    SYS_mknod, SYS_mknodat,
    /* What the daemon has closed to writers stays closed. */
    SYS_chmod, SYS_fchmod, SYS_fchmodat, SYS_capset, SYS_pidfd_getfd,
};

#define X32_BIT 0x40000000u     /* the same calls by other numbers */
#define THREAD  0x00010000u     /* CLONE_THREAD */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PROGRAM_MAX (2 * (COUNT(allowed) + COUNT(allowed_driver) + COUNT(refused)) + 29)

struct program {
    struct sock_filter at[PROGRAM_MAX];
    unsigned short len;
};

static void emit(struct program *p, struct sock_filter f)
{
    p->at[p->len++] = f;
}

static void emit_load(struct program *p, uint32_t offset)
{
    emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void emit_list(struct program *p, const uint16_t *nr, size_t count, uint32_t verdict)
{
    for (size_t i = 0; i < count; i++) {
        emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr[i], 0, 1));
        emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
    }
}

/*
 * Threads, but no processes. A filter sees the arguments of clone and only the address of
 * clone3's, so that one does not exist: the C library then takes the other.
 */
static void emit_threads(struct program *p, uint32_t refuse)
{
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1));
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4));
    emit_load(p, offsetof(struct seccomp_data, args[0]));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, THREAD, 0, 1));
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse));
}

/* The C library signals threads of ours. */
static void emit_own_signals(struct program *p, uint32_t refuse)
{
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 4));
    emit_load(p, offsetof(struct seccomp_data, args[0]));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 0, 1));
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse));
}

/* Without a driver no ioctl is needed, but for that which maps the memory of a domain of Xen's. */
static void emit_domain_map(struct program *p, uint32_t refuse)
{
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4));
    emit_load(p, offsetof(struct seccomp_data, args[1]));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, vg_regmem_request(), 0, 1));
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse));
}

static void build(struct program *p, bool software)
{
    const uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;

    p->len = 0;
    emit_load(p, offsetof(struct seccomp_data, arch));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL));
    emit_load(p, offsetof(struct seccomp_data, nr));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse));
    emit_list(p, allowed, COUNT(allowed), SECCOMP_RET_ALLOW);
    if (!software)
        emit_list(p, allowed_driver, COUNT(allowed_driver), SECCOMP_RET_ALLOW);
    else
        emit_domain_map(p, refuse);
    emit_list(p, refused, COUNT(refused), refuse);
    emit_threads(p, refuse);
    emit_own_signals(p, refuse);
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, software ? refuse : SECCOMP_RET_LOG));
}

int vg_filter_install(bool software)
{
    static struct program p;

    if (SANITIZED)
        return 0;
    build(&p, software);
    struct sock_fprog prog = {.len = p.len, .filter = p.at};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog) == 0)
        return 0;
    return errno == EINVAL ? -ENOSYS : -errno;
}

#else

int vg_filter_install(bool software)
{
    (void)software;
    return -ENOSYS;
}

#endif
