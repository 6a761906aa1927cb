/* SPDX-License-Identifier: MIT */
/* Users of executors, see users.h. Runs on the daemon's loop. */
#include "users.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mediator.h"
#include "mediator/base/log.h"
#include "session.h"

#define FIRST_FREE  1000u   /* below are the system's own */
#define DOMAINS_MAX 32752u  /* a domain's number is less */

static bool overlaps_domains(uint64_t base, uint64_t domains)
{
    return domains != 0 && base < domains + DOMAINS_MAX && domains <= base + VG_VMS_MAX;
}

/* What an executor does in two steps (its user.c), with both ends of the range. */
static int change_user(uint32_t base)
{
    uint32_t last = base + VG_VMS_MAX;

    if (setgroups(0, NULL) < 0 || setresgid(base, base, base) < 0 || setresuid(0, base, 0) < 0 ||
        seteuid(0) < 0 || setresgid(last, last, last) < 0 || setresuid(last, last, last) < 0)
        return -errno;
    return 0;
}

/* Says how it went, and waits to be killed, or for our end of the socket to close. */
static void try_in_child(uint32_t base, int sock)
{
    int rc = change_user(base);

    if (write(sock, &rc, sizeof(rc)) == (ssize_t)sizeof(rc) && read(sock, &rc, sizeof(rc)) < 0)
        _exit(1);
    _exit(0);
}

/* In a namespace or without a capability root may be unable to: better known now than with a guest. */
static int try_users(uint32_t base)
{
    vg_auto_fd int ours = -1, theirs = -1;
    int pair[2], rc;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    ours = pair[0];
    theirs = pair[1];
    pid = fork();
    if (pid == 0) {
        close(ours);
        try_in_child(base, theirs);
    }
    if (pid < 0)
        return -errno;
    vg_close(&theirs);
    if (read(ours, &rc, sizeof(rc)) != (ssize_t)sizeof(rc))
        rc = -EIO;
    if (kill(pid, SIGKILL) < 0 && rc == 0)
        rc = -errno;
    vg_close(&ours);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return rc;
}

static void find_problem(const struct vg_config *c, uint32_t base, char *problem, size_t cap)
{
    int rc;

    if (base < FIRST_FREE) {
        snprintf(problem, cap, "executor_uid = %" PRIu32 ": users below %u are the system's", base,
                 FIRST_FREE);
        return;
    }
    if (overlaps_domains(base, c->domain_uid_base)) {
        snprintf(problem, cap, "executor_uid = %" PRIu32 ": among the users of QEMU, which begin "
                               "at domain_uid_base = %" PRIu64, base, c->domain_uid_base);
        return;
    }
    rc = try_users(base);
    if (rc < 0)
        snprintf(problem, cap, "executors cannot get users of their own (%s); executor_uid = 0 "
                               "would run them as root", strerror(-rc));
}

void vg_users_init(struct vg_mediator *m)
{
    struct vg_users *u = &m->users;

    u->base = geteuid() == 0 ? (uint32_t)m->config.executor_uid : 0;
    u->problem[0] = '\0';
    if (u->base == 0)
        return;
    find_problem(&m->config, u->base, u->problem, sizeof(u->problem));
    if (u->problem[0])
        vg_log(VG_LOG_ERROR, "no-executor-users", "why=\"%s\"", u->problem);
}

int vg_users_check(const struct vg_mediator *m, char *why, size_t why_cap)
{
    if (!m->users.problem[0])
        return 0;
    snprintf(why, why_cap, "%s", m->users.problem);
    return -EPERM;
}

/* One may still have it that an earlier daemon gave it to, with another setting. */
static bool is_taken(const struct vg_mediator *m, uint32_t user)
{
    const struct vg_vm *vm;

    vg_list_for_each(vm, &m->vms.list, link) {
        if (vm->user == user)
            return true;
    }
    return false;
}

uint32_t vg_users_of(struct vg_mediator *m, struct vg_vm *vm)
{
    uint32_t user = m->users.base;

    if (user == 0)
        return geteuid() == 0 ? vm->user : 0;
    /* As many as VMs can be known: one is free. */
    while (vm->user == 0) {
        if (!is_taken(m, ++user))
            vm->user = user;
    }
    return vm->user;
}

uint32_t vg_users_start(const struct vg_session *s)
{
    uint32_t base = s->mediator->users.base;

    return base ? base : s->user;
}
