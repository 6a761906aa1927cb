/* SPDX-License-Identifier: MIT */
/* The cache of compiled programs: what is found again, and what must not be. */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest-shim/jitcache.h"
#include "tests/protocol/vg_test.h"

#define INPUT 20000u

static char top[64], folder[128];
static uint8_t input[INPUT];
static const char compiler; /* an address in this program */

static void setup(void)
{
    snprintf(top, sizeof(top), "/tmp/vg-jitcache-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(folder, sizeof(folder), "%s/vgpu", top);
    setenv("CUDA_CACHE_PATH", top, 1);
    unsetenv("CUDA_CACHE_DISABLE");
    unsetenv("CUDA_CACHE_MAXSIZE");
    for (unsigned i = 0; i < INPUT; i++)
        input[i] = (uint8_t)(i * 7u);
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", top);
    ck_assert_int_eq(system(command), 0);
}

static struct vg_jitcache *opened(uint32_t kind, const char *options)
{
    struct vg_jitcache *c = NULL;

    ck_assert_int_eq(vg_jitcache_open(&c, kind, input, INPUT, options, "HOST64", &compiler), 0);
    return c;
}

static void put(uint32_t kind, const char *options, const char *result)
{
    struct vg_jitcache *c = opened(kind, options);

    ck_assert_int_eq(vg_jitcache_put(c, result, strlen(result)), CUDA_SUCCESS);
    vg_jitcache_close(c);
}

/* Whether this, or (NULL) nothing, is found. */
static bool finds(uint32_t kind, const char *options, const char *result)
{
    struct vg_jitcache *c = opened(kind, options);
    uint32_t bytes = 0;
    void *data = NULL;
    CUresult rc = vg_jitcache_find(c, &data, &bytes);
    bool right = rc == CUDA_SUCCESS ? result && bytes == strlen(result) && !memcmp(data, result, bytes)
                                    : rc == CUDA_ERROR_NOT_FOUND && !result && !data;

    vg_jitcache_free(data);
    vg_jitcache_close(c);
    return right;
}

/* Calls for each file of the folder; how many there were. */
static unsigned each_file(void (*change)(const char *path))
{
    DIR *dir = opendir(folder);
    unsigned n = 0;

    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        char path[512];

        if (e->d_name[0] == '.')
            continue;
        n++;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        if (change)
            change(path);
    }
    if (dir)
        closedir(dir);
    return n;
}

START_TEST(finds_what_was_put)
{
    ck_assert(finds(1, "-arch=sm_90", NULL));
    put(1, "-arch=sm_90", "machine code");
    ck_assert(finds(1, "-arch=sm_90", "machine code"));
    put(1, "-arch=sm_90", "newer");
    ck_assert(finds(1, "-arch=sm_90", "newer"));
    ck_assert_uint_eq(each_file(NULL), 1);
}
END_TEST

START_TEST(all_of_the_key_counts)
{
    struct vg_jitcache *c;
    uint32_t bytes;
    void *data;

    put(1, "-arch=sm_90", "machine code");
    ck_assert(finds(2, "-arch=sm_90", NULL));
    ck_assert(finds(1, "-arch=sm_80", NULL));
    ck_assert(finds(1, NULL, NULL));
    input[INPUT / 2] ^= 1;
    ck_assert(finds(1, "-arch=sm_90", NULL));
    input[INPUT / 2] ^= 1;
    ck_assert_int_eq(vg_jitcache_open(&c, 1, input, INPUT - 1, "-arch=sm_90", "HOST64", &compiler), 0);
    ck_assert_int_eq(vg_jitcache_find(c, &data, &bytes), CUDA_ERROR_NOT_FOUND);
    vg_jitcache_close(c);
    /* another library asks: the C library */
    ck_assert_int_eq(vg_jitcache_open(&c, 1, input, INPUT, "-arch=sm_90", "HOST64",
                                      (const void *)(uintptr_t)strlen), 0);
    ck_assert_int_eq(vg_jitcache_find(c, &data, &bytes), CUDA_ERROR_NOT_FOUND);
    vg_jitcache_close(c);
    ck_assert(finds(1, "-arch=sm_90", "machine code"));
}
END_TEST

static int where; /* a byte of a file to spoil */

static void spoil(const char *path)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);

    ck_assert_int_eq(pread(fd, &byte, 1, where), 1);
    byte ^= 0x40;
    ck_assert_int_eq(pwrite(fd, &byte, 1, where), 1);
    close(fd);
}

static void shorten(const char *path)
{
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(truncate(path, st.st_size - 1), 0);
}

START_TEST(nothing_spoilt_is_found)
{
    const int places[] = {0, 8, 16, 24, 100, INPUT};

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        where = places[i];
        put(1, "x", "machine code");
        ck_assert_uint_eq(each_file(spoil), 1);
        ck_assert(finds(1, "x", NULL));
    }
    put(1, "x", "machine code");
    each_file(shorten);
    ck_assert(finds(1, "x", NULL));
    put(1, "x", "machine code");
    ck_assert(finds(1, "x", "machine code"));
}
END_TEST

START_TEST(others_may_not_write_the_folder)
{
    put(1, "x", "machine code");
    ck_assert_int_eq(chmod(folder, 0777), 0);
    ck_assert(finds(1, "x", NULL));
    ck_assert_int_eq(chmod(folder, 0700), 0);
    ck_assert(finds(1, "x", "machine code"));
}
END_TEST

START_TEST(can_be_turned_off)
{
    put(1, "x", "machine code");
    setenv("CUDA_CACHE_DISABLE", "1", 1);
    ck_assert(finds(1, "x", NULL));
    put(1, "y", "more");
    setenv("CUDA_CACHE_DISABLE", "0", 1);
    ck_assert(finds(1, "y", NULL));
    ck_assert(finds(1, "x", "machine code"));
}
END_TEST

START_TEST(a_place_that_is_none_does_no_harm)
{
    setenv("CUDA_CACHE_PATH", "/proc/nowhere", 1);
    put(1, "x", "machine code");
    ck_assert(finds(1, "x", NULL));
    unsetenv("CUDA_CACHE_PATH");
    unsetenv("HOME");
    put(1, "x", "machine code");
    ck_assert(finds(1, "x", NULL));
    setenv("HOME", top, 1);
    put(1, "x", "machine code");
    ck_assert(finds(1, "x", "machine code"));
    snprintf(folder, sizeof(folder), "%s/.nv/ComputeCache/vgpu", top);
    ck_assert_uint_eq(each_file(NULL), 1);
}
END_TEST

/* Room for four: the oldest go, what was used lately stays. */
START_TEST(stays_within_its_bound)
{
    char name[32];

    setenv("CUDA_CACHE_MAXSIZE", "85000", 1);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%d", i);
        put(1, name, "machine code");
        usleep(20000); /* times of files are as fine as the kernel's ticks */
    }
    ck_assert(finds(1, "0", "machine code"));
    usleep(20000);
    put(1, "4", "machine code");
    ck_assert(finds(1, "0", "machine code"));
    ck_assert(finds(1, "4", "machine code"));
    ck_assert(finds(1, "1", NULL));
    ck_assert_uint_le(each_file(NULL), 4);
    setenv("CUDA_CACHE_MAXSIZE", "100", 1);
    put(1, "5", "machine code");
    ck_assert(finds(1, "5", NULL));
}
END_TEST

START_TEST(nonsense_is_refused)
{
    struct vg_jitcache *c = NULL;

    ck_assert_int_eq(vg_jitcache_open(&c, 1, NULL, 5, "", "", &compiler), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(vg_jitcache_open(&c, 1, input, 0, "", "", &compiler), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(vg_jitcache_open(&c, 1, input, 1ull << 40, "", "", &compiler),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_ptr_null(c);
    c = opened(1, "x");
    ck_assert_int_eq(vg_jitcache_put(c, NULL, 5), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(vg_jitcache_put(c, "x", 0), CUDA_ERROR_INVALID_VALUE);
    vg_jitcache_close(c);
    vg_jitcache_close(NULL);
    vg_jitcache_free(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("jitcache");
    TCase *t = tcase_create("jitcache");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, finds_what_was_put);
    tcase_add_test(t, all_of_the_key_counts);
    tcase_add_test(t, nothing_spoilt_is_found);
    tcase_add_test(t, others_may_not_write_the_folder);
    tcase_add_test(t, can_be_turned_off);
    tcase_add_test(t, a_place_that_is_none_does_no_harm);
    tcase_add_test(t, stays_within_its_bound);
    tcase_add_test(t, nonsense_is_refused);
    suite_add_tcase(s, t);
    return vg_test_main(s);
}
