/* SPDX-License-Identifier: MIT */
/*
 * One of several processes that use a device at the same time: computes with
 * its own key for a number of rounds and checks every result.
 *
 *   worker KEY [ROUNDS [WORDS]]    default 20 rounds of 20000 words
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

struct job {
    uint32_t key, words;
    uint32_t *host;
    CUdeviceptr device;
    CUfunction mix;
};

static void launch_mix(const struct job *job, uint32_t key)
{
    CUdeviceptr data = job->device;
    uint32_t words = job->words;
    void *args[] = {&data, &key, &words};

    VG_CU(cuLaunchKernel(job->mix, (words + 127) / 128, 1, 1, 128, 1, 1, 0, NULL, args, NULL));
}

static void one_round(struct job *job, uint32_t round)
{
    uint32_t key = job->key + round;

    for (uint32_t i = 0; i < job->words; i++)
        job->host[i] = i ^ key;
    VG_CU(cuMemcpyHtoD_v2(job->device, job->host, job->words * 4));
    launch_mix(job, key);
    launch_mix(job, 7);
    VG_CU(cuMemcpyDtoH_v2(job->host, job->device, job->words * 4));
    for (uint32_t i = 0; i < job->words; i++) {
        uint32_t want = ((i ^ key) * 3 + key) * 3 + 7;

        if (job->host[i] != want)
            vg_drv_fail("worker %u, round %u: word %u is %u, not %u", job->key, round, i,
                        job->host[i], want);
    }
}

int main(int argc, char **argv)
{
    uint32_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 20;
    struct job job = {.words = argc > 3 ? strtoul(argv[3], NULL, 10) : 20000};

    if (argc < 2 || !job.words)
        vg_drv_fail("usage: worker KEY [ROUNDS [WORDS]]");
    job.key = strtoul(argv[1], NULL, 10);
    vg_drv_start();
    job.mix = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    job.device = vg_drv_alloc(job.words * 4);
    job.host = malloc(job.words * 4);
    if (!job.host)
        vg_drv_fail("out of memory");
    for (uint32_t r = 0; r < rounds; r++)
        one_round(&job, r);
    VG_CU(cuMemFree_v2(job.device));
    free(job.host);
    printf("worker %u: ok: %u rounds\n", job.key, rounds);
    return 0;
}
