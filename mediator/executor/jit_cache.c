/* SPDX-License-Identifier: MIT */
/* Code that is made once; see jit_cache.h. Writes nothing of x but the shelf. */
#include "mediator/executor/jit_cache.h"

#include <stdlib.h>
#include <string.h>

#include "mediator/executor/executor.h"
#include "mediator/executor/image.h"

#define PAD        64u /* zero bytes behind code */
#define FAT_HEADER 16u
#define FAT_PTX    1u

/* What a compilation depends on besides its source. */
struct maker {
    char what[16];  /* so that no guest's image has this digest */
    int driver, major, minor;
};

/* How the linker calls it; CU_JIT_NUM_INPUT_TYPES: it is no PTX. */
static CUjitInputType type_of(const uint8_t *image, uint64_t len)
{
    static const uint8_t elf[4] = {0x7f, 'E', 'L', 'F'}, fat[4] = {0x50, 0xed, 0x55, 0xba};

    if (len <= FAT_HEADER + 2 || memcmp(image, elf, sizeof(elf)) == 0)
        return CU_JIT_NUM_INPUT_TYPES;
    if (memcmp(image, fat, sizeof(fat)) != 0)
        return CU_JIT_INPUT_PTX;
    return image[FAT_HEADER] == FAT_PTX ? CU_JIT_INPUT_FATBINARY : CU_JIT_NUM_INPUT_TYPES;
}

static bool name_of(struct vg_exec *x, const uint8_t *image, uint64_t len,
                    uint8_t ret_name[VG_DIGEST_BYTES])
{
    struct maker m = {.what = "code of"};
    struct vg_digest d;
    CUdevice dev;

    if (x->cuda.cuCtxGetDevice(&dev) != CUDA_SUCCESS ||
        x->cuda.cuDriverGetVersion(&m.driver) != CUDA_SUCCESS ||
        x->cuda.cuDeviceGetAttribute(&m.major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                                     dev) != CUDA_SUCCESS ||
        x->cuda.cuDeviceGetAttribute(&m.minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
                                     dev) != CUDA_SUCCESS)
        return false;
    vg_digest_init(&d);
    vg_digest_add(&d, &m, sizeof(m));
    vg_digest_add(&d, image, len);
    vg_digest_end(&d, ret_name);
    return true;
}

/* A copy with zeros behind it. */
static uint8_t *padded(const void *bytes, uint64_t size)
{
    uint8_t *p = malloc(size + PAD);

    if (!p)
        return NULL;
    if (bytes)
        memcpy(p, bytes, size);
    memset(p + size, 0, PAD);
    return p;
}

static uint8_t *take(struct vg_exec *x, const uint8_t name[VG_DIGEST_BYTES])
{
    uint64_t size = vg_shelf_size(&x->shelf, name);
    uint8_t *code = size > 0 && size <= VG_IMAGE_MAX ? padded(NULL, size) : NULL;

    if (code && vg_shelf_take(&x->shelf, name, size, code) && vg_image_ok(code, size))
        return code;
    free(code);
    return NULL;
}

/* The state owns its output, so that is copied. */
static uint8_t *finish(struct vg_exec *x, CUlinkState state, const uint8_t name[VG_DIGEST_BYTES])
{
    void *output;
    size_t size;

    if (x->cuda.cuLinkComplete(state, &output, &size) != CUDA_SUCCESS || size == 0)
        return NULL;
    uint8_t *code = padded(output, size);
    if (code)
        vg_shelf_put_as(&x->shelf, name, code, size);
    return code;
}

static uint8_t *compile(struct vg_exec *x, CUjitInputType type, const uint8_t *image, uint64_t len,
                        const uint8_t name[VG_DIGEST_BYTES])
{
    CUlinkState state;
    uint8_t *code = NULL;

    if (x->cuda.cuLinkCreate_v2(0, NULL, NULL, &state) != CUDA_SUCCESS)
        return NULL;
    if (x->cuda.cuLinkAddData_v2(state, type, (void *)(uintptr_t)image, len, "", 0, NULL, NULL) ==
        CUDA_SUCCESS)
        code = finish(x, state, name);
    x->cuda.cuLinkDestroy(state);
    return code;
}

uint8_t *vg_jit_cached(struct vg_exec *x, const uint8_t *image, uint64_t len)
{
    CUjitInputType type = type_of(image, len);
    uint8_t name[VG_DIGEST_BYTES];

    if (!x->shelf.map || type == CU_JIT_NUM_INPUT_TYPES || !name_of(x, image, len, name))
        return NULL;
    uint8_t *code = take(x, name);
    return code ? code : compile(x, type, image, len, name);
}
