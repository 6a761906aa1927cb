/* SPDX-License-Identifier: MIT */
/*
 * The linker: two units, one of them from a file, become a module that runs, also where two
 * threads link beside each other; what is wrong with others is told with the driver's codes
 * and messages. Runs on any driver.
 */
#include "vg_drv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD ".version 6.4\n.target sm_75\n.address_size 64\n"

static char caller[] =
    HEAD
    ".extern .func (.param .b32 r) twice(.param .b32 x);\n"
    ".extern .global .u32 bias;\n"
    ".visible .entry use(.param .u64 out, .param .u32 x)\n{\n"
    "    .reg .u64 %p;\n    .reg .u32 %v, %b;\n"
    "    ld.param.u64 %p, [out];\n    cvta.to.global.u64 %p, %p;\n    ld.param.u32 %v, [x];\n"
    "    {\n    .param .b32 a;\n    .param .b32 r;\n    st.param.b32 [a], %v;\n"
    "    call.uni (r), twice, (a);\n    ld.param.b32 %v, [r];\n    }\n"
    "    ld.global.u32 %b, [bias];\n    add.u32 %v, %v, %b;\n    st.global.u32 [%p], %v;\n"
    "    ret;\n}\n";

static char callee[] =
    HEAD
    ".visible .global .u32 bias = 7;\n"
    ".visible .func (.param .b32 r) twice(.param .b32 x)\n{\n"
    "    .reg .u32 %v;\n    ld.param.b32 %v, [x];\n    add.u32 %v, %v, %v;\n"
    "    st.param.b32 [r], %v;\n    ret;\n}\n";

static char nonsense[] = HEAD ".visible .entry broken()\n{\n    nonsense.u32 %r1;\n}\n";

struct logs {
    char error[4096], info[4096];
    CUjit_option option[5];
    void *value[5];
};

static void logs_init(struct logs *l)
{
    static const CUjit_option option[5] = {
        CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, CU_JIT_INFO_LOG_BUFFER,
        CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, CU_JIT_WALL_TIME,
    };

    memset(l, 0, sizeof(*l));
    memcpy(l->option, option, sizeof(option));
    l->value[0] = l->error;
    l->value[1] = (void *)(uintptr_t)sizeof(l->error);
    l->value[2] = l->info;
    l->value[3] = (void *)(uintptr_t)sizeof(l->info);
}

static void add_ptx(CUlinkState link, char *text, const char *name)
{
    VG_CU(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, text, strlen(text) + 1, name, 0, NULL, NULL));
}

static void add_file(CUlinkState link, const char *text)
{
    char path[] = "/tmp/vgpu-link-XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        vg_drv_fail("cannot write %s", path);
    close(fd);
    VG_CU(cuLinkAddFile_v2(link, CU_JIT_INPUT_PTX, path, 0, NULL, NULL));
    unlink(path);
}

static uint32_t run(const void *image)
{
    CUmodule module = vg_drv_module(image);
    CUdeviceptr out = vg_drv_alloc(4);
    uint32_t x = 21, got = 0;
    void *params[] = {&out, &x};

    VG_CU(cuLaunchKernel(vg_drv_function(module, "use"), 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    VG_CU(cuMemcpyDtoH_v2(&got, out, sizeof(got)));
    VG_CU(cuMemFree_v2(out));
    VG_CU(cuModuleUnload(module));
    return got;
}

/* The image is a copy's worth: it loads twice, and from a copy after the state has gone. */
static void links(void)
{
    struct logs l;
    CUlinkState link;
    void *image = NULL;
    size_t size = 0;
    float ms = -1;

    logs_init(&l);
    VG_CU(cuLinkCreate_v2(5, l.option, l.value, &link));
    add_ptx(link, caller, "caller");
    add_file(link, callee);
    VG_CU(cuLinkComplete(link, &image, &size));
    memcpy(&ms, &l.value[4], sizeof(ms));
    if (!image || size < 64 || ms < 0)
        vg_drv_fail("linked image %p of %zu bytes in %f ms", image, size, (double)ms);
    void *copy = malloc(size + 8);
    memcpy(copy, image, size);
    memset((char *)copy + size, 0, 8);
    uint32_t first = run(image);
    VG_CU(cuLinkDestroy(link));
    uint32_t second = run(copy);
    free(copy);
    if (first != 49 || second != 49)
        vg_drv_fail("linked kernels gave %u and %u, not 49", first, second);
}

/* ---- Two threads, neither of whose links lies within the other's ---- */

static pthread_barrier_t turn;

static void wait_turn(void)
{
    pthread_barrier_wait(&turn);
}

/* The second one does each step when the first has done it. */
static void begin_step(bool second)
{
    if (second)
        wait_turn();
}

static void end_step(bool second)
{
    if (!second)
        wait_turn();
    wait_turn();
}

static void link_in_steps(bool second)
{
    struct logs l;
    CUlinkState link;
    void *image;
    size_t size;

    logs_init(&l);
    begin_step(second);
    VG_CU(cuLinkCreate_v2(5, l.option, l.value, &link));
    end_step(second);
    add_ptx(link, caller, "caller");
    add_ptx(link, callee, "callee");
    begin_step(second);
    VG_CU(cuLinkComplete(link, &image, &size));
    end_step(second);
    uint32_t got = run(image);
    if (got != 49)
        vg_drv_fail("a kernel that was linked beside another gave %u, not 49", got);
    begin_step(second);
    VG_CU(cuLinkDestroy(link));
    end_step(second);
}

static void *second_main(void *context)
{
    VG_CU(cuCtxSetCurrent(context));
    for (int i = 0; i < 3; i++)
        link_in_steps(true);
    return NULL;
}

static void links_of_two_threads(CUcontext context)
{
    pthread_t thread;

    if (pthread_barrier_init(&turn, NULL, 2) != 0 ||
        pthread_create(&thread, NULL, second_main, context) != 0)
        vg_drv_fail("no second thread");
    for (int i = 0; i < 3; i++)
        link_in_steps(false);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&turn);
}

static void fails_at_complete(void)
{
    struct logs l;
    CUlinkState link;
    void *image = NULL;
    size_t size = 0;

    logs_init(&l);
    VG_CU(cuLinkCreate_v2(5, l.option, l.value, &link));
    add_ptx(link, caller, "caller");
    CUresult r = vg_drv.cuLinkComplete(link, &image, &size);
    printf("undefined symbols: %s\n", vg_drv_error(r));
    if (r == CUDA_SUCCESS || !strstr(l.error, "twice"))
        vg_drv_fail("a link without 'twice': %s, log '%s'", vg_drv_error(r), l.error);
    VG_CU(cuLinkDestroy(link));
}

static void fails_at_add(void)
{
    struct logs l;
    CUlinkState link;

    logs_init(&l);
    VG_CU(cuLinkCreate_v2(5, l.option, l.value, &link));
    CUresult r = vg_drv.cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, nonsense, sizeof(nonsense), "bad",
                                         0, NULL, NULL);
    if (r == CUDA_SUCCESS) {    /* a linker that reads its units at the end says so there */
        void *image;
        size_t size;
        r = vg_drv.cuLinkComplete(link, &image, &size);
    }
    if (r != CUDA_ERROR_INVALID_PTX || !l.error[0])
        vg_drv_fail("nonsense: %s, log '%s'", vg_drv_error(r), l.error);
    VG_CU_IS(CUDA_ERROR_FILE_NOT_FOUND,
             cuLinkAddFile_v2(link, CU_JIT_INPUT_PTX, "/nonexistent.ptx", 0, NULL, NULL));
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE,
             cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, NULL, 4, "", 0, NULL, NULL));
    VG_CU(cuLinkDestroy(link));
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuLinkCreate_v2(1, NULL, NULL, &link));
}

int main(void)
{
    CUcontext context = vg_drv_start();

    for (int i = 0; i < 3; i++)
        links();
    links_of_two_threads(context);
    fails_at_complete();
    fails_at_add();
    puts("links");
    return 0;
}
