/* SPDX-License-Identifier: MIT */
/*
 * Sharing without manners: tokens that nobody gave, another VM's, those of the dead,
 * of another kind, and more of them than there may be. Who does so has only himself
 * to blame; another VM shares on.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/hostile/cases.h"
#include "vg_api.h"
#include "vg_cuda.h"

#define EVENT_FLAGS (CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS)
#define FLAGS       CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS

static const struct daemon *daemon_of;

static void open_as(struct guest *g, const char *vm)
{
    guest_name = vm;
    MUST(guest_open(g, daemon_of, NULL) && guest_context(g) != 0);
}

/* Memory of this guest and the token for it. */
static uint64_t offer(struct guest *g, uint64_t token[2])
{
    MUST(CALL(g, VG_CALL_cuMemAlloc_v2, 1, 65536) == CUDA_SUCCESS);
    uint64_t p = g->res.val[0];
    MUST(CALL(g, VG_CALL_cuIpcGetMemHandle, p) == CUDA_SUCCESS);
    memcpy(token, g->res.val, 16);
    MUST(token[0] && token[1]);
    return p;
}

static int take(struct guest *g, const uint64_t token[2])
{
    return CALL(g, VG_CALL_cuIpcOpenMemHandle_v2, token[0], token[1], FLAGS);
}

static void forged_tokens(struct guest *g)
{
    static const uint64_t tokens[][2] = {{0, 0}, {1, 0}, {UINT64_MAX, UINT64_MAX},
                                         {0x4141414141414141, 0x4141414141414141}};

    for (unsigned i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        const uint64_t *t = tokens[i];
        MUST(take(g, t) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuIpcOpenEventHandle, t[0], t[1]) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemImportFromShareableHandle, t[0], t[1], 1) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemPoolImportFromShareableHandle, t[0], t[1], 1, 0) !=
             CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemPoolImportPointer, t[0], t[1], 0) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuIpcCloseMemHandle, t[0]) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuIpcGetMemHandle, t[0]) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuIpcGetEventHandle, t[0]) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemExportToShareableHandle, t[0], 1, 0) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemPoolExportToShareableHandle, t[0], 1, 0) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemPoolExportPointer, t[0]) != CUDA_SUCCESS);
    }
}

static void tokens_of_others(struct guest *g)
{
    struct guest friend, stranger;
    uint64_t token[2], second[2];

    uint64_t p = offer(g, token);
    open_as(&stranger, "stranger");
    open_as(&friend, "sharing");
    MUST(take(&stranger, token) == CUDA_ERROR_INVALID_VALUE);
    MUST(take(g, token) != CUDA_SUCCESS);      /* one's own memory */
    MUST(CALL(&friend, VG_CALL_cuIpcOpenEventHandle, token[0], token[1]) != CUDA_SUCCESS);
    MUST(CALL(&friend, VG_CALL_cuMemImportFromShareableHandle, token[0], token[1], 1) !=
         CUDA_SUCCESS);
    MUST(take(&friend, token) == CUDA_SUCCESS);
    uint64_t there = friend.res.val[0];
    MUST(CALL(&friend, VG_CALL_cuMemFree_v2, there) != CUDA_SUCCESS);
    MUST(CALL(&friend, VG_CALL_cuMemUnmap, there & ~0x1fffffull, 2u << 20) != CUDA_SUCCESS);
    MUST(CALL(&friend, VG_CALL_cuMemsetD8_v2, there, 1, 65537) != CUDA_SUCCESS);
    MUST(CALL(&friend, VG_CALL_cuIpcGetMemHandle, there) != CUDA_SUCCESS);
    MUST(CALL(&friend, VG_CALL_cuIpcCloseMemHandle, there) == CUDA_SUCCESS);
    MUST(CALL(&friend, VG_CALL_cuIpcCloseMemHandle, there) != CUDA_SUCCESS);
    /* What is freed, and what the dead had, is nobody's. */
    MUST(CALL(g, VG_CALL_cuMemFree_v2, p) == CUDA_SUCCESS);
    MUST(take(&friend, token) != CUDA_SUCCESS);
    offer(&friend, second);
    MUST(take(&stranger, second) != CUDA_SUCCESS);
    guest_close(&friend);
    for (unsigned i = 0; i < 100 && take(g, second) == CUDA_SUCCESS; i++)
        usleep(50000);
    MUST(take(g, second) != CUDA_SUCCESS);
    guest_close(&stranger);
}

/* The limit is a VM's own, and what ends makes room. */
static void too_many(struct guest *g)
{
    struct guest stranger;
    uint64_t token[2], last = 0;
    unsigned shared = 0;

    for (; shared <= VG_SHARES_MAX; shared++) {
        if (CALL(g, VG_CALL_cuEventCreate, 1, EVENT_FLAGS) != CUDA_SUCCESS)
            break;
        uint64_t event = g->res.val[0];
        if (CALL(g, VG_CALL_cuIpcGetEventHandle, event) != CUDA_SUCCESS)
            break;
        last = event;
    }
    MUST(shared > 100 && shared <= VG_SHARES_MAX);
    expect_alive(g);
    open_as(&stranger, "stranger");
    offer(&stranger, token);
    guest_close(&stranger);
    MUST(CALL(g, VG_CALL_cuEventDestroy_v2, last) == CUDA_SUCCESS);
    offer(g, token);
}

/* Questions whose answers nobody wants, all at once. */
static void floods_of_questions(struct guest *g)
{
    const uint64_t arg[8] = {7, 7, FLAGS};

    for (unsigned i = 0; i < 3000; i++)
        MUST(guest_post(g, VG_CALL_cuIpcOpenMemHandle_v2, arg, NULL, 0, VG_F_REPLY, 2 + i % 100));
    expect_alive(g);
    /* While too many are under way the executor takes no more. */
    uint64_t token[2];
    for (unsigned i = 0; i < 100 && CALL(g, VG_CALL_cuIpcOpenEventHandle, 7, 7) !=
                                        CUDA_ERROR_INVALID_VALUE; i++)
        usleep(20000);
    offer(g, token);
}

void sharing(const struct daemon *d)
{
    static void (*const part[])(struct guest *g) = {
        forged_tokens, tokens_of_others, too_many, floods_of_questions,
    };

    daemon_of = d;
    for (unsigned i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
        struct guest g;
        open_as(&g, "sharing");
        part[i](&g);
        expect_alive(&g);
        guest_close(&g);
    }
    guest_name = "hostile";
}
