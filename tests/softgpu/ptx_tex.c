/* SPDX-License-Identifier: MIT */
/* Texture and surface instructions, one by one; what programs do with them is in tests/cuda. */
#include "ptx_harness.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXTURE = 0x1000, SURFACE = 0x2000 }; /* the handles of the tests */

static struct ptx_test t;
static struct ptx_texture image;

static const struct ptx_texture *find(void *ctx, uint64_t handle, bool surface)
{
    (void)ctx;
    return handle == (surface ? SURFACE : TEXTURE) ? &image : NULL;
}

static void setup(void)
{
    ptx_test_init(&t, 1);
    t.textures.find = find;
}

static void teardown(void) { ptx_test_fini(&t); }

/* A picture of w x h x d texels of 4 bytes: x + 10 y + 100 z, as numbers or as floats. */
static void make_image(enum ptx_texel texel, uint32_t w, uint32_t h, uint32_t d)
{
    uint32_t *p = ptx_test_alloc(&t, (size_t)w * h * d * 4), i;

    memset(&image, 0, sizeof(image));
    image.texel = texel;
    image.channels = 1;
    image.levels = 1;
    image.lod_max = 1000;
    image.level[0] = (struct ptx_level){.base = (uint64_t)(uintptr_t)p, .row = w * 4ull,
                                        .slice = (uint64_t)w * h * 4, .width = w, .height = h,
                                        .depth = d};
    for (i = 0; i < w * h * d; i++) {
        uint32_t v = i % w + 10 * (i / w % h) + 100 * (i / w / h);

        p[i] = texel == PTX_TEXEL_F32 ? (uint32_t)ptx_bits32((float)v) : v;
    }
}

#define HEAD                                                                                      \
    ".visible .entry k(.param .u64 out, .param .u64 handle, .param .u64 arg) {\n"                 \
    ".reg .pred %p<4>; .reg .b32 %r<40>; .reg .b64 %rd<20>; .reg .f32 %f<20>; .reg .b16 %h<8>;\n" \
    "ld.param.u64 %rd1, [out]; ld.param.u64 %rd2, [handle]; ld.param.u64 %rd3, [arg];\n"          \
    "mov.u32 %r1, %tid.x; cvt.rn.f32.u32 %f1, %r1; mul.wide.u32 %rd4, %r1, 16;\n"                 \
    "add.u64 %rd5, %rd1, %rd4;\n"
#define STORE "st.global.v4.b32 [%rd5], {%r10, %r11, %r12, %r13}; ret; }"

static enum ptx_fault try(const char *body, uint64_t handle, unsigned block, uint32_t **ret_out)
{
    uint64_t params[3];

    ck_assert_msg(ptx_test_load_body(&t, body) == 0, "%s\n%s", t.log, body);
    *ret_out = ptx_test_alloc(&t, 8192);
    params[0] = (uint64_t)(uintptr_t)*ret_out;
    params[1] = handle;
    params[2] = 0;
    return ptx_test_run(&t, "k", 1, block, 0, params, 3);
}

/* Four words for each thread. */
static uint32_t *run(const char *body, uint64_t handle, unsigned block)
{
    uint32_t *out;

    ck_assert_msg(try(body, handle, block, &out) == PTX_OK, "%s\n%s", t.result.message, body);
    return out;
}

START_TEST(test_tex_point)
{
    uint32_t *out, i;

    make_image(PTX_TEXEL_F32, 8, 5, 3);
    image.address[0] = image.address[1] = image.address[2] = PTX_ADDRESS_CLAMP;
    out = run(HEAD "add.f32 %f2, %f1, 0f3f000000;\n" /* tid + 0.5 */
              "tex.3d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd2, {%f2, 0f40200000, 0f3fc00000, %f2}];\n"
              STORE, TEXTURE, 32);
    for (i = 0; i < 32; i++) {
        ck_assert(ptx_f32(out[4 * i]) == 100.0f + 20.0f + (i < 8 ? (float)i : 7.0f));
        ck_assert_uint_eq(out[4 * i + 1], 0);
    }
    out = run(HEAD "tex.1d.v4.f32.s32 {%r10, _, _, _}, [%rd2, {%r1}]; mov.b32 %r11, 0;\n"
                   "mov.b32 %r12, 0; mov.b32 %r13, 0;\n" STORE, TEXTURE, 8);
    for (i = 0; i < 8; i++)
        ck_assert(ptx_f32(out[4 * i]) == (float)i);
}
END_TEST

/* Half-way between texels; the border takes part in the mean. */
START_TEST(test_tex_linear)
{
    uint32_t *out, i;

    make_image(PTX_TEXEL_F32, 4, 4, 1);
    image.linear = true;
    image.address[0] = PTX_ADDRESS_BORDER;
    image.address[1] = PTX_ADDRESS_CLAMP;
    image.border[0] = 64.0f;
    out = run(HEAD "tex.2d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd2, {%f1, 0f3f800000}];\n" STORE,
              TEXTURE, 6);
    for (i = 0; i < 6; i++) {
        float left = i == 0 || i > 4 ? 64 : (float)i - 1 + 5, right = i > 3 ? 64 : (float)i + 5;

        ck_assert_msg(ptx_f32(out[4 * i]) == (left + right) / 2, "%u: %g", i,
                      (double)ptx_f32(out[4 * i]));
    }
    /* A third is 85 of 256 parts. */
    out = run(HEAD "tex.1d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd2, {0f3fd55555}];\n"
                   "mov.b32 %r11, 0;\n" STORE, TEXTURE, 1);
    ck_assert(fabsf(ptx_f32(out[0]) - (1.0f + 43.0f / 256.0f)) < 1e-6f);
}
END_TEST

START_TEST(test_tex_guard_and_lanes)
{
    uint32_t *out, i;

    make_image(PTX_TEXEL_U32, 64, 1, 1);
    out = run(HEAD "and.b32 %r2, %r1, 1; setp.eq.u32 %p1, %r2, 0; mov.b32 %r10, 7777;\n"
                   "mov.b32 %r11, 1; mov.b32 %r12, 2; mov.b32 %r13, 3; xor.b32 %r3, %r1, 63;\n"
                   "@%p1 tex.1d.v4.u32.s32 {%r10, %r11, %r12, %r13}, [%rd2, {%r3}];\n" STORE,
              TEXTURE, 64);
    for (i = 0; i < 64; i++) {
        ck_assert_uint_eq(out[4 * i], i & 1 ? 7777 : i ^ 63);
        ck_assert_uint_eq(out[4 * i + 3], i & 1 ? 3 : 0);
    }
}
END_TEST

START_TEST(test_tex_layers)
{
    uint32_t *out, i;

    make_image(PTX_TEXEL_U32, 4, 4, 5);
    image.layered = true;
    out = run(HEAD "tex.a2d.v4.u32.f32 {%r10, %r11, %r12, %r13}, [%rd2, {%r1, %f1, 0f3fc00000, %f1}];\n"
              STORE, TEXTURE, 7);
    for (i = 0; i < 7; i++)
        ck_assert_uint_eq(out[4 * i], (i < 4 ? i : 3) + 10 + 100 * (i < 5 ? i : 4));
}
END_TEST

START_TEST(test_tex_levels)
{
    uint32_t *out, i;
    struct ptx_level small;

    make_image(PTX_TEXEL_F32, 2, 2, 1);
    small = image.level[0];
    make_image(PTX_TEXEL_F32, 4, 4, 1);
    image.levels = 2;
    image.level[1] = small;
    image.mip_linear = true;
    image.normalized_coords = true;
    out = run(HEAD "mul.f32 %f2, %f1, 0f3e800000;\n" /* a quarter of a level each */
                   "tex.level.2d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd2, {0f3f600000, 0f3f600000}],"
                   " %f2;\n" STORE, TEXTURE, 6);
    for (i = 0; i < 6; i++) {
        float part = i < 4 ? (float)i / 4 : 1;

        ck_assert(fabsf(ptx_f32(out[4 * i]) - (33 * (1 - part) + 11 * part)) < 1e-5f);
    }
    out = run(HEAD "mov.f32 %f2, 0f3f000000; mov.f32 %f3, 0f00000000;\n" /* two texels: level 1 */
                   "tex.grad.2d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd2, {0f3f600000, 0f3f600000}],"
                   " {%f2, %f3}, {%f3, %f3};\n" STORE, TEXTURE, 1);
    ck_assert(ptx_f32(out[0]) == 11.0f);
}
END_TEST

START_TEST(test_gather_and_queries)
{
    uint32_t *out;

    make_image(PTX_TEXEL_U32, 8, 6, 1);
    out = run(HEAD "tld4.r.2d.v4.u32.f32 {%r10, %r11, %r12, %r13}, [%rd2, {0f40400000, 0f40000000}];\n"
              STORE, TEXTURE, 1);
    ck_assert_uint_eq(out[0], 22);
    ck_assert_uint_eq(out[1], 23);
    ck_assert_uint_eq(out[2], 13);
    ck_assert_uint_eq(out[3], 12);
    out = run(HEAD "txq.width.b32 %r10, [%rd2]; txq.height.b32 %r11, [%rd2];\n"
                   "txq.channel_data_type.b32 %r12, [%rd2]; txq.num_mipmap_levels.b32 %r13, [%rd2];\n"
              STORE, TEXTURE, 1);
    ck_assert_uint_eq(out[0], 8);
    ck_assert_uint_eq(out[1], 6);
    ck_assert_uint_eq(out[2], 0x10dc);
    ck_assert_uint_eq(out[3], 1);
    out = run(HEAD "suq.width.b32 %r10, [%rd2]; suq.height.b32 %r11, [%rd2];\n"
                   "suq.array_size.b32 %r12, [%rd2]; suq.channel_order.b32 %r13, [%rd2];\n" STORE,
              SURFACE, 1);
    ck_assert_uint_eq(out[0], 8);
    ck_assert_uint_eq(out[2], 0);
    ck_assert_uint_eq(out[3], 0x10b0);
}
END_TEST

START_TEST(test_surface_access)
{
    const uint32_t *at;
    uint32_t *out, i;

    make_image(PTX_TEXEL_U32, 8, 4, 1);
    at = (const uint32_t *)(uintptr_t)image.level[0].base;
    out = run(HEAD "shl.b32 %r2, %r1, 2; mov.u32 %r3, 2; add.u32 %r4, %r1, 500;\n"
                   "sust.b.2d.b32.zero [%rd2, {%r2, %r3}], %r4; mov.b32 %r13, 0;\n"
                   "shl.b32 %r5, %r1, 3;\n"
                   "suld.b.2d.v2.b32.zero {%r10, %r11}, [%rd2, {%r5, %r3}];\n"
                   "suld.b.2d.b8.clamp %h1, [%rd2, {%r1, 3}]; cvt.u32.u16 %r12, %h1;\n" STORE,
              SURFACE, 12);
    for (i = 0; i < 12; i++) {
        ck_assert_uint_eq(out[4 * i], i < 4 ? 500 + 2 * i : 0);
        ck_assert_uint_eq(out[4 * i + 1], i < 4 ? 501 + 2 * i : 0);
        ck_assert_uint_eq(out[4 * i + 2], i % 4 ? 0 : 30 + i / 4);
    }
    for (i = 0; i < 32; i++)
        ck_assert_uint_eq(at[i], i / 8 == 2 ? 500 + i % 8 : i % 8 + 10 * (i / 8));
}
END_TEST

START_TEST(test_surface_reduction)
{
    uint32_t *p;

    make_image(PTX_TEXEL_U32, 8, 1, 1);
    p = (uint32_t *)(uintptr_t)image.level[0].base;
    run(HEAD "sured.b.add.1d.u32.trap [%rd2, {0}], %r1; sured.b.max.1d.s32.trap [%rd2, {4}], %r1;\n"
             "neg.s32 %r2, %r1; sured.b.min.1d.s32.trap [%rd2, {8}], %r2;\n"
             "sured.b.min.1d.u32.trap [%rd2, {12}], %r2; cvt.u64.u32 %rd6, %r1;\n"
             "sured.b.add.1d.u64.trap [%rd2, {16}], %rd6; sured.b.or.1d.b32.zero [%rd2, {1000}], %r1;\n"
             "ret; }", SURFACE, 64);
    ck_assert_uint_eq(p[0], 63 * 32);
    ck_assert_uint_eq(p[1], 63);
    ck_assert_int_eq((int32_t)p[2], -63);
    ck_assert_uint_eq(p[3], 0);
    ck_assert_uint_eq(p[4], 4 + 63 * 32);
    ck_assert_uint_eq(p[5], 5);
}
END_TEST

START_TEST(test_faults)
{
    uint32_t *out;

    make_image(PTX_TEXEL_F32, 4, 4, 1);
    ck_assert_int_eq(try(HEAD "tex.1d.v4.f32.s32 {%r10, _, _, _}, [%rd2, {%r1}]; ret; }", SURFACE, 1,
                         &out), PTX_FAULT_ADDRESS);
    ck_assert_msg(strstr(t.result.message, "no such texture") != NULL, "%s", t.result.message);
    ck_assert_int_eq(try(HEAD "tex.a1d.v4.f32.s32 {%r10, _, _, _}, [%rd2, {%r1, %r1}]; ret; }",
                         TEXTURE, 1, &out), PTX_FAULT_ADDRESS);
    ck_assert_int_eq(try(HEAD "suld.b.2d.b32.trap %r10, [%rd2, {16, 0}]; ret; }", SURFACE, 1, &out),
                     PTX_FAULT_TRAP);
    ck_assert_int_eq(try(HEAD "suld.b.2d.b32.trap %r10, [%rd2, {0, -1}]; ret; }", SURFACE, 1, &out),
                     PTX_FAULT_TRAP);
    ck_assert_int_eq(try(HEAD "suld.b.2d.b32.zero %r10, [%rd2, {2, 0}]; ret; }", SURFACE, 1, &out),
                     PTX_FAULT_MISALIGNED);
    image.foreign = true;
    ck_assert_int_eq(try(HEAD "tex.2d.v4.f32.s32 {%r10, _, _, _}, [%rd2, {1, 1}]; ret; }", TEXTURE,
                         1, &out), PTX_OK);
    image.level[0].base += 1 << 20; /* memory that nobody has allocated */
    ck_assert_int_eq(try(HEAD "tex.2d.v4.f32.s32 {%r10, _, _, _}, [%rd2, {1, 1}]; ret; }", TEXTURE,
                         1, &out), PTX_FAULT_ADDRESS);
}
END_TEST

/* Coordinates that no picture has. */
START_TEST(test_extremes)
{
    static const char *const wild[] = {"0f7f800000", "0fff800000", "0f7fc00000", "0f7f7fffff"};
    uint32_t *out;
    char body[1024];
    size_t i;

    make_image(PTX_TEXEL_F32, 4, 4, 1);
    image.normalized_coords = true;
    for (i = 0; i < 4 * 8; i++) {
        image.address[0] = image.address[1] = (enum ptx_address)(i / 4 % 4);
        image.linear = i >= 16;
        snprintf(body, sizeof(body), "%smov.f32 %%f2, %s; %s", HEAD, wild[i % 4],
                 "tex.2d.v4.f32.f32 {%r10, %r11, %r12, %r13}, [%rd2, {%f2, %f2}];\nret; }");
        ck_assert_msg(try(body, TEXTURE, 1, &out) == PTX_OK, "%s", body);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ptx textures");
    TCase *c = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_tex_point);
    tcase_add_test(c, test_tex_linear);
    tcase_add_test(c, test_tex_guard_and_lanes);
    tcase_add_test(c, test_tex_layers);
    tcase_add_test(c, test_tex_levels);
    tcase_add_test(c, test_gather_and_queries);
    tcase_add_test(c, test_surface_access);
    tcase_add_test(c, test_surface_reduction);
    tcase_add_test(c, test_faults);
    tcase_add_test(c, test_extremes);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
