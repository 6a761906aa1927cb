/* SPDX-License-Identifier: MIT */
/* Registered host memory of the fuzzing driver, and its rule: one copy does not leave one of them. */
#include <stdlib.h>

#include "tests/fuzz/fake_private.h"

#define REGISTERED_MAX 32u

static struct {
    uintptr_t base, end;
} registered[REGISTERED_MAX];
static unsigned count;

void fake_pins_check(const void *p, size_t n)
{
    uintptr_t base = (uintptr_t)p, end = base + n;

    for (unsigned i = 0; i < count; i++)
        if (base < registered[i].end && end > registered[i].base &&
            (base < registered[i].base || end > registered[i].end))
            abort(); /* a driver would refuse the copy */
}

static CUresult fake_register(void *p, size_t n, unsigned flags)
{
    uintptr_t base = (uintptr_t)p, end = base + n;
    CUresult rc = fake_outcome();

    (void)flags;
    for (unsigned i = 0; i < count; i++)
        if (base < registered[i].end && end > registered[i].base)
            return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    if (rc != CUDA_SUCCESS || count == REGISTERED_MAX)
        return rc != CUDA_SUCCESS ? rc : CUDA_ERROR_OUT_OF_MEMORY;
    registered[count].base = base;
    registered[count++].end = end;
    return CUDA_SUCCESS;
}

static CUresult fake_unregister(void *p)
{
    for (unsigned i = 0; i < count; i++)
        if (registered[i].base == (uintptr_t)p) {
            registered[i] = registered[--count];
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

void fake_pins_fill(struct vg_cuda *c)
{
    count = 0;
    c->cuMemHostRegister_v2 = fake_register;
    c->cuMemHostUnregister = fake_unregister;
}
