/* SPDX-License-Identifier: MIT */
/*
 * The API table as data, and its look-ups. Guest and host, any thread. The name maps are filled
 * once by a constructor that runs before those of ordinary code, and are read-only afterwards.
 */
#include "vg_api.h"

#include <string.h>

#define TEXT(kind, type, name, aux) #kind " " #type " " #name " " #aux ";"

#define ROW(id, symbol, base, since, mode, class, target) \
    { id, since, VG_MODE_##mode, VG_CLASS_##class, VG_MODE_##mode <= VG_MODE_CUSTOM, \
      #symbol, #base, target, VG_ARGS_##symbol(TEXT) },

const struct vg_api_row vg_api_rows[VG_API_COUNT] = {
#define VG_API(id, symbol, base, since, mode, class) ROW(id, symbol, base, since, mode, class, "")
#define VG_ALIAS(id, symbol, base, since, mode, class, target) \
        ROW(id, symbol, base, since, mode, class, #target)
#include "vg_api.def"
};

/* Position of an id's row plus one; 0: no such id. Two rows with one id do not compile here. */
static const uint16_t position_of_id[VG_CALL_END] = {
#define VG_API(id, symbol, base, since, mode, class) [id] = VG_INDEX_##symbol + 1,
#include "vg_api.def"
};

/* From names to rows: chains of row positions plus one, 0 ends a chain. */
#define BUCKETS 1024u

struct name_map {
    uint16_t head[BUCKETS];
    uint16_t next[VG_API_COUNT];
};

static struct name_map by_symbol, by_base;
static uint64_t table_hash;

static uint64_t fnv1a(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *p = data;

    while (size-- > 0)
        hash = (hash ^ *p++) * 0x100000001b3ull;
    return hash;
}

static uint64_t fnv1a_text(uint64_t hash, const char *text)
{
    return fnv1a(hash, text, strlen(text) + 1);
}

#define FNV1A_START 0xcbf29ce484222325ull

static unsigned bucket_of(const char *name)
{
    return fnv1a_text(FNV1A_START, name) % BUCKETS;
}

/* Prepends: chains run from the last row to the first. */
static void name_map_add(struct name_map *map, const char *name, unsigned row)
{
    uint16_t *head = &map->head[bucket_of(name)];

    map->next[row] = *head;
    *head = (uint16_t)(row + 1);
}

static uint64_t row_hash(uint64_t hash, const struct vg_api_row *row)
{
    const unsigned char head[3] = { row->id & 0xff, row->id >> 8, row->mode };

    hash = fnv1a(hash, head, sizeof(head));
    hash = fnv1a_text(hash, row->symbol);
    return fnv1a_text(hash, row->args);
}

__attribute__((constructor(101))) static void vg_api_build(void)
{
    unsigned i;

    table_hash = FNV1A_START;
    for (i = 0; i < VG_API_COUNT; i++) {
        name_map_add(&by_symbol, vg_api_rows[i].symbol, i);
        name_map_add(&by_base, vg_api_rows[i].base, i);
        table_hash = row_hash(table_hash, &vg_api_rows[i]);
    }
}

const struct vg_api_row *vg_api_by_id(unsigned id)
{
    if (id >= VG_CALL_END || position_of_id[id] == 0)
        return NULL;
    return &vg_api_rows[position_of_id[id] - 1];
}

const struct vg_api_row *vg_api_by_symbol(const char *symbol)
{
    unsigned i;

    for (i = by_symbol.head[bucket_of(symbol)]; i > 0; i = by_symbol.next[i - 1])
        if (strcmp(vg_api_rows[i - 1].symbol, symbol) == 0)
            return &vg_api_rows[i - 1];
    return NULL;
}

static bool is_per_thread(const struct vg_api_row *row)
{
    size_t length = strlen(row->symbol);

    return length > 5 && (strcmp(row->symbol + length - 5, "_ptsz") == 0 ||
                          strcmp(row->symbol + length - 5, "_ptds") == 0);
}

/* The newest row of base up to version, among those with or those without a per-thread suffix. */
static const struct vg_api_row *newest(const char *base, int version, bool per_thread)
{
    const struct vg_api_row *best = NULL, *row;
    unsigned i;

    for (i = by_base.head[bucket_of(base)]; i > 0; i = by_base.next[i - 1]) {
        row = &vg_api_rows[i - 1];
        if (strcmp(row->base, base) != 0 || is_per_thread(row) != per_thread)
            continue;
        if (row->since <= version && (!best || row->since > best->since))
            best = row;
    }
    return best;
}

enum vg_api_found vg_api_resolve(const char *base, int version, bool per_thread,
                                 const struct vg_api_row **ret_row)
{
    const struct vg_api_row *row = NULL;

    if (per_thread)
        row = newest(base, version, true);
    if (!row)
        row = newest(base, version, false);
    if (row) {
        *ret_row = row;
        return VG_API_FOUND;
    }
    return newest(base, UINT16_MAX, false) ? VG_API_TOO_NEW : VG_API_UNKNOWN;
}

const char *vg_api_mode_name(unsigned mode)
{
    static const char *const names[VG_MODE_COUNT] = {
        "FWD", "POST", "CUSTOM", "LOCAL", "PTSZ", "PTDS", "OLD", "NOSUP",
    };

    return mode < VG_MODE_COUNT ? names[mode] : "?";
}

const char *vg_api_class_name(unsigned class_)
{
    static const char *const names[VG_CLASS_COUNT] = {
        "QUERY", "CONTEXT", "ALLOC", "FREE", "COPY", "MEMSET", "LAUNCH", "GRAPH", "STREAM",
        "EVENT", "SYNC", "MODULE", "HOST", "OTHER",
    };

    return class_ < VG_CLASS_COUNT ? names[class_] : "?";
}

uint64_t vg_api_hash(void)
{
    return table_hash;
}
