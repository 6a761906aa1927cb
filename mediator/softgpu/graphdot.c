/* SPDX-License-Identifier: MIT */
/*
 * Pictures of graphs in the language of Graphviz.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "graph.h"
#include "module.h"

static const char *type_name(const struct vg_node *node)
{
    static const char *const names[VG_OP_TYPE_COUNT] = {
        [VG_OP_EMPTY] = "EMPTY", [VG_OP_KERNEL] = "KERNEL", [VG_OP_COPY] = "MEMCPY",
        [VG_OP_MEMSET] = "MEMSET", [VG_OP_HOST] = "HOST", [VG_OP_EVENT_RECORD] = "EVENT_RECORD",
        [VG_OP_EVENT_WAIT] = "EVENT_WAIT", [VG_OP_MEMOPS] = "BATCH_MEM_OP",
        [VG_OP_ALLOC] = "MEM_ALLOC", [VG_OP_FREE] = "MEM_FREE", [VG_OP_CHILD] = "GRAPH",
        [VG_OP_CONDITIONAL] = "CONDITIONAL",
    };

    return names[node->op.type] != NULL ? names[node->op.type] : "OTHER";
}

static void draw_node(FILE *f, unsigned graph, size_t i, const struct vg_node *node, bool verbose)
{
    const struct vg_op_kernel *k = &node->op.u.kernel;

    fprintf(f, "\"graph_%u_node_%zu\"[shape=\"record\" label=\"{%zu|%s", graph, i, i,
            type_name(node));
    if (node->op.type == VG_OP_KERNEL && k->func != NULL)
        fprintf(f, "|%s", k->func->info->name);
    if (node->op.type == VG_OP_KERNEL && verbose)
        fprintf(f, "|%u,%u,%u of %u,%u,%u, %u bytes shared", k->grid[0], k->grid[1], k->grid[2],
                k->block[0], k->block[1], k->block[2], k->shared);
    fprintf(f, "}\"];\n");
}

static void draw_graph(FILE *f, const struct vg_graph *g, unsigned *counter, bool verbose);

static void draw_inner(FILE *f, const struct vg_op *op, unsigned *counter, bool verbose)
{
    unsigned i;

    if (op->type == VG_OP_CHILD)
        draw_graph(f, op->u.child, counter, verbose);
    for (i = 0; op->type == VG_OP_CONDITIONAL && i < op->u.conditional.size; i++)
        draw_graph(f, op->u.conditional.body[i], counter, verbose);
}

static void draw_graph(FILE *f, const struct vg_graph *g, unsigned *counter, bool verbose)
{
    unsigned me = ++*counter;
    size_t i, j;

    fprintf(f, "subgraph cluster_%u {\nlabel=\"graph_%u\" graph[style=\"dashed\"];\n", me, me);
    for (i = 0; i < g->n; i++) {
        g->nodes[i]->mark = (unsigned)i;
        draw_node(f, me, i, g->nodes[i], verbose);
    }
    for (i = 0; i < g->n; i++)
        for (j = 0; j < g->nodes[i]->deps.n; j++)
            fprintf(f, "\"graph_%u_node_%u\" -> \"graph_%u_node_%zu\";\n", me,
                    g->nodes[i]->deps.list[j]->mark, me, i);
    fprintf(f, "}\n");
    for (i = 0; i < g->n; i++)
        draw_inner(f, &g->nodes[i]->op, counter, verbose);
}

/* A process that may open no files any more can still name one that it has open. */
static int open_file(const char *path)
{
    static const char own[] = "/proc/self/fd/";

    if (strncmp(path, own, sizeof(own) - 1) == 0)
        return atoi(path + sizeof(own) - 1);
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

static CUresult write_all(const char *path, const char *text, size_t n)
{
    int fd = open_file(path);
    ssize_t done = 0;

    while (fd >= 0 && n > 0 && (done = write(fd, text, n)) > 0) {
        text += done;
        n -= (size_t)done;
    }
    if (fd >= 0 && strncmp(path, "/proc/", 6) != 0)
        close(fd);
    return n == 0 ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}

VG_ENTRY(cuGraphDebugDotPrint, (CUgraph graph, const char *path, unsigned flags))
{
    struct vg_graph *g = vg_graph_get(graph);
    unsigned counter = 0;
    char *text = NULL;
    CUresult rc;
    size_t n = 0;
    FILE *f;

    if (g == NULL || path == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    f = open_memstream(&text, &n);
    if (f == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    fprintf(f, "digraph dot {\n");
    vg_engine_lock();
    draw_graph(f, g, &counter, (flags & CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE) != 0);
    vg_engine_unlock();
    fprintf(f, "}\n");
    rc = fclose(f) == 0 ? write_all(path, text, n) : CUDA_ERROR_OUT_OF_MEMORY;
    free(text);
    return rc;
}
