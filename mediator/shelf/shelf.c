/* SPDX-License-Identifier: MIT */
/*
 * The shelf; see shelf.h. Layout: head, entries, `next` of each block, blocks. An entry's seq is odd
 * while it changes. Of the blocks, `next` is 0 where free, END at the end of a chain, else the index
 * of the next block plus 1.
 */
#include "mediator/shelf/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vg_atomic.h"

#define END UINT32_MAX
#define NONE UINT32_MAX
#define ANY UINT64_MAX
#define HEAD_BYTES 4096u
#define BLOCKS_PER_ENTRY 2u

struct head {
    uint64_t clock;     /* counts uses */
    uint32_t writing;   /* 1 while a writer changes anything */
};

struct vg_shelf_entry {
    uint32_t seq;
    uint32_t first;     /* block */
    uint64_t size;      /* 0: free */
    uint64_t used;      /* clock at its last use */
    uint8_t digest[VG_DIGEST_BYTES];
    uint32_t then;      /* index plus 1 of the one that was asked for next, or 0; no part of the rest */
};

/* ---- mapping ---- */

static struct head *head_of(const struct vg_shelf *s)
{
    return (struct head *)s->map;
}

/* By the size alone: what stands in the memory is not asked. */
static void lay_out(struct vg_shelf *s)
{
    size_t each = VG_SHELF_BLOCK + sizeof(*s->next) + sizeof(*s->entry) / BLOCKS_PER_ENTRY;

    s->blocks = (uint32_t)((s->size - HEAD_BYTES) / each);
    s->entries = s->blocks / BLOCKS_PER_ENTRY;
    s->entry = (struct vg_shelf_entry *)(s->map + HEAD_BYTES);
    s->next = (uint32_t *)(s->entry + s->entries);
    s->block = s->map + s->size - (size_t)s->blocks * VG_SHELF_BLOCK;
}

static int map_it(struct vg_shelf *s, int fd, uint64_t size)
{
    /* Not fstat: an executor's filter need not know all that C libraries make of that. */
    off_t end = lseek(fd, 0, SEEK_END);

    if (size < VG_SHELF_MIN || size / VG_SHELF_BLOCK >= END || end < 0 || (uint64_t)end < size)
        return -EINVAL;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    s->map = map;
    s->size = size;
    s->fd = fd;
    lay_out(s);
    pthread_mutex_init(&s->writers, NULL);
    return 0;
}

int vg_shelf_open(struct vg_shelf *s, int fd, uint64_t size)
{
    memset(s, 0, sizeof(*s));
    if (fd < 0)
        return 0;
    int rc = map_it(s, fd, size);
    if (rc < 0)
        close(fd);
    return rc;
}

void vg_shelf_close(struct vg_shelf *s)
{
    if (!s->map)
        return;
    munmap(s->map, s->size);
    close(s->fd);
    memset(s, 0, sizeof(*s));
}

/* ---- reading ---- */

/* Copies what an entry says. False: it is being changed. */
static bool look(const struct vg_shelf_entry *e, struct vg_shelf_entry *ret_copy)
{
    uint32_t seq = vg_load_acquire(&e->seq);

    memcpy(ret_copy, e, sizeof(*e));
    vg_fence();
    ret_copy->seq = seq;
    return seq % 2 == 0 && vg_load_relaxed(&e->seq) == seq;
}

static bool is_it(const struct vg_shelf_entry *e, const uint8_t *digest, uint64_t size)
{
    uint64_t has = vg_load_relaxed(&e->size);

    return has > 0 && (size == ANY || has == size) &&
           memcmp(e->digest, digest, VG_DIGEST_BYTES) == 0;
}

/* size: ANY if it is not known. */
static uint32_t find(const struct vg_shelf *s, const uint8_t *digest, uint64_t size,
                     struct vg_shelf_entry *ret_copy)
{
    for (uint32_t i = 0; i < s->entries; i++)
        if (is_it(&s->entry[i], digest, size) && look(&s->entry[i], ret_copy) &&
            is_it(ret_copy, digest, size))
            return i;
    return NONE;
}

static void touch(struct vg_shelf *s, uint32_t index)
{
    vg_store_relaxed(&s->entry[index].used, vg_fetch_add(&head_of(s)->clock, 1) + 1);
}

bool vg_shelf_has(const struct vg_shelf *s, const uint8_t digest[VG_DIGEST_BYTES], uint64_t size)
{
    struct vg_shelf_entry copy;

    return size != ANY && find(s, digest, size, &copy) != NONE;
}

uint64_t vg_shelf_size(const struct vg_shelf *s, const uint8_t name[VG_DIGEST_BYTES])
{
    struct vg_shelf_entry copy;

    return find(s, name, ANY, &copy) != NONE ? copy.size : 0;
}

/*
 * Contents go through the file: a page that a process has not seen yet costs it a fault, which takes
 * longer than to copy what is in it. Here one that is new need not even be cleared first.
 */
static bool read_run(const struct vg_shelf *s, uint32_t block, uint8_t *dst, uint64_t bytes)
{
    off_t at = s->block - s->map + (off_t)block * VG_SHELF_BLOCK;

    while (bytes > 0) {
        ssize_t n = pread(s->fd, dst, bytes, at);
        if (n <= 0)
            return false;
        dst += n;
        at += n;
        bytes -= (uint64_t)n;
    }
    return true;
}

static bool write_run(const struct vg_shelf *s, uint32_t block, const uint8_t *src, uint64_t bytes)
{
    off_t at = s->block - s->map + (off_t)block * VG_SHELF_BLOCK;

    while (bytes > 0) {
        ssize_t n = pwrite(s->fd, src, bytes, at);
        if (n <= 0)
            return false;
        src += n;
        at += n;
        bytes -= (uint64_t)n;
    }
    return true;
}

/* Bytes from this block on that lie without a gap, at most `size`; *block: the one behind them. */
static uint64_t run_of(const struct vg_shelf *s, uint32_t *block, uint64_t size)
{
    uint64_t run = VG_SHELF_BLOCK;
    uint32_t at = *block;

    for (; run < size && at < s->blocks; run += VG_SHELF_BLOCK, at++)
        if (vg_load_relaxed(&s->next[at]) - 1 != at + 1)
            break;
    *block = at < s->blocks ? vg_load_relaxed(&s->next[at]) - 1 : NONE;
    return run < size ? run : size;
}

/* A chain of exactly so many bytes; each step is checked, and there are no more steps than blocks. */
static bool copy_chain(const struct vg_shelf *s, uint32_t block, uint64_t size, uint8_t *dst)
{
    while (size > 0) {
        uint32_t first = block;
        uint64_t n = block < s->blocks ? run_of(s, &block, size) : 0;
        if (n == 0 || n > (uint64_t)(s->blocks - first) * VG_SHELF_BLOCK ||
            !read_run(s, first, dst, n))
            return false;
        dst += n;
        size -= n;
    }
    return true;
}

bool vg_shelf_take(struct vg_shelf *s, const uint8_t digest[VG_DIGEST_BYTES], uint64_t size,
                   void *dst)
{
    struct vg_shelf_entry e;
    uint32_t i = size != ANY ? find(s, digest, size, &e) : NONE;

    if (i == NONE || !copy_chain(s, e.first, size, dst))
        return false;
    vg_fence();
    if (vg_load_relaxed(&s->entry[i].seq) != e.seq)
        return false;
    touch(s, i);
    return true;
}

/* ---- what is asked for next: a guess, which a wrong number makes worse and no more ---- */

void vg_shelf_follow(struct vg_shelf *s, const uint8_t digest[VG_DIGEST_BYTES],
                     const uint8_t then[VG_DIGEST_BYTES])
{
    struct vg_shelf_entry copy;
    uint32_t i = find(s, digest, ANY, &copy), next = find(s, then, ANY, &copy);

    if (i != NONE && next != NONE && vg_load_relaxed(&s->entry[i].then) != next + 1)
        vg_store_relaxed(&s->entry[i].then, next + 1);
}

bool vg_shelf_next(const struct vg_shelf *s, const uint8_t digest[VG_DIGEST_BYTES],
                   uint8_t ret_then[VG_DIGEST_BYTES], uint64_t *ret_size)
{
    struct vg_shelf_entry copy;
    uint32_t i = find(s, digest, ANY, &copy);
    uint32_t next = i != NONE ? vg_load_relaxed(&s->entry[i].then) : 0;

    if (next == 0 || next > s->entries || !look(&s->entry[next - 1], &copy) || copy.size == 0)
        return false;
    memcpy(ret_then, copy.digest, VG_DIGEST_BYTES);
    *ret_size = copy.size;
    return true;
}

/* ---- writing: under the lock ---- */

static void set_entry(struct vg_shelf_entry *e, const uint8_t *digest, uint32_t first,
                      uint64_t size)
{
    vg_store_relaxed(&e->seq, e->seq | 1);
    vg_fence();
    e->first = first;
    vg_store_relaxed(&e->size, size);
    if (digest)
        memcpy(e->digest, digest, VG_DIGEST_BYTES);
    vg_store_release(&e->seq, (e->seq | 1) + 1);
}

/* Somebody died while he changed things: no chain can be trusted. */
static void clear(struct vg_shelf *s)
{
    for (uint32_t i = 0; i < s->entries; i++)
        set_entry(&s->entry[i], NULL, NONE, 0);
    memset(s->next, 0, s->blocks * sizeof(*s->next));
}

static void free_chain(struct vg_shelf *s, uint32_t block)
{
    for (uint32_t next; block < s->blocks && s->next[block] != 0; block = next - 1) {
        next = s->next[block];
        vg_store_relaxed(&s->next[block], 0);
    }
}

static void drop(struct vg_shelf *s, uint32_t index)
{
    uint32_t block = s->entry[index].first;

    set_entry(&s->entry[index], NULL, NONE, 0);
    free_chain(s, block);
}

/* The entry that was used longest ago, or NONE. */
static uint32_t oldest(const struct vg_shelf *s)
{
    uint32_t best = NONE;

    for (uint32_t i = 0; i < s->entries; i++)
        if (s->entry[i].size > 0 && (best == NONE || s->entry[i].used < s->entry[best].used))
            best = i;
    return best;
}

static uint32_t free_entry(const struct vg_shelf *s)
{
    for (uint32_t i = 0; i < s->entries; i++)
        if (s->entry[i].size == 0)
            return i;
    return NONE;
}

static uint32_t free_blocks(const struct vg_shelf *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->blocks; i++)
        n += s->next[i] == 0;
    return n;
}

/* A free entry, when as many blocks are free. */
static uint32_t make_room(struct vg_shelf *s, uint64_t blocks)
{
    for (uint32_t n = 0; n <= s->entries; n++) {
        uint32_t index = free_entry(s), old;
        if (index != NONE && free_blocks(s) >= blocks)
            return index;
        old = oldest(s);
        if (old == NONE)
            break;
        drop(s, old);
    }
    return NONE;
}

/* Makes a chain of free blocks, of which there are enough; its first one, or NONE if they have gone. */
static uint32_t make_chain(struct vg_shelf *s, uint64_t size)
{
    uint32_t first = NONE, *link = &first, at = 0;

    for (uint64_t done = 0; done < size; done += VG_SHELF_BLOCK, at++) {
        while (at < s->blocks && s->next[at] != 0)
            at++;
        if (at >= s->blocks)
            return NONE;
        vg_store_relaxed(link, link == &first ? at : at + 1);
        link = &s->next[at];
        vg_store_relaxed(link, END);
    }
    return first;
}

static bool fill_chain(struct vg_shelf *s, uint32_t block, const uint8_t *image, uint64_t size)
{
    while (size > 0 && block < s->blocks) {
        uint32_t first = block;
        uint64_t n = run_of(s, &block, size);
        if (n > (uint64_t)(s->blocks - first) * VG_SHELF_BLOCK || !write_run(s, first, image, n))
            return false;
        image += n;
        size -= n;
    }
    return size == 0;
}

static bool lock_file(const struct vg_shelf *s, short type)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};

    return fcntl(s->fd, F_SETLK, &l) == 0;
}

static uint32_t add(struct vg_shelf *s, const uint8_t *digest, const void *image, uint64_t size)
{
    uint32_t index = make_room(s, (size + VG_SHELF_BLOCK - 1) / VG_SHELF_BLOCK);
    uint32_t first = index != NONE ? make_chain(s, size) : NONE;

    if (first == NONE)
        return NONE;
    if (!fill_chain(s, first, image, size)) {
        free_chain(s, first);
        return NONE;
    }
    vg_store_relaxed(&s->entry[index].then, 0);
    set_entry(&s->entry[index], digest, first, size);
    return index;
}

static bool put_locked(struct vg_shelf *s, const uint8_t *digest, const void *image, uint64_t size)
{
    struct vg_shelf_entry copy;
    struct head *h = head_of(s);

    if (vg_exchange(&h->writing, 1) != 0)
        clear(s);
    uint32_t index = find(s, digest, size, &copy);
    if (index == NONE)
        index = add(s, digest, image, size);
    if (index != NONE)
        touch(s, index);
    vg_store_release(&h->writing, 0);
    return index != NONE;
}

bool vg_shelf_is_name(const uint8_t digest[VG_DIGEST_BYTES], const void *image, uint64_t size)
{
    uint8_t own[VG_DIGEST_BYTES];
    struct vg_digest d;

    vg_digest_init(&d);
    vg_digest_add(&d, image, size);
    vg_digest_end(&d, own);
    return memcmp(own, digest, VG_DIGEST_BYTES) == 0;
}

static bool fits(const struct vg_shelf *s, uint64_t size)
{
    return s->map && size > 0 && size <= (uint64_t)s->blocks * VG_SHELF_BLOCK / 2;
}

bool vg_shelf_put_as(struct vg_shelf *s, const uint8_t name[VG_DIGEST_BYTES], const void *bytes,
                     uint64_t size)
{
    bool kept = false;

    if (!fits(s, size) || pthread_mutex_trylock(&s->writers) != 0)
        return false;
    if (lock_file(s, F_WRLCK)) {
        kept = put_locked(s, name, bytes, size);
        lock_file(s, F_UNLCK);
    }
    pthread_mutex_unlock(&s->writers);
    return kept;
}

bool vg_shelf_put(struct vg_shelf *s, const uint8_t digest[VG_DIGEST_BYTES], const void *image,
                  uint64_t size)
{
    return fits(s, size) && vg_shelf_is_name(digest, image, size) &&
           vg_shelf_put_as(s, digest, image, size);
}
