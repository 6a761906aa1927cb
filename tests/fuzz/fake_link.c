/* SPDX-License-Identifier: MIT */
/*
 * The linker of the fuzzing driver. It keeps the arrays of options that it is given, as CUDA
 * allows, and writes through them in each call as long as the state lives.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fake_private.h"

#define KEPT_MAX  16u
#define COUNT_MAX 64u

static struct kept {
    CUlinkState state;
    unsigned n;
    const CUjit_option *option;
    void **value;
    void *had[COUNT_MAX];
} kept[KEPT_MAX];

static void forget(CUlinkState state)
{
    for (unsigned i = 0; i < KEPT_MAX; i++)
        if (kept[i].state == state)
            kept[i].state = NULL;
}

static void keep(CUlinkState state, unsigned n, const CUjit_option *option, void **value)
{
    static unsigned next;
    struct kept *k = &kept[next++ % KEPT_MAX];

    if (n > COUNT_MAX || (n == 0) != (option == NULL) || (n == 0) != (value == NULL))
        abort();
    if (n == 0)
        return;
    *k = (struct kept){.state = state, .n = n, .option = option, .value = value};
    memcpy(k->had, value, n * sizeof(*value));
}

static bool is_log(CUjit_option option)
{
    return option == CU_JIT_ERROR_LOG_BUFFER || option == CU_JIT_INFO_LOG_BUFFER;
}

static void write_back(CUlinkState state)
{
    for (unsigned a = 0; a < KEPT_MAX; a++)
        for (unsigned i = 0; kept[a].state == state && i < kept[a].n; i++) {
            if (is_log(kept[a].option[i]) && i + 1 < kept[a].n)
                memset(kept[a].had[i], 'l', (size_t)(uintptr_t)kept[a].had[i + 1]);
            kept[a].value[i] = kept[a].had[i];
        }
}

static CUresult fake_link_create(unsigned n, CUjit_option *option, void **value,
                                 CUlinkState *state)
{
    static const char text[8] = "...";
    CUresult rc = fake_outcome();

    fake_jit(text, option, value, n);
    fake_give_handle(state);
    if (rc == CUDA_SUCCESS && n)
        keep(*state, n, option, value);
    return rc;
}

static CUresult fake_link_add(CUlinkState state, CUjitInputType type, void *data, size_t size,
                              const char *name, unsigned n, CUjit_option *option, void **value)
{
    (void)type;
    fake_read(data, size);
    fake_read(name, strlen(name));
    keep(state, n, option, value);
    write_back(state);
    return fake_outcome();
}

static CUresult fake_link_complete(CUlinkState state, void **image, size_t *size)
{
    static uint8_t linked[70000];

    write_back(state);
    linked[0] = '.';
    *image = linked;
    *size = fake_draw() % sizeof(linked);
    return fake_outcome();
}

static CUresult fake_link_destroy(CUlinkState state)
{
    CUresult rc = fake_outcome();

    write_back(state);
    if (rc == CUDA_SUCCESS)
        forget(state);
    return rc;
}

void fake_link_fill(struct vg_cuda *c)
{
    memset(kept, 0, sizeof(kept));
    c->cuLinkCreate_v2 = fake_link_create;
    c->cuLinkAddData_v2 = fake_link_add;
    c->cuLinkComplete = fake_link_complete;
    c->cuLinkDestroy = fake_link_destroy;
}
