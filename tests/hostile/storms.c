/* SPDX-License-Identifier: MIT */
/*
 * Too much of what is allowed: doorbells without end, launches as large as there can be, parameters
 * too few and too many. Another VM is served all the same. And what an executor leaves when it dies.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/hostile/cases.h"
#include "vg_api.h"
#include "vg_atomic.h"
#include "vg_cuda.h"

#define RINGS 500000u

static const struct daemon *daemon_of;

static void open_as(struct guest *g, const char *vm)
{
    guest_name = vm;
    MUST(guest_open(g, daemon_of, NULL) && guest_context(g) != 0);
}

/* It is served: a kernel of its own stores a number, which comes back. */
static void works(struct guest *g)
{
    uint64_t func = guest_function(g, guest_module(g, plain_ptx), "store");

    MUST(func && CALL(g, VG_CALL_cuMemAlloc_v2, 1, 4096) == CUDA_SUCCESS);
    const uint64_t param[2] = {g->res.val[0], 0x1234};
    MUST(guest_launch(g, func, 1, 1, param, 2) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemFree_v2, param[0]) == CUDA_SUCCESS);
}

/* ---- doorbells ---- */

static void *ring_and_ring(void *arg)
{
    for (unsigned i = 0; i < RINGS; i++)
        guest_ring_bell(arg);
    return NULL;
}

static void doorbells(void)
{
    struct guest g, other;
    pthread_t thread;

    open_as(&g, "ringer");
    open_as(&other, "neighbour");
    MUST(pthread_create(&thread, NULL, ring_and_ring, &g) == 0);
    for (unsigned i = 0; i < 20; i++)
        works(&other);
    works(&g);
    pthread_join(thread, NULL);
    works(&g);
    guest_close(&other);
    guest_close(&g);
}

/* So full that who writes there next would wait: nobody but the guest may be who waits. */
static void a_full_bell(void)
{
    const uint64_t most = UINT64_MAX - 1;
    struct guest g, other;

    open_as(&g, "ringer");
    for (unsigned i = 0; i < 100; i++) {
        if (write(g.bell, &most, sizeof(most)) < 0)
            break;
    }
    open_as(&other, "neighbour");
    works(&other);
    guest_close(&other);
    guest_close(&g);
}

/* ---- launches ---- */

/* Fewer words than the kernel has are no reason to read behind them, nor are more to write there. */
static void parameters(void)
{
    static const uint64_t word[1024];
    struct guest g;

    open_as(&g, "launcher");
    uint64_t func = guest_function(&g, guest_module(&g, plain_ptx), "store");
    for (unsigned words = 0; words <= 512; words = words ? 2 * words : 1) {
        int rc = guest_launch(&g, func, 1, 1, word, words);

        MUST(rc != CUDA_SUCCESS && rc != GUEST_TIMEOUT);    /* it stores at 0, if at all */
        if (rc == CUDA_ERROR_ILLEGAL_ADDRESS || rc == GUEST_DEAD) {
            guest_close(&g);
            open_as(&g, "launcher");
            func = guest_function(&g, guest_module(&g, plain_ptx), "store");
        }
    }
    guest_close(&g);
}

/* All blocks that there can be, of a kernel that does not end; and nobody waits for it. */
static void as_large_as_can_be(void)
{
    struct guest g, other;

    open_as(&g, "launcher");
    uint64_t func = guest_function(&g, guest_module(&g, plain_ptx), "spin");
    MUST(func && CALL(&g, VG_CALL_cuMemAlloc_v2, 1, 4096) == CUDA_SUCCESS);
    const uint64_t param[2] = {g.res.val[0], 0x5555555555555555};
    const uint64_t arg[8] = {func, 0x7fffffffull | 1ull << 32, 1 | 1024ull << 32, 1 | 1ull << 32, 0,
                             0, sizeof(param)};
    MUST(guest_call(&g, VG_CALL_LAUNCH, arg, param, sizeof(param), VG_F_REPLY, 1) == CUDA_SUCCESS);
    open_as(&other, "neighbour");
    works(&other);
    guest_close(&g);
    works(&other);
    guest_close(&other);
    open_as(&g, "launcher");
    works(&g);
    guest_close(&g);
}

/* ---- what is left ---- */

static void no_core_file(void)
{
    char path[64], line[256];
    bool none = false;
    struct guest g;

    open_as(&g, "launcher");
    snprintf(path, sizeof(path), "/proc/%d/limits", (int)executor_pid());
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f)) {
        char soft[32], hard[32];

        if (sscanf(line, "Max core file size %31s %31s", soft, hard) == 2)
            none = !strcmp(soft, "0") && !strcmp(hard, "0");
    }
    if (f)
        fclose(f);
    MUST(none);
    guest_close(&g);
}

void storms(const struct daemon *d)
{
    daemon_of = d;
    doorbells();
    a_full_bell();
    parameters();
    as_large_as_can_be();
    no_core_file();
    guest_name = "hostile";
}
