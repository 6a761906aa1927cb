/* SPDX-License-Identifier: MIT */
/* Registers parts of the region with the driver; see pin.h. */
#include "mediator/executor/pin.h"

#include <stdlib.h>

#include "mediator/executor/args.h"
#include "mediator/executor/aside.h"

#define FLAGS (CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP)
#define ALL   ((1u << VG_PARTS_MAX) - 1)

void vg_pins_init(struct vg_pins *p, bool says)
{
    *p = (struct vg_pins){.wanted = says ? 1 : ALL};
}

/* Where the part begins, as far as it is data: the end of the region for those behind it. */
static uint64_t begin_of(const struct vg_exec *x, unsigned part)
{
    const struct vg_region_layout *l = &x->guest.layout;
    uint64_t off = vg_region_part_begin(part);

    off = off > l->data_off ? off : l->data_off;
    return off < l->size ? off : l->size;
}

/* The parts from first to last, as one. Also on the thread beside. */
static CUresult register_run(const struct vg_exec *x, unsigned first, unsigned last)
{
    uint64_t from = begin_of(x, first), to = begin_of(x, last + 1);

    if (from == to)
        return CUDA_SUCCESS;
    return x->cuda.cuMemHostRegister_v2(x->guest.base + from, to - from, FLAGS);
}

/* What became of some parts. */
struct outcome {
    uint32_t done, joined;
    CUresult refusal; /* of the rest */
};

/* One by one: some have been registered meanwhile, or the driver does not take all of them. */
static void register_each(const struct vg_exec *x, unsigned first, unsigned last, struct outcome *o)
{
    for (unsigned i = first; i <= last; i++) {
        CUresult rc = register_run(x, i, i);
        if (rc == CUDA_SUCCESS || rc == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED)
            o->done |= 1u << i;
        else
            o->refusal = rc;
    }
}

/* Neighbours become one registration each, as far as that is possible. */
static struct outcome register_parts(const struct vg_exec *x, uint32_t parts)
{
    struct outcome o = {0, 0, CUDA_SUCCESS};

    while (parts) {
        unsigned first = (unsigned)__builtin_ctz(parts);
        unsigned last = first + (unsigned)__builtin_ctz(~(parts >> first)) - 1;
        uint32_t run = (2u << last) - (1u << first);
        CUresult rc = register_run(x, first, last);
        if (rc == CUDA_SUCCESS) {
            o.done |= run;
            o.joined |= run & run >> 1;
        } else if (first < last || rc == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED) {
            register_each(x, first, last, &o);
        } else {
            o.refusal = rc;
        }
        parts &= ~run;
    }
    return o;
}

static void refuse(struct vg_exec *x, uint32_t parts, CUresult rc)
{
    x->pins.refused |= parts;
    if (!x->pins.told)
        vg_log(x, "event=no_register parts=%#x result=%d", (unsigned)parts, (int)rc);
    x->pins.told = true;
}

static void note(struct vg_exec *x, uint32_t parts, const struct outcome *o)
{
    x->pins.done |= o->done;
    x->pins.joined |= o->joined;
    if (parts & ~o->done)
        refuse(x, parts & ~o->done, o->refusal);
}

/* The control page comes first: the GPU frees staging chunks by writing there. */
void vg_pins_begin(struct vg_exec *x, CUcontext ctx)
{
    if (x->registrar || x->pins.refused == ALL)
        return;
    CUresult rc = x->opt.unregistered
                      ? CUDA_ERROR_NOT_SUPPORTED
                      : x->cuda.cuMemHostRegister_v2(x->guest.slot, VG_PAGE, FLAGS);
    if (rc != CUDA_SUCCESS && rc != CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED) {
        refuse(x, ALL, rc);
        return;
    }
    x->registrar = ctx;
    const struct outcome o = register_parts(x, x->pins.wanted);
    note(x, x->pins.wanted, &o);
}

/* What was refused may have been the fault of the context, which may have been broken. */
void vg_pins_end(struct vg_exec *x, CUcontext ctx)
{
    if (x->registrar && x->registrar != ctx)
        return;
    x->registrar = NULL;
    x->pins.done = x->pins.joined = x->pins.refused = 0;
}

static uint32_t parts_of(const struct vg_exec *x, uint64_t addr, uint64_t bytes)
{
    if (!bytes || !vg_guest_owns(&x->guest, addr, bytes))
        return 0;
    return vg_region_parts(addr - (uintptr_t)x->guest.base, bytes);
}

bool vg_pins_is_seen(const struct vg_exec *x, uint64_t addr, uint64_t bytes)
{
    return (parts_of(x, addr, bytes) & ~x->pins.done) == 0;
}

bool vg_pins_is_refused(const struct vg_exec *x, uint64_t addr, uint64_t bytes)
{
    return (parts_of(x, addr, bytes) & ~x->pins.done & x->pins.refused) != 0;
}

uint64_t vg_pins_reach(const struct vg_exec *x, uint64_t addr, uint64_t bytes)
{
    if (!vg_guest_owns(&x->guest, addr, 1))
        return bytes;
    uint64_t off = addr - (uintptr_t)x->guest.base;
    unsigned part = vg_region_part(off);
    while (x->pins.joined >> part & 1u)
        part++;
    uint64_t left = vg_region_part_begin(part + 1) - off;
    return left < bytes ? left : bytes;
}

/* ---- What the guest asks for ---- */

struct pinning {
    struct vg_aside aside;
    CUcontext by;
    uint32_t parts, asked;
    struct outcome outcome;
};

/*
 * The pages are made here and not by the driver, which holds back all its callers meanwhile:
 * that is 0.6 ms of the 0.65 that a new MiB takes on an H200's host. Only looks, as others may
 * write there.
 */
static void make_pages(const struct vg_exec *x, uint32_t parts)
{
    for (; parts; parts &= parts - 1) {
        unsigned part = (unsigned)__builtin_ctz(parts);
        for (uint64_t at = begin_of(x, part); at < begin_of(x, part + 1); at += VG_PAGE)
            (void)*(volatile const uint8_t *)(x->guest.base + at);
    }
}

static void work(struct vg_exec *x, struct vg_aside *a)
{
    struct pinning *p = (struct pinning *)a;

    make_pages(x, p->parts);
    x->cuda.cuCtxSetCurrent(p->by);
    p->outcome = register_parts(x, p->parts);
}

static CUresult answer(const struct vg_exec *x, struct vg_req *r, uint32_t asked)
{
    /* Without a context yet, it will be with the first one. */
    bool seen = x->registrar ? (x->pins.done & asked) == asked
                             : x->pins.refused != ALL && !x->opt.unregistered;

    vg_enc_word(&r->enc, seen);
    return CUDA_SUCCESS;
}

/* By now somebody may have ended that context, and all that was registered through it. */
static CUresult finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct pinning *p = (struct pinning *)a;
    uint32_t asked = p->asked;

    if (x->registrar == p->by)
        note(x, p->parts, &p->outcome);
    x->cuda.cuCtxSetCurrent(x->ctx); /* it may have run on this very thread */
    free(p);
    return answer(x, r, asked);
}

static CUresult pin(struct vg_exec *x, struct vg_req *r, uint32_t asked, uint32_t parts)
{
    struct pinning *p = calloc(1, sizeof(*p));

    if (!p)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *p = (struct pinning){.aside = {.work = work, .finish = finish},
                          .by = x->registrar, .parts = parts, .asked = asked};
    return vg_aside_run(x, r, &p->aside);
}

CUresult vg_do_PIN(struct vg_exec *x, struct vg_req *r)
{
    uint64_t off = r->call.arg[0], bytes = r->call.arg[1];

    if (!bytes || !vg_guest_data(&x->guest, off, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    uint32_t asked = vg_region_parts(off, bytes);
    uint32_t missing = asked & ~x->pins.done & ~x->pins.refused;
    x->pins.wanted |= asked;
    if (!missing || !x->registrar)
        return answer(x, r, asked);
    return pin(x, r, asked, missing);
}
