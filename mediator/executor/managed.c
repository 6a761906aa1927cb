/* SPDX-License-Identifier: MIT */
/* See managed.h. */
#include "mediator/executor/managed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/cubin.h"
#include "mediator/executor/image.h"
#include "mediator/executor/load.h"
#include "mediator/vg_soft_managed.h"

#define FATBIN_HEADER    16u
#define ENTRY_HEADER     64u
#define ENTRY_PTX        1u
#define ENTRY_CUBIN      2u
#define ENTRY_COMPRESSED 0xa000u /* by LZ4 or zstd */

__thread struct vg_placing *vg_placing;

CUresult vg_placing_init(struct vg_placing *p, struct vg_exec *x, const struct vg_req *r)
{
    *p = (struct vg_placing){.room = r->call.arg[5]};
    if (p->room)
        p->memory = vg_guest_data(&x->guest, r->call.arg[4], p->room);
    if (p->room && (!p->memory || (uintptr_t)p->memory % 256 != 0))
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* ---- Images ---- */

static bool is_elf(const uint8_t *p, size_t len)
{
    static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};

    return len >= sizeof(magic) && memcmp(p, magic, sizeof(magic)) == 0;
}

static uint64_t get(const uint8_t *p, size_t bytes)
{
    uint64_t v = 0;

    memcpy(&v, p, bytes);
    return v;
}

/* The cubin that is a fat binary's first entry and not compressed, or NULL. */
static const void *cubin_of(const uint8_t *fatbin, size_t len, bool *ret_link)
{
    if (len < FATBIN_HEADER + ENTRY_HEADER)
        return NULL;
    const uint8_t *entry = fatbin + get(fatbin + 6, 2);
    size_t left = len - (size_t)(entry - fatbin);
    if (left < ENTRY_HEADER)
        return NULL;
    uint64_t header = get(entry + 4, 4), body = get(entry + 8, 8);
    if (header < ENTRY_HEADER || header > left || body > left - header)
        return NULL;
    *ret_link = get(entry, 2) == ENTRY_PTX;
    if (get(entry, 2) != ENTRY_CUBIN || (get(entry + 40, 8) & ENTRY_COMPRESSED) ||
        !is_elf(entry + header, body) || !vg_image_ok(entry + header, body))
        return NULL;
    return entry + header;
}

const void *vg_placing_image(const struct vg_exec *x, const uint8_t *image, size_t len,
                             bool *ret_link)
{
    static const uint8_t fat[4] = {0x50, 0xed, 0x55, 0xba};

    *ret_link = false;
    if (x->opt.software || is_elf(image, len))
        return image;
    if (len > sizeof(fat) && memcmp(image, fat, sizeof(fat)) == 0)
        return cubin_of(image, len, ret_link);
    return NULL;
}

/* ---- Loading ---- */

static CUresult load_software(struct vg_exec *x, const void *image, const struct vg_jit *j,
                              CUlibrary *ret_library)
{
    struct vg_placing *p = vg_placing;
    struct vg_soft_managed place = {.at = (uintptr_t)p->memory, .room = p->room};
    CUjit_option option[VG_JIT_OPTIONS_MAX + VG_JIT_OWN + 1];
    void *value[VG_JIT_OPTIONS_MAX + VG_JIT_OWN + 1];
    unsigned n = j ? j->count : 0;

    if (n) {
        memcpy(option, j->option, n * sizeof(option[0]));
        memcpy(value, j->value, n * sizeof(value[0]));
    }
    option[n] = (CUjit_option)VG_SOFT_JIT_MANAGED;
    value[n] = &place;
    CUresult rc = x->cuda.cuLibraryLoadData(ret_library, image, option, value, n + 1, NULL, NULL, 0);
    p->needed = place.needed;
    return rc;
}

static int found(void *to, const char *name, uint64_t at, uint64_t bytes)
{
    struct vg_placing *p = to;
    size_t len = strlen(name) + 1;
    struct vg_managed *m = malloc(sizeof(*m) + len);

    if (!m)
        return -ENOMEM;
    *m = (struct vg_managed){.next = p->vars, .at = at, .bytes = bytes};
    memcpy(m->name, name, len);
    p->vars = m;
    return 0;
}

static CUresult place(struct vg_placing *p, uint8_t *cubin, size_t len)
{
    int rc = vg_cubin_managed_bytes(cubin, len, &p->needed);

    if (rc == 0 && p->needed > p->room)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (rc == 0 && p->needed)
        rc = vg_cubin_place_managed(cubin, len, p->memory, p->room, found, p);
    return rc == 0         ? CUDA_SUCCESS
           : rc == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY
           : rc == -ENOTSUP ? CUDA_ERROR_NOT_SUPPORTED
                            : CUDA_ERROR_INVALID_IMAGE;
}

static CUresult load_cubin(struct vg_exec *x, const uint8_t *image, struct vg_jit *j,
                           CUlibrary *ret_library)
{
    size_t len = vg_cubin_length(image);
    uint8_t *copy = malloc(len + 8);

    if (!copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(copy, image, len);
    memset(copy + len, 0, 8);
    CUresult rc = place(vg_placing, copy, len);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuLibraryLoadData(ret_library, copy, j ? j->option : NULL,
                                       j ? j->value : NULL, j ? j->count : 0, NULL, NULL, 0);
    else if (rc == CUDA_ERROR_NOT_SUPPORTED)
        vg_log(x, "event=no_placing why='code refers to managed variables in a way that is not known'");
    free(copy);
    return rc;
}

CUresult vg_placing_load(struct vg_exec *x, const void *image, struct vg_jit *j,
                         CUlibrary *ret_library)
{
    if (x->opt.software)
        return load_software(x, image, j, ret_library);
    if (!is_elf(image, 4))
        return CUDA_ERROR_NOT_SUPPORTED;
    return load_cubin(x, image, j, ret_library);
}

/* ---- Notes ---- */

void vg_placing_fini(struct vg_placing *p, struct vg_exec *x, uint64_t library)
{
    for (struct vg_managed *m; (m = p->vars) != NULL;) {
        p->vars = m->next;
        if (!library) {
            free(m);
            continue;
        }
        m->library = library;
        m->next = x->managed;
        x->managed = m;
    }
}

const struct vg_managed *vg_managed_find(const struct vg_exec *x, uint64_t library,
                                         const char *name)
{
    const struct vg_managed *m = x->managed;

    while (m && (m->library != library || strcmp(m->name, name) != 0))
        m = m->next;
    return m;
}

void vg_managed_forget(struct vg_exec *x, uint64_t library)
{
    for (struct vg_managed **at = &x->managed, *m; (m = *at) != NULL;) {
        if (library && m->library != library) {
            at = &m->next;
            continue;
        }
        *at = m->next;
        free(m);
    }
}
