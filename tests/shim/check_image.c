/* SPDX-License-Identifier: MIT */
/*
 * Which part of an image is chosen, for images made here: fat binaries with many
 * entries, wrappers, cubins, text; and what is made of broken ones. Broken images lie
 * at the end of a page that is followed by none, so that reading on is a crash.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest-shim/image.h"
#include "tests/protocol/vg_test.h"
#include "vg_limits.h"

#define PTX   1u
#define CUBIN 2u
#define EXACT  0x100000u
#define FAMILY 0x200000u

/* ---- building images -------------------------------------------------------------- */

struct builder {
    uint8_t bytes[8192];
    size_t size;
};

static void put(uint8_t *p, size_t off, uint64_t v, size_t n)
{
    memcpy(p + off, &v, n);     /* little-endian, as the machine */
}

static void fatbin_begin(struct builder *b)
{
    memset(b, 0, sizeof(*b));
    put(b->bytes, 0, 0xba55ed50u, 4);
    put(b->bytes, 4, 1, 2);
    put(b->bytes, 6, 16, 2);
    b->size = 16;
}

/* An entry whose body is `mark`, repeated. */
static void entry(struct builder *b, unsigned kind, unsigned arch, uint64_t flags, char mark)
{
    uint8_t *p = b->bytes + b->size;

    put(p, 0, kind, 2);
    put(p, 2, 0x101, 2);
    put(p, 4, 64, 4);
    put(p, 8, 24, 8);
    put(p, 28, arch, 4);
    put(p, 40, flags, 8);
    memset(p + 64, mark, 24);
    b->size += 64 + 24;
    put(b->bytes, 8, b->size - 16, 8);
}

static const struct vg_image_target hopper = {.cc = 90}, blackwell = {.cc = 100},
                                    ada = {.cc = 89}, soft = {.cc = 75, .software = true};

/* The marks of the chosen entries, in order; "" if something else came out. */
static const char *marks(const struct vg_image *m)
{
    static char text[VG_IMAGE_PIECES + 1];
    uint8_t *all = malloc(m->size);
    unsigned n = 0;

    vg_image_read(m, 0, all, m->size);
    uint32_t magic;
    memcpy(&magic, all, 4);
    ck_assert_uint_eq(magic, 0xba55ed50u);
    uint64_t payload;
    memcpy(&payload, all + 8, 8);
    ck_assert_uint_eq(payload, m->size - 16);
    for (size_t at = 16; at < m->size; at += 64 + 24)
        text[n++] = (char)all[at + 64];
    text[n] = '\0';
    free(all);
    return text;
}

static void chooses(const struct builder *b, const struct vg_image_target *t, const char *want)
{
    struct vg_image m;

    if (!*want) {
        ck_assert_int_eq(vg_image_select(b->bytes, t, &m), CUDA_ERROR_NO_BINARY_FOR_GPU);
        return;
    }
    ck_assert_int_eq(vg_image_select(b->bytes, t, &m), CUDA_SUCCESS);
    ck_assert_str_eq(marks(&m), want);
    ck_assert_int_eq(vg_image_select_sized(b->bytes, b->size, t, &m), CUDA_SUCCESS);
    ck_assert_str_eq(marks(&m), want);
}

/* ---- what is chosen ------------------------------------------------------------------ */

START_TEST(nearest_cubin)
{
    struct builder b;

    fatbin_begin(&b);
    entry(&b, CUBIN, 80, 0, 'a');
    entry(&b, CUBIN, 86, 0, 'b');
    entry(&b, PTX, 90, 0, 'p');
    entry(&b, PTX, 75, 0, 'q');
    chooses(&b, &ada, "b");         /* same major, nearest below */
    chooses(&b, &hopper, "p");      /* no cubin of its family */
    chooses(&b, &blackwell, "p");
    chooses(&b, &soft, "q");
}
END_TEST

START_TEST(plain_code)
{
    const struct vg_image_target plain = {.cc = 90, .plain = true};
    struct builder b;

    fatbin_begin(&b);
    entry(&b, CUBIN, 90, 0x8000, 'z');
    chooses(&b, &hopper, "z");
    chooses(&b, &plain, "");
    entry(&b, PTX, 75, 0x8000, 'p');
    chooses(&b, &hopper, "z");
    chooses(&b, &plain, "p");
    entry(&b, CUBIN, 90, 0x2000, 'l');
    chooses(&b, &plain, "p");
    entry(&b, CUBIN, 80, 0x11, 'a');
    chooses(&b, &plain, "p");       /* not for this GPU */
    entry(&b, CUBIN, 90, 0x11, 'b');
    chooses(&b, &plain, "b");
}
END_TEST

static void lists(const void *image, size_t size, size_t room, const char *want)
{
    char text[128];

    memset(text, 'x', sizeof(text));
    vg_image_list(image, size, text, room);
    ck_assert_str_eq(text, want);
    for (size_t i = room; i < sizeof(text); i++)
        ck_assert_int_eq(text[i], 'x');
}

START_TEST(list_of_code)
{
    const void *units[] = {NULL, NULL};
    struct { uint32_t magic, version; const void *data, *list; } w = {0x466243b1u, 2, NULL, units};
    struct builder b;

    fatbin_begin(&b);
    lists(b.bytes, b.size, 128, "");
    entry(&b, CUBIN, 90, EXACT, 'a');
    entry(&b, CUBIN, 90, EXACT, 'b');
    entry(&b, CUBIN, 100, FAMILY, 'c');
    entry(&b, PTX, 80, 0, 'p');
    units[0] = b.bytes;
    lists(b.bytes, b.size, 128, "sm_90a, sm_100f, compute_80");
    lists(b.bytes, SIZE_MAX, 128, "sm_90a, sm_100f, compute_80");
    lists(&w, SIZE_MAX, 128, "sm_90a, sm_100f, compute_80");
    lists(b.bytes, b.size - 1, 128, "sm_90a, sm_100f");
    for (size_t room = 8; room < 34; room++) {
        char text[40];
        vg_image_list(b.bytes, b.size, text, room);
        size_t n = strlen(text);
        ck_assert_uint_lt(n, room);
        ck_assert(n >= 4 && (strcmp(text + n - 3, "...") == 0 || strstr(text, "compute_80")));
    }
    lists(b.bytes, b.size, 20, "sm_90a, ...");
    lists(".version 8.0", SIZE_MAX, 128, "");
    lists("", 1, 128, "");
    lists("\177ELF", 4, 8, "a cubin");
}
END_TEST

START_TEST(exact_and_family)
{
    struct builder b;
    const struct vg_image_target later = {.cc = 103};

    fatbin_begin(&b);
    entry(&b, CUBIN, 100, 0, 'a');
    entry(&b, CUBIN, 100, EXACT, 'b');
    entry(&b, CUBIN, 100, FAMILY, 'c');
    entry(&b, PTX, 90, EXACT, 'p');
    chooses(&b, &blackwell, "b");
    chooses(&b, &later, "c");
    chooses(&b, &hopper, "p");      /* sm_90a fits sm_90 and nothing else */
    chooses(&b, &ada, "");
}
END_TEST

START_TEST(family_of_ptx_stays_in_it)
{
    struct builder b;
    const struct vg_image_target next = {.cc = 120};

    fatbin_begin(&b);
    entry(&b, PTX, 100, FAMILY, 'f');
    chooses(&b, &blackwell, "f");
    chooses(&b, &next, "");
}
END_TEST

START_TEST(nothing_fits)
{
    struct builder b;

    fatbin_begin(&b);
    chooses(&b, &hopper, "");
    entry(&b, CUBIN, 100, 0, 'a');
    entry(&b, PTX, 120, 0, 'p');
    entry(&b, 4, 90, 0, 'x');       /* neither PTX nor cubin */
    entry(&b, CUBIN, 0, 0, 'z');
    chooses(&b, &hopper, "");
    chooses(&b, &soft, "");
}
END_TEST

START_TEST(equals_are_all_sent)
{
    struct builder b;

    fatbin_begin(&b);
    entry(&b, CUBIN, 90, 0, 'a');
    entry(&b, CUBIN, 80, 0, 'x');
    entry(&b, CUBIN, 90, 0, 'b');
    chooses(&b, &hopper, "ab");
}
END_TEST

struct wrapper {
    uint32_t magic, version;
    const void *data;
    const void *const *prelinked;
};

START_TEST(wrappers)
{
    struct builder main, one, two, runtime;
    const void *const units[] = {one.bytes, runtime.bytes, two.bytes, NULL};
    struct wrapper w = {0x466243b1u, 1, main.bytes, NULL};
    struct vg_image m;

    fatbin_begin(&main);
    fatbin_begin(&one);
    fatbin_begin(&two);
    entry(&main, CUBIN, 90, 0, 'm');
    entry(&one, PTX, 75, 0, '1');
    entry(&two, PTX, 75, 0, '2');
    fatbin_begin(&runtime);
    entry(&runtime, CUBIN, 75, 0, 'r');
    ck_assert_int_eq(vg_image_select(&w, &hopper, &m), CUDA_SUCCESS);
    ck_assert_str_eq(marks(&m), "m");
    ck_assert_int_eq(vg_image_select(&w, &soft, &m), CUDA_ERROR_NO_BINARY_FOR_GPU);
    w = (struct wrapper){0x466243b1u, 2, main.bytes, units};
    ck_assert_int_eq(vg_image_select(&w, &hopper, &m), CUDA_SUCCESS);
    ck_assert_str_eq(marks(&m), "m");
    ck_assert(!m.units);
    ck_assert_int_eq(vg_image_select(&w, &soft, &m), CUDA_SUCCESS);
    ck_assert_str_eq(marks(&m), "12");
    ck_assert(m.units);
    ck_assert_int_eq(vg_image_select(&w, &blackwell, &m), CUDA_SUCCESS);
    ck_assert_str_eq(marks(&m), "12");
    ck_assert(m.units);
    w.version = 3;
    ck_assert_int_eq(vg_image_select(&w, &hopper, &m), CUDA_ERROR_INVALID_IMAGE);
    w = (struct wrapper){0x466243b1u, 1, NULL, NULL};
    ck_assert_int_eq(vg_image_select(&w, &hopper, &m), CUDA_ERROR_INVALID_IMAGE);
}
END_TEST

START_TEST(text)
{
    static const char ptx[] = ".version 8.0\n";
    struct vg_image m;
    char copy[sizeof(ptx)];

    ck_assert_int_eq(vg_image_select(ptx, &soft, &m), CUDA_SUCCESS);
    ck_assert_uint_eq(m.size, sizeof(ptx));
    vg_image_read(&m, 0, copy, sizeof(copy));
    ck_assert_str_eq(copy, ptx);
    ck_assert_int_eq(vg_image_select("\n\t x", &soft, &m), CUDA_SUCCESS);
    ck_assert_int_eq(vg_image_select("", &soft, &m), CUDA_ERROR_INVALID_IMAGE);
    ck_assert_int_eq(vg_image_select("\001\002", &soft, &m), CUDA_ERROR_INVALID_IMAGE);
    ck_assert_int_eq(vg_image_select(NULL, &soft, &m), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

/* ---- cubins ---------------------------------------------------------------------------- */

/* Two sections: one of 40 bytes at 64, one that takes no room in the file. */
static size_t make_cubin(uint8_t *p)
{
    const size_t shoff = 104;

    memset(p, 0, 512);
    memcpy(p, "\177ELF\002\001", 6);
    put(p, 18, 190, 2);
    put(p, 40, shoff, 8);
    put(p, 58, 64, 2);
    put(p, 60, 2, 2);
    put(p, shoff + 4, 1, 4);
    put(p, shoff + 24, 64, 8);
    put(p, shoff + 32, 40, 8);
    put(p, shoff + 64 + 4, 8, 4);
    put(p, shoff + 64 + 24, 64, 8);
    put(p, shoff + 64 + 32, 1 << 20, 8);
    return shoff + 128;
}

START_TEST(cubin)
{
    uint8_t p[512];
    struct vg_image m;
    size_t size = make_cubin(p);

    ck_assert_int_eq(vg_image_select(p, &hopper, &m), CUDA_SUCCESS);
    ck_assert_uint_eq(m.size, size);
    ck_assert_int_eq(vg_image_select(p, &soft, &m), CUDA_ERROR_NO_BINARY_FOR_GPU);
    put(p, 104 + 32, 4000, 8);              /* a section that ends behind the tables */
    ck_assert_int_eq(vg_image_select(p, &hopper, &m), CUDA_SUCCESS);
    ck_assert_uint_eq(m.size, 64 + 4000);
    ck_assert_int_eq(vg_image_select_sized(p, sizeof(p), &hopper, &m), CUDA_ERROR_INVALID_IMAGE);
    put(p, 104 + 32, UINT64_MAX, 8);
    ck_assert_int_eq(vg_image_select(p, &hopper, &m), CUDA_ERROR_INVALID_IMAGE);
    make_cubin(p);
    put(p, 40, UINT64_MAX - 10, 8);         /* tables at the end of the address space */
    ck_assert_int_eq(vg_image_select(p, &hopper, &m), CUDA_ERROR_INVALID_IMAGE);
    make_cubin(p);
    put(p, 58, 1, 2);                       /* entries that overlap */
    ck_assert_int_eq(vg_image_select(p, &hopper, &m), CUDA_ERROR_INVALID_IMAGE);
    make_cubin(p);
    put(p, 18, 62, 2);                      /* for another machine */
    ck_assert_int_eq(vg_image_select(p, &hopper, &m), CUDA_ERROR_INVALID_IMAGE);
}
END_TEST

/* ---- broken images ------------------------------------------------------------------------ */

/* `size` bytes that end where the mapping ends. */
static uint8_t *at_the_edge(const uint8_t *bytes, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;
    uint8_t *p = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(p, MAP_FAILED);
    mprotect(p + room, page, PROT_NONE);
    memcpy(p + room - size, bytes, size);
    return p + room - size;
}

static void edge_free(uint8_t *p, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;

    munmap(p + size - room, room + page);
}

/* Whatever the verdict: what is chosen lies inside. */
static void survives(const uint8_t *bytes, size_t size)
{
    const struct vg_image_target *targets[] = {&hopper, &soft};
    uint8_t *p = at_the_edge(bytes, size);
    struct vg_image m;

    for (int i = 0; i < 2; i++) {
        if (vg_image_select_sized(p, size, targets[i], &m) != CUDA_SUCCESS)
            continue;
        uint8_t *all = malloc(m.size);
        ck_assert_uint_le(m.size, size + 16);
        vg_image_read(&m, 0, all, m.size);
        free(all);
    }
    edge_free(p, size);
}

START_TEST(cut_short)
{
    struct builder b;
    uint8_t elf[512];
    size_t size = make_cubin(elf);

    fatbin_begin(&b);
    entry(&b, CUBIN, 90, 0, 'a');
    entry(&b, PTX, 75, 0, 'b');
    for (size_t n = 1; n <= b.size; n++)
        survives(b.bytes, n);
    for (size_t n = 1; n <= size; n++)
        survives(elf, n);
}
END_TEST

START_TEST(changed_at_random)
{
    uint64_t seed = vg_test_seed();

    for (int round = 0; round < 20000; round++) {
        struct builder b;
        size_t size;
        if (round & 1) {
            size = make_cubin(b.bytes);
        } else {
            fatbin_begin(&b);
            for (int i = 0; i < 4; i++)
                entry(&b, 1 + (unsigned)(vg_test_random(&seed) & 1), 70 + 5 * (unsigned)i, 0, 'a');
            size = b.size;
        }
        for (unsigned i = 0, n = 1 + (unsigned)(vg_test_random(&seed) % 4); i < n; i++) {
            static const uint64_t value[] = {0, 1, 0xff, 0x7fffffff, UINT64_MAX, 1ull << 62, 63, 64};
            size_t off = 4 + vg_test_random(&seed) % (size - 12);
            put(b.bytes, off, value[vg_test_random(&seed) % 8], 1u << vg_test_random(&seed) % 4);
        }
        survives(b.bytes, size);
    }
}
END_TEST

START_TEST(reading_in_pieces)
{
    struct builder b;
    struct vg_image m;
    uint8_t whole[512], part[512];

    fatbin_begin(&b);
    entry(&b, CUBIN, 90, 0, 'a');
    entry(&b, CUBIN, 90, 0, 'b');
    ck_assert_int_eq(vg_image_select(b.bytes, &hopper, &m), CUDA_SUCCESS);
    vg_image_read(&m, 0, whole, m.size);
    for (size_t step = 1; step <= m.size; step++) {
        memset(part, 0xee, sizeof(part));
        for (size_t pos = 0; pos < m.size; pos += step)
            vg_image_read(&m, pos, part + pos, m.size - pos < step ? m.size - pos : step);
        ck_assert_mem_eq(part, whole, m.size);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("image");
    TCase *t = tcase_create("image");

    tcase_add_test(t, nearest_cubin);
    tcase_add_test(t, plain_code);
    tcase_add_test(t, list_of_code);
    tcase_add_test(t, exact_and_family);
    tcase_add_test(t, family_of_ptx_stays_in_it);
    tcase_add_test(t, nothing_fits);
    tcase_add_test(t, equals_are_all_sent);
    tcase_add_test(t, wrappers);
    tcase_add_test(t, text);
    tcase_add_test(t, cubin);
    tcase_add_test(t, cut_short);
    tcase_add_test(t, changed_at_random);
    tcase_add_test(t, reading_in_pieces);
    suite_add_tcase(s, t);
    return vg_test_main(s);
}
