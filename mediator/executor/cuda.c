/* SPDX-License-Identifier: MIT */
/* Loads the driver library. Main thread, before the process restricts itself. */
#include "mediator/executor/cuda.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#define VG_API(id, symbol, base, since, mode, class)                                               \
    static CUresult missing_##symbol(VG_PARAMS(symbol))                                            \
    {                                                                                              \
        VG_UNUSED(symbol)                                                                          \
        return CUDA_ERROR_NOT_SUPPORTED;                                                           \
    }
#include "vg_api.def"

void vg_cuda_init_missing(struct vg_cuda *c)
{
    memset(c, 0, sizeof(*c));
#define VG_API(id, symbol, base, since, mode, class) c->symbol = missing_##symbol;
#include "vg_api.def"
}

/* ISO C has no cast from object to function pointer; POSIX promises the bits are the same. */
static void resolve(void *dl, const char *symbol, void *ret_entry)
{
    void *p = dlsym(dl, symbol);

    if (p)
        memcpy(ret_entry, &p, sizeof(p));
}

int vg_cuda_open(struct vg_cuda *c, const char *driver, const char **ret_why)
{
    vg_cuda_init_missing(c);
    c->dl = dlopen(driver, RTLD_NOW | RTLD_LOCAL);
    if (!c->dl) {
        *ret_why = dlerror();
        return -ENOENT;
    }
#define VG_API(id, symbol, base, since, mode, class) resolve(c->dl, #symbol, &c->symbol);
#include "vg_api.def"
    return 0;
}

bool vg_cuda_is_sticky(CUresult r)
{
    switch ((int)r) {
    case 214: /* ECC_UNCORRECTABLE */
    case 700: /* ILLEGAL_ADDRESS */
    case 702: /* LAUNCH_TIMEOUT */
    case 709: /* CONTEXT_IS_DESTROYED */
    case 710: /* ASSERT */
    case 714: /* HARDWARE_STACK_ERROR */
    case 715: /* ILLEGAL_INSTRUCTION */
    case 716: /* MISALIGNED_ADDRESS */
    case 717: /* INVALID_ADDRESS_SPACE */
    case 718: /* INVALID_PC */
    case 719: /* LAUNCH_FAILED */
        return true;
    default:
        return false;
    }
}
