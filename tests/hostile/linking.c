/* SPDX-License-Identifier: MIT */
/*
 * The linker and green contexts without manners: states, resources and descriptors that
 * were never handed out, inputs that are not what they are called, reads of images that
 * do not exist.
 */
#include <string.h>

#include "tests/hostile/cases.h"
#include "vg_api.h"
#include "vg_cuda.h"

/* ---- the linker ---- */

static uint64_t new_link(struct guest *g)
{
    MUST(CALL(g, VG_CALL_cuLinkCreate_v2, 0) == CUDA_SUCCESS);
    return g->res.val[0];
}

/* bytes in the payload, as `type`, with `name` bytes of name claimed behind them. */
static int add(struct guest *g, uint64_t link, unsigned type, const void *bytes, uint32_t len,
               uint64_t name)
{
    const uint64_t arg[8] = {VG_IMAGE_LINK_INPUT, 0, len, 0, link, type | name << 32};

    return guest_call(g, VG_CALL_IMAGE_LOAD, arg, bytes, len, VG_F_REPLY, 1);
}

static int read_image(struct guest *g, uint64_t link, uint64_t at)
{
    const uint64_t arg[8] = {[0] = link, [1] = at, [6] = g->layout.data_off, [7] = 4096};

    return guest_call(g, VG_CALL_LINK_READ, arg, NULL, 0, VG_F_REPLY | VG_F_BULK, 1);
}

static void inputs_that_are_something_else(struct guest *g, uint64_t link)
{
    static const char elf[64] = "\177ELF\2\1\1";
    static const char fat[24] = {0x50, (char)0xed, 0x55, (char)0xba, 1, 0, 16, 0, 127};
    static const char prose[64] = "this is no PTX";

    MUST(add(g, link, CU_JIT_INPUT_FATBINARY, fat, sizeof(fat), 0) != CUDA_SUCCESS);
    MUST(add(g, link, CU_JIT_INPUT_CUBIN, elf, sizeof(elf), 0) != CUDA_SUCCESS);
    MUST(add(g, link, CU_JIT_INPUT_OBJECT, prose, sizeof(prose), 0) != CUDA_SUCCESS);
    MUST(add(g, link, CU_JIT_INPUT_LIBRARY, prose, sizeof(prose), 0) != CUDA_SUCCESS);
    MUST(add(g, link, 99, prose, sizeof(prose), 0) != CUDA_SUCCESS);
    MUST(add(g, link, CU_JIT_INPUT_PTX, prose, 0, 0) != CUDA_SUCCESS);
    MUST(add(g, link + 8, CU_JIT_INPUT_PTX, prose, sizeof(prose), 0) == CUDA_ERROR_INVALID_HANDLE);
    MUST(add(g, 0, CU_JIT_INPUT_PTX, prose, sizeof(prose), 0) == CUDA_ERROR_INVALID_HANDLE);
}

static void images_that_are_not_there(struct guest *g, uint64_t link)
{
    MUST(read_image(g, link, 0) != CUDA_SUCCESS);
    MUST(read_image(g, link + 8, 0) == CUDA_ERROR_INVALID_HANDLE);
    MUST(add(g, link, CU_JIT_INPUT_PTX, plain_ptx, (uint32_t)strlen(plain_ptx) + 1, 0) ==
         CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuLinkComplete, link) == CUDA_SUCCESS);
    uint64_t size = g->res.val[0];
    MUST(size > 64);
    MUST(read_image(g, link, 0) == CUDA_SUCCESS && g->res.payload_len > 64);
    MUST(read_image(g, link, size - 1) == CUDA_SUCCESS && g->res.payload_len == 1);
    MUST(read_image(g, link, size) == CUDA_SUCCESS && g->res.payload_len == 0);
    MUST(read_image(g, link, size + 1) != CUDA_SUCCESS);
    MUST(read_image(g, link, UINT64_MAX) != CUDA_SUCCESS);
}

static void links(const struct daemon *d)
{
    struct guest g;

    MUST(guest_open(&g, d, NULL) && guest_context(&g) != 0);
    uint64_t link = new_link(&g);
    inputs_that_are_something_else(&g, link);
    images_that_are_not_there(&g, link);
    MUST(CALL(&g, VG_CALL_cuLinkDestroy, link) == CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_cuLinkDestroy, link) == CUDA_ERROR_INVALID_HANDLE);
    MUST(read_image(&g, link, 0) == CUDA_ERROR_INVALID_HANDLE);
    for (unsigned i = 0; i < 200; i++)
        new_link(&g);               /* left behind */
    expect_alive(&g);
    guest_close(&g);
}

/* A name that ends behind its record breaks the protocol. */
static void a_name_beyond_the_record(const struct daemon *d)
{
    struct guest g;

    MUST(guest_open(&g, d, NULL) && guest_context(&g) != 0);
    MUST(add(&g, new_link(&g), CU_JIT_INPUT_PTX, plain_ptx, 64, 1u << 30) == GUEST_DEAD);
    guest_close(&g);
}

/* ---- green contexts ---- */

static int describe(struct guest *g, const CUdevResource *res)
{
    const uint64_t arg[8] = {1, sizeof(*res) + 1};

    return guest_call(g, VG_CALL_cuDevResourceGenerateDesc, arg, res, sizeof(*res), VG_F_REPLY, 1);
}

static int split(struct guest *g, uint64_t room, const CUdevResource *res, uint64_t capacity)
{
    const uint64_t arg[8] = {room, 1, 0, 1, sizeof(*res) + 1, 0, g->layout.data_off, capacity};

    return guest_call(g, VG_CALL_cuDevSmResourceSplitByCount, arg, res, sizeof(*res),
                      VG_F_REPLY | VG_F_BULK, 1);
}

static void forged_resources(const struct daemon *d)
{
    CUdevResource res;
    struct guest g;

    MUST(guest_open(&g, d, NULL) && guest_context(&g) != 0);
    for (int fill = 0; fill < 256; fill += 51) {
        memset(&res, fill, sizeof(res));
        res.type = CU_DEV_RESOURCE_TYPE_SM;
        res.sm.smCount = 1;
        MUST(describe(&g, &res) != CUDA_SUCCESS);
        MUST(split(&g, 1, &res, 65536) != CUDA_SUCCESS);
    }
    MUST(CALL(&g, VG_CALL_cuDeviceGetDevResource, 0, 1, CU_DEV_RESOURCE_TYPE_SM) == CUDA_SUCCESS);
    memset(&res, 0, sizeof(res));
    memset(res._internal_padding + 4, 1, 1);        /* the first resource there is */
    res.type = CU_DEV_RESOURCE_TYPE_SM;
    res.sm.smCount = 1u << 30;                      /* what it says of itself does not count */
    MUST(split(&g, 1, &res, 65536) == CUDA_SUCCESS && g.res.val[0] == 1);
    MUST(split(&g, 1, &res, 8) != CUDA_SUCCESS);
    MUST(split(&g, UINT64_MAX, &res, 65536) != CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_cuGreenCtxCreate, 1, 0x1234, 0, 1) == CUDA_ERROR_INVALID_HANDLE);
    MUST(CALL(&g, VG_CALL_cuCtxFromGreenCtx, 1, 0x1234) != CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_cuGreenCtxDestroy, 0x1234) != CUDA_SUCCESS);
    expect_alive(&g);
    guest_close(&g);
}

/* Whose primary context goes takes its green ones along. */
static void a_green_context_without_its_primary(const struct daemon *d)
{
    CUdevResource res;
    struct guest g;

    MUST(guest_open(&g, d, NULL) && guest_context(&g) != 0);
    MUST(CALL(&g, VG_CALL_cuDeviceGetDevResource, 0, 1, CU_DEV_RESOURCE_TYPE_SM) == CUDA_SUCCESS);
    memset(&res, 0, sizeof(res));
    memset(res._internal_padding + 4, 1, 1);
    MUST(describe(&g, &res) == CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_cuGreenCtxCreate, 1, g.res.val[0], 0, 1) == CUDA_SUCCESS);
    uint64_t green = g.res.val[0];
    MUST(CALL(&g, VG_CALL_cuCtxFromGreenCtx, 1, green) == CUDA_SUCCESS);
    uint64_t ctx = g.res.val[0];
    MUST(CALL(&g, VG_CALL_SET_CONTEXT, ctx) == CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_cuDevicePrimaryCtxReset_v2, 0) == CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_cuGreenCtxDestroy, green) != CUDA_SUCCESS);
    MUST(CALL(&g, VG_CALL_SET_CONTEXT, ctx) != CUDA_SUCCESS);
    CALL(&g, VG_CALL_NOP, 0);
    guest_close(&g);
}

void linking(const struct daemon *d)
{
    links(d);
    a_name_beyond_the_record(d);
    forged_resources(d);
    a_green_context_without_its_primary(d);
}
