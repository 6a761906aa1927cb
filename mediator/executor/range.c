/* SPDX-License-Identifier: MIT */
/* Sorted array of ranges, binary search; see range.h. */
#include "mediator/executor/range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void vg_ranges_init(struct vg_ranges *r)
{
    memset(r, 0, sizeof(*r));
    r->page = VG_RANGE_PAGE;
}

void vg_ranges_fini(struct vg_ranges *r)
{
    free(r->at);
    memset(r, 0, sizeof(*r));
}

/* Index of the first range that begins above addr. */
static size_t upper(const struct vg_ranges *r, uint64_t addr)
{
    size_t lo = 0, hi = r->count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->at[mid].base <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool counts(const struct vg_range *x)
{
    return x->kind == VG_RANGE_ALLOC || x->kind == VG_RANGE_POOL || x->kind == VG_RANGE_IPC;
}

static bool is_charged(const struct vg_range *x)
{
    return x->kind == VG_RANGE_ALLOC || x->kind == VG_RANGE_IPC;
}

/* Whether a charged range below index i, or from it on, touches the page. */
static bool touched_below(const struct vg_ranges *r, size_t i, uint64_t page)
{
    while (i-- > 0 && (r->at[i].base + r->at[i].size - 1) / r->page >= page)
        if (is_charged(&r->at[i]))
            return true;
    return false;
}

static bool touched_above(const struct vg_ranges *r, size_t i, uint64_t page)
{
    for (; i < r->count && r->at[i].base / r->page <= page; i++)
        if (is_charged(&r->at[i]))
            return true;
    return false;
}

/* Bytes of the pages that n touches and no other does, when n is to stand before index i. */
static uint64_t pages_of(const struct vg_ranges *r, const struct vg_range *n, size_t i)
{
    uint64_t first = n->base / r->page, last = (n->base + n->size - 1) / r->page;
    bool below = touched_below(r, i, first), above = touched_above(r, i, last);
    uint64_t pages = last - first + 1;

    if (first == last)
        pages -= below || above;
    else
        pages -= (uint64_t)below + above;
    return pages * r->page;
}

/* n comes or goes; it is not in the list, in which it stands before index i. */
static void account(struct vg_ranges *r, const struct vg_range *n, size_t i, bool comes)
{
    uint64_t sign = comes ? 1 : (uint64_t)-1;

    if (counts(n))
        r->held += sign * n->size;
    if (is_charged(n))
        r->charged += sign * pages_of(r, n, i);
    if (n->kind == VG_RANGE_POOL)
        r->pooled += sign * n->size;
    if (n->kind == VG_RANGE_GRAPH)
        r->of_graphs += sign * n->size;
}

static int reserve(struct vg_ranges *r)
{
    if (r->count < r->cap)
        return 0;
    if (r->count >= VG_RANGES_MAX)
        return -ENOSPC;
    size_t cap = r->cap ? r->cap * 2 : 64;
    struct vg_range *at = realloc(r->at, cap * sizeof(*at));
    if (!at)
        return -ENOMEM;
    r->at = at;
    r->cap = cap;
    return 0;
}

int vg_range_add(struct vg_ranges *r, const struct vg_range *n)
{
    size_t i = upper(r, n->base);

    if (n->size == 0 || n->base + n->size < n->base)
        return -EINVAL;
    if (i > 0 && n->base - r->at[i - 1].base < r->at[i - 1].size)
        return -EEXIST;
    if (i < r->count && r->at[i].base - n->base < n->size)
        return -EEXIST;
    int rc = reserve(r);
    if (rc < 0)
        return rc;
    account(r, n, i, true);
    memmove(&r->at[i + 1], &r->at[i], (r->count - i) * sizeof(r->at[0]));
    r->at[i] = *n;
    r->count++;
    return 0;
}

const struct vg_range *vg_range_find(const struct vg_ranges *r, uint64_t addr)
{
    size_t i = upper(r, addr);

    if (i == 0 || addr - r->at[i - 1].base >= r->at[i - 1].size)
        return NULL;
    return &r->at[i - 1];
}

uint64_t vg_range_next(const struct vg_ranges *r, uint64_t addr)
{
    size_t i = upper(r, addr);

    return i < r->count ? r->at[i].base : UINT64_MAX;
}

bool vg_range_covers(const struct vg_ranges *r, uint64_t addr, uint64_t len)
{
    while (len > 0) {
        const struct vg_range *x = vg_range_find(r, addr);
        if (!x || x->kind == VG_RANGE_HOLE || x->kind == VG_RANGE_CLOSED)
            return false;
        uint64_t here = x->size - (addr - x->base);
        if (len <= here)
            return true;
        addr += here;
        len -= here;
    }
    return true;
}

static void remove_at(struct vg_ranges *r, size_t i)
{
    const struct vg_range gone = r->at[i];

    r->count--;
    memmove(&r->at[i], &r->at[i + 1], (r->count - i) * sizeof(r->at[0]));
    account(r, &gone, i, false);
}

bool vg_range_remove(struct vg_ranges *r, uint64_t base)
{
    size_t i = upper(r, base);

    if (i == 0 || r->at[i - 1].base != base)
        return false;
    remove_at(r, i - 1);
    return true;
}

void vg_range_remove_owner(struct vg_ranges *r, uint64_t owner)
{
    for (size_t i = r->count; owner && i-- > 0;)
        if (r->at[i].owner == owner || r->at[i].context == owner)
            remove_at(r, i);
}

void vg_range_remove_kind(struct vg_ranges *r, enum vg_range_kind kind)
{
    for (size_t i = r->count; i-- > 0;)
        if (r->at[i].kind == kind)
            remove_at(r, i);
}

void vg_range_remove_overlap(struct vg_ranges *r, uint64_t base, uint64_t size)
{
    size_t i = upper(r, base);

    if (i > 0 && base - r->at[i - 1].base < r->at[i - 1].size)
        remove_at(r, --i);
    while (i < r->count && r->at[i].base - base < size)
        remove_at(r, i);
}

static struct vg_range *opened_at(struct vg_ranges *r, uint64_t base)
{
    size_t i = upper(r, base);

    if (i == 0 || r->at[i - 1].base != base || r->at[i - 1].kind != VG_RANGE_IPC)
        return NULL;
    return &r->at[i - 1];
}

bool vg_range_open_again(struct vg_ranges *r, uint64_t base)
{
    struct vg_range *x = opened_at(r, base);

    if (x)
        x->opened++;
    return x != NULL;
}

bool vg_range_close_again(struct vg_ranges *r, uint64_t base)
{
    struct vg_range *x = opened_at(r, base);

    return x && x->opened-- == 0;
}

void vg_range_set_mapped(struct vg_ranges *r, uint64_t base, uint64_t size,
                         enum vg_range_kind kind)
{
    size_t i = upper(r, base);

    if (i > 0 && r->at[i - 1].base == base)
        i--;
    for (; i < r->count && r->at[i].base - base < size; i++)
        if (r->at[i].kind == VG_RANGE_MAPPED || r->at[i].kind == VG_RANGE_CLOSED)
            r->at[i].kind = kind;
}

/* Index of the first range that touches [base, base+size), or count. */
static size_t touching(const struct vg_ranges *r, uint64_t base, uint64_t size)
{
    size_t i = upper(r, base);

    if (i > 0 && base - r->at[i - 1].base < r->at[i - 1].size)
        return i - 1;
    return i < r->count && r->at[i].base - base < size ? i : r->count;
}

int vg_range_carve(struct vg_ranges *r, uint64_t base, uint64_t size)
{
    size_t i;

    while ((i = touching(r, base, size)) < r->count) {
        struct vg_range left = r->at[i], right = r->at[i];
        int rc = 0;

        remove_at(r, i);
        if (left.base < base) {
            left.size = base - left.base;
            rc = vg_range_add(r, &left);
        }
        if (rc == 0 && right.base + right.size > base + size) {
            right.size -= base + size - right.base;
            right.base = base + size;
            rc = vg_range_add(r, &right);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}
