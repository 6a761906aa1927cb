/* SPDX-License-Identifier: MIT */
/*
 * Kernels and helpers of the API tests, and main().
 */
#include "api.h"

#include <stdlib.h>
#include <time.h>

const char api_ptx[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".visible .global .align 4 .u32 counter = 7;\n"
    ".const .align 4 .u32 answer = 42;\n"      /* not .visible: found all the same */
    ".extern .func (.param .b32 r) vprintf (.param .b64 f, .param .b64 a);\n"
    ".extern .func __assertfail (.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n,\n"
    " .param .b64 s);\n"
    ".global .align 1 .b8 text[8] = {104, 105, 32, 37, 100, 10, 0, 0};\n"      /* "hi %d\n" */
    ".global .align 1 .b8 expr[6] = {120, 32, 62, 32, 48, 0};\n"               /* "x > 0" */
    ".global .align 1 .b8 file[5] = {97, 46, 99, 117, 0};\n"                   /* "a.cu" */
    ".global .align 1 .b8 func[2] = {102, 0};\n"                               /* "f" */
    ".visible .entry vadd(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)\n{\n"
    " .reg .pred %p<2>; .reg .f32 %f<4>; .reg .b32 %r<6>; .reg .b64 %d<8>;\n"
    " ld.param.u64 %d1, [a]; ld.param.u64 %d2, [b]; ld.param.u64 %d3, [c];\n"
    " ld.param.u32 %r2, [n]; mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ntid.x; mov.u32 %r5, %tid.x;\n"
    " mad.lo.s32 %r1, %r3, %r4, %r5; setp.ge.u32 %p1, %r1, %r2; @%p1 bra DONE;\n"
    " mul.wide.u32 %d4, %r1, 4; add.s64 %d5, %d1, %d4; add.s64 %d6, %d2, %d4;\n"
    " add.s64 %d7, %d3, %d4; ld.global.f32 %f1, [%d5]; ld.global.f32 %f2, [%d6];\n"
    " add.f32 %f3, %f1, %f2; st.global.f32 [%d7], %f3;\nDONE: ret;\n}\n"
    ".visible .entry set(.param .u64 p, .param .u32 v)\n{\n"
    " .reg .b32 %r1; .reg .b64 %d1; ld.param.u64 %d1, [p]; ld.param.u32 %r1, [v];\n"
    " st.global.u32 [%d1], %r1; ret;\n}\n"
    ".visible .entry addone(.param .u64 p)\n{\n"
    " .reg .b32 %r1; .reg .b64 %d1; ld.param.u64 %d1, [p]; ld.global.u32 %r1, [%d1];\n"
    " add.u32 %r1, %r1, 1; st.global.u32 [%d1], %r1; ret;\n}\n"
    ".visible .entry copy(.param .u64 to, .param .u64 from)\n{\n"
    " .reg .b32 %r1; .reg .b64 %d<3>; ld.param.u64 %d1, [to]; ld.param.u64 %d2, [from];\n"
    " ld.global.u32 %r1, [%d2]; st.global.u32 [%d1], %r1; ret;\n}\n"
    ".visible .entry slow(.param .u64 p, .param .u32 v, .param .u32 n)\n{\n"
    " .reg .pred %p1; .reg .b32 %r<4>; .reg .b64 %d1; ld.param.u64 %d1, [p];\n"
    " ld.param.u32 %r1, [v]; ld.param.u32 %r2, [n]; mov.u32 %r3, 0;\n"
    "L: add.u32 %r3, %r3, 1; setp.lt.u32 %p1, %r3, %r2; @%p1 bra L;\n"
    " st.global.u32 [%d1], %r1; ret;\n}\n"
    ".visible .entry until(.param .u64 flag, .param .u64 p, .param .u32 v)\n{\n"
    " .reg .pred %p1; .reg .b32 %r<3>; .reg .b64 %d<3>; ld.param.u64 %d1, [flag];\n"
    " ld.param.u64 %d2, [p]; ld.param.u32 %r1, [v];\n"
    "L: ld.volatile.global.u32 %r2, [%d1]; setp.eq.u32 %p1, %r2, 0; @%p1 bra L;\n"
    " st.global.u32 [%d2], %r1; ret;\n}\n"
    ".visible .entry endless()\n{\nL: bra L;\n}\n"
    ".visible .entry store(.param .u64 p)\n{\n"
    " .reg .b64 %d1; ld.param.u64 %d1, [p]; st.global.u32 [%d1], 1; ret;\n}\n"
    ".visible .entry trapped()\n{\n trap; ret;\n}\n"
    ".visible .entry asserted()\n{\n .reg .b64 %d<4>;\n"
    " mov.u64 %d1, expr; mov.u64 %d2, file; mov.u64 %d3, func;\n"
    " { .param .b64 a; .param .b64 b; .param .b32 c; .param .b64 d; .param .b64 e;\n"
    " st.param.b64 [a], %d1; st.param.b64 [b], %d2; st.param.b32 [c], 9;\n"
    " st.param.b64 [d], %d3; st.param.b64 [e], 1;\n"
    " call.uni __assertfail, (a, b, c, d, e); }\n ret;\n}\n"
    ".visible .entry printed(.param .u32 v)\n{\n"
    " .local .align 8 .b8 args[8]; .reg .b32 %r<3>; .reg .b64 %d<4>;\n"
    " ld.param.u32 %r1, [v]; mov.u64 %d1, args; cvta.local.u64 %d2, %d1;\n"
    " st.local.u32 [%d1], %r1; mov.u64 %d3, text; cvta.global.u64 %d3, %d3;\n"
    " { .param .b64 f; .param .b64 a; .param .b32 r; st.param.b64 [f], %d3;\n"
    " st.param.b64 [a], %d2; call.uni (r), vprintf, (f, a); ld.param.b32 %r2, [r]; }\n ret;\n}\n"
    ".visible .entry useglobals(.param .u64 p)\n{\n .reg .b32 %r<3>; .reg .b64 %d1;\n"
    " ld.param.u64 %d1, [p]; ld.global.u32 %r1, [counter]; ld.const.u32 %r2, [answer];\n"
    " add.u32 %r1, %r1, %r2; st.global.u32 [%d1], %r1; ret;\n}\n"
    ".visible .entry fills(.param .u64 p)\n{\n .shared .align 4 .b8 tile[2048];\n"
    " .reg .b32 %r1; .reg .b64 %d1; ld.param.u64 %d1, [p]; mov.u32 %r1, 5;\n"
    " st.shared.u32 [tile], %r1; ld.shared.u32 %r1, [tile]; st.global.u32 [%d1], %r1; ret;\n}\n";

static CUmodule api_module;

#ifdef __SANITIZE_THREAD__
/* What kernels do to memory is theirs to order; the interpreter reads the page map and the order to
 * stop live. */
const char *__tsan_default_suppressions(void) __attribute__((visibility("default")));

const char *__tsan_default_suppressions(void)
{
    return "race:softgpu/ptx/\nrace:vg_engine_stop_ctx\n";
}
#endif

CUcontext api_start(void)
{
    CUcontext ctx;

    ck_cu(cuInit(0));
    ck_cu(cuDevicePrimaryCtxRetain(&ctx, 0));
    ck_cu(cuCtxSetCurrent(ctx));
    return ctx;
}

CUfunction api_kernel(const char *name)
{
    CUfunction f;

    if (api_module == NULL)
        ck_cu(cuModuleLoadData(&api_module, api_ptx));
    ck_cu(cuModuleGetFunction(&f, api_module, name));
    return f;
}

CUdeviceptr api_alloc(size_t bytes)
{
    CUdeviceptr p;

    ck_cu(cuMemAlloc_v2(&p, bytes));
    ck_cu(cuMemsetD8_v2(p, 0, bytes));
    return p;
}

uint32_t api_peek(CUdeviceptr ptr)
{
    uint32_t v = 0xdeadbeef;

    ck_cu(cuMemcpyDtoH_v2(&v, ptr, sizeof(v)));
    return v;
}

static void launch_one(const char *name, void **params, CUstream stream)
{
    ck_cu(cuLaunchKernel(api_kernel(name), 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
}

void api_launch_set(CUdeviceptr ptr, uint32_t value, CUstream stream)
{
    void *params[] = { &ptr, &value };

    launch_one("set", params, stream);
}

void api_launch_add(CUdeviceptr ptr, CUstream stream)
{
    void *params[] = { &ptr };

    launch_one("addone", params, stream);
}

void api_launch_slow(CUdeviceptr ptr, uint32_t value, uint32_t n, CUstream stream)
{
    void *params[] = { &ptr, &value, &n };

    launch_one("slow", params, stream);
}

void api_launch_until(CUdeviceptr flag, CUdeviceptr ptr, uint32_t value, CUstream stream)
{
    void *params[] = { &flag, &ptr, &value };

    launch_one("until", params, stream);
}

void api_launch_copy(CUdeviceptr dst, CUdeviceptr src, CUstream stream)
{
    void *params[] = { &dst, &src };

    launch_one("copy", params, stream);
}

void api_end_graph(CUgraph g, CUgraphExec exec)
{
    if (exec != NULL)
        ck_cu(cuGraphExecDestroy(exec));
    if (g != NULL)
        ck_cu(cuGraphDestroy(g));
}

double api_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(void)
{
    SRunner *runner = srunner_create(api_device_suite());
    int failed;

    srunner_add_suite(runner, api_memory_suite());
    srunner_add_suite(runner, api_stream_suite());
    srunner_add_suite(runner, api_graph_suite());
    srunner_add_suite(runner, api_cond_suite());
    srunner_add_suite(runner, api_module_suite());
    srunner_add_suite(runner, api_fault_suite());
    srunner_add_suite(runner, api_vmm_suite());
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
