/* SPDX-License-Identifier: MIT */
/* Slot states in the shared region, see slotmem.h. */
#include "slotmem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mediator/base/file.h"
#include "mediator/base/util.h"

/*
 * Memory that the kernel keeps by itself: a memfd or a file in /dev/shm. A write to
 * a file whose file system is a process, a disk or a server could block us.
 */
static bool is_memory(int fd, const struct stat *st)
{
    struct statfs fs;

    return S_ISREG(st->st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

int vg_slotmem_check(int fd, const struct vg_region_layout *l)
{
    int flags = fcntl(fd, F_GETFL);
    struct stat st;

    if (flags < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!is_memory(fd, &st) || (flags & O_ACCMODE) != O_RDWR || (flags & O_APPEND))
        return -EBADF;
    return (uint64_t)st.st_size < l->size ? -EINVAL : 0;
}

int vg_slotmem_new(const struct vg_region_layout *l)
{
    vg_auto_fd int fd = vg_memfd_new("vgpu-region", l->size);
    void *base;

    if (fd < 0)
        return fd;
    base = mmap(NULL, l->data_off, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    vg_region_format(base, l);
    munmap(base, l->data_off);
    return vg_steal_fd(&fd);
}

static uint64_t slot_off(const struct vg_region_layout *l, unsigned slot, size_t member)
{
    return l->slots_off + (uint64_t)slot * VG_SLOT_STRIDE + member;
}

static int put(const struct vg_regmem *m, uint64_t off, uint32_t value)
{
    return vg_regmem_write(m, &value, sizeof(value), off);
}

int vg_slotmem_set(const struct vg_regmem *m, const struct vg_region_layout *l, unsigned slot,
                   enum vg_slot_state state)
{
    return put(m, slot_off(l, slot, offsetof(struct vg_slot, state)), state);
}

int vg_slotmem_gone(const struct vg_regmem *m, const struct vg_region_layout *l, unsigned slot,
                    enum vg_gone_reason reason)
{
    uint32_t state = 0;
    uint64_t off = slot_off(l, slot, offsetof(struct vg_slot, state));
    int rc;

    if (vg_regmem_read(m, &state, sizeof(state), off) == 0 && state == VG_SLOT_GONE)
        return 0;
    /* Two system calls, so the guest sees the reason no later than the state. */
    rc = put(m, slot_off(l, slot, offsetof(struct vg_slot, reason)), reason);
    return rc < 0 ? rc : vg_slotmem_set(m, l, slot, VG_SLOT_GONE);
}

unsigned vg_slotmem_visible(const struct vg_regmem *m, const struct vg_region_layout *l, unsigned slot,
                            uint8_t ret_visible[VG_DEVICES_MAX])
{
    struct {
        uint32_t count;
        uint8_t at[VG_DEVICES_MAX];
    } asked;

    if (vg_regmem_read(m, &asked, sizeof(asked), slot_off(l, slot, offsetof(struct vg_slot, visible_count))) < 0 ||
        asked.count > VG_DEVICES_MAX)
        return 0;
    memcpy(ret_visible, asked.at, sizeof(asked.at));
    return asked.count;
}
