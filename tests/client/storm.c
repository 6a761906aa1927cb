/* SPDX-License-Identifier: MIT */
/*
 * A process in the middle of something, for as long as a file exists: large copies or
 * a storm of launches. Every result is checked, so that it can stand beside what
 * happens to others; or it is what something happens to. An error ends it with
 * status 1 and the error's name.
 *
 *   storm copy FILE       64 MiB there and back, ordinary and pinned memory in turn
 *   storm launch FILE     500 launches, then the result
 *
 * Says "storm" when the first round is done, "ok: N rounds" at the end.
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

#define COPY_BYTES ((size_t)64 << 20)
#define LAUNCHES   500u
#define WORDS      256u

struct job {
    CUdeviceptr device;
    uint32_t *plain, *pinned;
    CUfunction mix;
};

static void copy_round(struct job *job, uint32_t round)
{
    uint32_t *host = round % 2 ? job->pinned : job->plain;
    uint32_t seed = round + 1, first = vg_drv_random(&seed);
    size_t words = COPY_BYTES / sizeof(*host);

    for (size_t i = 0; i < words; i += 1024)
        host[i] = first + (uint32_t)i;
    VG_CU(cuMemcpyHtoD_v2(job->device, host, COPY_BYTES));
    memset(host, 0, COPY_BYTES);
    VG_CU(cuMemcpyDtoH_v2(host, job->device, COPY_BYTES));
    for (size_t i = 0; i < words; i += 1024)
        if (host[i] != first + (uint32_t)i)
            vg_drv_fail("storm copy, round %u: word %zu is wrong", round, i);
}

static void launch_round(struct job *job, uint32_t round)
{
    uint32_t key = round, words = WORDS, got[WORDS], want = round;
    void *args[] = {&job->device, &key, &words};

    VG_CU(cuMemsetD32_v2(job->device, round, WORDS));
    for (uint32_t i = 0; i < LAUNCHES; i++) {
        VG_CU(cuLaunchKernel(job->mix, 2, 1, 1, 128, 1, 1, 0, NULL, args, NULL));
        want = want * 3 + key;
    }
    VG_CU(cuMemcpyDtoH_v2(got, job->device, sizeof(got)));
    for (uint32_t i = 0; i < WORDS; i++)
        if (got[i] != want)
            vg_drv_fail("storm launch, round %u: word %u is %u, not %u", round, i, got[i], want);
}

int main(int argc, char **argv)
{
    bool copies = argc == 3 && strcmp(argv[1], "copy") == 0;
    struct job job = {.plain = malloc(COPY_BYTES)};
    uint32_t round = 0;
    void *pinned;

    if (!copies && (argc != 3 || strcmp(argv[1], "launch") != 0))
        vg_drv_fail("usage: storm copy | launch FILE");
    vg_drv_start();
    job.mix = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    job.device = vg_drv_alloc(COPY_BYTES);
    if (copies) {
        VG_CU(cuMemHostAlloc(&pinned, COPY_BYTES, 0));
        job.pinned = pinned;
    }
    while (access(argv[2], F_OK) == 0) {
        (copies ? copy_round : launch_round)(&job, round++);
        if (round == 1)
            printf("storm of process %d\n", (int)getpid());
        fflush(stdout);
    }
    printf("ok: %u rounds\n", round);
    return 0;
}
