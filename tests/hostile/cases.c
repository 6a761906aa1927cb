/* SPDX-License-Identifier: MIT */
/*
 * What a hostile guest process tries, one attempt each: the executor may refuse,
 * or end with a reason in the log, but not crash, and what lies outside the region
 * stays out of reach. Needs no GPU; plain program, exit 0: passed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/hostile/cases.h"
#include "vg_api.h"
#include "vg_atomic.h"
#include "vg_cuda.h"

#define REGION_AT 0x6f0000000000ull

static struct daemon d;

/* ---- The executor as the host sees it ---- */

pid_t executor_pid(void)
{
    FILE *f = fopen(d.log, "r");
    char line[4096], *at;
    int pid = 0;

    MUST(f != NULL);
    while (fgets(line, sizeof(line), f))
        if (strstr(line, " attached vm=") && (at = strstr(line, "pid=")) != NULL)
            pid = atoi(at + 4);
    fclose(f);
    return pid;
}

/* Calls fn with each mapping of the executor until it returns false. */
static void each_mapping(pid_t pid,
                         bool (*fn)(void *arg, uint64_t lo, uint64_t hi, const char *line),
                         void *arg)
{
    char path[64], line[4096];
    unsigned long long lo, hi;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    FILE *f = fopen(path, "r");
    MUST(f != NULL);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "%llx-%llx", &lo, &hi) == 2 && !fn(arg, lo, hi, line))
            break;
    fclose(f);
}

static bool memory_kib(pid_t pid, unsigned long *ret)
{
    char path[64], line[256];
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && !found && fgets(line, sizeof(line), f))
        found = sscanf(line, "RssAnon: %lu", ret) == 1;
    if (f)
        fclose(f);
    return found;
}

void expect_alive(struct guest *g)
{
    MUST(CALL(g, VG_CALL_NOP, 0) == CUDA_SUCCESS);
}

static void open_with_context(struct guest *g)
{
    MUST(guest_open(g, &d, NULL));
    MUST(guest_context(g) != 0);
}

/* ---- The hello ---- */

static void silly_addresses(void)
{
    static const uint64_t at[] = {
        1,
        0x1000,
        0x10000,
        REGION_AT + 1,
        REGION_AT + 8,
        0x7ffffffff000,
        0x7fffffffe000,
        0x800000000000,
        0xffff800000000000,
        0xfffffffffffff000,
        UINT64_MAX,
        0x7ffff0000000,
    };
    struct guest g;

    for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        MUST(!guest_open(&g, &d, (void *)(uintptr_t)at[i]));
        MUST(guest_gone(&g, 5000) && g.slot->reason == VG_GONE_VERSION);
        guest_close(&g);
    }
}

/* ---- The ring ---- */

static void expect_breach(struct guest *g)
{
    guest_ring_bell(g);
    MUST(guest_gone(g, 20000) && g->slot->reason == VG_GONE_PROTOCOL);
    guest_close(g);
}

static void broken_rings(void)
{
    static const uint64_t heads[] = {
        8, 16, 64, VG_RING_SIZE + 16, UINT64_MAX, UINT64_MAX - 15, 1ull << 63};
    struct guest g;

    for (unsigned i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        MUST(guest_open(&g, &d, NULL));
        vg_store_release(&g.slot->head, heads[i]);
        expect_breach(&g);
    }
    static const uint32_t lengths[] = {VG_PAYLOAD_MAX + 1, VG_RING_SIZE, UINT32_MAX,
                                       UINT32_MAX - 80, 0x7fffffff};
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct vg_call c = {.call = VG_CALL_NOP, .payload_len = lengths[i]};
        MUST(guest_open(&g, &d, NULL));
        memcpy(vg_slot_ring(g.slot), &c, sizeof(c));
        vg_store_release(&g.slot->head, VG_RING_SIZE);
        expect_breach(&g);
    }
}

static volatile bool scribbling;

/* Flips lengths and ids of records that the executor may be reading at this moment. */
static void *scribble(void *arg)
{
    struct guest *g = arg;
    uint64_t n = 1;

    while (scribbling) {
        n = n * 6364136223846793005ull + 1442695040888963407ull;
        uint8_t *at = vg_slot_ring(g->slot) + (n >> 33) % (VG_RING_SIZE / 96) * 96;
        struct vg_call *c = (struct vg_call *)at;
        vg_store_relaxed(&c->payload_len, (uint32_t)(n >> 40));
        vg_store_relaxed(&c->payload_len, 16u); /* most of the time it is in order */
        vg_store_relaxed(&c->arg[2], n % 3 ? n : 0);
    }
    return NULL;
}

static void changing_records(void)
{
    static const uint8_t payload[16];
    const uint64_t arg[8] = {0, 0, 6};
    pthread_t thread;
    struct guest g;

    for (unsigned life = 0; life < 8; life++) {
        open_with_context(&g);
        scribbling = true;
        MUST(pthread_create(&thread, NULL, scribble, &g) == 0);
        for (unsigned i = 0; i < 20000; i++) {
            uint32_t call = i % 2 ? VG_CALL_IMAGE_LOAD : VG_CALL_COPY_INLINE;
            if (guest_gone(&g, 0) || !guest_post(&g, call, arg, payload, 16, 0, 0))
                break;
        }
        scribbling = false;
        pthread_join(thread, NULL);
        MUST(!guest_gone(&g, 200) || g.slot->reason == VG_GONE_PROTOCOL);
        guest_close(&g);
    }
}

/* Every id, with an answer or without: none may hurt. */
static void every_id(void)
{
    const uint64_t none[8] = {0};
    struct guest g;

    MUST(guest_open(&g, &d, NULL));
    for (uint32_t id = 0; id < 0x2100; id++) {
        if (id == VG_CALL_PAD)
            continue;
        if (guest_call(&g, id, none, NULL, 0, VG_F_REPLY, 3) == GUEST_DEAD) {
            guest_close(&g);
            MUST(guest_open(&g, &d, NULL));
        }
    }
    guest_close(&g);
}

/* ---- Answers that go where they should not ---- */

const char plain_ptx[] =
    ".version 7.0\n.target sm_70\n.address_size 64\n"
    ".visible .entry store(.param .u64 a, .param .u64 b)\n{\n.reg .b64 %r<4>;\n"
    "ld.param.u64 %r0,[a];\nld.param.u64 %r1,[b];\nst.global.u64 [%r0],%r1;\nret;\n}\n"
    ".visible .entry load(.param .u64 a, .param .u64 b)\n{\n.reg .b64 %r<4>;\n"
    "ld.param.u64 %r0,[a];\nld.param.u64 %r1,[b];\nld.u64 %r2,[%r0];\nst.u64 [%r1],%r2;\nret;\n}\n"
    ".visible .entry add(.param .u64 a, .param .u64 b)\n{\n.reg .b64 %r<4>;\n"
    "ld.param.u64 %r0,[a];\nld.param.u64 %r1,[b];\natom.add.u64 %r2,[%r0],%r1;\nret;\n}\n"
    ".visible .entry spin(.param .u64 a, .param .u64 b)\n{\n.reg .b64 %r<4>;\n.reg .pred %p;\n"
    "ld.param.u64 %r0,[a];\nld.param.u64 %r1,[b];\nL:\nld.volatile.u64 %r2,[%r0];\n"
    "setp.ne.u64 %p,%r2,%r1;\n@%p bra L;\nret;\n}\n";

/* A bulk reply of no capacity behind the last byte of the region. */
static void replies_behind_the_region(void)
{
    struct guest g;

    open_with_context(&g);
    uint64_t module = guest_module(&g, plain_ptx), func = guest_function(&g, module, "store");
    MUST(module && func);
    const uint32_t calls[] = {VG_CALL_FUNCTION_ATTRS, VG_CALL_FUNCTION_INFO, VG_CALL_FUNCTION_NAME,
                              VG_CALL_SNAPSHOT,       VG_CALL_IMAGE_LOAD,    VG_CALL_FUNCTION_GET};
    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        for (unsigned room = 0; room < 80; room += 8) {
            const uint64_t arg[8] = {
                calls[i] == VG_CALL_FUNCTION_GET || calls[i] == VG_CALL_IMAGE_LOAD ? 0 : func,
                calls[i] == VG_CALL_FUNCTION_GET ? module : 0,
                calls[i] == VG_CALL_IMAGE_LOAD ? 6 : 0,
                0,
                0,
                0,
                g.layout.size - room,
                room};
            MUST(guest_call(&g, calls[i], arg, "store", 6, VG_F_REPLY | VG_F_BULK, 2) < GUEST_DEAD);
            MUST(g.res.payload_len <= room);
        }
    expect_alive(&g);
    guest_close(&g);
}

/* ---- Second addresses over what the executor has mapped ---- */

static bool try_alias(void *arg, uint64_t lo, uint64_t hi, const char *line)
{
    struct guest *g = arg;
    uint64_t middle = (lo + (hi - lo) / 2) & ~4095ull;

    if (strstr(line, "vsyscall"))
        return false;
    MUST(CALL(g, VG_CALL_ALIAS, lo, g->layout.data_off, 4096) != CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_ALIAS, middle, g->layout.data_off, 65536) != CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_UNALIAS, lo, hi - lo) != CUDA_SUCCESS);
    return true;
}

static void aliases(void)
{
    static const uint64_t at[] = {
        0,          0x1000,   0x7ffffffff000, 0x800000000000, 0xffff800000000000, UINT64_MAX - 4095,
        0x10000001, REGION_AT};
    struct guest g;

    open_with_context(&g);
    each_mapping(executor_pid(), try_alias, &g);
    for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        MUST(CALL(&g, VG_CALL_ALIAS, at[i], g.layout.data_off, 4096) != CUDA_SUCCESS);
    uint64_t free_place = 0x5a0000000000;
    MUST(CALL(&g, VG_CALL_ALIAS, free_place, 0, 4096) != CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_ALIAS, free_place, g.layout.slots_off, 4096) != CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_ALIAS, free_place, g.layout.size - 4096, 8192) != CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_ALIAS, free_place, g.layout.data_off, UINT64_MAX - 4095) != CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_ALIAS, free_place, g.layout.data_off, 65536) == CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_ALIAS, free_place + 4096, g.layout.data_off, 4096) != CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_UNALIAS, free_place + 4096, 4096) != CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_cuMemFree_v2, free_place) != CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_UNALIAS, free_place, 65536) == CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_UNALIAS, free_place, 65536) != CUDA_SUCCESS);
    expect_alive(&g);
    guest_close(&g);
}

/* An alias goes away under a kernel of another context. */
static void alias_in_use(void)
{
    const uint64_t place = 0x5a0000000000;
    struct guest g;

    open_with_context(&g);
    uint64_t first = CALL(&g, VG_CALL_cuDevicePrimaryCtxRetain, 1, 0) == 0 ? g.res.val[0] : 0;
    MUST(CALL(&g, VG_CALL_ALIAS, place, g.layout.data_off + 65536, 65536) == CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_cuCtxCreate_v2, 1, 0, 0) == CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_SET_CONTEXT, g.res.val[0]) == CUDA_SUCCESS);
    uint64_t func = guest_function(&g, guest_module(&g, plain_ptx), "spin");
    const uint64_t arg[8] = {func, 1 | 1ull << 32, 1 | 32ull << 32, 1 | 1ull << 32, 0, 0, 16};
    const uint64_t param[2] = {place, 1};
    MUST(guest_call(&g, VG_CALL_LAUNCH, arg, param, 16, VG_F_REPLY, 1) == CUDA_SUCCESS);
    usleep(50000);
    MUST(CALL(&g, VG_CALL_SET_CONTEXT, first) == CUDA_SUCCESS);
    CALL(&g, VG_CALL_UNALIAS, place, 65536);
    usleep(100000);
    guest_close(&g);
}

/* ---- Kernels with wild addresses ---- */

struct wild {
    struct guest g;
    uint64_t at[64];
    unsigned count;
};

static bool take_address(void *arg, uint64_t lo, uint64_t hi, const char *line)
{
    struct wild *w = arg;

    if (strstr(line, "vgpu-region") || (lo >= 0x200000000000 && lo < 0x210000000000))
        return true;
    if (w->count < 40 || strstr(line, "[stack]") || strstr(line, "[heap]"))
        w->at[w->count++] = (lo + hi) / 2 & ~7ull;
    return w->count < 60;
}

static void wild_kernels(void)
{
    static const char *const names[] = {"store", "load", "add"};
    struct wild w = {.count = 0};

    for (unsigned i = 0; i == 0 || i < w.count; i++) {
        open_with_context(&w.g);
        if (i == 0) {
            each_mapping(executor_pid(), take_address, &w);
            const uint64_t edges[] = {0,
                                      8,
                                      REGION_AT - 8,
                                      REGION_AT,
                                      REGION_AT + w.g.layout.slots_off + VG_PAGE,
                                      REGION_AT + w.g.layout.size,
                                      0x800000000000,
                                      0x8000ffffffff8,
                                      0x800100000000,
                                      0x800200000000,
                                      0x800300000000,
                                      UINT64_MAX - 7};
            for (unsigned e = 0; e < sizeof(edges) / sizeof(edges[0]) && w.count < 64; e++)
                w.at[w.count++] = edges[e];
        }
        uint64_t func = guest_function(&w.g, guest_module(&w.g, plain_ptx), names[i % 3]);
        MUST(func != 0);
        const uint64_t out = REGION_AT + w.g.layout.data_off + 65536;
        const uint64_t param[2] = {w.at[i], i % 3 == 1 ? out : 0x4141414141414141};
        int rc = guest_launch(&w.g, func, 1, 1, param, 2);
        bool window = w.at[i] >= 0x800000000000 && w.at[i] < 0x800300000000;
        if (rc != CUDA_ERROR_ILLEGAL_ADDRESS && !window)
            fprintf(stderr, "%s at %#llx: result %d\n", names[i % 3], (unsigned long long)w.at[i],
                    rc);
        MUST(rc == CUDA_ERROR_ILLEGAL_ADDRESS || window);
        guest_close(&w.g);
    }
}

/* ---- Floods ---- */

static void floods(void)
{
    const uint64_t none[8] = {0};
    unsigned long before, after;
    struct guest g;

    open_with_context(&g);
    for (unsigned i = 0; i < 2000; i++)
        MUST(guest_post(&g, VG_CALL_HOST_FUNC, (const uint64_t[8]){0, i, 0}, NULL, 0, 0, 0));
    for (unsigned i = 0; i < 400; i++)
        MUST(guest_post(&g, VG_CALL_SYNC, none, NULL, 0, VG_F_REPLY, 2 + i % 100));
    guest_close(&g);

    open_with_context(&g);
    MUST(CALL(&g, VG_CALL_cuStreamCreate, 1, 0) == CUDA_SUCCESS);
    uint64_t stream = g.res.val[0];
    MUST(memory_kib(executor_pid(), &before));
    MUST(CALL(&g, VG_CALL_cuStreamBeginCapture_v2, stream, 2) == CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_cuMemAlloc_v2, 1, 8u << 20) == CUDA_SUCCESS);
    uint64_t buffer = g.res.val[0];
    for (unsigned i = 0; i < 256; i++)
        CALL(&g, VG_CALL_COPY_IN, buffer, g.layout.data_off, 8u << 20, stream, 1);
    MUST(memory_kib(executor_pid(), &after));
    MUST(after - before < (3ul << 19)); /* 2 GiB were asked for */
    expect_alive(&g);
    guest_close(&g);
}

static void own_mappings(void)
{
    mappings(&d);
}

static void tokens(void)
{
    sharing(&d);
}

static void too_much(void)
{
    storms(&d);
}

static void links_and_green_contexts(void)
{
    linking(&d);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"silly_addresses", silly_addresses},
        {"broken_rings", broken_rings},
        {"changing_records", changing_records},
        {"every_id", every_id},
        {"replies_behind_the_region", replies_behind_the_region},
        {"aliases", aliases},
        {"alias_in_use", alias_in_use},
        {"wild_kernels", wild_kernels},
        {"floods", floods},
        {"mappings", own_mappings},
        {"sharing", tokens},
        {"linking", links_and_green_contexts},
        {"storms", too_much},
    };

    daemon_start(&d);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name))
            continue;
        printf("%s\n", cases[i].name);
        fflush(stdout);
        cases[i].run();
        unsigned crashed = daemon_said(&d, "reason=crashed");
        if (crashed)
            fprintf(stderr, "%s: %u executors crashed so far\n", cases[i].name, crashed);
    }
    daemon_stop(&d);
    return 0;
}
