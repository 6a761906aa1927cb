/* SPDX-License-Identifier: MIT */
/* What the shim does without a host: its MD2, and naming what it does not support. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest-shim/md2.h"
#include "guest-shim/state.h"
#include "tests/protocol/vg_test.h"
#include "vg_api.h"

static const char *md2_hex(const char *text)
{
    static char hex[33];
    struct vg_md2 m;
    uint8_t d[16];

    vg_md2_init(&m);
    vg_md2_add(&m, text, strlen(text));
    vg_md2_end(&m, d);
    for (int i = 0; i < 16; i++)
        sprintf(hex + 2 * i, "%02x", d[i]);
    return hex;
}

/* The test suite of RFC 1319. */
START_TEST(md2_is_the_rfcs)
{
    ck_assert_str_eq(md2_hex(""), "8350e5a3e24c153df2275c9f80692773");
    ck_assert_str_eq(md2_hex("abc"), "da853b0d3f88d99b30283a69e6ded6bb");
    ck_assert_str_eq(md2_hex("message digest"), "ab4f496bfb2a530b219ff33031fe06b0");
    ck_assert_str_eq(md2_hex("abcdefghijklmnopqrstuvwxyz"), "4e8ddff3650292ab5a4108c3aa47940b");
}
END_TEST

/* What fn writes to standard error, in `text`. */
static void said_by(void (*fn)(void), char *text, size_t room)
{
    int pipes[2], err = dup(STDERR_FILENO);

    ck_assert(err >= 0 && pipe(pipes) == 0);
    dup2(pipes[1], STDERR_FILENO);
    close(pipes[1]);
    fn();
    dup2(err, STDERR_FILENO);
    close(err);
    ssize_t n = read(pipes[0], text, room - 1);
    text[n > 0 ? n : 0] = '\0';
    close(pipes[0]);
}

static void ask_for_imports(void)
{
    CUexternalMemory memory;

    ck_assert_int_eq(cuImportExternalMemory(&memory, NULL), CUDA_ERROR_NOT_SUPPORTED);
    ck_assert_int_eq(cuImportExternalMemory(&memory, NULL), CUDA_ERROR_NOT_SUPPORTED);
    ck_assert_int_eq(cuProfilerInitialize("", "", 0), CUDA_ERROR_NOT_SUPPORTED);
}

START_TEST(what_is_not_supported_is_named)
{
    char text[512], want[256];
    int pid = (int)getpid();

    vg_log_level = 0;
    said_by(ask_for_imports, text, sizeof(text));
    ck_assert_str_eq(text, "");
    vg_log_level = 2;
    said_by(ask_for_imports, text, sizeof(text));
    snprintf(want, sizeof(want),
             "vgpu[%d]: not supported: cuImportExternalMemory\n"
             "vgpu[%d]: not supported: cuProfilerInitialize\n", pid, pid);
    ck_assert_str_eq(text, want);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shim alone");
    TCase *t = tcase_create("alone");

    tcase_add_test(t, md2_is_the_rfcs);
    tcase_add_test(t, what_is_not_supported_is_named);
    suite_add_tcase(s, t);
    return vg_test_main(s);
}
