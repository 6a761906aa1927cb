/* SPDX-License-Identifier: MIT */
/*
 * Misuse of graphs built by hand and of their executable forms.
 */
#include "groups.h"

#include <string.h>

static CUgraph g, h;
static CUgraphNode node, other, list[4];
static CUgraphExec x;
static CUstream s;
static CUdeviceptr p;
static CUfunction none, two;
static size_t size;
static CUgraphNodeType type;

static CUDA_KERNEL_NODE_PARAMS kernel(CUfunction f, unsigned grid, unsigned block)
{
    return (CUDA_KERNEL_NODE_PARAMS){.func = f, .gridDimX = grid, .gridDimY = 1, .gridDimZ = 1,
                                     .blockDimX = block, .blockDimY = 1, .blockDimZ = 1};
}

static CUresult add(CUgraph to, CUDA_KERNEL_NODE_PARAMS params)
{
    return cu.cuGraphAddKernelNode_v2(&other, to, NULL, 0, &params);
}
#define ADD(...) ASK("add " #__VA_ARGS__, add(__VA_ARGS__))

static void kernel_nodes(void)
{
    CUDA_KERNEL_NODE_PARAMS params = kernel(none, 1, 1);

    SAY(cuGraphAddKernelNode_v2(&node, g, NULL, 0, NULL));
    SAY(cuGraphAddKernelNode_v2(NULL, g, NULL, 0, &params));
    SAY(cuGraphAddKernelNode_v2(&node, NULL, NULL, 0, &params));
    SAY(cuGraphAddKernelNode_v2(&node, g, NULL, 1, &params));
    SAY(cuGraphAddKernelNode_v2(&node, g, NULL, 0, &params));
    ADD(g, kernel(NULL, 1, 1));
    ADD(g, kernel(none, 0, 1));
    ADD(g, kernel(none, 1, 0));
    ADD(g, kernel(none, 1, 1025));
    ADD(g, kernel(two, 1, 1));
    ADD(g, kernel(none, 0x80000000u, 1));
    SAY(cuGraphKernelNodeGetParams_v2(node, NULL));
    SAY(cuGraphKernelNodeGetParams_v2(NULL, &params));
    SAY(cuGraphKernelNodeGetParams_v2(node, &params));
    ask_say("its function", params.func == none);
    params.blockDimX = 2048;
    SAY(cuGraphKernelNodeSetParams_v2(node, &params));
    SAY(cuGraphKernelNodeSetParams_v2(node, NULL));
    SAY(cuGraphMemsetNodeGetParams(node, &(CUDA_MEMSET_NODE_PARAMS){0}));
}

static void memory_nodes(void)
{
    CUcontext ctx;
    CUDA_MEMSET_NODE_PARAMS fill = {.dst = p, .pitch = 64, .value = 1, .elementSize = 1,
                                    .width = 16, .height = 1};
    CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p,
                          .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = p + 64,
                          .WidthInBytes = 16, .Height = 1, .Depth = 1};

    SAY(cuCtxGetCurrent(&ctx));
    SAY(cuGraphAddMemsetNode(&other, g, NULL, 0, &fill, ctx));
    SAY(cuGraphAddMemsetNode(&other, g, NULL, 0, &fill, NULL));
    SAY(cuGraphAddMemsetNode(&other, g, NULL, 0, NULL, ctx));
    fill.elementSize = 3;
    SAY(cuGraphAddMemsetNode(&other, g, NULL, 0, &fill, ctx));
    fill.elementSize = 4;
    fill.dst = p + 2;
    SAY(cuGraphAddMemsetNode(&other, g, NULL, 0, &fill, ctx));
    fill.dst = 0;
    SAY(cuGraphAddMemsetNode(&other, g, NULL, 0, &fill, ctx));
    fill.dst = p;
    fill.width = 5000;
    SAY(cuGraphAddMemsetNode(&other, g, NULL, 0, &fill, ctx));
    fill.width = 0;
    SAY(cuGraphAddMemsetNode(&other, g, NULL, 0, &fill, ctx));
    SAY(cuGraphAddMemcpyNode(&other, g, NULL, 0, &copy, ctx));
    SAY(cuGraphAddMemcpyNode(&other, g, NULL, 0, NULL, ctx));
    SAY(cuGraphAddMemcpyNode(&other, g, NULL, 0, &copy, NULL));
    copy.WidthInBytes = 5000;
    SAY(cuGraphAddMemcpyNode(&other, g, NULL, 0, &copy, ctx));
    copy.WidthInBytes = 0;
    SAY(cuGraphAddMemcpyNode(&other, g, NULL, 0, &copy, ctx));
}

static void edges(void)
{
    CUgraphNode from = list[0], to = list[1];

    SAY(cuGraphAddDependencies(g, &from, &to, 1));
    SAY(cuGraphAddDependencies(g, &from, &to, 1));
    SAY(cuGraphAddDependencies(g, &to, &from, 1));
    SAY(cuGraphAddDependencies(g, &from, &from, 1));
    SAY(cuGraphAddDependencies(g, NULL, NULL, 0));
    SAY(cuGraphAddDependencies(g, NULL, &to, 1));
    SAY(cuGraphAddDependencies(h, &from, &to, 1));
    SAY(cuGraphInstantiateWithFlags(&x, g, 0));
    SAY(cuGraphRemoveDependencies(g, &to, &from, 1));
    SAY(cuGraphRemoveDependencies(g, &from, &to, 1));
    SAY(cuGraphRemoveDependencies(g, &from, &to, 1));
    SAY(cuGraphAddEmptyNode(&other, g, &list[2], 1));
    SAY(cuGraphAddChildGraphNode(&other, g, NULL, 0, NULL));
    SAY(cuGraphAddChildGraphNode(&other, g, NULL, 0, h));
    SAY(cuGraphDestroyNode(from));
    SAY(cuGraphDestroyNode(NULL));
    SAY(cuGraphNodeGetType(to, NULL));
    SAY(cuGraphNodeGetType(to, &type));
    ask_say("type", type);
    SAY(cuGraphNodeGetType(NULL, &type));
}

void graph_nodes(void)
{
    ask_start();
    p = ask_memory(4096);
    none = ask_kernel("none");
    two = ask_kernel("two");
    SAY(cuGraphCreate(NULL, 0));
    SAY(cuGraphCreate(&g, 1));
    SAY(cuGraphCreate(&g, 0));
    SAY(cuGraphCreate(&h, 0));
    SAY(cuGraphGetNodes(g, NULL, &size));
    ask_say("nodes", (long long)size);
    SAY(cuGraphGetNodes(NULL, NULL, &size));
    SAY(cuGraphGetNodes(g, NULL, NULL));
    SAY(cuGraphClone(&h, NULL));
    SAY(cuGraphClone(NULL, g));
    SAY(cuGraphInstantiateWithFlags(&x, NULL, 0));
    kernel_nodes();
    memory_nodes();
    SAY(cuGraphAddEmptyNode(&list[0], g, NULL, 0));
    SAY(cuGraphAddEmptyNode(&list[1], g, NULL, 0));
    SAY(cuGraphAddEmptyNode(&list[2], h, NULL, 0));
    edges();
    SAY(cuGraphDestroy(NULL));
    SAY(cuGraphDestroy(g));
}

static void updates(void)
{
    CUgraphExecUpdateResultInfo info;
    CUDA_KERNEL_NODE_PARAMS params = kernel(none, 1, 32);
    unsigned enabled = 7;

    memset(&info, 0, sizeof(info));
    SAY(cuGraphExecUpdate_v2(x, g, &info));
    ask_say("result", info.result);
    SAY(cuGraphExecUpdate_v2(x, h, &info));
    ask_say("result", info.result);
    SAY(cuGraphExecUpdate_v2(x, NULL, &info));
    SAY(cuGraphExecUpdate_v2(NULL, g, &info));
    SAY(cuGraphExecUpdate_v2(x, g, NULL));
    SAY(cuGraphExecKernelNodeSetParams_v2(x, node, &params));
    SAY(cuGraphExecKernelNodeSetParams_v2(x, other, &params));
    SAY(cuGraphExecKernelNodeSetParams_v2(x, NULL, &params));
    params.blockDimX = 2048;
    SAY(cuGraphExecKernelNodeSetParams_v2(x, node, &params));
    SAY(cuGraphNodeSetEnabled(x, node, 2));
    SAY(cuGraphNodeSetEnabled(x, other, 0));
    SAY(cuGraphNodeSetEnabled(x, node, 0));
    SAY(cuGraphNodeGetEnabled(x, node, &enabled));
    ask_say("enabled", enabled);
    SAY(cuGraphNodeGetEnabled(x, node, NULL));
    SAY(cuGraphExecGetFlags(x, NULL));
    SAY(cuGraphExecGetFlags(NULL, &(uint64_t){0}));
}

void graph_execs(void)
{
    CUDA_KERNEL_NODE_PARAMS params;
    CUgraph copy = NULL;

    ask_start();
    none = ask_kernel("none");
    params = kernel(none, 1, 1);
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuGraphCreate(&g, 0));
    SAY(cuGraphInstantiateWithFlags(&x, g, 0));
    SAY(cuGraphLaunch(x, s));
    SAY(cuGraphExecDestroy(x));
    SAY(cuGraphAddKernelNode_v2(&node, g, NULL, 0, &params));
    SAY(cuGraphCreate(&h, 0));
    SAY(cuGraphAddEmptyNode(&other, h, NULL, 0));
    SAY(cuGraphClone(&copy, g));
    SAY(cuGraphNodeFindInClone(&list[0], node, copy));
    SAY(cuGraphNodeFindInClone(&list[0], node, g));
    SAY(cuGraphNodeFindInClone(&list[0], other, copy));
    SAY(cuGraphInstantiateWithFlags(&x, g, CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH));
    SAY(cuGraphInstantiateWithFlags(&x, g, 0));
    SAY(cuGraphInstantiateWithParams(&x, g, NULL));
    SAY(cuGraphInstantiateWithParams(NULL, g, &(CUDA_GRAPH_INSTANTIATE_PARAMS){0}));
    SAY(cuGraphInstantiateWithParams(&x, g, &(CUDA_GRAPH_INSTANTIATE_PARAMS){.flags = 0x800}));
    SAY(cuGraphInstantiateWithParams(&x, g, &(CUDA_GRAPH_INSTANTIATE_PARAMS){0}));
    updates();
    SAY(cuGraphDestroy(g));
    SAY(cuGraphLaunch(x, s));
    SAY(cuGraphLaunch((CUgraphExec)ask_nobody(), s));
    SAY(cuStreamSynchronize(s));
    SAY(cuGraphKernelNodeGetParams_v2(node, &params));
    SAY(cuGraphExecDestroy(x));
}
