/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: everything between a ring and the driver. An input is a script
 * of a hostile guest: records made from rows of the table with arguments nearly
 * right or right in everything but their values, records of arbitrary words, and
 * arbitrary bytes in the ring.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mediator/executor/args.h"
#include "mediator/executor/serve.h"
#include "mediator/limit/account.h"
#include "tests/fuzz/fake_cuda.h"

#define REGION_SIZE (64u << 20) /* of three parts */
#define RECORDS_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- The input as a source of choices ---- */

struct script {
    const uint8_t *at, *end;
};

static uint64_t take(struct script *s, size_t n)
{
    uint64_t v = 0;

    if ((size_t)(s->end - s->at) < n)
        n = (size_t)(s->end - s->at);
    memcpy(&v, s->at, n);
    s->at += n;
    return v;
}

/* ---- A guest that owns something ---- */

static struct vg_exec x;
static struct vg_stats stats;

static void set_up(uint32_t seed)
{
    static uint8_t *region;

    if (!region)
        region = mmap((void *)0x6f0000000000ull, REGION_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED || vg_exec_init(&x) < 0)
        abort();
    fake_cuda_reset(seed);
    fake_cuda_fill(&x.cuda);
    memset(&stats, 0, sizeof(stats));
    x.stats = &stats;
    x.own_orders.terms.memory = seed % 2 ? 64u << 20 : 0;
    x.own_orders.terms.context_bytes = 1u << 20;
    x.own_orders.terms.most[VG_QUOTA_STREAMS] = 4;
    strcpy(x.job.vm, "fuzz");
    x.alone = true;
    if (!vg_region_layout_init(&x.guest.layout, REGION_SIZE, 1))
        abort();
    x.guest.base = region;
    x.guest.slot = vg_region_slot(region, &x.guest.layout, 0);
    memset(x.guest.slot, 0, VG_SLOT_CONSOLE_OFF);
    x.guest.data = (uintptr_t)region + x.guest.layout.data_off;
    x.guest.end = (uintptr_t)region + REGION_SIZE;
    vg_pins_init(&x.pins, seed % 4 != 0);
    vg_callbacks_init(&x.callbacks, x.guest.slot);
    vg_ring_consumer_init(&x.ring, x.guest.slot);
    for (unsigned t = 1; t < VG_OBJ_TYPES; t++)
        vg_own_add(&x, (enum vg_obj_type)t, 0x1000 * t, t == VG_OBJ_CUcontext ? 0 : 0x1000, 0);
    vg_context_set(&x, (CUcontext)0x1000);
    vg_own_add_range(&x, 0x10000000000ull, 0x100000, VG_RANGE_ALLOC, 0);
}

static void tear_down(void)
{
    vg_exec_fini(&x);
    fake_cuda_reset(0);
}

/* ---- Words that are nearly right ---- */

static uint64_t word(struct script *s)
{
    uint64_t choice = take(s, 1), v;

    switch (choice % 10) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return 0x1000 * (1 + choice / 10 % (VG_OBJ_TYPES - 1));
    case 3:
        return 0x10000000000ull + take(s, 3);
    case 4:
        return x.guest.data + take(s, 3);
    case 5: /* also before the end of the region's first part */
        v = take(s, 2);
        return choice & 128 ? VG_PART_FIRST - v : x.guest.layout.data_off + v;
    case 6:
        return take(s, 1);
    case 7:
        return take(s, 2);
    case 8:
        v = take(s, 1);
        return 0x100000 + v * 16; /* a handle the fake driver may have given */
    default:
        return take(s, 8);
    }
}

static void block(struct script *s, struct vg_enc *e)
{
    uint8_t bytes[1024] = {0};
    size_t len = take(s, 2) % sizeof(bytes), given;

    if (take(s, 1) == 0) {
        vg_enc_block(e, NULL, 0);
        return;
    }
    given = (size_t)(s->end - s->at) < len ? (size_t)(s->end - s->at) : len;
    memcpy(bytes, s->at, given);
    s->at += given;
    vg_enc_block(e, bytes, len);
}

/* Arguments by the row's own words: "OUT CUdeviceptr dptr _;VAL size_t bytesize _;" */
static void arguments(struct script *s, const char *args, struct vg_enc *e)
{
    for (const char *a = args; *a; a = strchr(a, ';') ? strchr(a, ';') + 1 : "") {
        if (!strncmp(a, "OUT", 3))
            vg_enc_word(e, take(s, 1) % 8 != 0);
        else if (!strncmp(a, "IN", 2))
            block(s, e);
        else if (!strncmp(a, "STR ", 4))
            vg_enc_string(e, take(s, 1) % 2 ? "name" : "");
        else if (strncmp(a, "NONE", 4))
            vg_enc_word(e, word(s));
    }
}

/* ---- Arguments that are right but for their values ---- */

enum kind {
    KIND_VAL, KIND_HND, KIND_STRM, KIND_DPTR, KIND_OUT, KIND_OUTH, KIND_IN, KIND_INOUT, KIND_STR,
    KIND_INBUF, KIND_OUTBUF, KIND_PTR, KIND_NONE
};

struct argument {
    enum kind kind;
    size_t size;            /* bytes of the type; of an element */
    const char *name;
    const char *aux;        /* name of the argument that counts elements, or "_" */
};
#define ARGUMENTS_MAX 16u

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpointer-arith"     /* an array of void counts in bytes */
#define ARGUMENT(kind, type, name, aux) {KIND_##kind, sizeof(type), #name, #aux},
static const struct argument api_arguments[VG_API_COUNT][ARGUMENTS_MAX] = {
#define VG_API(id, symbol, base, since, mode, class) \
        [VG_INDEX_##symbol] = {VG_ARGS_##symbol(ARGUMENT)},
#include "vg_api.def"
};
#pragma GCC diagnostic pop

/* A struct or an array: as long as it must be, made of words that are nearly right. */
static void right_block(struct script *s, struct vg_enc *e, size_t len)
{
    uint64_t words[512] = {0};

    if (len > sizeof(words))
        len = sizeof(words);
    for (size_t i = 0; i < (len + 7) / 8 && s->at < s->end; i++)
        words[i] = take(s, 1) % 4 ? word(s) : word(s) | word(s) << 32;
    vg_enc_block(e, words, len);
}

/* Elements of an array: few, and what the argument that counts them will say. */
static bool counts(const struct argument *args, const struct argument *a)
{
    for (unsigned i = 0; i < ARGUMENTS_MAX && args[i].name; i++)
        if ((args[i].kind == KIND_INBUF || args[i].kind == KIND_OUTBUF) &&
            !strcmp(args[i].aux, a->name))
            return true;
    return false;
}

static void right_argument(struct script *s, struct vg_enc *e, const struct argument *args,
                           const struct argument *a, size_t n)
{
    switch (a->kind) {
    case KIND_NONE:
        return;
    case KIND_OUT:
    case KIND_OUTH:
    case KIND_OUTBUF:
        vg_enc_word(e, take(s, 1) % 8 != 0);
        return;
    case KIND_STR:
        vg_enc_string(e, take(s, 1) % 2 ? "name" : "");
        return;
    case KIND_IN:
    case KIND_INOUT:
        right_block(s, e, a->size);
        return;
    case KIND_INBUF:
        right_block(s, e, n * a->size);
        return;
    default:
        vg_enc_word(e, counts(args, a) ? n : word(s));
    }
}

static void right_arguments(struct script *s, const struct vg_api_row *row, struct vg_enc *e)
{
    const struct argument *args = api_arguments[row - vg_api_rows];
    size_t n = take(s, 1) % 5;

    for (unsigned i = 0; i < ARGUMENTS_MAX && args[i].name; i++)
        right_argument(s, e, args, &args[i], n);
}

/* A node as the executor's node.h has it. */
static void description(struct script *s, struct vg_enc *e)
{
    uint64_t p[sizeof(CUgraphNodeParams) / 8] = {0};

    p[0] = take(s, 1) % 15;
    for (unsigned i = 2; i < sizeof(p) / 8 && s->at < s->end; i++)
        p[i] = word(s);
    vg_enc_block(e, p, sizeof(p));
    right_block(s, e, take(s, 1) * 8);
    vg_enc_word(e, take(s, 1) % 2);
}

/* Calls about nodes do not cross as their rows say. False: this is none of them. */
static bool node_arguments(struct script *s, const char *symbol, struct vg_enc *e)
{
    uint64_t deps[4] = {0}, n = take(s, 1) % 4;

    if (!strncmp(symbol, "cuGraphAdd", 10) && strstr(symbol, "Node")) {
        for (unsigned i = 0; i < n; i++)
            deps[i] = word(s);
        vg_enc_word(e, word(s));
        vg_enc_block(e, deps, n * sizeof(deps[0]));
        vg_enc_block(e, take(s, 1) % 2 ? deps : NULL, n * sizeof(CUgraphEdgeData));
        vg_enc_word(e, n);
    } else if (!strncmp(symbol, "cuGraph", 7) && strstr(symbol, "NodeSetParams")) {
        if (!strncmp(symbol, "cuGraphExec", 11))
            vg_enc_word(e, word(s));
        vg_enc_word(e, word(s));
    } else {
        return false;
    }
    description(s, e);
    return true;
}

static const struct vg_api_row *pick_row(struct script *s)
{
    unsigned i = (unsigned)take(s, 2) % VG_API_COUNT;

    while (!vg_api_rows[i].crosses)
        i = (i + 1) % VG_API_COUNT;
    return &vg_api_rows[i];
}

/* ---- Records ---- */

static void from_row(struct script *s, struct vg_call *c, bool right)
{
    const struct vg_api_row *row = pick_row(s);
    struct vg_enc e;

    vg_enc_init_call(&e, c, x.payload, VG_PAYLOAD_MAX);
    if (right && !node_arguments(s, row->symbol, &e))
        right_arguments(s, row, &e);
    else if (!right)
        arguments(s, row->args, &e);
    c->call = row->id;
    c->payload_len = (uint32_t)e.len;
}

static void from_words(struct script *s, struct vg_call *c)
{
    size_t len = take(s, 2) % 2048, given;

    c->call = (uint32_t)take(s, 1) % 32;
    for (unsigned i = 0; i < 8; i++)
        c->arg[i] = word(s);
    memset(x.payload, 0, len);
    given = (size_t)(s->end - s->at) < len ? (size_t)(s->end - s->at) : len;
    memcpy(x.payload, s->at, given);
    s->at += given;
    c->payload_len = (uint32_t)len;
}

static bool serve_one(struct script *s, bool right)
{
    struct vg_req r;
    uint64_t how = take(s, 1);

    memset(&r, 0, sizeof(r));
    if (how & 1)
        from_row(s, &r.call, right);
    else
        from_words(s, &r.call);
    r.call.seq = 1;
    r.call.flags = how & 2 ? VG_F_REPLY : 0;
    if (how & 4) {
        r.call.flags |= VG_F_REPLY | VG_F_BULK;
        r.call.arg[6] = x.guest.layout.data_off + take(s, 2);
        r.call.arg[7] = take(s, 3);
    }
    r.call.cell = how & 2 ? (uint16_t)(take(s, 1) % VG_CELLS) : 0;
    bool ok = vg_serve_record(&x, &r);
    vg_waits_poll(&x);
    return ok;
}

/* The rest of the input is what the guest wrote into its ring. */
static void serve_ring(struct script *s)
{
    size_t len = (size_t)(s->end - s->at);
    const char *why;
    struct vg_req r;

    if (len > VG_RING_SIZE)
        len = VG_RING_SIZE;
    memcpy(vg_slot_ring(x.guest.slot), s->at, len);
    x.guest.slot->head = x.ring.tail + len;
    for (;;) {
        memset(&r, 0, sizeof(r));
        if (vg_ring_take(&x.ring, &r.call, x.payload, &why) != VG_RING_RECORD)
            return;
        if (!vg_serve_record(&x, &r))
            return;
        vg_waits_poll(&x);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script s = {data, data + size};
    uint64_t mode = take(&s, 1);

    set_up((uint32_t)take(&s, 2));
    if (mode % 8 == 0)
        serve_ring(&s);
    else
        for (unsigned n = 0; n < RECORDS_MAX && s.at < s.end && serve_one(&s, mode % 8 >= 4); n++)
            ;
    tear_down();
    return 0;
}
