/* SPDX-License-Identifier: MIT */
/*
 * Body: the picture of a graph. The driver writes a file; here that is one in memory,
 * whose text goes to the guest, which knows where it wants it. Serve thread.
 */
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mediator/executor/args.h"

#ifndef SYS_memfd_create
#define SYS_memfd_create 319
#endif

static CUresult draw(struct vg_exec *x, CUgraph graph, unsigned flags, int fd)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return x->cuda.cuGraphDebugDotPrint(graph, path, flags);
}

/* The part of the text from `position` that the reply has room for. */
static CUresult read_text(struct vg_exec *x, struct vg_req *r, int fd, uint64_t position)
{
    off_t length = lseek(fd, 0, SEEK_END);
    size_t got = 0;
    ssize_t n = 1;

    if (length < 0 || lseek(fd, (off_t)position, SEEK_SET) < 0)
        return CUDA_ERROR_OPERATING_SYSTEM;
    while (got < r->enc.cap && (n = read(fd, x->out + got, r->enc.cap - got)) > 0)
        got += (size_t)n;
    vg_enc_word(&r->enc, (uint64_t)length);
    r->enc.len = got;
    return n < 0 ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
}

/* Words graph, flags, position; val0 the length of the whole text, BULK reply the text. */
CUresult vg_do_cuGraphDebugDotPrint(struct vg_exec *x, struct vg_req *r)
{
    uint64_t graph = vg_dec_word(&r->dec), flags = vg_dec_word(&r->dec);
    uint64_t position = vg_dec_word(&r->dec);

    if (!vg_req_decoded(r) || !graph || position > INT32_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_own_handle(x, VG_OBJ_CUgraph, graph);
    if (rc != CUDA_SUCCESS)
        return rc;
    int fd = (int)syscall(SYS_memfd_create, "graph", 0u);
    if (fd < 0)
        return CUDA_ERROR_OPERATING_SYSTEM;
    rc = draw(x, (CUgraph)(uintptr_t)graph, (unsigned)flags, fd);
    if (rc == CUDA_SUCCESS)
        rc = read_text(x, r, fd, position);
    close(fd);
    return rc;
}
