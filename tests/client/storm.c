/* SPDX-License-Identifier: MIT */
/*
 * A process in the middle of something, for as long as a file exists: large copies,
 * a storm of launches, or one kernel that it waits for. Every result is checked, so that it can stand beside what
 * happens to others; or it is what something happens to. An error ends it with
 * status 1 and the error's name.
 *
 *   storm copy FILE       64 MiB there and back, ordinary and pinned memory in turn
 *   storm launch FILE     500 launches, then the result
 *   storm wait FILE       a kernel that ends when the file does
 *
 * Says "storm" when the first round is done, "round N" about four times a second, "ok: N rounds"
 * at the end.
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <pthread.h>
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
    CUfunction mix, wait;
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

static const char *file;
static volatile uint32_t *flag;     /* what the kernel looks at, too */

static void *end_kernel(void *arg)
{
    while (access(file, F_OK) == 0)
        usleep(10000);
    *flag = 1;
    return arg;
}

static void wait_round(struct job *job, uint32_t round)
{
    CUdeviceptr address = (uintptr_t)flag;
    void *args[] = {&address};
    pthread_t thread;

    if (pthread_create(&thread, NULL, end_kernel, NULL) != 0)
        vg_drv_fail("storm wait: no thread");
    VG_CU(cuLaunchKernel(job->wait, 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
    printf("storm of process %d\n", (int)getpid());
    fflush(stdout);
    VG_CU(cuStreamSynchronize(NULL));
    if (*flag != 1 || access(file, F_OK) == 0)
        vg_drv_fail("storm wait, round %u: the kernel has ended too soon", round);
    pthread_join(thread, NULL);
}

static const struct kind {
    const char *name;
    void (*round)(struct job *job, uint32_t round);
} kinds[] = {{"copy", copy_round}, {"launch", launch_round}, {"wait", wait_round}};

static const struct kind *find_kind(const char *name)
{
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

int main(int argc, char **argv)
{
    const struct kind *kind = argc == 3 ? find_kind(argv[1]) : NULL;
    struct job job = {.plain = malloc(COPY_BYTES)};
    uint32_t round = 0;
    double said = 0;
    CUmodule module;
    void *pinned;

    if (!kind)
        vg_drv_fail("usage: storm copy | launch | wait FILE");
    file = argv[2];
    vg_drv_start();
    module = vg_drv_module(vg_client_ptx);
    job.mix = vg_drv_function(module, "mix");
    job.wait = vg_drv_function(module, "endless");
    job.device = vg_drv_alloc(COPY_BYTES);
    VG_CU(cuMemHostAlloc(&pinned, COPY_BYTES, 0));
    job.pinned = pinned;
    flag = pinned;
    *flag = 0;
    while (access(file, F_OK) == 0) {
        kind->round(&job, round++);
        if (round == 1 && kind->round != wait_round)
            printf("storm of process %d\n", (int)getpid());
        if (vg_drv_now() - said > 0.25) {
            said = vg_drv_now();
            printf("round %u\n", round);
        }
        fflush(stdout);
    }
    printf("ok: %u rounds\n", round);
    return 0;
}
