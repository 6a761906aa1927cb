/* SPDX-License-Identifier: MIT */
/*
 * Random calls against a real mediator, executor and software GPU. Arguments are
 * drawn from what earlier answers gave (handles, addresses), from edges of the
 * region and of the address space, and from chance. Usage: hostile-fuzz [seed [calls]]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/hostile/guest.h"
#include "vg_api.h"
#include "vg_codec.h"
#include "vg_cuda.h"

#define KNOWN_MAX 256u

static uint64_t state;
static uint64_t known[KNOWN_MAX];
static unsigned known_count;
static unsigned long good; /* calls that succeeded */
static bool tracing;       /* VG_HOSTILE_TRACE: every call to stderr */

static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void remember(uint64_t v)
{
    if (v)
        known[known_count < KNOWN_MAX ? known_count++ : rnd() % KNOWN_MAX] = v;
}

static uint64_t edge(const struct guest *g)
{
    const uint64_t edges[] = {
        0,
        1,
        2,
        3,
        4,
        8,
        16,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0xffff,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        UINT64_MAX,
        UINT64_MAX - 1,
        INT64_MAX,
        1ull << 63,
        4096,
        65536,
        1u << 20,
        g->layout.data_off,
        g->layout.size,
        g->layout.size - 1,
        g->layout.size - 4096,
        g->layout.slots_off,
        g->layout.data_off - 1,
        g->layout.data_off + 4096,
        0x6f0000000000,
        0x6f0000000000 + g->layout.data_off,
        0x6f0000000000 + g->layout.size - 8,
        0x6f0000000000 + g->layout.size,
        0x6f0000000000 + g->layout.slots_off,
        0x200000000000,
        0x7fffffffe000,
        0xffff800000000000,
        0x10000000,
    };

    return edges[rnd() % (sizeof(edges) / sizeof(edges[0]))];
}

static uint64_t word(const struct guest *g)
{
    switch (rnd() % 8) {
    case 0:
    case 1:
    case 2:
        return known_count ? known[rnd() % known_count] : 0;
    case 3:
        return known_count ? known[rnd() % known_count] + rnd() % 4096 : 0;
    case 4:
    case 5:
        return edge(g);
    case 6:
        return rnd() % 64;
    default:
        return rnd() >> rnd() % 64;
    }
}

static const uint32_t favourites[] = {
    VG_CALL_cuMemAlloc_v2,
    VG_CALL_cuStreamCreate,
    VG_CALL_cuEventCreate,
    VG_CALL_cuCtxCreate_v2,
    VG_CALL_cuDevicePrimaryCtxRetain,
    VG_CALL_SET_CONTEXT,
    VG_CALL_cuGraphCreate,
    VG_CALL_IMAGE_LOAD,
    VG_CALL_FUNCTION_GET,
    VG_CALL_LAUNCH,
    VG_CALL_COPY_IN,
    VG_CALL_MARK,
    VG_CALL_PIN,
    VG_CALL_COPY_OUT,
    VG_CALL_SYNC,
    VG_CALL_cuStreamBeginCapture_v2,
    VG_CALL_cuStreamEndCapture,
    VG_CALL_COPY_3D,
    VG_CALL_HOST_FUNC,
    VG_CALL_ALIAS,
    VG_CALL_UNALIAS,
    VG_CALL_cuMemAllocAsync,
    VG_CALL_COPY_INLINE,
    VG_CALL_FUNCTION_ATTRS,
    VG_CALL_cuStreamGetCaptureInfo_v2,
    VG_CALL_cuGraphInstantiateWithFlags,
    VG_CALL_cuGraphLaunch,
    VG_CALL_cuMemPoolCreate,
    VG_CALL_cuGraphClone,
    VG_CALL_cuGraphGetNodes,
    VG_CALL_cuGraphAddNode_v2,
    VG_CALL_cuGraphAddEmptyNode,
};

static const struct vg_api_row *row_of(uint32_t call)
{
    for (unsigned i = 0; i < VG_API_COUNT; i++)
        if (vg_api_rows[i].id == call)
            return &vg_api_rows[i];
    return NULL;
}

static const char ptx[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n.global .align 8 .b8 v[64];\n"
    ".visible .entry k(.param .u64 a, .param .u64 b)\n{\n.reg .b64 %r<4>;\n"
    "ld.param.u64 %r0,[a];\nld.param.u64 %r1,[b];\nst.global.u64 [%r0],%r1;\nret;\n}\n";

/* A step of an honest program, so that there is something to break. */
static void honest(struct guest *g)
{
    uint64_t module, func;

    guest_context(g);
    switch (rnd() % 6) {
    case 0:
        if (CALL(g, VG_CALL_cuMemAlloc_v2, 1, 1 + rnd() % 0x100000) == 0)
            remember(g->res.val[0]);
        break;
    case 1:
        if (CALL(g, VG_CALL_cuStreamCreate, 1, rnd() % 2) == 0)
            remember(g->res.val[0]);
        break;
    case 2:
        if (CALL(g, VG_CALL_cuEventCreate, 1, 2) == 0)
            remember(g->res.val[0]);
        break;
    case 3:
        module = guest_module(g, ptx);
        func = module ? guest_function(g, module, "k") : 0;
        remember(module);
        remember(func);
        break;
    case 4:
        if (CALL(g, VG_CALL_cuGraphCreate, 1, 0) == 0)
            remember(g->res.val[0]);
        break;
    default:
        if (CALL(g, VG_CALL_cuCtxCreate_v2, 1, 0, 0) == 0)
            remember(g->res.val[0]);
    }
}

static uint32_t pick_call(void)
{
    unsigned i = (unsigned)(rnd() % VG_API_COUNT);

    if (rnd() % 3 == 0)
        return favourites[rnd() % (sizeof(favourites) / sizeof(favourites[0]))];
    if (rnd() % 8 == 0)
        return (uint32_t)(1 + rnd() % 0x1f);
    if (rnd() % 64 == 0)
        return (uint32_t)(rnd() % 0x2100);
    while (!vg_api_rows[i].crosses) /* not the next one: that would stand for all before it */
        i = (unsigned)(rnd() % VG_API_COUNT);
    return vg_api_rows[i].id;
}

static void block(const struct guest *g, struct vg_enc *e)
{
    static const uint16_t sizes[] = {8, 16, 24, 56, 64, 88, 128};
    uint64_t bytes[128];
    size_t len = rnd() % 3 ? sizes[rnd() % 7] : rnd() % sizeof(bytes);

    for (unsigned i = 0; i < 128; i++)
        bytes[i] = word(g);
    vg_enc_block(e, rnd() % 8 ? bytes : NULL, len);
}

/* Arguments by the row's own words: "OUT CUdeviceptr dptr _;VAL size_t bytesize _;" */
static void arguments(const struct guest *g, const char *args, struct vg_enc *e)
{
    for (const char *a = args; *a; a = strchr(a, ';') ? strchr(a, ';') + 1 : "") {
        if (!strncmp(a, "PTR", 3))
            continue; /* does not cross */
        if (!strncmp(a, "OUT", 3))
            vg_enc_word(e, rnd() % 16 != 0);
        else if (!strncmp(a, "IN", 2) && rnd() % 16 == 0) /* seldom as long as it should be */
            block(g, e);
        else if (!strncmp(a, "IN", 2))
            vg_enc_block(e, NULL, 0);
        else if (!strncmp(a, "STR ", 4))
            vg_enc_string(e, rnd() % 2 ? "k" : "v");
        else if (strncmp(a, "NONE", 4))
            vg_enc_word(e, word(g));
    }
}

/* A node as the executor's node.h has it. */
static void description(const struct guest *g, struct vg_enc *e)
{
    uint64_t p[sizeof(CUgraphNodeParams) / 8], extra[32];

    for (unsigned i = 0; i < sizeof(p) / 8; i++)
        p[i] = rnd() % 4 ? 0 : word(g);
    for (unsigned i = 0; i < 32; i++)
        extra[i] = word(g);
    p[0] = rnd() % 15;
    p[2] = rnd() % 2 ? word(g) : p[2];
    vg_enc_block(e, p, sizeof(p));
    vg_enc_block(e, rnd() % 2 ? extra : NULL, rnd() % sizeof(extra));
    vg_enc_word(e, rnd() % 2);
}

/* Calls about nodes do not cross as their rows say. False: this is none of them. */
static bool node_arguments(const struct guest *g, const char *symbol, struct vg_enc *e)
{
    uint64_t deps[2] = {word(g), word(g)}, count = rnd() % 3;

    if (strncmp(symbol, "cuGraph", 7) != 0)
        return false;
    if (!strncmp(symbol, "cuGraphAdd", 10) && strstr(symbol, "Node")) {
        vg_enc_word(e, word(g));
        vg_enc_block(e, count ? deps : NULL, count * 8);
        vg_enc_block(e, NULL, 0);
        vg_enc_word(e, count);
        description(g, e);
    } else if (strstr(symbol, "NodeSetParams") && !strstr(symbol, "Child")) {
        if (!strncmp(symbol, "cuGraphExec", 11))
            vg_enc_word(e, word(g));
        vg_enc_word(e, word(g));
        description(g, e);
    } else if (!strcmp(symbol, "cuGraphExecUpdate_v2") || !strncmp(symbol, "cuGraphGet", 10) ||
               !strncmp(symbol, "cuGraphNodeGetDepend", 20)) {
        vg_enc_word(e, word(g));
        vg_enc_word(e, word(g));
    } else {
        return false;
    }
    return true;
}

static uint32_t make_payload(const struct guest *g, uint32_t call, uint8_t *p)
{
    uint32_t len = 0;

    if (call == VG_CALL_FUNCTION_GET)
        return (uint32_t)(strlen(strcpy((char *)p, rnd() % 4 ? "k" : "v")) + 1);
    if (call == VG_CALL_IMAGE_LOAD) {
        memcpy(p, ptx, sizeof(ptx));
        for (unsigned n = (unsigned)(rnd() % 3); n > 0; n--)
            p[rnd() % sizeof(ptx)] = (uint8_t)rnd();
        return sizeof(ptx);
    }
    if (call == VG_CALL_LAUNCH)
        len = 16;
    else if (call == VG_CALL_COPY_3D)
        len = sizeof(CUDA_MEMCPY3D);
    else if (rnd() % 3 == 0)
        len = (uint32_t)(rnd() % 40) * 8;
    else if (rnd() % 50 == 0)
        len = (uint32_t)(rnd() % (VG_PAYLOAD_MAX + 1));
    for (uint32_t i = 0; i + 8 <= len; i += 8) {
        uint64_t w = word(g);
        memcpy(p + i, &w, 8);
    }
    return len;
}

/* The internal calls: near enough to right not to be a breach of the protocol each time. */
static void shape(uint32_t call, uint64_t *a, uint32_t len)
{
    switch (call) {
    case VG_CALL_IMAGE_LOAD:
        a[0] = rnd() % 2;
        if (a[0] && rnd() % 4 == 0) {
            a[0] |= VG_IMAGE_MANAGED;
            a[5] = rnd() % 3 ? 0 : 65536;
        } else if (rnd() % 4 == 0)
            a[0] |= rnd() % 2 ? VG_IMAGE_KNOWN : VG_IMAGE_KEEP;
        a[1] = 0;
        a[2] = len;
        a[3] = 0;
        break;
    case VG_CALL_FUNCTION_GET:
    case VG_CALL_SYNC:
        a[0] = rnd() % 2;
        break;
    case VG_CALL_FUNCTION_INFO:
    case VG_CALL_FUNCTION_ATTRS:
    case VG_CALL_FUNCTION_NAME:
    case VG_CALL_COPY_3D:
        a[1] = rnd() % 2;
        break;
    case VG_CALL_COPY_IN:
        a[4] = rnd() % 65;
        break;
    case VG_CALL_MARK:
        a[1] = rnd() % 65;
        break;
    case VG_CALL_HOST_FUNC:
        a[2] = rnd() % 2;
        break;
    case VG_CALL_LAUNCH:
        a[1] = rnd() % 4 | (rnd() % 3) << 32;
        a[2] = rnd() % 3 | (rnd() % 1100) << 32;
        a[3] = (1 + rnd() % 2) | 1ull << 32;
        a[4] = rnd() % 3 ? 0 : (rnd() % 65536) | (rnd() % 4) << 32;
        a[5] = rnd() % 3 ? 0 : a[5];
        a[6] = 16;
        break;
    }
}

static uint32_t choose(const struct guest *g, uint32_t call, uint64_t *a, uint8_t *payload)
{
    uint32_t len = make_payload(g, call, payload);
    struct vg_call c;
    struct vg_enc e;

    for (unsigned i = 0; i < 8; i++)
        a[i] = word(g);
    if (row_of(call) && rnd() % 64) {
        vg_enc_init_call(&e, &c, payload, VG_PAYLOAD_MAX);
        if (!node_arguments(g, row_of(call)->symbol, &e))
            arguments(g, row_of(call)->args, &e);
        memcpy(a, c.arg, sizeof(c.arg));
        len = (uint32_t)e.len;
    } else if (rnd() % 64) {
        shape(call, a, len);
    }
    if (call == VG_CALL_cuMemAlloc_v2 || call == VG_CALL_cuMemAllocAsync)
        a[1] &= 0xffffff; /* the GPU's limit is not what is tried here */
    return len;
}

/* Where a bulk reply goes: mostly to a legal place, often the last one. */
static void choose_bulk(const struct guest *g, uint64_t *a)
{
    a[6] = rnd() % 8 ? g->layout.data_off + (rnd() & 0xfff8) : edge(g);
    if (rnd() % 16)
        a[7] = rnd() % 3 ? rnd() % 0x20000 : g->layout.size - a[6];
    if (vg_region_data_ok(&g->layout, a[6], a[7]))
        return;
    a[6] = g->layout.size;
    a[7] = 0;
}

static void trace(uint32_t call, unsigned flags, uint32_t len, const uint64_t *a)
{
    if (!tracing)
        return;
    fprintf(stderr, "%#x flags %u len %u:", call, flags, len);
    for (unsigned i = 0; i < 8; i++)
        fprintf(stderr, " %#llx", (unsigned long long)a[i]);
    fputc('\n', stderr);
}

/* One call. GUEST_DEAD: the life is over, rightly. */
static int one(struct guest *g)
{
    static uint8_t payload[VG_PAYLOAD_MAX + 64];
    uint64_t a[8];
    uint32_t call = pick_call(), len = choose(g, call, a, payload);
    unsigned flags = rnd() % 8 ? VG_F_REPLY : 0;
    unsigned cell = flags ? 1 + (unsigned)(rnd() % 100) : 0;

    if (flags && rnd() % 4 == 0) {
        flags |= VG_F_BULK;
        choose_bulk(g, a);
    }
    if (rnd() % 5000 == 0)
        flags |= 1u << rnd() % 16;
    if (rnd() % 5000 == 0)
        cell = (unsigned)(rnd() % 65536);
    if (call == VG_CALL_SET_CONTEXT && rnd() % 4)
        call = VG_CALL_NOP; /* without a context the rest is dull */
    trace(call, flags, len, a);
    if (!flags || rnd() % 4 == 0 || cell >= VG_CELLS)
        return guest_post(g, call, a, payload, len, flags, cell) ? 0 : GUEST_DEAD;
    int rc = guest_call(g, call, a, payload, len, flags, cell);
    good += rc == 0;
    for (unsigned i = 0; i < 4 && rc == 0; i++)
        remember(g->res.val[i]);
    return rc == GUEST_TIMEOUT ? GUEST_DEAD : rc; /* it may wait for what never comes */
}

int main(int argc, char **argv)
{
    unsigned long calls = argc > 2 ? strtoul(argv[2], NULL, 0) : 3000, lives = 0;
    struct daemon d;
    struct guest g;

    state = argc > 1 ? strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ull : 0x9e3779b97f4a7c15ull;
    tracing = getenv("VG_HOSTILE_TRACE") != NULL;
    guest_patience_ms = 1000;
    daemon_start(&d);
    while (calls > 0) {
        known_count = 0;
        MUST(guest_open(&g, &d, NULL));
        MUST(guest_context(&g) != 0);
        lives++;
        for (unsigned n = 0; calls > 0 && n < 4000; n++, calls--)
            if (rnd() % 4 == 0)
                honest(&g);
            else if (one(&g) == GUEST_DEAD)
                break;
        guest_close(&g);
    }
    MUST(good > lives); /* else nothing was tried in earnest */
    printf("hostile-fuzz: %lu lives, %lu good answers\n", lives, good);
    daemon_stop(&d);
    return 0;
}
