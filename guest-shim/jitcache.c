/* SPDX-License-Identifier: MIT */
/* The files of the cache; see jitcache.h. */
#include "guest-shim/jitcache.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC       0x0131484341434756ull /* "VGCACH1", and a byte that is no text */
#define INPUT_MAX   (64u << 20)
#define RESULT_MAX  (256u << 20)
#define CACHE_BYTES (1ull << 30)          /* the driver's own default */

/* A file: this, the key, the result. */
struct head {
    uint64_t magic, key_bytes, result_bytes, result_sum;
};

/* The key: this, the compiler's path, target and options as text, the input. */
struct recipe {
    uint64_t compiler_size, compiler_mtime;
    uint64_t input_bytes;
    uint32_t kind;
    uint32_t compiler_bytes, target_bytes, options_bytes; /* texts without their end */
};

struct vg_jitcache {
    size_t bytes;
    uint8_t key[];
};

/* ---- The key ---- */

/* No cryptography: who can write the user's files needs no collision. */
static uint64_t sum_of(const void *data, size_t bytes)
{
    const uint8_t *p = data;
    uint64_t sum = bytes, word;

    for (; bytes >= 8; bytes -= 8, p += 8) {
        memcpy(&word, p, 8);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15ull;
        sum ^= sum >> 32;
    }
    for (; bytes > 0; bytes--)
        sum = (sum ^ *p++) * 0x100000001b3ull;
    return sum ^ sum >> 29;
}

static uint32_t length_of(const char *text)
{
    return text ? (uint32_t)strnlen(text, 1 << 20) : 0;
}

/* Which library asks: its path, and what changes with a release. */
static const char *describe_compiler(struct recipe *r, const void *address)
{
    struct stat st;
    Dl_info info;

    if (!dladdr(address, &info) || !info.dli_fname)
        return "";
    if (stat(info.dli_fname, &st) == 0) {
        r->compiler_size = (uint64_t)st.st_size;
        r->compiler_mtime = (uint64_t)st.st_mtime;
    }
    return info.dli_fname;
}

static uint8_t *append(uint8_t *to, const void *from, size_t bytes)
{
    if (bytes > 0)
        memcpy(to, from, bytes);
    return to + bytes;
}

CUresult vg_jitcache_open(struct vg_jitcache **ret, uint32_t kind, const void *input, size_t bytes,
                          const char *options, const char *target, const void *compiler)
{
    struct recipe r;
    size_t all;

    if (!ret || !input || bytes == 0 || bytes > INPUT_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    memset(&r, 0, sizeof(r)); /* padding is part of the key */
    const char *path = describe_compiler(&r, compiler);
    r.kind = kind;
    r.input_bytes = bytes;
    r.compiler_bytes = length_of(path);
    r.target_bytes = length_of(target);
    r.options_bytes = length_of(options);
    all = sizeof(r) + r.compiler_bytes + r.target_bytes + r.options_bytes + bytes;
    struct vg_jitcache *c = malloc(sizeof(*c) + all);
    if (!c)
        return CUDA_ERROR_OUT_OF_MEMORY;
    c->bytes = all;
    uint8_t *at = append(c->key, &r, sizeof(r));
    at = append(at, path, r.compiler_bytes);
    at = append(at, target, r.target_bytes);
    at = append(at, options, r.options_bytes);
    append(at, input, bytes);
    *ret = c;
    return CUDA_SUCCESS;
}

void vg_jitcache_close(struct vg_jitcache *c)
{
    free(c);
}

void vg_jitcache_free(void *data)
{
    free(data);
}

/* ---- The folder ---- */

static bool is_off(void)
{
    const char *text = secure_getenv("CUDA_CACHE_DISABLE");

    return text && atoi(text) != 0;
}

static uint64_t most_bytes(void)
{
    const char *text = secure_getenv("CUDA_CACHE_MAXSIZE");
    char *end;
    unsigned long long n = text ? strtoull(text, &end, 10) : 0;

    return text && end != text && *end == '\0' ? n : CACHE_BYTES;
}

/* False: there is no place for one. */
static bool folder_path(char path[PATH_MAX])
{
    const char *given = secure_getenv("CUDA_CACHE_PATH"), *home = secure_getenv("HOME");
    int n;

    if (is_off())
        return false;
    if (given && *given)
        n = snprintf(path, PATH_MAX, "%s/vgpu", given);
    else if (home && *home == '/')
        n = snprintf(path, PATH_MAX, "%s/.nv/ComputeCache/vgpu", home);
    else
        return false;
    return n > 0 && n < PATH_MAX;
}

/* Makes the folder and those above it. What fails shows when it is opened. */
static void make_folders(char path[PATH_MAX])
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    mkdir(path, 0700);
}

/* -1: none, or not ours alone. */
static int folder_open(bool make)
{
    char path[PATH_MAX];
    struct stat st;

    if (!folder_path(path))
        return -1;
    if (make)
        make_folders(path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 022))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void name_of(const struct vg_jitcache *c, char name[32])
{
    snprintf(name, 32, "%016llx", (unsigned long long)sum_of(c->key, c->bytes));
}

/* ---- Reading ---- */

static bool read_all(int fd, void *to, size_t bytes)
{
    for (size_t got = 0; got < bytes;) {
        ssize_t n = read(fd, (uint8_t *)to + got, bytes - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

static bool head_fits(const struct vg_jitcache *c, const struct head *h, const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_uid == geteuid() && h->magic == MAGIC &&
           h->key_bytes == c->bytes && h->result_bytes > 0 && h->result_bytes <= RESULT_MAX &&
           (uint64_t)st->st_size == sizeof(*h) + h->key_bytes + h->result_bytes;
}

/* True if the file goes on with this very key. */
static bool key_fits(const struct vg_jitcache *c, int fd)
{
    void *key = malloc(c->bytes);
    bool same = key && read_all(fd, key, c->bytes) && memcmp(key, c->key, c->bytes) == 0;

    free(key);
    return same;
}

static void *result_of(const struct vg_jitcache *c, int fd, uint32_t *ret_bytes)
{
    struct stat st;
    struct head h;

    if (fstat(fd, &st) != 0 || !read_all(fd, &h, sizeof(h)) || !head_fits(c, &h, &st) ||
        !key_fits(c, fd))
        return NULL;
    void *data = malloc(h.result_bytes);
    if (data && read_all(fd, data, h.result_bytes) && sum_of(data, h.result_bytes) == h.result_sum) {
        *ret_bytes = (uint32_t)h.result_bytes;
        return data;
    }
    free(data);
    return NULL;
}

CUresult vg_jitcache_find(const struct vg_jitcache *c, void **ret_data, uint32_t *ret_bytes)
{
    int folder = folder_open(false), fd;
    void *data = NULL;
    char name[32];

    if (folder < 0)
        return CUDA_ERROR_NOT_FOUND;
    name_of(c, name);
    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        data = result_of(c, fd, ret_bytes);
        if (data)
            futimens(fd, NULL); /* the oldest goes first */
        close(fd);
    }
    close(folder);
    if (!data)
        return CUDA_ERROR_NOT_FOUND;
    *ret_data = data;
    return CUDA_SUCCESS;
}

/* ---- Writing ---- */

static bool write_all(int fd, const void *from, size_t bytes)
{
    for (size_t put = 0; put < bytes;) {
        ssize_t n = write(fd, (const uint8_t *)from + put, bytes - put);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        put += (size_t)n;
    }
    return true;
}

/* Whole or not at all: others read it at any time. */
static void store(const struct vg_jitcache *c, int folder, const void *data, size_t bytes)
{
    const struct head h = {MAGIC, c->bytes, bytes, sum_of(data, bytes)};
    char name[32], fresh[64];

    name_of(c, name);
    snprintf(fresh, sizeof(fresh), "%s.%d.%lx", name, (int)getpid(), (unsigned long)(uintptr_t)c);
    int fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    bool whole = write_all(fd, &h, sizeof(h)) && write_all(fd, c->key, c->bytes) &&
                 write_all(fd, data, bytes);
    close(fd);
    if (!whole || renameat(folder, fresh, folder, name) != 0)
        unlinkat(folder, fresh, 0);
}

struct file {
    char name[64];
    struct timespec used;
    uint64_t bytes;
};

struct files {
    struct file *file;
    size_t count, cap;
    uint64_t bytes;
};

static bool files_add(struct files *f, const char *name, const struct stat *st)
{
    if (f->count == f->cap) {
        size_t cap = f->cap ? 2 * f->cap : 64;
        struct file *more = realloc(f->file, cap * sizeof(*more));

        if (!more)
            return false;
        f->file = more;
        f->cap = cap;
    }
    struct file *one = &f->file[f->count++];
    snprintf(one->name, sizeof(one->name), "%s", name);
    one->used = st->st_mtim;
    one->bytes = (uint64_t)st->st_size;
    f->bytes += one->bytes;
    return true;
}

/* Takes the folder. */
static void files_list(struct files *f, int folder)
{
    DIR *dir = fdopendir(folder);
    struct stat st;

    if (!dir) {
        close(folder);
        return;
    }
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        if (strlen(e->d_name) < sizeof(f->file->name) &&
            fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            !files_add(f, e->d_name, &st))
            break;
    closedir(dir);
}

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct file *)a)->used, *y = &((const struct file *)b)->used;

    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* Room for what comes: what was used longest ago goes, down to three quarters, so that not each
 * new one lists the folder in vain. */
static void make_room(int folder, uint64_t coming, uint64_t most)
{
    struct files f = {.count = 0};
    int listed = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (listed >= 0)
        files_list(&f, listed);
    if (f.bytes + coming > most) {
        qsort(f.file, f.count, sizeof(f.file[0]), by_use);
        for (size_t i = 0; i < f.count && f.bytes + coming > most / 4 * 3; i++)
            if (unlinkat(folder, f.file[i].name, 0) == 0)
                f.bytes -= f.file[i].bytes;
    }
    free(f.file);
}

CUresult vg_jitcache_put(const struct vg_jitcache *c, const void *data, size_t bytes)
{
    const uint64_t most = most_bytes(), all = sizeof(struct head) + c->bytes + bytes;

    if (!data || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes > RESULT_MAX || all > most)
        return CUDA_SUCCESS;
    int folder = folder_open(true);
    if (folder < 0)
        return CUDA_SUCCESS;
    make_room(folder, all, most);
    store(c, folder, data, bytes);
    close(folder);
    return CUDA_SUCCESS;
}
