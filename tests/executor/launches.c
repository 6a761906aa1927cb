/* SPDX-License-Identifier: MIT */
/*
 * For counting instructions: the executor's serve loop carries out launches from a ring that is
 * never empty until the end, on a driver that only lets time pass.
 *
 *   launches N [turns]     N launches; `turns`: with the gate of a VM beside others that rest
 *   launches N waits LOOKS N times a launch and a wait for it, which is over at so many looks
 *   launches N copies LOOKS   the same with waits alone
 *
 * Two programs are made of it: with the executor's gate and meter, and without (without_gate.c).
 * The clock is made here, so a run is the same whatever the machine does; times are an H200's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mediator/executor/executor.h"
#include "mediator/executor/serve.h"
#include "vg_atomic.h"

#define LAUNCH_NS 3300u     /* what the driver takes for one, on an H200 */
#define LOOK_NS   25u       /* a look at the clock */
#define AHEAD     64u       /* launches that wait in the ring */
#define EVENTS    4096u
#define REGION    (16u << 20)
#define FUNCTION  0x1000u
#define STREAM    0x2000u
#define CONTEXT   0x3000u

uint64_t __wrap_vg_now(void);

static struct vg_exec x;
static struct vg_stats stats;
static struct vg_ring_producer guest;
static uint64_t clock_ns = 1000000000u, over_at[EVENTS];
static unsigned long left, launched;
static uintptr_t events;
static unsigned looks, looked;  /* of each wait; 0: no waits */
static bool waits_only;
static uint32_t awaited;        /* seq of the wait under way, 0: none */

static void give_wait(uint32_t seq);

/* The loop looks at the clock behind each answer, among others: then the guest goes on. */
uint64_t __wrap_vg_now(void)
{
    if (awaited && vg_load_acquire(&vg_slot_cell(x.guest.slot, 0)->done) == awaited)
        give_wait(awaited + 1);
    return clock_ns += LOOK_NS;
}

/* ---- the guest: whenever one of its launches is carried out, it gives another ---- */

static void give_one(void)
{
    struct vg_call *c = vg_ring_reserve(&guest, 8);

    if (!c)
        abort();
    memset(c->arg, 0, sizeof(c->arg));
    c->call = VG_CALL_LAUNCH;
    c->flags = c->cell = 0;
    c->arg[VG_LAUNCH_FUNC] = FUNCTION;
    c->arg[VG_LAUNCH_GRID_XY] = 1 | 1ull << 32;
    c->arg[VG_LAUNCH_GRIDZ_BX] = 1 | 128ull << 32;
    c->arg[VG_LAUNCH_BLOCK_YZ] = 1 | 1ull << 32;
    c->arg[VG_LAUNCH_STREAM] = STREAM;
    c->arg[VG_LAUNCH_SIZES] = 8;
    if (vg_ring_commit(&guest, c))
        abort();    /* the loop sleeps only when all is done */
    left--;
}

static void give_wait(uint32_t seq)
{
    awaited = left > 0 ? seq : 0;
    if (left == 0)
        return;
    if (waits_only)
        left--, launched++;
    else
        give_one();
    struct vg_call *c = vg_ring_reserve(&guest, 0);
    if (!c)
        abort();
    memset(c->arg, 0, sizeof(c->arg));
    c->call = VG_CALL_SYNC;
    c->flags = VG_F_REPLY;
    c->cell = 0;
    c->seq = seq;
    c->arg[0] = VG_SYNC_STREAM;
    c->arg[1] = STREAM;
    if (vg_ring_commit(&guest, c))
        abort();
}

/* ---- the driver ---- */

static CUresult launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                       unsigned by, unsigned bz, unsigned shared, CUstream stream, void **params,
                       void **extra)
{
    (void)f, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared;
    (void)stream, (void)params, (void)extra;
    clock_ns += LAUNCH_NS;
    launched++;
    if (left > 0 && looks == 0)
        give_one();
    return CUDA_SUCCESS;
}

static CUresult event_create(CUevent *event, unsigned flags)
{
    (void)flags;
    *event = (CUevent)(events++ % EVENTS + 1);
    return CUDA_SUCCESS;
}

static CUresult event_record(CUevent event, CUstream stream)
{
    (void)stream;
    looked = 0;
    over_at[(uintptr_t)event - 1] = clock_ns + LAUNCH_NS;
    return CUDA_SUCCESS;
}

static CUresult event_query(CUevent event)
{
    if (looks > 0)
        return ++looked >= looks ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
    return clock_ns >= over_at[(uintptr_t)event - 1] ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

static CUresult event_synchronize(CUevent event)
{
    (void)event;
    return CUDA_SUCCESS;
}

static CUresult event_elapsed(float *ms, CUevent from, CUevent to)
{
    (void)from, (void)to;
    *ms = (float)LAUNCH_NS * AHEAD / 1e6f;
    return CUDA_SUCCESS;
}

/* ---- the run ---- */

static void prepare(void)
{
    void *region = aligned_alloc(4096, REGION);

    if (!region || vg_exec_init(&x) < 0 || !vg_region_layout_init(&x.guest.layout, REGION, 1))
        abort();
    memset(region, 0, REGION);
    x.stats = &stats;
    x.guest.base = region;
    x.guest.slot = vg_region_slot(region, &x.guest.layout, 0);
    x.ctx = x.home = (CUcontext)CONTEXT;
    x.opt.spin_us = 50;
    x.cuda.cuLaunchKernel = launch;
    x.cuda.cuEventCreate = event_create;
    x.cuda.cuEventRecord = event_record;
    x.cuda.cuEventQuery = event_query;
    x.cuda.cuEventSynchronize = event_synchronize;
    x.cuda.cuEventElapsedTime = event_elapsed;
    vg_callbacks_init(&x.callbacks, x.guest.slot);
    vg_ring_consumer_init(&x.ring, x.guest.slot);
    vg_ring_producer_init(&guest, x.guest.slot);
    vg_own_add(&x, VG_OBJ_CUcontext, CONTEXT, 0, 0);
    vg_own_add(&x, VG_OBJ_CUstream, STREAM, CONTEXT, VG_STREAM_NON_BLOCKING);
    vg_own_add(&x, VG_OBJ_CUfunction, FUNCTION, CONTEXT, 8);
}

/* What the policy core grants to one that has the GPU to itself for less than a second. */
static void grant_turn(void)
{
    struct vg_gate_grant *g = &x.own_orders.grant;

    g->mode = VG_GATE_TURN;
    g->turn = 1;
    g->budget_ns = UINT64_MAX;
    g->window_ns = 1000000;
    g->window_ops = 256;
    g->ask = VG_GATE_ASK_IDLE;
    g->hold_us = 10000;
    g->seq = 2;
}

int main(int argc, char **argv)
{
    int control[2], doorbell = eventfd(0, EFD_NONBLOCK);
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    const char *why = "";

    if (count < AHEAD || doorbell < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control) < 0)
        return 2;
    prepare();
    if (argc > 2 && strcmp(argv[2], "turns") == 0)
        grant_turn();
    left = count;
    if (argc > 3) {
        looks = (unsigned)atoi(argv[3]);
        waits_only = strcmp(argv[2], "copies") == 0;
        if (vg_console_init(&x.console, x.guest.slot) < 0)
            return 2;
        give_wait(1);
    }
    for (unsigned i = 0; i < AHEAD && looks == 0; i++)
        give_one();
    close(control[1]);  /* so the loop ends when it would sleep */
    int gone = vg_serve(&x, control[0], doorbell, &why);
    fprintf(stderr, "launches %lu %s\n", launched, why);
    return gone != 0 || launched != count;
}
