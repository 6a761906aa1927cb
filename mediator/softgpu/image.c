/* SPDX-License-Identifier: MIT */
/*
 * Reads fat binaries: a container holds entries, each machine code or PTX for one architecture, raw
 * or compressed. Every offset is checked against what is left before it is used.
 *
 * Layout, little endian:
 *   wrapper    u32 magic, u32 version, pointer to the container
 *   container  u32 magic, u16 version 1, u16 header size, u64 bytes that follow the header
 *   entry      u16 kind, u16, u32 header size, u64 payload with padding, u32 compressed size at 16,
 *              u32 architecture at 28, u64 flags at 40, u64 decompressed size at 56
 */
#include "image.h"

#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define VG_FATBIN_WRAPPER 0x466243b1u
#define VG_FATBIN_MAGIC 0xba55ed50u
#define VG_FATBIN_HEADER 16u
#define VG_FATBIN_MAX ((uint64_t)2 << 30)
#define VG_ENTRY_HEADER 64u
#define VG_ENTRY_PTX 1u
#define VG_ENTRY_ELF 2u
#define VG_ENTRY_LZ4 0x2000u
#define VG_ENTRY_ZSTD 0x8000u
#define VG_ENTRY_64BIT 0x1u
#define VG_ELF_MAGIC 0x464c457fu

struct vg_entry {
    unsigned kind;
    unsigned arch;
    uint64_t flags;
    const unsigned char *payload;
    size_t size;                /* of the payload as it lies there */
    uint64_t full_size;         /* decompressed, 0 when it is not compressed */
};

struct vg_bytes {
    const unsigned char *at;
    size_t left;
};

static uint32_t get32(const unsigned char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t get64(const unsigned char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static unsigned get16(const unsigned char *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

/* ----------------------------------------------------------------- one entry */

/* Takes the next entry off b: 1 taken, 0 none left, -1 nonsense. */
static int entry_next(struct vg_bytes *b, struct vg_entry *e)
{
    uint32_t header, packed;
    uint64_t padded;

    if (b->left < VG_ENTRY_HEADER)
        return 0;
    header = get32(b->at + 4);
    padded = get64(b->at + 8);
    packed = get32(b->at + 16);
    if (header < VG_ENTRY_HEADER || header > b->left || padded > b->left - header)
        return -1;
    e->kind = get16(b->at);
    e->arch = get32(b->at + 28);
    e->flags = get64(b->at + 40);
    e->full_size = e->flags & (VG_ENTRY_LZ4 | VG_ENTRY_ZSTD) ? get64(b->at + 56) : 0;
    e->payload = b->at + header;
    e->size = e->full_size != 0 ? packed : (size_t)padded;
    if (e->size > padded)
        return -1;
    b->at += header + padded;
    b->left -= header + padded;
    return 1;
}

static int entry_expand(const struct vg_entry *e, char *out)
{
    if (e->full_size == 0) {
        memcpy(out, e->payload, e->size);
        return 0;
    }
    if (e->flags & VG_ENTRY_ZSTD)
        return ZSTD_decompress(out, e->full_size, e->payload, e->size) == e->full_size ? 0 : -1;
    if (e->size > LZ4_MAX_INPUT_SIZE || e->full_size > LZ4_MAX_INPUT_SIZE)
        return -1;
    return LZ4_decompress_safe((const char *)e->payload, out, (int)e->size, (int)e->full_size) ==
                   (int)e->full_size ? 0 : -1;
}

static CUresult image_add_text(struct vg_image *image, char *text, size_t size)
{
    if (image->n == VG_IMAGE_UNITS_MAX) {
        free(text);
        return CUDA_ERROR_INVALID_IMAGE;
    }
    text[size] = '\0';
    image->unit[image->n].text = text;
    image->unit[image->n++].len = strlen(text);         /* padding with zeros is usual */
    return CUDA_SUCCESS;
}

static CUresult image_add_entry(struct vg_image *image, const struct vg_entry *e)
{
    uint64_t size = e->full_size != 0 ? e->full_size : e->size;
    char *text;

    if (size == 0 || size > VG_IMAGE_TEXT_MAX - image->total)
        return CUDA_ERROR_INVALID_IMAGE;
    image->total += size;       /* a small image may unfold to a large one, but not unit by unit */
    text = malloc(size + 1);
    if (text == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (entry_expand(e, text) != 0) {
        free(text);
        return CUDA_ERROR_INVALID_IMAGE;
    }
    return image_add_text(image, text, size);
}

/* ------------------------------------------------------------------ containers */

/* The highest architecture not above cc for which there is PTX; 0 when there is none. */
static int best_arch(struct vg_bytes b, unsigned cc, unsigned *ret)
{
    struct vg_entry e;
    int more;

    *ret = 0;
    while ((more = entry_next(&b, &e)) > 0)
        if (e.kind == VG_ENTRY_PTX && e.arch <= cc && e.arch > *ret)
            *ret = e.arch;
    return more;
}

static CUresult read_entries(struct vg_image *ret, struct vg_bytes b, unsigned cc)
{
    CUresult rc = CUDA_SUCCESS;
    struct vg_entry e;
    unsigned arch;

    if (best_arch(b, cc, &arch) != 0)
        return CUDA_ERROR_INVALID_IMAGE;
    if (arch == 0)
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    while (rc == CUDA_SUCCESS && entry_next(&b, &e) > 0)
        if (e.kind == VG_ENTRY_PTX && e.arch == arch)
            rc = image_add_entry(ret, &e);
    return rc;
}

static CUresult read_container(struct vg_image *ret, const unsigned char *p, size_t size,
                               unsigned cc)
{
    struct vg_bytes b;

    if (size < VG_FATBIN_HEADER || get16(p + 4) != 1 || get16(p + 6) != VG_FATBIN_HEADER)
        return CUDA_ERROR_INVALID_IMAGE;
    b.at = p + VG_FATBIN_HEADER;
    b.left = get64(p + 8);
    if (b.left > VG_FATBIN_MAX || b.left > size - VG_FATBIN_HEADER)
        return CUDA_ERROR_INVALID_IMAGE;
    return read_entries(ret, b, cc);
}

static bool starts_like_text(unsigned char c)
{
    return c == '.' || c == '/' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static CUresult read_text(struct vg_image *ret, const char *data, size_t len)
{
    char *text;

    if (len == 0 || len > VG_IMAGE_TEXT_MAX)
        return CUDA_ERROR_INVALID_IMAGE;
    text = malloc(len + 1);
    if (text == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(text, data, len);
    return image_add_text(ret, text, len);
}

static CUresult image_finish(struct vg_image *image, CUresult rc)
{
    if (rc != CUDA_SUCCESS)
        vg_image_fini(image);
    return rc;
}

CUresult vg_image_read_sized(struct vg_image *ret, const void *data, size_t size, unsigned cc)
{
    const unsigned char *p = data;
    CUresult rc = CUDA_ERROR_INVALID_IMAGE;

    memset(ret, 0, sizeof(*ret));
    if (size >= 4 && get32(p) == VG_FATBIN_MAGIC)
        rc = read_container(ret, p, size, cc);
    else if (size >= 4 && get32(p) == VG_ELF_MAGIC)
        rc = CUDA_ERROR_NO_BINARY_FOR_GPU;
    else if (size > 0 && starts_like_text(p[0]))
        rc = read_text(ret, data, strnlen(data, size));
    return image_finish(ret, rc);
}

CUresult vg_image_read(struct vg_image *ret, const void *data, unsigned cc)
{
    const unsigned char *p = data;

    memset(ret, 0, sizeof(*ret));
    if (starts_like_text(p[0]))
        return vg_image_read_sized(ret, data, strlen(data), cc);
    if (get32(p) == VG_FATBIN_WRAPPER) {
        p = (const unsigned char *)(uintptr_t)get64(p + 8);
        if (p == NULL || get32(p) != VG_FATBIN_MAGIC)
            return CUDA_ERROR_INVALID_IMAGE;
    }
    if (get32(p) == VG_FATBIN_MAGIC)
        return image_finish(ret, read_container(ret, p, SIZE_MAX >> 1, cc));
    return vg_image_read_sized(ret, p, 4, cc);
}

/* Everything in f, to be freed, or NULL. */
static void *slurp(FILE *f, size_t *ret_size)
{
    char *data = NULL, *grown;
    size_t size = 0, cap = 0, n = 1;

    while (n > 0) {
        if (size == cap) {
            cap = cap != 0 ? 2 * cap : 65536;
            grown = cap <= VG_FATBIN_MAX ? realloc(data, cap) : NULL;
            if (grown == NULL)
                return free(data), NULL;
            data = grown;
        }
        n = fread(data + size, 1, cap - size, f);
        size += n;
    }
    *ret_size = size;
    return data;
}

CUresult vg_image_read_file(struct vg_image *ret, const char *path, unsigned cc)
{
    FILE *f = fopen(path, "rbe");
    CUresult rc = CUDA_ERROR_OUT_OF_MEMORY;
    size_t size;
    void *data;

    if (f == NULL)
        return CUDA_ERROR_FILE_NOT_FOUND;
    data = slurp(f, &size);
    if (data != NULL)
        rc = vg_image_read_sized(ret, data, size, cc);
    fclose(f);
    free(data);
    return rc;
}

void vg_image_fini(struct vg_image *image)
{
    unsigned i;

    for (i = 0; i < image->n; i++)
        free(image->unit[i].text);
    image->n = 0;
}

/* ------------------------------------------------------------------------ writing */

static size_t unit_room(const struct vg_image_unit *u)
{
    return VG_ENTRY_HEADER + vg_round_up(u->len + 1, 8);
}

static void put_entry(unsigned char *p, const struct vg_image_unit *u, unsigned cc)
{
    uint64_t padded = unit_room(u) - VG_ENTRY_HEADER, flags = VG_ENTRY_64BIT;
    uint32_t header = VG_ENTRY_HEADER, arch = cc;

    p[0] = VG_ENTRY_PTX;
    p[2] = p[3] = 1;
    memcpy(p + 4, &header, sizeof(header));
    memcpy(p + 8, &padded, sizeof(padded));
    memcpy(p + 28, &arch, sizeof(arch));
    memcpy(p + 40, &flags, sizeof(flags));
    memcpy(p + VG_ENTRY_HEADER, u->text, u->len);
}

CUresult vg_image_write(const struct vg_image *image, unsigned cc, void **ret, size_t *ret_size)
{
    uint32_t magic = VG_FATBIN_MAGIC;
    uint64_t payload = 0;
    unsigned char *p, *at;
    unsigned i;

    for (i = 0; i < image->n; i++)
        payload += unit_room(&image->unit[i]);
    p = calloc(1, VG_FATBIN_HEADER + payload);
    if (p == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(p, &magic, sizeof(magic));
    p[4] = 1;
    p[6] = VG_FATBIN_HEADER;
    memcpy(p + 8, &payload, sizeof(payload));
    for (i = 0, at = p + VG_FATBIN_HEADER; i < image->n; at += unit_room(&image->unit[i++]))
        put_entry(at, &image->unit[i], cc);
    *ret = p;
    *ret_size = VG_FATBIN_HEADER + payload;
    return CUDA_SUCCESS;
}
