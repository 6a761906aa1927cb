/* SPDX-License-Identifier: MIT */
/*
 * Graphs that decide while they run, and user objects: what outlives the graph that is destroyed
 * under a launch.
 */
#include "api.h"

/* down: *left -= 1, *sum += 1, and the condition is whether something is left. */
static const char cond_ptx[] =
    ".version 8.0\n.target sm_75\n.address_size 64\n"
    ".extern .func cudaGraphSetConditional(.param .b64 h, .param .b32 v);\n"
    ".visible .entry down(.param .u64 h, .param .u64 left, .param .u64 sum)\n{\n"
    ".reg .b32 %r<6>;\n.reg .b64 %d<4>;\n.reg .pred %p<2>;\n"
    "ld.param.u64 %d1,[h];\nld.param.u64 %d2,[left];\nld.param.u64 %d3,[sum];\n"
    "ld.global.u32 %r1,[%d2];\nsub.u32 %r2,%r1,1;\nst.global.u32 [%d2],%r2;\n"
    "ld.global.u32 %r3,[%d3];\nadd.u32 %r4,%r3,1;\nst.global.u32 [%d3],%r4;\n"
    "setp.ne.u32 %p1,%r2,0;\nselp.u32 %r5,1,0,%p1;\n"
    "{\n.param .b64 a;\n.param .b32 b;\nst.param.b64 [a+0],%d1;\nst.param.b32 [b+0],%r5;\n"
    "call.uni cudaGraphSetConditional,(a,b);\n}\nret;\n}\n";

/* A loop that runs `down` until nothing is left. */
static CUgraph make_loop(CUfunction down, CUdeviceptr left, CUdeviceptr sum)
{
    CUgraphConditionalHandle handle;
    CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_CONDITIONAL };
    void *params[] = { &handle, &left, &sum };
    CUgraphNode node;
    CUgraph g;

    ck_cu(cuGraphCreate(&g, 0));
    ck_cu(cuGraphConditionalHandleCreate(&handle, g, NULL, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
    p.conditional.handle = handle;
    p.conditional.type = CU_GRAPH_COND_TYPE_WHILE;
    p.conditional.size = 1;
    ck_cu(cuGraphAddNode_v2(&node, g, NULL, NULL, 0, &p));
    ck_assert_int_eq(cuGraphAddNode_v2(&node, g, NULL, NULL, 0, &p), CUDA_ERROR_INVALID_VALUE);
    CUDA_KERNEL_NODE_PARAMS k = { .func = down, .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1,
                                  .blockDimX = 1, .blockDimY = 1, .blockDimZ = 1,
                                  .kernelParams = params };
    ck_cu(cuGraphAddKernelNode_v2(&node, p.conditional.phGraph_out[0], NULL, 0, &k));
    return g;
}

START_TEST(loops_end)
{
    uint32_t turns = 1000;
    CUdeviceptr left, sum;
    CUfunction down;
    CUgraphExec exec;
    CUmodule m;
    CUgraph g;

    api_start();
    left = api_alloc(4);
    sum = api_alloc(4);
    ck_cu(cuModuleLoadData(&m, cond_ptx));
    ck_cu(cuModuleGetFunction(&down, m, "down"));
    g = make_loop(down, left, sum);
    ck_cu(cuGraphInstantiateWithFlags(&exec, g, 0));
    ck_cu(cuMemcpyHtoD_v2(left, &turns, 4));
    ck_cu(cuGraphLaunch(exec, NULL));
    api_end_graph(g, exec);                   /* it goes on to its end */
    ck_cu(cuCtxSynchronize());
    ck_assert_uint_eq(api_peek(sum), turns);
    ck_assert_uint_eq(api_peek(left), 0);
}
END_TEST

/* A handle that was never made is an address that was never made. */
START_TEST(forged_conditions_fault)
{
    uint64_t forged = 0x1234;
    CUdeviceptr cell;
    void *params[] = { &forged, &cell, &cell };
    CUfunction down;
    CUmodule m;

    api_start();
    cell = api_alloc(4);
    ck_cu(cuModuleLoadData(&m, cond_ptx));
    ck_cu(cuModuleGetFunction(&down, m, "down"));
    ck_cu(cuLaunchKernel(down, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    ck_assert_int_eq(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}
END_TEST

static void count_end(void *data)
{
    __atomic_fetch_add((int *)data, 1, __ATOMIC_RELAXED);
}

START_TEST(user_objects_end_once)
{
    CUuserObject object;
    CUdeviceptr flag, p;
    CUgraphNode node;
    CUgraphExec exec;
    CUgraph g, clone;
    CUstream s;
    int ends = 0;

    api_start();
    flag = api_alloc(4);
    p = api_alloc(4);
    ck_cu(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    api_launch_until(flag, p, 5, s);
    ck_cu(cuStreamEndCapture(s, &g));
    ck_cu(cuUserObjectCreate(&object, &ends, count_end, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
    ck_assert_int_eq(cuUserObjectCreate(&object, &ends, count_end, 1, 0),
                     CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuGraphRetainUserObject(g, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
    ck_assert_int_eq(cuGraphReleaseUserObject(g, object, 2), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuGraphClone(&clone, g));
    ck_cu(cuGraphInstantiateWithFlags(&exec, g, 0));
    ck_cu(cuGraphDestroy(clone));
    ck_cu(cuGraphLaunch(exec, s));
    api_end_graph(g, exec);
    ck_assert_int_eq(ends, 0);          /* the launch still has it */
    api_launch_set(flag, 1, NULL);
    ck_cu(cuStreamSynchronize(s));
    ck_cu(cuGraphCreate(&g, 0));
    ck_cu(cuGraphAddEmptyNode(&node, g, NULL, 0));
    ck_cu(cuGraphDestroy(g));           /* whoever comes next calls what is due */
    ck_assert_int_eq(__atomic_load_n(&ends, __ATOMIC_RELAXED), 1);
    ck_assert_int_eq(cuUserObjectRelease(object, 1), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

Suite *api_cond_suite(void)
{
    Suite *suite = suite_create("softgpu conditions");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, loops_end);
    tcase_add_test(tc, forged_conditions_fault);
    tcase_add_test(tc, user_objects_end_once);
    suite_add_tcase(suite, tc);
    return suite;
}
