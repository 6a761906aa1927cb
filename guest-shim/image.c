/* SPDX-License-Identifier: MIT */
/*
 * Chooses from an image; see image.h. The application is trusted to pass what it
 * means, but garbage must end in an error and not in a crash as far as headers tell.
 *
 * A fat binary is a 16-byte header and entries: u16 kind at 0, u32 header size at 4, u64 body size
 * at 8, u32 architecture at 28, u64 flags at 40 (as nvcc 13.0 writes them). A compiler's wrapper
 * points to it; a wrapper of version 2 also to a NULL-terminated list of fat binaries that
 * are to be linked where the first has nothing for the GPU.
 */
#include "guest-shim/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vg_limits.h"

#define WRAPPER_MAGIC  0x466243b1u
#define FATBIN_MAGIC   0xba55ed50u
#define ELF_MAGIC      0x464c457fu
#define MACHINE_CUDA   190u     /* ELF e_machine */
#define FATBIN_HEADER  16u
#define ENTRY_HEADER   64u      /* the least */
#define KIND_PTX       1u
#define KIND_CUBIN     2u
#define FLAG_COMPRESSED 0xa000u     /* by LZ4 or zstd */
#define FLAG_EXACT     0x100000u    /* sm_90a: runs on this architecture alone */
#define FLAG_FAMILY    0x200000u    /* sm_100f: on later ones of the same family too */

struct wrapper {
    uint32_t magic, version;
    const void *data;
    const void *const *prelinked;
};

struct entry {
    const uint8_t *bytes;
    size_t size;                /* header and body */
    unsigned kind, arch;
    uint64_t flags;
};

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint32_t get32(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* ---- the result -------------------------------------------------------------- */

static bool add_piece(struct vg_image *m, const uint8_t *bytes, size_t size)
{
    if (m->pieces == VG_IMAGE_PIECES || size > VG_IMAGE_MAX - m->size)
        return false;
    m->piece[m->pieces].bytes = bytes;
    m->piece[m->pieces].size = size;
    m->pieces++;
    m->size += size;
    return true;
}

static CUresult whole(const uint8_t *bytes, size_t size, struct vg_image *m)
{
    return add_piece(m, bytes, size) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}

/* The header of a fat binary around the pieces. */
static void wrap(struct vg_image *m)
{
    const uint32_t magic = FATBIN_MAGIC;
    const uint16_t version = 1, header_size = FATBIN_HEADER;
    const uint64_t payload = m->size;

    memcpy(m->header, &magic, 4);
    memcpy(m->header + 4, &version, 2);
    memcpy(m->header + 6, &header_size, 2);
    memcpy(m->header + 8, &payload, 8);
    m->header_size = FATBIN_HEADER;
    m->size += FATBIN_HEADER;
}

void vg_image_read(const struct vg_image *image, size_t pos, void *dst, size_t n)
{
    uint8_t *out = dst;

    for (unsigned i = 0; i <= image->pieces && n; i++) {
        const uint8_t *bytes = i ? image->piece[i - 1].bytes : image->header;
        size_t size = i ? image->piece[i - 1].size : image->header_size;
        if (pos >= size) {
            pos -= size;
            continue;
        }
        size_t part = size - pos < n ? size - pos : n;
        memcpy(out, bytes + pos, part);
        out += part;
        n -= part;
        pos = 0;
    }
}

/* ---- fat binaries ------------------------------------------------------------ */

/* Where a fat binary's entries begin and how many bytes they take; -EINVAL: it is none. */
static int find_entries(const uint8_t *fatbin, size_t size, const uint8_t **ret_bytes,
                        size_t *ret_left)
{
    if (size < FATBIN_HEADER || get32(fatbin) != FATBIN_MAGIC)
        return -EINVAL;
    size_t header = get16(fatbin + 6);
    if (header < FATBIN_HEADER || header > size)
        return -EINVAL;
    uint64_t payload = get64(fatbin + 8);
    *ret_bytes = fatbin + header;
    *ret_left = payload < size - header ? (size_t)payload : size - header;
    return 0;
}

/* 1 with the next entry of *bytes, 0 at the end or where no entry can be made out. */
static int next_entry(const uint8_t **bytes, size_t *left, struct entry *ret_entry)
{
    const uint8_t *p = *bytes;

    if (*left < ENTRY_HEADER)
        return 0;
    uint32_t header = get32(p + 4);
    uint64_t body = get64(p + 8);
    if (header < ENTRY_HEADER || header > *left || body > *left - header)
        return 0;
    *ret_entry = (struct entry){p, header + (size_t)body, get16(p), get32(p + 28), get64(p + 40)};
    *bytes += ret_entry->size;
    *left -= ret_entry->size;
    return 1;
}

/* Whether code for architecture `arch` runs on `cc`. PTX is compiled for any later one. */
static bool runs_on(const struct entry *e, unsigned cc)
{
    if (e->flags & FLAG_EXACT)
        return e->arch == cc;
    if (e->flags & FLAG_FAMILY || e->kind == KIND_CUBIN)
        return e->arch <= cc && e->arch / 10 == cc / 10;
    return e->arch <= cc;
}

static bool is_cubin_for(const struct entry *e, const struct vg_image_target *t)
{
    return e->kind == KIND_CUBIN && !t->software && !(t->plain && (e->flags & FLAG_COMPRESSED));
}

/* The higher the better, 0: of no use. A cubin beats PTX, then the nearest and most special wins. */
static unsigned rank(const struct entry *e, const struct vg_image_target *t)
{
    unsigned special = e->flags & FLAG_EXACT ? 2 : e->flags & FLAG_FAMILY ? 1 : 0;

    if ((e->kind != KIND_PTX && !is_cubin_for(e, t)) || e->arch == 0 || e->arch > 0xffff ||
        !runs_on(e, t->cc))
        return 0;
    return (e->kind == KIND_CUBIN ? 1u << 24 : 0) + e->arch * 4 + special;
}

/*
 * Adds the best entries of a fat binary. Several of one rank are all taken: what the
 * driver makes of them is its affair. *ret_rank: of the best.
 */
static CUresult select_entries(const uint8_t *fatbin, size_t size, const struct vg_image_target *t,
                               struct vg_image *m, unsigned *ret_rank)
{
    const uint8_t *p, *again;
    size_t left, left_again;
    struct entry e;
    unsigned best = 0;

    if (find_entries(fatbin, size, &p, &left))
        return CUDA_ERROR_INVALID_IMAGE;
    again = p;
    left_again = left;
    while (next_entry(&p, &left, &e))
        if (rank(&e, t) > best)
            best = rank(&e, t);
    while (best && next_entry(&again, &left_again, &e))
        if (rank(&e, t) == best && !add_piece(m, e.bytes, e.size))
            return CUDA_ERROR_INVALID_IMAGE;
    *ret_rank = best;
    return best ? CUDA_SUCCESS : CUDA_ERROR_NO_BINARY_FOR_GPU;
}

static CUresult select_fatbin(const uint8_t *fatbin, size_t size, const struct vg_image_target *t,
                              struct vg_image *m)
{
    unsigned best;
    CUresult r = select_entries(fatbin, size, t, m, &best);

    if (r == CUDA_SUCCESS)
        wrap(m);
    return r;
}

/*
 * The units of a program that was compiled in parts; the host links them. Among them is NVIDIA's
 * device runtime, as machine code only: who needs it on the software GPU will miss it.
 */
static CUresult select_units(const void *const *list, const struct vg_image_target *t,
                             struct vg_image *m)
{
    for (; *list; list++) {
        unsigned best;
        CUresult r = select_entries(*list, SIZE_MAX, t, m, &best);
        if (r != CUDA_SUCCESS && r != CUDA_ERROR_NO_BINARY_FOR_GPU)
            return r;
    }
    if (m->pieces == 0)
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    m->units = true;
    wrap(m);
    return CUDA_SUCCESS;
}

static CUresult select_wrapped(const struct wrapper *w, const struct vg_image_target *t,
                               struct vg_image *m)
{
    if (!w->data || (w->version != 1 && w->version != 2))
        return CUDA_ERROR_INVALID_IMAGE;
    CUresult r = select_fatbin(w->data, SIZE_MAX, t, m);
    if (r != CUDA_ERROR_NO_BINARY_FOR_GPU || w->version == 1 || !w->prelinked)
        return r;
    return select_units(w->prelinked, t, m);
}

/* ---- what a fat binary has -------------------------------------------------------- */

struct list {
    char *text;
    size_t room, used;
};

/* Each once, in the order of the entries. */
static void list_add(struct list *l, const struct entry *e)
{
    char name[32];
    const char *suffix = e->flags & FLAG_EXACT ? "a" : e->flags & FLAG_FAMILY ? "f" : "";
    int n = snprintf(name, sizeof(name), "%s_%u%s,", e->kind == KIND_PTX ? "compute" : "sm",
                     e->arch, suffix);
    size_t dots = sizeof(" ...");

    if (e->arch == 0 || strstr(l->text, name) || l->room - l->used < dots)
        return;
    if (l->used + 1 + (size_t)n + dots > l->room) {
        strcpy(l->text + l->used, " ...");
        l->used = l->room;
        return;
    }
    l->used += (size_t)sprintf(l->text + l->used, "%s%s", l->used ? " " : "", name);
}

static void list_fatbin(struct list *l, const uint8_t *fatbin, size_t size)
{
    const uint8_t *p;
    size_t left;
    struct entry e;

    if (find_entries(fatbin, size, &p, &left))
        return;
    while (next_entry(&p, &left, &e))
        if (e.kind == KIND_PTX || e.kind == KIND_CUBIN)
            list_add(l, &e);
}

static void list_wrapped(struct list *l, const struct wrapper *w)
{
    if (w->data)
        list_fatbin(l, w->data, SIZE_MAX);
    for (const void *const *unit = w->version == 2 ? w->prelinked : NULL; unit && *unit; unit++)
        list_fatbin(l, *unit, SIZE_MAX);
}

/* ---- cubins ------------------------------------------------------------------ */

static size_t max_size(size_t a, uint64_t b)
{
    return b > a ? b > VG_IMAGE_MAX ? (size_t)VG_IMAGE_MAX + 1 : (size_t)b : a;
}

/* End of a table of n items of at least `least` bytes; beyond every limit if it cannot be. */
static uint64_t table_end(uint64_t off, unsigned n, unsigned item, unsigned least)
{
    if (n == 0)
        return 0;
    if (item < least || off > VG_IMAGE_MAX)
        return UINT64_MAX;
    return off + (uint64_t)n * item;
}

/* Length of an ELF64 file for GPUs by its own tables; 0: they make no sense. */
static size_t elf_size(const uint8_t *p, size_t limit)
{
    if (limit < 64 || p[4] != 2 || p[5] != 1 || get16(p + 18) != MACHINE_CUDA)
        return 0;
    uint64_t phoff = get64(p + 32), shoff = get64(p + 40);
    unsigned phsize = get16(p + 54), phnum = get16(p + 56);
    unsigned shsize = get16(p + 58), shnum = get16(p + 60);
    size_t end = max_size(64, table_end(phoff, phnum, phsize, 56));
    end = max_size(end, table_end(shoff, shnum, shsize, 64));

    if (end > limit || end > VG_IMAGE_MAX)
        return 0;
    for (unsigned i = 0; i < shnum; i++) {
        const uint8_t *s = p + shoff + (size_t)i * shsize;
        const uint32_t nobits = 8;
        if (get32(s + 4) == nobits)
            continue;
        if (get64(s + 24) > VG_IMAGE_MAX || get64(s + 32) > VG_IMAGE_MAX)
            return 0;
        end = max_size(end, get64(s + 24) + get64(s + 32));
    }
    return end <= limit && end <= VG_IMAGE_MAX ? end : 0;
}

static CUresult select_cubin(const uint8_t *p, size_t limit, const struct vg_image_target *t,
                             struct vg_image *m)
{
    size_t size = elf_size(p, limit);

    if (size == 0)
        return CUDA_ERROR_INVALID_IMAGE;
    if (t->software)
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    return whole(p, size, m);
}

/* ---- text -------------------------------------------------------------------- */

static CUresult select_text(const uint8_t *p, size_t limit, struct vg_image *m)
{
    size_t max = limit < VG_IMAGE_MAX ? limit : (size_t)VG_IMAGE_MAX;

    if (max == 0 || (*p < ' ' && *p != '\t' && *p != '\n' && *p != '\r') || *p > '~')
        return CUDA_ERROR_INVALID_IMAGE;
    size_t length = strnlen((const char *)p, max);
    if (length == max)
        return CUDA_ERROR_INVALID_IMAGE;
    return whole(p, length + 1, m);
}

/* ---- entry points ------------------------------------------------------------ */

CUresult vg_image_select_sized(const void *bytes, size_t size, const struct vg_image_target *target,
                               struct vg_image *ret_image)
{
    struct vg_image m = {0};
    uint32_t magic = size >= 4 ? get32(bytes) : 0;
    CUresult r;

    if (magic == FATBIN_MAGIC)
        r = select_fatbin(bytes, size, target, &m);
    else if (magic == ELF_MAGIC)
        r = select_cubin(bytes, size, target, &m);
    else
        r = select_text(bytes, size, &m);
    if (r == CUDA_SUCCESS)
        *ret_image = m;
    return r;
}

/* The first bytes decide how much may be read: text may be shorter than a magic number. */
static bool begins_with(const uint8_t *p, uint32_t magic)
{
    for (unsigned i = 0; i < 4; i++)
        if (p[i] != (uint8_t)(magic >> 8 * i))
            return false;
    return true;
}

CUresult vg_image_select(const void *image, const struct vg_image_target *target,
                         struct vg_image *ret_image)
{
    struct vg_image m = {0};
    struct wrapper w;
    CUresult r;

    if (!image)
        return CUDA_ERROR_INVALID_VALUE;
    if (begins_with(image, WRAPPER_MAGIC)) {
        memcpy(&w, image, sizeof(w));
        r = select_wrapped(&w, target, &m);
    } else if (begins_with(image, FATBIN_MAGIC)) {
        r = select_fatbin(image, SIZE_MAX, target, &m);
    } else if (begins_with(image, ELF_MAGIC)) {
        r = select_cubin(image, SIZE_MAX, target, &m);
    } else {
        r = select_text(image, SIZE_MAX, &m);
    }
    if (r == CUDA_SUCCESS)
        *ret_image = m;
    return r;
}

void vg_image_list(const void *image, size_t size, char *text, size_t room)
{
    struct list l = {text, room, 0};
    struct wrapper w;

    *text = '\0';
    if (size < 4)
        return;
    if (size == SIZE_MAX && begins_with(image, WRAPPER_MAGIC)) {
        memcpy(&w, image, sizeof(w));
        list_wrapped(&l, &w);
    } else if (begins_with(image, FATBIN_MAGIC)) {
        list_fatbin(&l, image, size);
    } else if (begins_with(image, ELF_MAGIC)) {
        strcpy(text, "a cubin");
    }
    if (l.used && l.used < l.room)
        text[l.used - 1] = '\0';    /* the last comma */
}
