/* SPDX-License-Identifier: MIT */
/*
 * profiler LIBCUPTI: what a profiler does to a program before it asks for anything of
 * the GPU's: subscribes, wants to see kernels and copies. It may be told no; the
 * program must go on and get right results either way. Prints CUPTI's answers.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "vg_drv.h"

#define KIND_MEMCPY            1
#define KIND_CONCURRENT_KERNEL 10

typedef int simple_call(void);
typedef int kind_call(int kind);
typedef int subscribe_call(void **subscriber, void (*callback)(void), void *user);

static int asked;   /* calls that CUPTI answered at all */

static void *find(void *lib, const char *name)
{
    void *p = dlsym(lib, name);

    if (!p)
        printf("%s is missing\n", name);
    return p;
}

static void answer(const char *name, int result)
{
    printf("%s: %d\n", name, result);
    asked++;
}

static void ignore_event(void)
{
}

static void attach(void *lib)
{
    subscribe_call *subscribe = (subscribe_call *)(uintptr_t)find(lib, "cuptiSubscribe");
    kind_call *enable = (kind_call *)(uintptr_t)find(lib, "cuptiActivityEnable");
    void *subscriber = NULL;

    if (subscribe)
        answer("cuptiSubscribe", subscribe(&subscriber, ignore_event, NULL));
    if (enable) {
        answer("kernels", enable(KIND_CONCURRENT_KERNEL));
        answer("copies", enable(KIND_MEMCPY));
    }
}

/* Memory goes to the GPU and comes back. */
static bool work(void)
{
    unsigned char out[4096], in[sizeof(out)];
    CUdeviceptr p = vg_drv_alloc(sizeof(out));

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (unsigned char)(i * 7);
    memset(in, 0, sizeof(in));
    VG_CU(cuMemcpyHtoD_v2(p, out, sizeof(out)));
    VG_CU(cuMemcpyDtoH_v2(in, p, sizeof(in)));
    VG_CU(cuMemFree_v2(p));
    return memcmp(in, out, sizeof(in)) == 0;
}

int main(int argc, char **argv)
{
    void *lib = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) : NULL;

    if (!lib) {
        fprintf(stderr, "usage: profiler LIBCUPTI: %s\n", argc == 2 ? dlerror() : "no library");
        return 2;
    }
    attach(lib);
    vg_drv_open();
    vg_drv_start();
    attach(lib);
    bool right = work();
    simple_call *finalize = (simple_call *)(uintptr_t)find(lib, "cuptiFinalize");
    if (finalize)
        answer("cuptiFinalize", finalize());
    right = work() && right;
    printf("%s\n", right ? "right bytes" : "wrong bytes");
    return !right || asked == 0;
}
