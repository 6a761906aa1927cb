/* SPDX-License-Identifier: MIT */
/* Files and sealed memory, within check-base; has the C library's fsync and rename replaced. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mediator/base/file.h"
#include "mediator/base/util.h"
#include "tests/mediator/check_base.h"

START_TEST(files_are_replaced_whole)
{
    char dir[] = "/tmp/vgpu-file-XXXXXX", deep[128], temp[140];
    char *text = NULL;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(deep, sizeof(deep), "%s/a/b/file", dir);
    ck_assert_int_eq(vg_file_replace(deep, "x", 0600), -ENOENT);
    ck_assert_int_eq(vg_file_make_parent(deep, 0700), 0);
    ck_assert_int_eq(vg_file_make_parent(deep, 0700), 0);
    ck_assert_int_eq(vg_file_replace(deep, "first", 0600), 0);
    ck_assert_int_eq(vg_file_replace(deep, "2nd", 0600), 0);
    ck_assert_int_eq(vg_file_read(deep, 100, &text), 0);
    ck_assert_str_eq(text, "2nd");
    free(text);
    text = NULL;
    ck_assert_int_eq(vg_file_read(deep, 2, &text), -EFBIG);
    ck_assert_ptr_null(text);
    snprintf(temp, sizeof(temp), "%s.new", deep);
    ck_assert_int_eq(access(temp, F_OK), -1);
    ck_assert_int_eq(vg_file_read("/tmp", 10, &text), -EISDIR);
    ck_assert_int_eq(unlink(deep), 0);
    for (unsigned i = 0; i < 3; i++) { /* b, a, and what mkdtemp made */
        *strrchr(deep, '/') = '\0';
        ck_assert_int_eq(rmdir(deep), 0);
    }
}
END_TEST

/*
 * In the place of the C library's, for the whole program: what a crash of the host leaves depends on
 * their order. 'f': a file, 'd': a directory, 'r': the new name.
 */
static char steps[16];
static int fsync_fails;

static void note_step(char step)
{
    size_t n = strlen(steps);

    if (n < sizeof(steps) - 1)
        steps[n] = step;
}

int fsync(int fd)
{
    struct stat st;

    note_step(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 'd' : 'f');
    if (fsync_fails) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    note_step('r');
    return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

START_TEST(files_are_on_disk_before_they_have_their_name)
{
    char dir[] = "/tmp/vgpu-file-XXXXXX", file[64];
    char *text = NULL;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(file, sizeof(file), "%s/file", dir);
    ck_assert_int_eq(vg_file_replace(file, "old", 0600), 0);
    ck_assert_str_eq(steps, "frd");
    /* What does not reach the disk does not replace what is there. */
    fsync_fails = 1;
    ck_assert_int_eq(vg_file_replace(file, "new", 0600), -EIO);
    ck_assert_str_eq(steps, "frdf");
    ck_assert_int_eq(vg_file_read(file, 100, &text), 0);
    ck_assert_str_eq(text, "old");
    free(text);
    unlink(file);
    rmdir(dir);
}
END_TEST

START_TEST(memory_is_sealed)
{
    int fd = vg_memfd_new("test", 8192);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, 4096), -1);
    ck_assert_int_eq(ftruncate(fd, 16384), -1);
    ck_assert_int_eq(pwrite(fd, "x", 1, 8191), 1);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
}
END_TEST

TCase *vg_file_cases(void)
{
    TCase *files = tcase_create("files");

    tcase_add_test(files, files_are_replaced_whole);
    tcase_add_test(files, files_are_on_disk_before_they_have_their_name);
    tcase_add_test(files, memory_is_sealed);
    return files;
}
