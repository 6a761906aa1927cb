/* SPDX-License-Identifier: MIT */
/*
 * The memory of a region, whichever way it reaches us: a memfd, or pages that belong to a domain
 * of Xen's and are mapped by their frame numbers through /dev/xen/privcmd. A handle to privcmd is
 * restricted by the kernel to its one domain before anybody uses it.
 *
 * Offsets and lengths are bytes. Any thread.
 */
#ifndef VG_REGMEM_H
#define VG_REGMEM_H

#include <stddef.h>
#include <stdint.h>

struct vg_regmem {
    int fd;         /* the memory, or privcmd; -1: none */
    uint32_t domid; /* of a domain's pages */
    uint64_t gfn;   /* its first frame of them; 0: fd is the memory */
};

/* A handle that can map this domain's memory and nothing else. The fd, or -errno. */
int vg_regmem_open_domain(uint32_t domid);

/* The one ioctl that vg_regmem_map needs, for a filter of system calls. */
uint32_t vg_regmem_request(void);

/*
 * mmap(2) of [off, off + len), whole pages, with its flags and failures. Every page of a domain
 * must be there, or nothing is mapped (what MAP_FIXED replaced is gone then).
 */
void *vg_regmem_map(const struct vg_regmem *m, void *at, uint64_t off, uint64_t len, int prot,
                    int flags);

/* All of it, or -errno. A memfd's by system call: it may shrink, and that must not hurt us. */
int vg_regmem_write(const struct vg_regmem *m, const void *bytes, size_t len, uint64_t off);
int vg_regmem_read(const struct vg_regmem *m, void *ret_bytes, size_t len, uint64_t off);

#endif
