/* SPDX-License-Identifier: MIT */
/*
 * libxenstore.so.4 for tests of programs that ask xenstore: nodes are directories below
 * $FAKE_XENSTORE, a node's value is the file ".value" in it. $FAKE_XENSTORE/.hang makes
 * every question wait for ever, as a stopped xenstored does; without the directory
 * nobody answers. Transactions exclude each other by a lock: enough for programs whose
 * use of the real one is tested elsewhere.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT void *xs_open(unsigned long flags);
EXPORT void xs_close(void *h);
EXPORT void *xs_read(void *h, uint32_t t, const char *path, unsigned *len);
EXPORT bool xs_write(void *h, uint32_t t, const char *path, const void *data, unsigned len);
EXPORT bool xs_rm(void *h, uint32_t t, const char *path);
EXPORT char **xs_directory(void *h, uint32_t t, const char *path, unsigned *count);
EXPORT bool xs_set_permissions(void *h, uint32_t t, const char *path, const void *perms,
                               unsigned count);
EXPORT uint32_t xs_transaction_start(void *h);
EXPORT bool xs_transaction_end(void *h, uint32_t t, bool abort_it);

struct handle {
    char root[512];
    int lock;
};

static void maybe_hang(const struct handle *h)
{
    char path[600];

    snprintf(path, sizeof(path), "%s/.hang", h->root);
    while (access(path, F_OK) == 0)
        sleep(1);
}

void *xs_open(unsigned long flags)
{
    const char *root = getenv("FAKE_XENSTORE");
    struct handle *h;

    (void)flags;
    if (!root || access(root, F_OK) < 0) {
        errno = ENOENT;
        return NULL;
    }
    h = calloc(1, sizeof(*h));
    if (h)
        snprintf(h->root, sizeof(h->root), "%s", root);
    return h;
}

void xs_close(void *h)
{
    free(h);
}

static void file_of(const struct handle *h, const char *path, const char *leaf, char *file,
                    size_t cap)
{
    snprintf(file, cap, "%s%s%s", h->root, path, leaf);
}

void *xs_read(void *handle, uint32_t t, const char *path, unsigned *len)
{
    struct handle *h = handle;
    char file[1200], *data;
    ssize_t n;
    int fd;

    (void)t;
    maybe_hang(h);
    file_of(h, path, "/.value", file, sizeof(file));
    fd = open(file, O_RDONLY);
    if (fd < 0)
        return NULL;
    data = calloc(1, 4097);
    n = read(fd, data, 4096);
    close(fd);
    *len = n > 0 ? (unsigned)n : 0;
    return data;
}

static void make_parents(char *file)
{
    for (char *slash = strchr(file + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(file, 0755);
        *slash = '/';
    }
}

bool xs_write(void *handle, uint32_t t, const char *path, const void *data, unsigned len)
{
    struct handle *h = handle;
    char file[1200];
    bool ok;
    int fd;

    (void)t;
    maybe_hang(h);
    file_of(h, path, "/.value", file, sizeof(file));
    make_parents(file);
    fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ok = fd >= 0 && write(fd, data, len) == (ssize_t)len;
    if (fd >= 0)
        close(fd);
    return ok;
}

bool xs_rm(void *handle, uint32_t t, const char *path)
{
    struct handle *h = handle;
    char command[1400], file[1200];

    (void)t;
    maybe_hang(h);
    file_of(h, path, "", file, sizeof(file));
    if (access(file, F_OK) < 0)
        return false;
    snprintf(command, sizeof(command), "rm -rf '%s'", file);
    return system(command) == 0;
}

/* One block, as libxenstore gives it: pointers, then what they point to. */
char **xs_directory(void *handle, uint32_t t, const char *path, unsigned *count)
{
    struct handle *h = handle;
    char file[1200], **names, *text;
    struct dirent *e;
    DIR *d;

    (void)t;
    maybe_hang(h);
    file_of(h, path, "", file, sizeof(file));
    d = opendir(file);
    if (!d)
        return NULL;
    names = calloc(64, sizeof(*names) + 64);
    text = (char *)(names + 64);
    *count = 0;
    while ((e = readdir(d)) && *count < 64) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(text, 64, "%.63s", e->d_name);
        names[(*count)++] = text;
        text += 64;
    }
    closedir(d);
    return names;
}

/* Kept as the first owner and what others may, in ".perms". */
bool xs_set_permissions(void *handle, uint32_t t, const char *path, const void *perms,
                        unsigned count)
{
    const int *first = perms;
    char file[1200];
    FILE *f;

    (void)t;
    file_of(handle, path, "/.perms", file, sizeof(file));
    f = fopen(file, "w");
    if (!f)
        return false;
    fprintf(f, "%u %d %d", count, first[0], first[1]);
    return fclose(f) == 0;
}

uint32_t xs_transaction_start(void *handle)
{
    struct handle *h = handle;
    char file[600];

    maybe_hang(h);
    snprintf(file, sizeof(file), "%s/.lock", h->root);
    h->lock = open(file, O_RDWR | O_CREAT, 0600);
    flock(h->lock, LOCK_EX);
    return 1;
}

bool xs_transaction_end(void *handle, uint32_t t, bool abort_it)
{
    struct handle *h = handle;

    (void)t, (void)abort_it;
    close(h->lock);
    return true;
}
