/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu-qemu-wrapper: what xenopsd runs instead of its own QEMU wrapper
 * (upstream-compat-qemu-dm-wrapper).  It runs that one with the same arguments,
 * and for a VM with gpu_enabled with the device vgpu-stub besides.
 *
 *   vgpu-qemu-wrapper DOMID ARGUMENT...
 *
 * It must never keep a VM from starting.  So whatever is doubtful - no domid, no
 * xenstore, a QEMU without the device, five seconds without an answer, a crash -
 * means: the same arguments and nothing else.  It opens nothing that its successor
 * would inherit and closes nothing that it should.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "mediator/base/number.h"
#include "mediator/base/util.h"
#include "wrapper.h"

#define PATIENCE_S 5u

static struct vg_wrapper_settings settings = VG_WRAPPER_DEFAULTS;
static sigset_t mask;           /* of signals, as we got it */
static bool no_pipe, no_alarm;  /* SIGPIPE, SIGALRM were ignored then */
static char **given;            /* argv, from which nothing is taken away */

/* ---- the toolstack's own wrapper ---- */

/* Does not come back, unless there is none. */
static void go_on(char **argv)
{
    static char usual[] = "/usr/lib64/xen/bin/qemu-wrapper";

    /* The path we were started by is ours, and of no use to it. */
    argv[0] = settings.wrapper;
    execv(settings.wrapper, argv);
    argv[0] = usual;
    execv(usual, argv);
}

/* What would end us: time that is over, bugs, an xenstored that goes. */
static const int deadly[] = {
    SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGPIPE,
};

/* Our successor finds ignored and blocked what we did: exec resets only what is caught. */
static void unguard(void)
{
    alarm(0);
    signal(SIGALRM, no_alarm ? SIG_IGN : SIG_DFL);
    /* libxenstore ignores it while it waits, and QEMU would inherit that. */
    signal(SIGPIPE, no_pipe ? SIG_IGN : SIG_DFL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* Only system calls: we may be in the middle of anything. */
static void give_up(int signo)
{
    (void)signo;
    unguard();
    go_on(given);
    _exit(127);
}

static bool is_ignored(int signo)
{
    struct sigaction old;

    return sigaction(signo, NULL, &old) == 0 && old.sa_handler == SIG_IGN;
}

/*
 * Whatever was blocked when we were started ends us no less. The stack is for
 * a handler that is called because there is no more of the usual one.
 */
static void guard(void)
{
    static char room[16384];
    stack_t stack = { .ss_sp = room, .ss_size = sizeof(room) };
    struct sigaction action = { .sa_handler = give_up, .sa_flags = SA_ONSTACK };
    sigset_t ours;

    no_pipe = is_ignored(SIGPIPE);
    no_alarm = is_ignored(SIGALRM);
    sigaltstack(&stack, NULL);
    sigfillset(&action.sa_mask);
    sigemptyset(&ours);
    for (unsigned i = 0; i < VG_ARRAY_LEN(deadly); i++) {
        sigaddset(&ours, deadly[i]);
        if (deadly[i] == SIGALRM || !is_ignored(deadly[i])) {
            sigaction(deadly[i], &action, NULL);
        }
    }
    sigprocmask(SIG_UNBLOCK, &ours, &mask);
    alarm(PATIENCE_S);
}

/* ---- can this QEMU? ---- */

/* After a downgrade of QEMU alone the option would be fatal to it. */
static bool qemu_has_device(const char *path)
{
    static const char name[] = "vgpu-stub";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    bool found = false;
    void *p;

    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0) {
        return false;
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (p == MAP_FAILED) {
        return false;
    }
    found = memmem(p, (size_t)st.st_size, name, sizeof(name)) != NULL;
    munmap(p, (size_t)st.st_size);
    return found;
}

/* ---- the device ---- */

static bool is_slot_taken(char **argv)
{
    char plain[24], prefixed[24];

    snprintf(plain, sizeof(plain), "addr=%s", settings.slot);
    snprintf(prefixed, sizeof(prefixed), "addr=0x%s", settings.slot);
    for (; *argv; argv++) {
        if (strcasestr(*argv, plain) || strcasestr(*argv, prefixed)) {
            return true;
        }
    }
    return false;
}

static bool put_root(char *buf, size_t cap, uint32_t domid)
{
    const char *at = strstr(settings.root, "{domid}");
    int n = 0;

    if (at) {
        n = snprintf(buf, cap, ",root=%.*s%u%s", (int)(at - settings.root),
                     settings.root, (unsigned)domid, at + strlen("{domid}"));
    } else if (settings.root[0]) {
        n = snprintf(buf, cap, ",root=%s", settings.root);
    }
    return n >= 0 && (size_t)n < cap;
}

/* QEMU ends a value at a comma. */
static bool describe(char *buf, size_t cap, uint32_t domid, const char *vm)
{
    char root[160] = "", addr[24] = "";
    int n;

    if (strchr(settings.socket, ',') || strchr(settings.root, ',') ||
        !put_root(root, sizeof(root), domid)) {
        return false;
    }
    if (settings.slot[0] && !is_slot_taken(given)) {
        snprintf(addr, sizeof(addr), ",addr=%s", settings.slot);
    }
    n = snprintf(buf, cap, "vgpu-stub%s,socket=%s%s,vm=%s,size=%" PRIu64
                 "M,slots=%" PRIu64, addr, settings.socket, root, vm,
                 settings.size_mib, settings.slots);
    return n > 0 && (size_t)n < cap;
}

/* The arguments with the device; NULL: without it, then. */
static char **with_device(int argc, uint32_t domid, const char *vm)
{
    static char device[640];
    char **argv;

    if (!qemu_has_device(settings.qemu)) {
        syslog(LOG_WARNING, "domain %u: no GPU: %s has no vgpu-stub",
               (unsigned)domid, settings.qemu);
        return NULL;
    }
    argv = calloc((size_t)argc + 3, sizeof(*argv));
    if (!argv || !describe(device, sizeof(device), domid, vm)) {
        syslog(LOG_WARNING, "domain %u: no GPU: settings", (unsigned)domid);
        return NULL;
    }
    memcpy(argv, given, (size_t)argc * sizeof(*argv));
    argv[argc] = (char *)"-device";
    argv[argc + 1] = device;
    syslog(LOG_INFO, "domain %u: GPU for VM %s", (unsigned)domid, vm);
    return argv;
}

static char **choose(int argc)
{
    char vm[64], why[128];
    uint64_t domid;

    if (argc < 2 ||
        !vg_number(given[1], 1, UINT16_MAX, &domid, why, sizeof(why)) ||
        !vg_wrapper_is_enabled((uint32_t)domid, vm, sizeof(vm))) {
        return NULL;
    }
    return with_device(argc, (uint32_t)domid, vm);
}

int main(int argc, char **argv)
{
    char **chosen;

    given = argv;
    openlog("vgpu-qemu-wrapper", LOG_PID, LOG_DAEMON);
    guard();
    vg_wrapper_settings_load(&settings);
    chosen = choose(argc);
    unguard();
    if (chosen) {
        go_on(chosen);
    }
    go_on(given);
    fprintf(stderr, "vgpu-qemu-wrapper: %s: %s\n", settings.wrapper,
            strerror(errno));
    return 127;
}
