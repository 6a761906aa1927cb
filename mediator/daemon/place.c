/* SPDX-License-Identifier: MIT */
/* Settings of pools, see place.h. */
#include "place.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/base/number.h"
#include "mediator/base/util.h"

#define SHARE_MAX 1000u

static const char form[] = "is not \"gpu N[,N...] [share 1-1000]\"";

static bool take_gpus(struct vg_place *place, const char *text)
{
    char *end;

    for (;; text = end + 1) {
        unsigned long n = strtoul(text, &end, 10);

        if (end == text || text[0] == '-' || text[0] == '+' || n >= VG_PLACE_GPUS ||
            (place->mask & 1ull << n))
            return false;
        place->mask |= 1ull << n;
        if (*end != ',')
            return *end == '\0';
    }
}

static void name_gpus(struct vg_place *place)
{
    size_t len = 0;

    place->gpus[0] = '\0';
    for (unsigned n = 0; n < VG_PLACE_GPUS; n++) {
        if (place->mask & 1ull << n)
            len += (size_t)snprintf(place->gpus + len, sizeof(place->gpus) - len, "%s%u",
                                    len ? "," : "", n);
    }
}

void vg_place_set_mask(struct vg_place *place, uint64_t mask)
{
    place->mask = mask;
    name_gpus(place);
}

static bool take_word(struct vg_place *place, const char *key, const char *value)
{
    uint64_t share;
    char why[128];

    if (strcmp(key, "gpu") == 0 && place->mask == 0)
        return take_gpus(place, value);
    if (strcmp(key, "share") != 0 || !vg_number(value, 1, SHARE_MAX, &share, why, sizeof(why)))
        return false;
    place->share = (unsigned)share;
    return true;
}

static bool parse(struct vg_place *place, const char *value)
{
    char text[256], *rest = text, *key;

    if (strlen(value) >= sizeof(text))
        return false;
    strcpy(text, value);
    while ((key = strtok_r(rest, " \t", &rest)) != NULL) {
        const char *word = strtok_r(rest, " \t", &rest);

        if (!word || !take_word(place, key, word))
            return false;
    }
    name_gpus(place);
    return place->mask != 0;
}

static const struct vg_place *find(const struct vg_places *p, const char *pool)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (strcmp(p->at[i].pool, pool) == 0)
            return &p->at[i];
    }
    return NULL;
}

int vg_place_set(struct vg_places *p, const char *pool, const char *value, char *why,
                 size_t why_cap)
{
    struct vg_place place = { .share = VG_PLACE_SHARE }, *old;

    if (!vg_name_ok(pool, sizeof(place.pool))) {
        snprintf(why, why_cap, "pool.%.80s: not a pool name: letters, digits and ._:-", pool);
        return -EINVAL;
    }
    if (!parse(&place, value)) {
        snprintf(why, why_cap, "pool.%.32s: \"%.80s\" %s", pool, value, form);
        return -EINVAL;
    }
    strcpy(place.pool, pool);
    old = (struct vg_place *)(uintptr_t)find(p, pool);
    if (!old && p->count == VG_PLACES_MAX) {
        snprintf(why, why_cap, "pool.%.32s: more than %u pools", pool, VG_PLACES_MAX);
        return -EINVAL;
    }
    *(old ? old : &p->at[p->count++]) = place;
    return 0;
}

int vg_places_check(const struct vg_places *p, char *why, size_t why_cap)
{
    for (unsigned i = 0; i < p->count; i++) {
        for (unsigned k = 0; k < i; k++) {
            const struct vg_place *a = &p->at[i], *b = &p->at[k];

            if (a->mask == b->mask || !(a->mask & b->mask))
                continue;
            snprintf(why, why_cap,
                     "pool.%s (gpu %s) and pool.%s (gpu %s) have some GPUs in common and not all",
                     a->pool, a->gpus, b->pool, b->gpus);
            return -EINVAL;
        }
    }
    return 0;
}

bool vg_places_know(const struct vg_places *p, const char *pool)
{
    return p->count == 0 || find(p, pool);
}

struct vg_place vg_place_of(const struct vg_places *p, const char *pool)
{
    const struct vg_place *own = find(p, pool);
    struct vg_place place = { .share = VG_PLACE_SHARE };

    if (own)
        return *own;
    snprintf(place.pool, sizeof(place.pool), "%s", pool);
    place.mask = p->count ? 1 : 0;
    for (unsigned i = 0; i < p->count; i++) {
        if (p->at[i].mask & 1)
            place.mask = p->at[i].mask;
    }
    name_gpus(&place);
    return place;
}

/* The n-th GPU of a place by its number on the host, -1: it has not so many. */
static int nth(const struct vg_place *place, unsigned n)
{
    uint64_t mask = place->mask ? place->mask : UINT64_MAX;

    for (unsigned i = 0; i < VG_PLACE_GPUS; i++) {
        if ((mask >> i & 1) && n-- == 0)
            return (int)i;
    }
    return -1;
}

void vg_place_choose(const struct vg_place *place, const uint8_t *visible, unsigned count,
                     char ret_gpus[VG_PLACE_TEXT])
{
    uint64_t seen = 0;
    size_t len = 0;

    for (unsigned i = 0; i < count; i++) {
        int gpu = nth(place, visible[i]);

        if (gpu < 0 || (seen >> gpu & 1)) {
            len = 0;
            break;
        }
        seen |= UINT64_C(1) << gpu;
        len += (size_t)snprintf(ret_gpus + len, VG_PLACE_TEXT - len, "%s%d", i ? "," : "", gpu);
    }
    if (len == 0)
        strcpy(ret_gpus, place->gpus);
}
