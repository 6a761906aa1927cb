/* SPDX-License-Identifier: MIT */
/* Memory of regions, see regmem.h. */
#include "mediator/base/regmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE        4096ull
#define CHUNK_PAGES 16384ull /* mapped by one call: their numbers must fit into memory */
#define PRIVCMD     "/dev/xen/privcmd"

/* Linux' interface (include/uapi/xen/privcmd.h), which its headers do not bring to user space. */
struct privcmd_mmapbatch_v2 {
    unsigned int num;
    uint16_t dom;
    uint64_t addr;
    const uint64_t *arr;
    int *err;
};
#define IOCTL_PRIVCMD_MMAPBATCH_V2 _IOC(_IOC_NONE, 'P', 4, sizeof(struct privcmd_mmapbatch_v2))
#define IOCTL_PRIVCMD_RESTRICT     _IOC(_IOC_NONE, 'P', 6, sizeof(uint16_t))

uint32_t vg_regmem_request(void)
{
    return IOCTL_PRIVCMD_MMAPBATCH_V2;
}

int vg_regmem_open_domain(uint32_t domid)
{
    uint16_t only = (uint16_t)domid;
    int fd, error;

    if (domid == 0 || domid >= 0x7ff0) /* Dom0; Xen's own numbers */
        return -EINVAL;
    fd = open(PRIVCMD, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ioctl(fd, IOCTL_PRIVCMD_RESTRICT, &only) < 0) {
        error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/* One mapping that privcmd fills as a whole; it fills each only once. */
static int map_chunk(const struct vg_regmem *m, char *at, uint64_t page, uint64_t count, int prot,
                     uint64_t *frames, int *errors)
{
    struct privcmd_mmapbatch_v2 batch = {.num = (unsigned)count, .dom = (uint16_t)m->domid,
                                         .addr = (uintptr_t)at, .arr = frames, .err = errors};

    if (mmap(at, count * PAGE, prot, MAP_SHARED | MAP_FIXED, m->fd, 0) != at)
        return -errno;
    for (uint64_t i = 0; i < count; i++)
        frames[i] = m->gfn + page + i;
    if (ioctl(m->fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch) < 0)
        return -errno;
    for (uint64_t i = 0; i < count; i++)
        if (errors[i])
            return errors[i] < 0 ? errors[i] : -EFAULT;
    return 0;
}

static int map_pages(const struct vg_regmem *m, char *at, uint64_t page, uint64_t count, int prot)
{
    uint64_t room = count < CHUNK_PAGES ? count : CHUNK_PAGES;
    uint64_t *frames = malloc(room * sizeof(*frames));
    int *errors = malloc(room * sizeof(*errors));
    int rc = frames && errors ? 0 : -ENOMEM;

    for (uint64_t done = 0, n; done < count && rc == 0; done += n) {
        n = count - done < CHUNK_PAGES ? count - done : CHUNK_PAGES;
        rc = map_chunk(m, at + done * PAGE, page + done, n, prot, frames, errors);
    }
    free(frames);
    free(errors);
    return rc;
}

/* The place is taken first, by the rules of `flags`, and then filled. */
static void *map_domain(const struct vg_regmem *m, void *at, uint64_t off, uint64_t len, int prot,
                        int flags)
{
    int how = (flags & ~MAP_SHARED) | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *place;
    int rc;

    if (off % PAGE || len % PAGE) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    place = mmap(at, len, PROT_NONE, how, -1, 0);
    if (place == MAP_FAILED)
        return MAP_FAILED;
    rc = map_pages(m, place, off / PAGE, len / PAGE, prot);
    if (rc == 0)
        return place;
    munmap(place, len);
    errno = -rc;
    return MAP_FAILED;
}

void *vg_regmem_map(const struct vg_regmem *m, void *at, uint64_t off, uint64_t len, int prot,
                    int flags)
{
    if (m->gfn)
        return map_domain(m, at, off, len, prot, flags);
    return mmap(at, len, prot, flags, m->fd, (off_t)off);
}

/* A domain's pages stay as long as they are mapped, so they may be touched. */
static int touch(const struct vg_regmem *m, void *bytes, size_t len, uint64_t off, bool write)
{
    uint64_t first = off & ~(PAGE - 1), span = (off + len - first + PAGE - 1) & ~(PAGE - 1);
    char *p = vg_regmem_map(m, NULL, first, span, PROT_READ | PROT_WRITE, MAP_SHARED);

    if (p == MAP_FAILED)
        return -errno;
    if (write)
        memcpy(p + (off - first), bytes, len);
    else
        memcpy(bytes, p + (off - first), len);
    munmap(p, span);
    return 0;
}

static int whole(ssize_t n, size_t len)
{
    return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EIO;
}

int vg_regmem_write(const struct vg_regmem *m, const void *bytes, size_t len, uint64_t off)
{
    if (m->gfn)
        return touch(m, (void *)(uintptr_t)bytes, len, off, true);
    return whole(pwrite(m->fd, bytes, len, (off_t)off), len);
}

int vg_regmem_read(const struct vg_regmem *m, void *ret_bytes, size_t len, uint64_t off)
{
    if (m->gfn)
        return touch(m, ret_bytes, len, off, false);
    return whole(pread(m->fd, ret_bytes, len, (off_t)off), len);
}
