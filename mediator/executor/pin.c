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

/* The same, if some of them have been registered meanwhile. */
static CUresult register_rest(const struct vg_exec *x, unsigned first, unsigned last)
{
    CUresult rc = CUDA_SUCCESS;

    for (unsigned i = first; i <= last && rc == CUDA_SUCCESS; i++) {
        rc = register_run(x, i, i);
        if (rc == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED)
            rc = CUDA_SUCCESS;
    }
    return rc;
}

/* Neighbours become one registration each, as far as that is possible: *ret_joined. */
static CUresult register_parts(const struct vg_exec *x, uint32_t parts, uint32_t *ret_joined)
{
    CUresult rc = CUDA_SUCCESS;

    *ret_joined = 0;
    while (parts && rc == CUDA_SUCCESS) {
        unsigned first = (unsigned)__builtin_ctz(parts);
        unsigned last = first + (unsigned)__builtin_ctz(~(parts >> first)) - 1;
        uint32_t run = (2u << last) - (1u << first);
        rc = register_run(x, first, last);
        if (rc == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED)
            rc = register_rest(x, first, last);
        else if (rc == CUDA_SUCCESS)
            *ret_joined |= run & run >> 1;
        parts &= ~run;
    }
    return rc;
}

static void refuse(struct vg_exec *x, CUresult rc)
{
    x->pins.refused = true;
    if (!x->pins.told)
        vg_log(x, "event=no_register result=%d", (int)rc);
    x->pins.told = true;
}

static void note(struct vg_exec *x, uint32_t parts, uint32_t joined, CUresult rc)
{
    if (rc != CUDA_SUCCESS) {
        refuse(x, rc);
        return;
    }
    x->pins.done |= parts;
    x->pins.joined |= joined;
}

/* The control page comes first: the GPU frees staging chunks by writing there. */
void vg_pins_begin(struct vg_exec *x, CUcontext ctx)
{
    uint32_t joined;

    if (x->registrar || x->pins.refused)
        return;
    CUresult rc = x->opt.unregistered
                      ? CUDA_ERROR_NOT_SUPPORTED
                      : x->cuda.cuMemHostRegister_v2(x->guest.slot, VG_PAGE, FLAGS);
    if (rc != CUDA_SUCCESS && rc != CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED) {
        refuse(x, rc);
        return;
    }
    x->registrar = ctx;
    rc = register_parts(x, x->pins.wanted, &joined);
    note(x, x->pins.wanted, joined, rc);
}

/* What was refused may have been the fault of a context that is broken. */
void vg_pins_end(struct vg_exec *x, CUcontext ctx)
{
    x->pins.refused = false;
    if (x->registrar != ctx)
        return;
    x->registrar = NULL;
    x->pins.done = x->pins.joined = 0;
}

bool vg_pins_is_seen(const struct vg_exec *x, uint64_t addr, uint64_t bytes)
{
    if (!bytes || !vg_guest_owns(&x->guest, addr, bytes))
        return true;
    uint32_t parts = vg_region_parts(addr - (uintptr_t)x->guest.base, bytes);
    return (x->pins.done & parts) == parts;
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
    uint32_t parts, asked, joined;
    CUresult rc;
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
    p->rc = register_parts(x, p->parts, &p->joined);
}

static CUresult answer(const struct vg_exec *x, struct vg_req *r, uint32_t asked)
{
    /* Without a context yet, it will be with the first one. */
    bool seen = x->registrar ? (x->pins.done & asked) == asked
                             : !x->pins.refused && !x->opt.unregistered;

    vg_enc_word(&r->enc, seen);
    return CUDA_SUCCESS;
}

/* By now somebody may have ended that context, and all that was registered through it. */
static CUresult finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct pinning *p = (struct pinning *)a;
    uint32_t asked = p->asked;

    if (x->registrar == p->by)
        note(x, p->parts, p->joined, p->rc);
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
    uint32_t asked = vg_region_parts(off, bytes), missing = asked & ~x->pins.done;
    x->pins.wanted |= asked;
    if (!missing || !x->registrar || x->pins.refused)
        return answer(x, r, asked);
    return pin(x, r, asked, missing);
}
