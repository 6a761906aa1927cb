/* SPDX-License-Identifier: MIT */
/*
 * Conditional nodes: IF with and without another branch, WHILE, SWITCH, one inside of
 * another; the values are set by kernels while the graph runs.
 */
#include "common.cuh"

__global__ void set_if(cudaGraphConditionalHandle handle, const int *flag)
{
    cudaGraphSetConditional(handle, (unsigned)*flag);
}

/* Counts down and goes on while something is left. */
__global__ void count_down(cudaGraphConditionalHandle handle, int *left)
{
    *left -= 1;
    cudaGraphSetConditional(handle, *left > 0);
}

__global__ void add(int *cell, int what)
{
    *cell += what;
}

struct world {
    int *flag, *cells; /* device: a value to decide by, sums */
    cudaStream_t stream;
};

static int read_cell(const struct world *w, int i)
{
    int v;

    RT(cudaMemcpy(&v, w->cells + i, sizeof(v), cudaMemcpyDeviceToHost));
    return v;
}

static void set_flag(const struct world *w, int v)
{
    RT(cudaMemcpy(w->flag, &v, sizeof(v), cudaMemcpyHostToDevice));
    RT(cudaMemset(w->cells, 0, 4 * sizeof(int)));
}

static void launch(const struct world *w, cudaGraphExec_t exec)
{
    RT(cudaGraphLaunch(exec, w->stream));
    RT(cudaStreamSynchronize(w->stream));
}

static cudaGraphNode_t kernel(cudaGraph_t g, cudaGraphNode_t after, void *f, void **params)
{
    cudaGraphNodeParams p = {};
    cudaGraphNode_t node;

    p.type = cudaGraphNodeTypeKernel;
    p.kernel.func = f;
    p.kernel.gridDim = dim3(1);
    p.kernel.blockDim = dim3(1);
    p.kernel.kernelParams = params;
    RT(cudaGraphAddNode(&node, g, after ? &after : NULL, NULL, after ? 1 : 0, &p));
    return node;
}

static cudaGraphNode_t add_node(cudaGraph_t g, cudaGraphNode_t after, int *cell, int what)
{
    void *params[] = {&cell, &what};

    return kernel(g, after, (void *)add, params);
}

/* The node, and the graphs of its branches in `bodies`. */
static cudaGraphNode_t conditional(cudaGraph_t g, cudaGraphNode_t after,
                                   cudaGraphConditionalHandle handle,
                                   cudaGraphConditionalNodeType type, unsigned size,
                                   cudaGraph_t *bodies)
{
    cudaGraphNodeParams p = {};
    cudaGraphNode_t node;
    cudaGraphNodeType kind;

    p.type = cudaGraphNodeTypeConditional;
    p.conditional.handle = handle;
    p.conditional.type = type;
    p.conditional.size = size;
    RT(cudaGraphAddNode(&node, g, after ? &after : NULL, NULL, after ? 1 : 0, &p));
    for (unsigned i = 0; i < size; i++)
        bodies[i] = p.conditional.phGraph_out[i];
    RT(cudaGraphNodeGetType(node, &kind));
    EXPECT(kind == cudaGraphNodeTypeConditional, "type %d", (int)kind);
    return node;
}

static cudaGraphNode_t decide(cudaGraph_t g, cudaGraphConditionalHandle handle, int *flag)
{
    void *params[] = {&handle, &flag};

    return kernel(g, NULL, (void *)set_if, params);
}

static void if_nodes(const struct world *w)
{
    cudaGraphConditionalHandle handle;
    cudaGraph_t g, body;
    cudaGraphExec_t exec;

    RT(cudaGraphCreate(&g, 0));
    RT(cudaGraphConditionalHandleCreate(&handle, g, 0, 0));
    cudaGraphNode_t first = decide(g, handle, w->flag);
    cudaGraphNode_t node = conditional(g, first, handle, cudaGraphCondTypeIf, 1, &body);
    add_node(body, add_node(body, NULL, w->cells, 5), w->cells, 2);
    add_node(g, node, w->cells + 1, 1); /* runs in any case, and after it */
    RT(cudaGraphInstantiate(&exec, g, 0));
    for (int round = 0; round < 4; round++) {
        set_flag(w, round % 2);
        launch(w, exec);
        EXPECT(read_cell(w, 0) == (round % 2 ? 7 : 0), "if: %d in round %d", read_cell(w, 0),
               round);
        EXPECT(read_cell(w, 1) == 1, "behind if: %d", read_cell(w, 1));
    }
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(g));
}

static void while_node(const struct world *w)
{
    cudaGraphConditionalHandle handle;
    cudaGraph_t g, body;
    cudaGraphExec_t exec;
    void *params[] = {&handle, (void *)&w->flag};

    RT(cudaGraphCreate(&g, 0));
    RT(cudaGraphConditionalHandleCreate(&handle, g, 1, cudaGraphCondAssignDefault));
    cudaGraphNode_t loop = conditional(g, NULL, handle, cudaGraphCondTypeWhile, 1, &body);
    kernel(body, add_node(body, NULL, w->cells, 3), (void *)count_down, params);
    add_node(g, loop, w->cells + 1, 1);
    RT(cudaGraphInstantiate(&exec, g, 0));
    for (int turns = 1; turns < 50; turns += 16) {
        set_flag(w, turns);
        launch(w, exec); /* the default makes it begin each time */
        EXPECT(read_cell(w, 0) == 3 * turns, "while: %d, not %d", read_cell(w, 0), 3 * turns);
        EXPECT(read_cell(w, 1) == 1, "behind while: %d", read_cell(w, 1));
    }
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(g));
}

static void switch_node(const struct world *w)
{
    cudaGraphConditionalHandle handle;
    cudaGraph_t g, body[3];
    cudaGraphExec_t exec;

    RT(cudaGraphCreate(&g, 0));
    RT(cudaGraphConditionalHandleCreate(&handle, g, 0, 0));
    cudaGraphNode_t first = decide(g, handle, w->flag);
    conditional(g, first, handle, cudaGraphCondTypeSwitch, 3, body);
    for (int i = 0; i < 3; i++)
        add_node(body[i], NULL, w->cells, 10 * (i + 1));
    RT(cudaGraphInstantiate(&exec, g, 0));
    for (int v = 0; v < 4; v++) {
        set_flag(w, v);
        launch(w, exec);
        EXPECT(read_cell(w, 0) == (v < 3 ? 10 * (v + 1) : 0), "switch %d: %d", v, read_cell(w, 0));
    }
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(g));
}

/* A loop whose turns each decide about something inside. */
static void nested(const struct world *w)
{
    cudaGraphConditionalHandle outer, inner;
    cudaGraph_t g, loop, yes;
    cudaGraphExec_t exec;
    void *params[] = {&outer, (void *)&w->flag};

    RT(cudaGraphCreate(&g, 0));
    RT(cudaGraphConditionalHandleCreate(&outer, g, 1, cudaGraphCondAssignDefault));
    conditional(g, NULL, outer, cudaGraphCondTypeWhile, 1, &loop);
    cudaGraphNode_t count = kernel(loop, NULL, (void *)count_down, params);
    RT(cudaGraphConditionalHandleCreate(&inner, loop, 0, 0));
    int *flag = w->flag;
    void *decide_params[] = {&inner, &flag};
    cudaGraphNode_t choose = kernel(loop, count, (void *)set_if, decide_params);
    conditional(loop, choose, inner, cudaGraphCondTypeIf, 1, &yes);
    add_node(yes, NULL, w->cells, 1); /* in every turn but the last, which leaves 0 */
    RT(cudaGraphInstantiate(&exec, g, 0));
    set_flag(w, 9);
    launch(w, exec);
    EXPECT(read_cell(w, 0) == 8, "nested: %d, not 8", read_cell(w, 0));
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(g));
}

/* A value without a node makes a graph that cannot be instantiated. */
static void unused(void)
{
    cudaGraphConditionalHandle handle;
    cudaGraphExec_t exec;
    cudaGraph_t g;

    RT(cudaGraphCreate(&g, 0));
    RT(cudaGraphConditionalHandleCreate(&handle, g, 0, 0));
    EXPECT(cudaGraphInstantiate(&exec, g, 0) != cudaSuccess, "an unused value was accepted");
    cudaGetLastError();
    RT(cudaGraphDestroy(g));
}

int main(void)
{
    struct world w;
    int driver = 0;

    RT(cudaDriverGetVersion(&driver));
    if (driver < 12080)
        skip("conditional nodes of all types need CUDA 12.8");
    RT(cudaMalloc(&w.flag, sizeof(int)));
    RT(cudaMalloc(&w.cells, 4 * sizeof(int)));
    RT(cudaStreamCreate(&w.stream));
    if_nodes(&w);
    while_node(&w);
    switch_node(&w);
    nested(&w);
    unused();
    RT(cudaStreamDestroy(w.stream));
    RT(cudaFree(w.flag));
    RT(cudaFree(w.cells));
    return passed("if, while, switch, and an if in a while");
}
