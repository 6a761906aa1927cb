/* SPDX-License-Identifier: MIT */
/* Arrays, textures and surfaces: what a guest may name in descriptions, and what it may not. */
#include "tests/executor/cases.h"

#include <string.h>

#include "vg_api.h"

/* An IN struct as the first block: its word, its bytes. */
#define BLOCK(p) (sizeof(*(p)) + 1)

static uint64_t make_array(unsigned flags)
{
    const CUDA_ARRAY3D_DESCRIPTOR d = {.Width = 32, .Height = 16, .Format = CU_AD_FORMAT_FLOAT,
                                       .NumChannels = 4, .Flags = flags};
    struct vg_result res;

    ck_assert_int_eq(guest_ask(&h, VG_CALL_cuArray3DCreate_v2, WORDS(1, BLOCK(&d)), &d, sizeof(d),
                               &res), CUDA_SUCCESS);
    ck_assert_uint_ne(res.val[0], 0);
    return res.val[0];
}

static CUresult copy_to(uint64_t array, uint64_t width, uint64_t x, uint64_t device)
{
    CUDA_MEMCPY3D c = {.WidthInBytes = width, .Height = 1, .Depth = 1};

    c.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    c.srcDevice = device;
    c.srcPitch = width;
    c.dstMemoryType = CU_MEMORYTYPE_ARRAY;
    c.dstArray = (CUarray)(uintptr_t)array;
    c.dstXInBytes = x;
    return guest_ask(&h, VG_CALL_COPY_3D, WORDS(0, 0), &c, sizeof(c), NULL);
}

START_TEST(arrays_belong_to_who_made_them)
{
    struct vg_result res;
    uint64_t array, p;

    host_ready(&h);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    p = res.val[0];
    array = make_array(0);
    ck_assert_uint_ge(h.stats->memory, 4096 + 32 * 16 * 16);
    ck_assert_int_eq(copy_to(array, 512, 0, p), CUDA_SUCCESS);
    ck_assert_int_eq(copy_to(array, 512, 16, p), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(copy_to(array, 512, 1ull << 60, p), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(copy_to(array + 8, 512, 0, p), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(copy_to(p, 512, 0, p), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(copy_to(0, 512, 0, p), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(copy_to(array, 512, 0, p + 4096), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMipmappedArrayDestroy, array),
                     CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuArrayDestroy, array), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuArrayDestroy, array), CUDA_ERROR_INVALID_CONTEXT);
    ck_assert_int_eq(copy_to(array, 512, 0, p), CUDA_ERROR_INVALID_VALUE);
    ck_assert_uint_eq(h.stats->memory, 4096);
    stop_cleanly();
}
END_TEST

/* Levels go with their mipmapped array, all arrays with their context. */
START_TEST(parts_of_arrays_end_with_them)
{
    const CUDA_ARRAY3D_DESCRIPTOR d = {.Width = 64, .Height = 64, .Format = CU_AD_FORMAT_HALF,
                                       .NumChannels = 1};
    struct vg_result res;
    uint64_t mipmap, level, p;

    host_ready(&h);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    p = res.val[0];
    ck_assert_int_eq(guest_ask(&h, VG_CALL_cuMipmappedArrayCreate, WORDS(1, BLOCK(&d), 3), &d,
                               sizeof(d), &res), CUDA_SUCCESS);
    mipmap = res.val[0];
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMipmappedArrayGetLevel, 1, mipmap, 1), CUDA_SUCCESS);
    level = res.val[0];
    ck_assert_int_eq(copy_to(level, 64, 0, p), CUDA_SUCCESS);
    ck_assert_int_eq(copy_to(mipmap, 64, 0, p), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMipmappedArrayDestroy, mipmap), CUDA_SUCCESS);
    ck_assert_int_eq(copy_to(level, 64, 0, p), CUDA_ERROR_INVALID_VALUE);
    make_array(0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuDevicePrimaryCtxReset_v2, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(h.stats->memory, 0);
    stop_cleanly();
}
END_TEST

static CUresult make_texture(const CUDA_RESOURCE_DESC *r, uint64_t *ret_texture)
{
    struct {
        CUDA_RESOURCE_DESC r;
        CUDA_TEXTURE_DESC t;
    } both;
    struct vg_result res;

    memset(&both, 0, sizeof(both));
    both.r = *r;
    CUresult rc = guest_ask(&h, VG_CALL_cuTexObjectCreate,
                            WORDS(1, BLOCK(&both.r), BLOCK(&both.t), 0), &both, sizeof(both), &res);
    *ret_texture = res.val[0];
    return rc;
}

START_TEST(textures_show_only_what_the_guest_has)
{
    CUDA_RESOURCE_DESC r;
    struct vg_result res;
    uint64_t array, texture, p;

    host_ready(&h);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    p = res.val[0];
    array = make_array(0);
    memset(&r, 0, sizeof(r));
    r.resType = CU_RESOURCE_TYPE_ARRAY;
    ck_assert_int_eq(make_texture(&r, &texture), CUDA_ERROR_INVALID_VALUE);
    r.res.array.hArray = (CUarray)(uintptr_t)(array + 16);
    ck_assert_int_eq(make_texture(&r, &texture), CUDA_ERROR_INVALID_CONTEXT);
    r.res.array.hArray = (CUarray)(uintptr_t)array;
    r.resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY;
    ck_assert_int_eq(make_texture(&r, &texture), CUDA_ERROR_INVALID_HANDLE);
    r.resType = (CUresourcetype)99;
    ck_assert_int_eq(make_texture(&r, &texture), CUDA_ERROR_INVALID_VALUE);
    r.resType = CU_RESOURCE_TYPE_ARRAY;
    ck_assert_int_eq(make_texture(&r, &texture), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuSurfObjectDestroy, texture), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuTexObjectDestroy, texture), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuTexObjectDestroy, texture), CUDA_ERROR_INVALID_VALUE);
    r.resType = CU_RESOURCE_TYPE_LINEAR;
    r.res.linear.devPtr = p + 4096;
    r.res.linear.format = CU_AD_FORMAT_FLOAT;
    r.res.linear.numChannels = 1;
    r.res.linear.sizeInBytes = 4096;
    ck_assert_int_eq(make_texture(&r, &texture), CUDA_ERROR_INVALID_VALUE);
    r.res.linear.devPtr = p;
    r.res.linear.sizeInBytes = 4096;
    ck_assert_int_eq(make_texture(&r, &texture), CUDA_SUCCESS);
    r.resType = CU_RESOURCE_TYPE_PITCH2D;
    r.res.pitch2D.devPtr = p;
    r.res.pitch2D.format = CU_AD_FORMAT_FLOAT;
    r.res.pitch2D.numChannels = 1;
    r.res.pitch2D.width = 64;
    r.res.pitch2D.height = 16;
    r.res.pitch2D.pitchInBytes = 512;
    ck_assert_int_eq(make_texture(&r, &texture), CUDA_ERROR_INVALID_VALUE);
    r.res.pitch2D.pitchInBytes = (size_t)1 << 60;
    ck_assert_int_eq(make_texture(&r, &texture), CUDA_ERROR_INVALID_VALUE);
    r.res.pitch2D.height = 8;
    r.res.pitch2D.pitchInBytes = 512;
    ck_assert_int_eq(make_texture(&r, &texture), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

START_TEST(tensor_maps_need_all_their_arrays)
{
    const uint64_t payload[4] = {64, 64, 256, 0};
    struct vg_result res;

    host_ready(&h);
    /* A rank of 6, and arrays that are not there. */
    ck_assert_int_eq(guest_ask(&h, VG_CALL_cuTensorMapEncodeTiled,
                               WORDS(1, 2, 6, 0x1000, 0, 0, 0, 0), payload, sizeof(payload), &res),
                     CUDA_ERROR_INVALID_VALUE);
    stop_cleanly();
}
END_TEST

TCase *array_cases(void)
{
    TCase *c = tcase_create("arrays");

    tcase_add_test(c, arrays_belong_to_who_made_them);
    tcase_add_test(c, parts_of_arrays_end_with_them);
    tcase_add_test(c, textures_show_only_what_the_guest_has);
    tcase_add_test(c, tensor_maps_need_all_their_arrays);
    return c;
}
