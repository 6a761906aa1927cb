/* SPDX-License-Identifier: MIT */
/*
 * A process with modules of so many KiB of PTX, each of which writes its number to memory:
 *
 *   resend KIB NUMBER[,NUMBER...] [library]
 *
 * The same arguments give the same bytes, others give others. It checks what the kernel wrote.
 */
#include "vg_drv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] = ".version 7.0\n.target sm_52\n.address_size 64\n"
                           ".visible .entry put(.param .u64 p)\n{\n"
                           ".reg .u64 %%a;\n.reg .u32 %%v;\n"
                           "ld.param.u64 %%a, [p];\nmov.u32 %%v, %u;\n"
                           "st.global.u32 [%%a], %%v;\nret;\n}\n";

/* Behind the kernel stand comments, as many as it takes. */
static char *make_ptx(size_t bytes, unsigned number)
{
    char *text = malloc(bytes + sizeof(head) + 128);

    if (!text)
        vg_drv_fail("out of memory");
    size_t at = (size_t)sprintf(text, head, number);
    for (unsigned i = 0; at < bytes; i++)
        at += (size_t)sprintf(text + at, "// %u: a module that is larger than it needs to be\n", i);
    return text;
}

static CUfunction load(const char *text, int as_library)
{
    CUlibrary library;
    CUmodule module;
    CUkernel kernel;

    if (!as_library) {
        VG_CU(cuModuleLoadData(&module, text));
        return vg_drv_function(module, "put");
    }
    VG_CU(cuLibraryLoadData(&library, text, NULL, NULL, 0, NULL, NULL, 0));
    VG_CU(cuLibraryGetKernel(&kernel, library, "put"));
    return (CUfunction)kernel;
}

static void check(const char *text, unsigned number, int as_library)
{
    CUdeviceptr memory = vg_drv_alloc(sizeof(number));
    void *args[] = {&memory};
    uint32_t word = 0;

    VG_CU(cuLaunchKernel(load(text, as_library), 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
    VG_CU(cuMemcpyDtoH_v2(&word, memory, sizeof(word)));
    if (word != number)
        vg_drv_fail("the kernel wrote %u", word);
    VG_CU(cuMemFree_v2(memory));
}

int main(int argc, char **argv)
{
    if (argc < 3)
        vg_drv_fail("usage: resend KIB NUMBER[,NUMBER...] [library]");
    size_t bytes = (size_t)strtoul(argv[1], NULL, 0) << 10;
    vg_drv_start();
    for (char *at = argv[2]; *at; at += *at == ',') {
        char *end;
        unsigned number = (unsigned)strtoul(at, &end, 0);
        if (end == at)
            vg_drv_fail("not a number: %s", at);
        at = end;
        char *text = make_ptx(bytes, number);
        check(text, number, argc > 3);
        free(text);
    }
    printf("resend: ok\n");
    return 0;
}
