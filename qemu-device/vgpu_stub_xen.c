/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BAR1 under Xen: pages of the guest's own, which the hypervisor lets it reach
 * without a trap wherever its BAR is.
 *
 * They are made at a parking place that no guest memory and no BAR uses, and
 * moved to the BAR when the guest maps it and back when it unmaps it.  Maps of
 * them in Dom0 (ours and the executors') name machine frames and stay good
 * wherever the pages are.  Everything that needs more rights than
 * -xen-domid-restrict leaves is done at realize.
 */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "vgpu_stub_compat.h"
#include "exec/target_page.h"
#include "hw/xen/xen_common.h"
#include "hw/xen/xen.h"

#include "vgpu_stub_backing.h"

#define PAGE        4096ull
#define CHUNK_PAGES 65536u

static uint64_t pages_of(const struct vg_stub_backing *b)
{
    return b->size / PAGE;
}

/* A domain may have no more memory than the toolstack has said. */
static int raise_limit(int64_t bytes)
{
    xc_dominfo_t info;

    if (xc_domain_getinfo(xen_xc, xen_domid, 1, &info) != 1 ||
        info.domid != xen_domid) {
        return -ESRCH;
    }
    if (xc_domain_setmaxmem(xen_xc, xen_domid,
                            info.max_memkb + bytes / 1024) < 0) {
        return -errno;
    }
    return 0;
}

static void number_frames(xen_pfn_t *frames, uint64_t first, uint64_t count)
{
    uint64_t i;

    for (i = 0; i < count; i++) {
        frames[i] = first + i;
    }
}

static void depopulate(uint64_t gfn, uint64_t count)
{
    g_autofree xen_pfn_t *frames = g_new(xen_pfn_t, CHUNK_PAGES);
    uint64_t done, n;

    for (done = 0; done < count; done += n) {
        n = MIN(count - done, CHUNK_PAGES);
        number_frames(frames, gfn + done, n);
        xc_domain_decrease_reservation_exact(xen_xc, xen_domid, n, 0, frames);
    }
}

static int populate_at(uint64_t gfn, uint64_t count)
{
    g_autofree xen_pfn_t *frames = g_new(xen_pfn_t, CHUNK_PAGES);
    uint64_t done, n;
    int error;

    for (done = 0; done < count; done += n) {
        n = MIN(count - done, CHUNK_PAGES);
        number_frames(frames, gfn + done, n);
        if (xc_domain_populate_physmap_exact(xen_xc, xen_domid, n, 0, 0,
                                             frames) < 0) {
            error = errno ? errno : ENOMEM;
            depopulate(gfn, done);
            return -error;
        }
    }
    return 0;
}

/*
 * Xen would replace what the guest has there by our pages and say nothing.
 * Above the domain's highest frame there is nothing, and above the memory that it
 * may get there will be nothing.
 */
static int park_at(struct vg_stub_backing *b, uint64_t gfn)
{
    xen_pfn_t highest;
    int rc;

    if (xc_domain_maximum_gpfn(xen_xc, xen_domid, &highest) < 0) {
        return -errno;
    }
    if (gfn <= highest || gfn < b->memory_top) {
        return -EADDRINUSE;
    }
    rc = populate_at(gfn, pages_of(b));
    if (rc == 0) {
        b->parking = b->gfn = gfn;
        b->top = gfn + pages_of(b);
    }
    return rc;
}

static int populate(struct vg_stub_backing *b)
{
    xen_pfn_t highest;
    int rc = b->try_parking ? park_at(b, b->try_parking) : -EINVAL;

    if (rc < 0 && xc_domain_maximum_gpfn(xen_xc, xen_domid, &highest) < 0) {
        return -errno;
    }
    return rc < 0 ? park_at(b, vg_stub_parking(highest, b->memory_top,
                                               pages_of(b))) : rc;
}

/* What a balloon gave back is not scrubbed by Xen, so it is done here. */
static int map(struct vg_stub_backing *b)
{
    g_autofree xen_pfn_t *frames = g_new(xen_pfn_t, pages_of(b));

    number_frames(frames, b->gfn, pages_of(b));
    b->base = xenforeignmemory_map(xen_fmem, xen_domid, PROT_READ | PROT_WRITE,
                                   pages_of(b), frames, NULL);
    if (!b->base) {
        return -errno;
    }
    memset(b->base, 0, b->size);
    return 0;
}

static int give_pages(struct vg_stub_backing *b)
{
    int rc = raise_limit((int64_t)b->size);

    if (rc < 0) {
        return rc;
    }
    rc = populate(b);
    if (rc == 0) {
        rc = map(b);
        if (rc < 0) {
            depopulate(b->gfn, pages_of(b));
        }
    }
    if (rc < 0) {
        raise_limit(-(int64_t)b->size);
    }
    return rc;
}

/* No reason to keep the VM down: without pages of its own the device is there
 * and offline, on memory that nobody else sees. */
static int xen_backing_open(struct vg_stub_backing *b, uint64_t size)
{
    int rc;

    b->fd = -1;
    b->size = size;
    rc = give_pages(b);
    if (rc == 0) {
        return 0;
    }
    b->why = -rc;
    b->gfn = b->parking = 0;
    b->base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return b->base == MAP_FAILED ? -errno : 0;
}

/* The pages go with the domain. */
static void xen_backing_close(struct vg_stub_backing *b)
{
    if (b->base && !b->why) {
        xenforeignmemory_unmap(xen_fmem, b->base, pages_of(b));
    } else if (b->base) {
        munmap(b->base, b->size);
    }
    b->base = NULL;
}

static bool overlap(uint64_t a, uint64_t b, uint64_t count)
{
    return a < b + count && b < a + count;
}

/* All of them, or as many as a test wants before it fails. */
static int relocate(struct vg_stub_backing *b, uint64_t to)
{
    uint64_t n = pages_of(b);
    bool fail = b->fail_place && --b->fail_place == 0;

    if (xendevicemodel_relocate_memory(xen_dmod, xen_domid, fail ? n / 2 : n,
                                       b->gfn, to) < 0) {
        return -errno;
    }
    return fail ? -EIO : 0;
}

/*
 * Xen moves page after page and says only that it has failed somewhere, so a
 * failure leaves the pages nobody knows where; the device must not go on.
 */
static int xen_backing_place(struct vg_stub_backing *b, uint64_t gfn)
{
    uint64_t to = gfn ? gfn : b->parking, n = pages_of(b);
    int rc;

    if (!b->gfn || to == b->gfn) {
        return 0;
    }
    if (overlap(to, b->gfn, n)) {
        return -EADDRINUSE;
    }
    rc = relocate(b, to);
    if (rc < 0) {
        return rc;
    }
    b->gfn = to;
    /* A guest whose own settings count (AMD) would else read it uncached. */
    if (gfn && xendevicemodel_pin_memory_cacheattr(
                   xen_dmod, xen_domid, to, to + n - 1,
                   XEN_DOMCTL_MEM_CACHEATTR_WB) < 0) {
        return -errno;
    }
    return 0;
}

/* One that cannot be mapped is not there. */
static bool is_empty(uint64_t gfn, uint64_t count)
{
    g_autofree xen_pfn_t *frames = g_new(xen_pfn_t, count);
    g_autofree int *errors = g_new0(int, count);
    uint64_t i;
    void *p;

    number_frames(frames, gfn, count);
    p = xenforeignmemory_map(xen_fmem, xen_domid, PROT_READ, count, frames,
                             errors);
    if (!p) {
        return true;
    }
    for (i = 0; i < count && errors[i]; i++) {
    }
    xenforeignmemory_unmap(xen_fmem, p, count);
    return i == count;
}

/*
 * Who saves a guest asks for its highest frame, tells us, and looks at all frames
 * up to there, in this order.  Each time has a place of its own: the last one
 * counts in the next saver's answer.
 */
static int xen_backing_hide(struct vg_stub_backing *b)
{
    uint64_t n = pages_of(b);
    int rc;

    if (!b->gfn) {
        return 0;
    }
    while (!is_empty(b->top, n)) {
        b->top += n;
    }
    rc = relocate(b, b->top);
    if (rc == 0) {
        b->gfn = b->top;
        b->top += n;
    }
    return rc;
}

/*
 * A page that another is moved onto leaves the guest, and this is the only way to
 * that which -xen-domid-restrict has left: the upper half onto the lower, until
 * there is one.  The maps keep the pages themselves.
 */
static int xen_backing_drop(struct vg_stub_backing *b)
{
    uint64_t n = pages_of(b), gfn = b->gfn;

    if (!gfn) {
        return 0;
    }
    b->gfn = 0;
    while (n > 1) {
        n /= 2;
        if (xendevicemodel_relocate_memory(xen_dmod, xen_domid, n, gfn + n,
                                           gfn) < 0) {
            return -errno;
        }
    }
    if (xendevicemodel_set_mem_type(xen_dmod, xen_domid, HVMMEM_mmio_dm, gfn,
                                    1) < 0) {
        return -errno;
    }
    return 0;
}

const struct vg_stub_backing_ops vg_stub_backing_xen = {
    .name = "guest pages",
    .open = xen_backing_open,
    .close = xen_backing_close,
    .place = xen_backing_place,
    .hide = xen_backing_hide,
    .drop = xen_backing_drop,
};
