/* SPDX-License-Identifier: MIT */
/*
 * Capture and graphs.
 */
#include "api.h"

#include <string.h>
#include <unistd.h>

static void count_call(void *data)
{
    ++*(int *)data;
}

/* Ends a graph and what was made of it. */
static CUgraph capture_two_adds(CUstream s, CUdeviceptr p)
{
    CUgraph g;

    ck_cu(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    api_launch_add(p, s);
    api_launch_add(p, s);
    ck_cu(cuStreamEndCapture(s, &g));
    return g;
}

START_TEST(capture_and_replay)
{
    CUstreamCaptureStatus status;
    uint32_t in = 10, out = 0;
    CUgraphExec exec;
    CUdeviceptr p;
    CUgraph g;
    CUstream s;
    size_t n = 0;
    int calls = 0, i;

    api_start();
    p = api_alloc(8);
    api_kernel("addone");
    ck_cu(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ck_cu(cuStreamIsCapturing(s, &status));
    ck_assert_int_eq(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
    ck_cu(cuMemcpyHtoDAsync_v2(p, &in, 4, s));
    api_launch_add(p, s);
    ck_cu(cuMemcpyDtoDAsync_v2(p + 4, p, 4, s));
    ck_cu(cuMemcpyDtoHAsync_v2(&out, p + 4, 4, s));
    ck_cu(cuMemsetD32Async(p, 0, 1, s));
    ck_cu(cuLaunchHostFunc(s, count_call, &calls));
    ck_cu(cuStreamEndCapture(s, &g));
    ck_assert_uint_eq(out, 0);
    ck_cu(cuGraphGetNodes(g, NULL, &n));
    ck_assert_uint_eq(n, 6);
    ck_cu(cuGraphInstantiateWithFlags(&exec, g, 0));
    ck_cu(cuGraphDestroy(g));
    for (i = 1; i <= 20; i++) {
        in = (uint32_t)(10 * i);
        ck_cu(cuGraphLaunch(exec, s));
        ck_cu(cuStreamSynchronize(s));
        ck_assert_uint_eq(out, 10 * (uint32_t)i + 1);
        ck_assert_int_eq(calls, i);
    }
    ck_cu(cuGraphExecDestroy(exec));
    ck_assert_int_eq(cuGraphLaunch(exec, s), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

/* Launches of one graph follow each other even from different streams. */
START_TEST(launches_do_not_overlap)
{
    CUgraphExec exec;
    CUdeviceptr p;
    CUstream a, b;
    CUgraph g;
    int i;

    api_start();
    p = api_alloc(4);
    api_kernel("addone");
    ck_cu(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    g = capture_two_adds(a, p);
    ck_cu(cuGraphInstantiateWithFlags(&exec, g, 0));
    for (i = 0; i < 100; i++)
        ck_cu(cuGraphLaunch(exec, i % 2 != 0 ? a : b));
    ck_cu(cuCtxSynchronize());
    ck_assert_uint_eq(api_peek(p), 200);
    api_end_graph(g, exec);
}
END_TEST

/* A second stream joins through an event and is joined back: fork and join in the graph. */
START_TEST(capture_across_streams)
{
    CUdeviceptr p, q;
    CUgraphNode from[8], to[8];
    CUgraphExec exec;
    CUstream a, b;
    CUevent fork, join;
    CUgraph g;
    size_t n = 8;

    api_start();
    p = api_alloc(4);
    q = api_alloc(4);
    api_kernel("addone");
    ck_cu(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    ck_cu(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
    ck_cu(cuEventCreate(&join, CU_EVENT_DISABLE_TIMING));
    ck_cu(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
    api_launch_add(p, a);
    ck_cu(cuEventRecord(fork, a));
    ck_cu(cuStreamWaitEvent(b, fork, 0));
    api_launch_add(p, a);
    api_launch_add(q, b);
    ck_cu(cuEventRecord(join, b));
    ck_cu(cuStreamWaitEvent(a, join, 0));
    api_launch_copy(q, p, a);
    ck_cu(cuStreamEndCapture(a, &g));
    ck_cu(cuGraphGetEdges_v2(g, from, to, NULL, &n));
    ck_assert_uint_eq(n, 4);
    n = 8;
    ck_cu(cuGraphGetRootNodes(g, from, &n));
    ck_assert_uint_eq(n, 1);
    ck_cu(cuGraphInstantiateWithFlags(&exec, g, 0));
    ck_cu(cuGraphLaunch(exec, b));
    ck_cu(cuStreamSynchronize(b));
    ck_assert_uint_eq(api_peek(q), 2);
    ck_cu(cuEventRecord(join, b));      /* an ordinary event again */
    ck_cu(cuEventSynchronize(join));
    api_end_graph(g, exec);
}
END_TEST

START_TEST(capture_rules)
{
    CUdeviceptr p, q;
    CUgraph g = NULL;
    CUstream a, b, blocking;
    CUevent e;

    api_start();
    p = api_alloc(4);
    api_kernel("addone");
    ck_cu(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamCreate(&blocking, 0));
    ck_cu(cuEventCreate(&e, 0));
    ck_assert_int_eq(cuStreamEndCapture(a, &g), CUDA_ERROR_ILLEGAL_STATE);
    ck_assert_int_eq(cuStreamBeginCapture_v2(NULL, 0), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);

    /* Waiting for a capturing stream spoils the capture. */
    ck_cu(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ck_assert_int_eq(cuStreamBeginCapture_v2(a, 0), CUDA_ERROR_ILLEGAL_STATE);
    ck_assert_int_eq(cuStreamSynchronize(a), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    ck_assert_int_eq(cuLaunchHostFunc(a, count_call, NULL),
                     CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    ck_assert_int_eq(cuStreamEndCapture(a, &g), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    ck_assert_ptr_null(g);

    /* So does asking for an event of it, which then is of no capture at all. */
    ck_cu(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ck_cu(cuEventRecord(e, a));
    ck_assert_int_eq(cuEventQuery(e), CUDA_ERROR_CAPTURED_EVENT);
    ck_assert_int_eq(cuEventQuery(e), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuStreamEndCapture(a, &g), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    ck_assert_int_eq(cuStreamWaitEvent(b, e, 0), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuEventRecord(e, b));
    ck_cu(cuStreamWaitEvent(a, e, 0));

    /* Allocation is unsafe in global mode and allowed in relaxed mode. */
    ck_cu(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ck_assert_int_eq(cuMemAlloc_v2(&q, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    ck_assert_int_eq(cuStreamEndCapture(a, &g), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    ck_cu(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED));
    ck_cu(cuMemAlloc_v2(&q, 4));
    ck_cu(cuStreamEndCapture(a, &g));
    api_end_graph(g, NULL);

    /* The null stream may not wait for a blocking stream that captures. */
    ck_cu(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ck_assert_int_eq(cuMemcpyHtoD_v2(p, &q, 4), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    ck_assert_int_eq(cuStreamEndCapture(blocking, &g), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

    /* A joined stream that is not joined back, and the wrong stream to end with. */
    ck_cu(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ck_cu(cuEventRecord(e, a));
    ck_cu(cuStreamWaitEvent(b, e, 0));
    api_launch_add(p, b);
    ck_assert_int_eq(cuStreamEndCapture(a, &g), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    ck_cu(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ck_cu(cuEventRecord(e, a));
    ck_cu(cuStreamWaitEvent(b, e, 0));
    ck_assert_int_eq(cuStreamEndCapture(b, &g), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    ck_assert_int_eq(cuStreamEndCapture(a, &g), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

    /* An event from outside. */
    ck_cu(cuEventRecord(e, b));
    ck_cu(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ck_assert_int_eq(cuStreamWaitEvent(a, e, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    ck_assert_int_eq(cuStreamEndCapture(a, &g), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    api_launch_add(p, a);
    ck_cu(cuCtxSynchronize());
    ck_assert_uint_eq(api_peek(p), 1);
}
END_TEST

/* memset 40 -> addone -> copy to out -> host call -> empty, made node by node. */
struct made {
    CUgraph graph;
    CUgraphNode set, add, back, call, empty;
    CUdeviceptr p;
    uint32_t out;
    int calls;
};

static void kernel_params(CUDA_KERNEL_NODE_PARAMS *k, const char *name, void **params)
{
    memset(k, 0, sizeof(*k));
    k->func = api_kernel(name);
    k->gridDimX = k->gridDimY = k->gridDimZ = 1;
    k->blockDimX = k->blockDimY = k->blockDimZ = 1;
    k->kernelParams = params;
}

static void make_by_hand(struct made *m)
{
    void *params[] = { &m->p };
    CUDA_MEMSET_NODE_PARAMS fill = { .value = 40, .elementSize = 4, .width = 1, .height = 1 };
    CUDA_HOST_NODE_PARAMS host = { count_call, &m->calls };
    CUDA_KERNEL_NODE_PARAMS kernel;
    CUDA_MEMCPY3D copy;

    memset(m, 0, sizeof(*m));
    m->p = fill.dst = api_alloc(4);
    ck_cu(cuGraphCreate(&m->graph, 0));
    ck_cu(cuGraphAddMemsetNode(&m->set, m->graph, NULL, 0, &fill, NULL));
    kernel_params(&kernel, "addone", params);
    ck_cu(cuGraphAddKernelNode_v2(&m->add, m->graph, &m->set, 1, &kernel));
    memset(&copy, 0, sizeof(copy));
    copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = m->p;
    copy.dstMemoryType = CU_MEMORYTYPE_HOST;
    copy.dstHost = &m->out;
    copy.WidthInBytes = 4;
    copy.Height = copy.Depth = 1;
    ck_cu(cuGraphAddMemcpyNode(&m->back, m->graph, NULL, 0, &copy, NULL));
    ck_cu(cuGraphAddHostNode(&m->call, m->graph, &m->back, 1, &host));
    ck_cu(cuGraphAddEmptyNode(&m->empty, m->graph, &m->call, 1));
    ck_cu(cuGraphAddDependencies_v2(m->graph, &m->add, &m->back, NULL, 1));
}

static void launch_and_wait(CUgraphExec exec)
{
    ck_cu(cuGraphLaunch(exec, NULL));
    ck_cu(cuCtxSynchronize());
}

START_TEST(graph_by_hand)
{
    CUDA_KERNEL_NODE_PARAMS read_back;
    CUgraphNode nodes[8];
    CUgraphNodeType type;
    CUgraphExec exec;
    struct made m;
    size_t n = 8;

    api_start();
    make_by_hand(&m);
    ck_assert_int_eq(cuGraphAddDependencies_v2(m.graph, &m.add, &m.back, NULL, 1),
                     CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuGraphNodeGetType(m.back, &type));
    ck_assert_int_eq(type, CU_GRAPH_NODE_TYPE_MEMCPY);
    ck_cu(cuGraphNodeGetDependencies_v2(m.back, nodes, NULL, &n));
    ck_assert_uint_eq(n, 1);
    ck_assert_ptr_eq(nodes[0], m.add);
    ck_cu(cuGraphKernelNodeGetParams_v2(m.add, &read_back));
    ck_assert_uint_eq(*(CUdeviceptr *)read_back.kernelParams[0], m.p);
    ck_cu(cuGraphInstantiateWithFlags(&exec, m.graph, 0));
    launch_and_wait(exec);
    ck_assert_uint_eq(m.out, 41);
    ck_assert_int_eq(m.calls, 1);
    api_end_graph(NULL, exec);

    /* A cycle cannot be instantiated. */
    ck_cu(cuGraphAddDependencies_v2(m.graph, &m.empty, &m.set, NULL, 1));
    ck_assert_int_eq(cuGraphInstantiateWithFlags(&exec, m.graph, 0), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuGraphDestroyNode(m.empty));
    ck_cu(cuGraphInstantiateWithFlags(&exec, m.graph, 0));
    ck_assert_int_eq(cuGraphNodeGetType(m.empty, &type), CUDA_ERROR_INVALID_VALUE);
    api_end_graph(m.graph, exec);
}
END_TEST

/* Changes to an executable leave the graph as it is. */
START_TEST(executable_changes)
{
    CUDA_KERNEL_NODE_PARAMS kernel;
    CUgraphExec exec, fresh;
    uint32_t value = 5;
    unsigned enabled;
    struct made m;
    void *params[] = { &m.p, &value };

    api_start();
    make_by_hand(&m);
    ck_cu(cuGraphInstantiateWithFlags(&exec, m.graph, 0));
    kernel_params(&kernel, "set", params);
    ck_cu(cuGraphExecKernelNodeSetParams_v2(exec, m.add, &kernel));
    launch_and_wait(exec);
    ck_assert_uint_eq(m.out, 5);
    ck_cu(cuGraphNodeSetEnabled(exec, m.add, 0));
    ck_cu(cuGraphNodeGetEnabled(exec, m.add, &enabled));
    ck_assert_uint_eq(enabled, 0);
    launch_and_wait(exec);
    ck_assert_uint_eq(m.out, 40);
    ck_cu(cuGraphInstantiateWithFlags(&fresh, m.graph, 0));
    launch_and_wait(fresh);
    ck_assert_uint_eq(m.out, 41);
    ck_assert_int_eq(cuGraphExecKernelNodeSetParams_v2(exec, m.set, &kernel),
                     CUDA_ERROR_INVALID_VALUE);
    api_end_graph(NULL, fresh);
    api_end_graph(m.graph, exec);
}
END_TEST

START_TEST(child_clone_update)
{
    CUgraphExecUpdateResultInfo info;
    CUgraphNode node, copy;
    CUgraph inner, outer, clone, other;
    CUgraphExec exec;
    CUdeviceptr p, q;
    CUstream s;
    size_t n = 1;

    api_start();
    p = api_alloc(4);
    q = api_alloc(4);
    api_kernel("addone");
    ck_cu(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    inner = capture_two_adds(s, p);
    ck_cu(cuGraphCreate(&outer, 0));
    ck_cu(cuGraphAddChildGraphNode(&node, outer, NULL, 0, inner));
    ck_cu(cuGraphAddChildGraphNode(&node, outer, &node, 1, inner));
    ck_cu(cuGraphClone(&clone, outer));
    ck_cu(cuGraphNodeFindInClone(&copy, node, clone));
    ck_assert_ptr_ne(copy, node);
    ck_cu(cuGraphDestroy(outer));
    ck_cu(cuGraphInstantiateWithFlags(&exec, clone, 0));
    ck_cu(cuGraphLaunch(exec, s));
    ck_cu(cuStreamSynchronize(s));
    ck_assert_uint_eq(api_peek(p), 4);
    api_end_graph(clone, exec);

    ck_cu(cuGraphInstantiateWithFlags(&exec, inner, 0));
    other = capture_two_adds(s, q);
    ck_cu(cuGraphExecUpdate_v2(exec, other, &info));
    ck_assert_int_eq(info.result, CU_GRAPH_EXEC_UPDATE_SUCCESS);
    ck_cu(cuGraphLaunch(exec, s));
    ck_cu(cuStreamSynchronize(s));
    ck_assert_uint_eq(api_peek(q), 2);
    ck_assert_uint_eq(api_peek(p), 4);
    ck_cu(cuGraphGetNodes(other, &node, &n));
    ck_cu(cuGraphAddEmptyNode(&node, other, &node, 1));
    ck_assert_int_eq(cuGraphExecUpdate_v2(exec, other, &info),
                     CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    ck_assert_int_eq(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);

    /* A launch that is captured becomes a child graph. */
    ck_cu(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ck_cu(cuGraphLaunch(exec, s));
    ck_cu(cuStreamEndCapture(s, &outer));
    api_end_graph(inner, exec);
    ck_cu(cuGraphInstantiateWithFlags(&exec, outer, 0));
    ck_cu(cuGraphLaunch(exec, s));
    ck_cu(cuStreamSynchronize(s));
    ck_assert_uint_eq(api_peek(q), 4);
    api_end_graph(other, NULL);
    api_end_graph(outer, exec);
}
END_TEST

/* Memory allocated in a capture keeps its address from launch to launch. */
START_TEST(graph_memory)
{
    size_t before, after, total;
    CUdeviceptr p, out;
    CUgraphExec exec;
    CUgraph g;
    CUstream s;
    int i;

    api_start();
    out = api_alloc(4);
    api_kernel("addone");
    ck_cu(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    ck_cu(cuMemGetInfo_v2(&before, &total));
    ck_cu(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ck_cu(cuMemAllocAsync(&p, 1 << 20, s));
    ck_cu(cuMemsetD32Async(p, 6, 1, s));
    api_launch_add(p, s);
    api_launch_copy(out, p, s);
    ck_cu(cuMemFreeAsync(p, s));
    ck_cu(cuStreamEndCapture(s, &g));
    ck_cu(cuGraphInstantiateWithFlags(&exec, g, 0));
    for (i = 0; i < 3; i++) {
        ck_cu(cuMemsetD32_v2(out, 0, 1));
        ck_cu(cuGraphLaunch(exec, s));
        ck_cu(cuStreamSynchronize(s));
        ck_assert_uint_eq(api_peek(out), 7);
    }
    ck_cu(cuGraphDestroy(g));
    ck_cu(cuGraphExecDestroy(exec));
    ck_cu(cuMemGetInfo_v2(&after, &total));
    ck_assert_uint_eq(before, after);
}
END_TEST

/* Event nodes order a graph against streams outside. */
START_TEST(event_nodes)
{
    CUgraphNode wait, record;
    CUdeviceptr flag, p, q;
    CUgraphExec exec;
    CUevent before, after;
    CUstream a, b;
    CUgraph g;

    api_start();
    flag = api_alloc(4);
    p = api_alloc(4);
    q = api_alloc(4);
    ck_cu(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    ck_cu(cuEventCreate(&before, CU_EVENT_DISABLE_TIMING));
    ck_cu(cuEventCreate(&after, CU_EVENT_DISABLE_TIMING));
    api_launch_until(flag, p, 12, a);
    ck_cu(cuEventRecord(before, a));
    ck_cu(cuGraphCreate(&g, 0));
    ck_cu(cuGraphAddEventWaitNode(&wait, g, NULL, 0, before));
    ck_cu(cuGraphAddEventRecordNode(&record, g, &wait, 1, after));
    ck_cu(cuGraphInstantiateWithFlags(&exec, g, 0));
    ck_cu(cuGraphLaunch(exec, b));
    ck_assert_int_eq(cuEventQuery(after), CUDA_ERROR_NOT_READY);
    api_launch_set(flag, 1, NULL);
    ck_cu(cuEventSynchronize(after));
    api_launch_copy(q, p, NULL);
    ck_assert_uint_eq(api_peek(q), 12);
    api_end_graph(g, exec);
}
END_TEST

Suite *api_graph_suite(void)
{
    Suite *suite = suite_create("softgpu graphs");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, capture_and_replay);
    tcase_add_test(tc, launches_do_not_overlap);
    tcase_add_test(tc, capture_across_streams);
    tcase_add_test(tc, capture_rules);
    tcase_add_test(tc, graph_by_hand);
    tcase_add_test(tc, executable_changes);
    tcase_add_test(tc, child_clone_update);
    tcase_add_test(tc, graph_memory);
    tcase_add_test(tc, event_nodes);
    suite_add_tcase(suite, tc);
    return suite;
}
