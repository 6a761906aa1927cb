/* SPDX-License-Identifier: MIT */
/*
 * Stands in for vgpu-executor in tests of the mediator: takes its descriptors,
 * arguments and slot, says READY, counts, and behaves as $VG_FAKE asks:
 *   (unset)   serves until SIGTERM or the end of the control socket
 *   crash     dies of SIGSEGV after READY
 *   exit15    exits with 15 after READY (10 + VG_GONE_TIMEOUT)
 *   exit17    exits with 17 after READY (10 + VG_GONE_LEASE)
 *   fail      says FAILED and exits
 *   mute      never says READY
 *   stubborn  ignores SIGTERM
 *   babble    writes a flood of log lines
 *   garbage   sends a broken packet
 *   spin      says READY with its last argument as device name
 *   hung      has work on the GPU that does not come to an end
 *   compiling is at one call that does not come to an end, beside what it serves
 *   steady    has work on the GPU all the time, some of which ends now and then
 *   ill       says that a context of its had a sticky error, and exits
 *   deaf      closes the control socket and lives on
 *   infirm    dies before it is IDLE
 *   brittle   dies when it is given a slot
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mediator/vg_gate.h"
#include "mediator/vg_stats.h"
#include "protocol/vg_sock.h"

enum { CONTROL = 3, DOORBELL = 4, STATS = 5, GATE = 6, BELL = 7, ORDERS };

static bool is(const char *mode, const char *name)
{
    return mode && strcmp(mode, name) == 0;
}

static int say(enum vg_msg_type type, const char *text)
{
    struct vg_msg msg = { .type = type };

    snprintf(msg.text, sizeof(msg.text), "%s", text);
    return send(CONTROL, &msg, sizeof(msg), MSG_NOSIGNAL) == (ssize_t)sizeof(msg) ? 0 : 1;
}

/* Exactly 0 to 7 are open: anything more has leaked from the mediator. */
static int check_fds(void)
{
    struct stat st;

    for (int fd = 0; fd <= ORDERS; fd++) {
        if (fstat(fd, &st) < 0)
            return fd;
    }
    for (int fd = ORDERS + 1; fd < 256; fd++) {
        if (fstat(fd, &st) == 0)
            return fd;
    }
    /* What the daemon decides is not for us to write. */
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ORDERS, 0) == MAP_FAILED ? -1
                                                                                          : ORDERS;
}

static int count(uint64_t gpu_faults)
{
    struct vg_stats *st = mmap(NULL, sizeof(*st), PROT_READ | PROT_WRITE, MAP_SHARED, STATS, 0);

    if (st == MAP_FAILED)
        return 1;
    st->guest_pid = 4711;
    memcpy(st->guest_comm, "fake \"guest\"\n", 13);
    st->calls = 10;
    st->gpu_faults = gpu_faults;
    st->bytes_in = 4096;
    st->memory = 1 << 20;
    st->memory_peak = 1 << 20;
    st->call[2] = 3;
    st->call[VG_STATS_INTERNAL] = 7;
    st->magic = VG_STATS_MAGIC;
    return 0;
}

/* Until the mediator is gone, or a doorbell ends the test's patience. */
static int serve(void)
{
    struct pollfd p = { .fd = CONTROL, .events = POLLIN };

    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        ;
    return 0;
}

static uint64_t monotonic(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int work(bool ends)
{
    struct vg_gate *g = mmap(NULL, sizeof(*g), PROT_READ | PROT_WRITE, MAP_SHARED, GATE, 0);
    struct pollfd p = { .fd = CONTROL, .events = POLLIN };

    if (g == MAP_FAILED)
        return 1;
    __atomic_store_n(&g->now.busy_since, monotonic(), __ATOMIC_RELAXED);
    __atomic_store_n(&g->now.in_flight, 1, __ATOMIC_RELAXED);
    while (poll(&p, 1, 20) == 0)
        __atomic_store_n(&g->sum.progress, g->sum.progress + ends, __ATOMIC_RELAXED);
    return 0;
}

static int compile(void)
{
    struct vg_gate *g = mmap(NULL, sizeof(*g), PROT_READ | PROT_WRITE, MAP_SHARED, GATE, 0);

    if (g == MAP_FAILED)
        return 1;
    __atomic_store_n(&g->beside.since, monotonic(), __ATOMIC_RELAXED);
    return serve();
}

static int babble(void)
{
    for (int i = 0; i < 5000; i++)
        fprintf(stderr, "line %d of a talkative \"executor\"\n", i);
    return serve();
}

/* Waits for its slot, which must come with a region, and only once. */
static bool take_slot(void)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct vg_msg m;
    struct iovec io = { &m, sizeof(m) };
    struct msghdr h = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
                        .msg_controllen = sizeof(control) };
    struct pollfd p = { .fd = CONTROL, .events = POLLIN };

    if (poll(&p, 1, 0) == 0)
        say(VG_MSG_IDLE, "fake device");
    return recvmsg(CONTROL, &h, 0) == (ssize_t)sizeof(m) && m.type == VG_MSG_SERVE &&
           m.name[0] && m.region_size && m.slot_count && CMSG_FIRSTHDR(&h);
}

int main(int argc, char **argv)
{
    const char *mode = getenv("VG_FAKE");
    int bad = check_fds();

    if (is(mode, "infirm"))
        return 1;
    if (is(mode, "stubborn"))
        signal(SIGTERM, SIG_IGN);
    /* That one fails as a driver does that is not there: before it looks for a slot. */
    if (!is(mode, "fail") && !take_slot())
        return 0;
    if (is(mode, "garbage"))
        return (int)send(CONTROL, "garbage", 7, 0) == 7 ? serve() : 1;
    if (is(mode, "brittle"))
        raise(SIGKILL);
    /* What the mediator was told to pass on, for the test to see. */
    if (is(mode, "spin"))
        return say(VG_MSG_READY, argv[argc - 1]) + serve();

    if (bad >= 0 || argc < 5) {
        fprintf(stderr, "descriptor %d, %d arguments, last %s\n", bad, argc, argv[argc - 1]);
        say(VG_MSG_FAILED, "descriptors or arguments are not as agreed");
        return 1;
    }
    if (is(mode, "fail"))
        return say(VG_MSG_FAILED, "no GPU here") + 1;
    if (is(mode, "mute"))
        return serve();
    if (count(is(mode, "ill")) || say(VG_MSG_READY, "fake device"))
        return 1;
    if (is(mode, "crash"))
        raise(SIGSEGV);
    if (is(mode, "deaf") && close(CONTROL) == 0)
        pause();
    if (is(mode, "exit15"))
        return 15;
    if (is(mode, "exit17"))
        return 17;
    if (is(mode, "hung") || is(mode, "steady"))
        return work(is(mode, "steady"));
    if (is(mode, "compiling"))
        return compile();
    if (is(mode, "ill"))
        return 0;
    return is(mode, "babble") ? babble() : serve();
}
