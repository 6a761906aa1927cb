/* SPDX-License-Identifier: MIT */
/*
 * Layout of the shared region and its extent table. Pure memory operations, used
 * by shim, device, mediator and executor alike. No system calls, no allocation.
 */
#include "vg_region.h"

#include <string.h>

#include "vg_atomic.h"

static uint64_t round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

bool vg_region_layout_init(struct vg_region_layout *l, uint64_t size, uint32_t slot_count)
{
    if (size < VG_REGION_SIZE_MIN || size > VG_REGION_SIZE_MAX || size % VG_EXTENT_SIZE != 0)
        return false;
    if (slot_count == 0 || slot_count > VG_SLOTS_MAX)
        return false;
    uint64_t owners = round_up(size / VG_EXTENT_SIZE * sizeof(uint16_t), VG_PAGE);
    uint64_t slots_off = VG_PAGE + owners + VG_TELEMETRY_SIZE;
    uint64_t data_off = round_up(slots_off + (uint64_t)slot_count * VG_SLOT_STRIDE, VG_EXTENT_SIZE);
    if (data_off >= size)
        return false;
    l->size = size;
    l->slot_count = slot_count;
    l->owners_off = VG_PAGE;
    l->telemetry_off = VG_PAGE + owners;
    l->slots_off = slots_off;
    l->data_off = data_off;
    l->extent_count = (uint32_t)((size - data_off) / VG_EXTENT_SIZE);
    return true;
}

struct vg_slot *vg_region_slot(void *base, const struct vg_region_layout *l, unsigned slot)
{
    return (struct vg_slot *)((char *)base + l->slots_off + (size_t)slot * VG_SLOT_STRIDE);
}

static uint16_t *owners(void *base, const struct vg_region_layout *l)
{
    return (uint16_t *)((char *)base + l->owners_off);
}

void vg_slot_reset(void *base, const struct vg_region_layout *l, unsigned slot, uint32_t generation)
{
    struct vg_slot *s = vg_region_slot(base, l, slot);

    vg_extent_free_slot(base, l, slot);
    memset(s, 0, VG_PAGE);
    memset((char *)s + VG_SLOT_CELLS_OFF, 0, VG_CELLS * sizeof(struct vg_cell));
    s->generation = generation;
    vg_store_release(&s->state, VG_SLOT_FREE);
}

void vg_region_format(void *base, const struct vg_region_layout *l)
{
    struct vg_region_header *h = base;

    memset(base, 0, l->slots_off);
    for (unsigned i = 0; i < l->slot_count; i++)
        vg_slot_reset(base, l, i, 0);
    h->version = VG_PROTOCOL_VERSION;
    h->slot_count = l->slot_count;
    h->size = l->size;
    vg_store_release(&h->magic, VG_REGION_MAGIC);
}

/* Takes the run [first, first+count); on a collision gives back what it took. */
static bool take_run(uint16_t *owner, uint32_t first, uint32_t count, uint16_t me)
{
    for (uint32_t i = 0; i < count; i++) {
        if (vg_cas(&owner[first + i], 0, me))
            continue;
        while (i-- > 0)
            vg_store_release(&owner[first + i], 0);
        return false;
    }
    return true;
}

static unsigned part_of(const struct vg_region_layout *l, uint32_t extent)
{
    return vg_region_part(l->data_off + (uint64_t)extent * VG_EXTENT_SIZE);
}

/* Takes the first run from extent `from` on; within one part, if wanted so. -1: there is none. */
static int64_t find_run(uint16_t *owner, const struct vg_region_layout *l, uint32_t from,
                        uint32_t count, uint16_t me, bool within)
{
    uint32_t run = 0;
    unsigned part = 0;

    for (uint32_t i = from; i < l->extent_count; i++) {
        if (within && part_of(l, i) != part) {
            part = part_of(l, i);
            run = 0;
        }
        run = vg_load_relaxed(&owner[i]) == 0 ? run + 1 : 0;
        if (run < count)
            continue;
        if (take_run(owner, i + 1 - count, count, me))
            return i + 1 - count;
        run = 0;
    }
    return -1;
}

/* Where the second part begins: what needs several goes behind the first, which is in use early. */
static uint32_t second_part(const struct vg_region_layout *l)
{
    return l->data_off < VG_PART_FIRST ? (uint32_t)((VG_PART_FIRST - l->data_off) / VG_EXTENT_SIZE)
                                       : 0;
}

uint64_t vg_extent_alloc(void *base, const struct vg_region_layout *l, unsigned slot, uint32_t count)
{
    uint16_t *owner = owners(base, l), me = (uint16_t)(slot + 1);

    if (count == 0 || count > l->extent_count)
        return 0;
    int64_t first = find_run(owner, l, 0, count, me, true);
    if (first < 0)
        first = find_run(owner, l, second_part(l), count, me, false);
    if (first < 0)
        first = find_run(owner, l, 0, count, me, false);
    return first < 0 ? 0 : l->data_off + (uint64_t)first * VG_EXTENT_SIZE;
}

void vg_extent_free(void *base, const struct vg_region_layout *l, uint64_t off, uint32_t count)
{
    uint32_t first = (uint32_t)((off - l->data_off) / VG_EXTENT_SIZE);

    for (uint32_t i = 0; i < count; i++)
        vg_store_release(&owners(base, l)[first + i], 0);
}

void vg_extent_free_slot(void *base, const struct vg_region_layout *l, unsigned slot)
{
    uint16_t *owner = owners(base, l);

    for (uint32_t i = 0; i < l->extent_count; i++)
        vg_cas(&owner[i], (uint16_t)(slot + 1), 0);
}

bool vg_region_data_ok(const struct vg_region_layout *l, uint64_t off, uint64_t len)
{
    return off >= l->data_off && off <= l->size && len <= l->size - off;
}
