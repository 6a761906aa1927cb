/* SPDX-License-Identifier: MIT */
/* Copies parts of the region, see keep.h. They are mapped for the moment only. */
#include "guest-shim/warden/keep.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "vg_atomic.h"

#define TIME_MS 2000u       /* half of what the device waits */

/* What the host has said since: state, reason, generation. */
#define SAID offsetof(struct vg_slot, sleeping)

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t slot_off(const struct vg_region_layout *l, unsigned slot)
{
    return l->slots_off + (uint64_t)slot * VG_SLOT_STRIDE;
}

/* Word by word: if we are late, each access is emulated, for which not all instructions are good. */
static void copy_words(void *to, const void *from, size_t bytes)
{
    volatile uint32_t *t = to;
    const volatile uint32_t *f = from;

    for (size_t i = 0; i < bytes / sizeof(*t); i++)
        t[i] = f[i];
}

/* Between memory and the region; nothing where that cannot be mapped. */
static void copy(uint8_t *bytes, int fd, uint64_t off, size_t skip, size_t size, bool back)
{
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)off);

    if (p == MAP_FAILED)
        return;
    if (back)
        copy_words(p + skip, bytes + skip, size - skip);
    else
        copy_words(bytes, p, size);
    munmap(p, size);
}

static uint64_t memory_to_spare(void)
{
    struct sysinfo i;

    return sysinfo(&i) == 0 ? (uint64_t)i.freeram * i.mem_unit / 2 : 0;
}

static void keep_extents(struct vg_kept *k, int fd, const struct vg_region_layout *l, unsigned slot)
{
    size_t table = l->telemetry_off - l->owners_off;
    const uint16_t *owner = mmap(NULL, table, PROT_READ, MAP_SHARED, fd, (off_t)l->owners_off);
    uint64_t room = memory_to_spare(), end = now_ms() + TIME_MS;

    if (owner == MAP_FAILED)
        return;
    for (uint32_t e = 0; e < l->extent_count && room >= VG_EXTENT_SIZE && now_ms() < end; e++) {
        if (vg_load_relaxed(&owner[e]) != slot + 1 || !(k->extent[e] = malloc(VG_EXTENT_SIZE)))
            continue;
        copy(k->extent[e], fd, l->data_off + (uint64_t)e * VG_EXTENT_SIZE, 0, VG_EXTENT_SIZE, false);
        room -= VG_EXTENT_SIZE;
    }
    munmap((void *)owner, table);
}

void vg_keep(struct vg_kept *k, int fd, const struct vg_region_layout *l, unsigned slot)
{
    k->block = malloc(VG_SLOT_STRIDE);
    k->extent = calloc(l->extent_count, sizeof(*k->extent));
    if (!k->block || !k->extent) {
        vg_keep_forget(k, l);
        return;
    }
    copy(k->block, fd, slot_off(l, slot), 0, VG_SLOT_STRIDE, false);
    keep_extents(k, fd, l, slot);
}

void vg_keep_put_back(const struct vg_kept *k, int fd, const struct vg_region_layout *l,
                      unsigned slot)
{
    if (!k->block)
        return;
    copy(k->block, fd, slot_off(l, slot), SAID, VG_SLOT_STRIDE, true);
    for (uint32_t e = 0; e < l->extent_count; e++)
        if (k->extent[e])
            copy(k->extent[e], fd, l->data_off + (uint64_t)e * VG_EXTENT_SIZE, 0, VG_EXTENT_SIZE,
                 true);
}

void vg_keep_forget(struct vg_kept *k, const struct vg_region_layout *l)
{
    for (uint32_t e = 0; k->extent && e < l->extent_count; e++)
        free(k->extent[e]);
    free(k->extent);
    free(k->block);
    *k = (struct vg_kept){0};
}
