/* SPDX-License-Identifier: MIT */
/* Graphs of a real executor process: what a node may name, and how what ends is told. */
#include "tests/executor/cases.h"

#include <string.h>

#include "vg_atomic.h"
#include "vg_codec.h"
#include "vg_cuda.h"

static uint64_t new_graph(void)
{
    struct vg_result res;

    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuGraphCreate, 1, 0), CUDA_SUCCESS);
    return res.val[0];
}

static void encode_node(struct vg_enc *e, const CUgraphNodeParams *p, const void *extra, size_t n)
{
    vg_enc_block(e, p, sizeof(*p));
    vg_enc_block(e, extra, n);
    vg_enc_word(e, 0);
}

/* Adds a node behind `dep`, if that is not 0. */
static CUresult add(uint64_t graph, uint64_t dep, const CUgraphNodeParams *p, const void *extra,
                    size_t bytes, struct vg_result *ret)
{
    static uint8_t payload[2048];
    struct vg_call c;
    struct vg_enc e;

    memset(&c, 0, sizeof(c));
    vg_enc_init_call(&e, &c, payload, sizeof(payload));
    vg_enc_word(&e, graph);
    vg_enc_block(&e, dep ? &dep : NULL, sizeof(dep));
    vg_enc_block(&e, NULL, 0);
    vg_enc_word(&e, dep != 0);
    encode_node(&e, p, extra, bytes);
    return guest_ask(&h, VG_CALL_cuGraphAddNode_v2, c.arg, 8, payload, (uint32_t)e.len, ret);
}

static CUresult add_plain(uint64_t graph, const CUgraphNodeParams *p)
{
    return add(graph, 0, p, NULL, 0, NULL);
}

START_TEST(nodes_name_only_what_the_guest_has)
{
    CUgraphNodeParams p = {.type = CU_GRAPH_NODE_TYPE_EMPTY};
    struct vg_result res;

    host_ready(&h);
    uint64_t graph = new_graph(), other = new_graph();
    ck_assert_int_eq(add(graph, 0, &p, NULL, 0, &res), CUDA_SUCCESS);
    uint64_t node = res.val[0];
    ck_assert_int_eq(add_plain(0x1234, &p), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(add(graph, 0x1234, &p, NULL, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(add(other, node, &p, NULL, 0, NULL), CUDA_ERROR_INVALID_VALUE);

    p.type = CU_GRAPH_NODE_TYPE_KERNEL;
    p.kernel.func = (CUfunction)(uintptr_t)0x1234;
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_INVALID_HANDLE);
    p.kernel.func = NULL;
    p.kernel.kern = (CUkernel)(uintptr_t)graph;
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_INVALID_HANDLE);

    memset(&p, 0, sizeof(p));
    p.type = CU_GRAPH_NODE_TYPE_MEMSET;
    p.memset.dst = (CUdeviceptr)(uintptr_t)&h; /* ours, not the guest's */
    p.memset.elementSize = p.memset.width = p.memset.height = 1;
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_INVALID_VALUE);
    p.memset.ctx = (CUcontext)(uintptr_t)0x1234;
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_INVALID_CONTEXT);

    memset(&p, 0, sizeof(p));
    p.type = CU_GRAPH_NODE_TYPE_WAIT_EVENT;
    p.eventWait.event = (CUevent)(uintptr_t)node;
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_INVALID_HANDLE);
    p.type = CU_GRAPH_NODE_TYPE_GRAPH;
    p.graph.graph = (CUgraph)(uintptr_t)node;
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_INVALID_VALUE);
    p.type = CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT;
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_NOT_SUPPORTED);
    stop_cleanly();
}
END_TEST

START_TEST(copies_of_nodes_stay_in_the_region)
{
    CUgraphNodeParams p = {.type = CU_GRAPH_NODE_TYPE_MEMCPY};
    CUDA_MEMCPY3D *c = &p.memcpy.copyParams;
    struct vg_result res;

    host_ready(&h);
    uint64_t graph = new_graph(), off = guest_extents(&h, 1);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    c->dstMemoryType = CU_MEMORYTYPE_DEVICE;
    c->dstDevice = res.val[0];
    c->srcMemoryType = CU_MEMORYTYPE_HOST;
    c->srcHost = guest_at(&h, off);
    c->WidthInBytes = 4096;
    c->Height = c->Depth = 1;
    c->reserved0 = c->reserved1 = &h; /* never looked at */
    ck_assert_int_eq(add_plain(graph, &p), CUDA_SUCCESS);
    c->WidthInBytes = 4097;
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_INVALID_VALUE);
    c->WidthInBytes = 4096;
    c->srcHost = h.base; /* the slots, not data */
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_INVALID_VALUE);
    c->srcHost = &h;
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_INVALID_VALUE);
    c->srcHost = guest_at(&h, off);
    c->Height = UINT64_MAX;
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_INVALID_VALUE);
    stop_cleanly();
}
END_TEST

START_TEST(batches_and_frees_of_nodes_are_checked)
{
    CUgraphNodeParams p = {.type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP};
    CUstreamBatchMemOpParams op[2];
    struct vg_result res;

    host_ready(&h);
    uint64_t graph = new_graph();
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    memset(op, 0, sizeof(op));
    op[0].operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
    op[0].writeValue.address = res.val[0];
    op[1] = op[0];
    p.memOp.count = 2;
    ck_assert_int_eq(add(graph, 0, &p, op, sizeof(op), NULL), CUDA_SUCCESS);
    ck_assert_int_eq(add(graph, 0, &p, op, sizeof(op[0]), NULL), CUDA_ERROR_INVALID_VALUE);
    op[1].writeValue.address = (uintptr_t)&h;
    ck_assert_int_eq(add(graph, 0, &p, op, sizeof(op), NULL), CUDA_ERROR_INVALID_VALUE);

    memset(&p, 0, sizeof(p));
    p.type = CU_GRAPH_NODE_TYPE_MEM_FREE;
    p.free.dptr = res.val[0]; /* not a graph's */
    ck_assert_int_eq(add_plain(graph, &p), CUDA_ERROR_INVALID_VALUE);
    stop_cleanly();
}
END_TEST

START_TEST(inner_graphs_are_their_nodes_own)
{
    CUgraphNodeParams p = {.type = CU_GRAPH_NODE_TYPE_GRAPH};
    struct vg_result res;

    host_ready(&h);
    uint64_t graph = new_graph(), child = new_graph();
    p.graph.graph = (CUgraph)(uintptr_t)child;
    ck_assert_int_eq(add(graph, 0, &p, NULL, 0, &res), CUDA_SUCCESS);
    uint64_t node = res.val[0];
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuGraphChildGraphNodeGetGraph, node, 1), CUDA_SUCCESS);
    uint64_t inner = res.val[0];
    ck_assert_uint_ne(inner, child);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphDestroy, inner), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphDestroyNode, node), CUDA_SUCCESS);
    /* It went with its node. */
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphGetNodes, inner, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphDestroy, graph), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphDestroy, graph), CUDA_ERROR_INVALID_VALUE);
    stop_cleanly();
}
END_TEST

static void expect_posted(uint64_t n, uint64_t cookie, uint32_t kind)
{
    uint64_t end = now_ms() + TEST_WAIT_MS;

    while (vg_load_acquire(&h.slot->callback_head) <= n)
        ck_assert(now_ms() < end);
    ck_assert_uint_eq(h.slot->callback[n % VG_CALLBACKS].cookie, cookie);
    ck_assert_uint_eq(h.slot->callback[n % VG_CALLBACKS].kind, kind);
}

START_TEST(cookies_end_when_nothing_can_name_them)
{
    CUgraphNodeParams p = {.type = CU_GRAPH_NODE_TYPE_HOST};
    struct vg_result res;

    host_ready(&h);
    uint64_t graph = new_graph();
    p.host.userData = (void *)(uintptr_t)0xc0ffee;
    ck_assert_int_eq(add_plain(graph, &p), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuGraphInstantiateWithFlags, 1, graph, 0), CUDA_SUCCESS);
    uint64_t exec = res.val[0];
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphDestroy, graph), CUDA_SUCCESS);
    POST(&h, VG_CALL_cuGraphLaunch, exec, 0);
    expect_posted(0, 0xc0ffee, VG_CALLBACK_NODE);
    vg_store_release(&h.slot->callback_tail, 1);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_STREAM, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(h.slot->callback_head, 1);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphExecDestroy, exec), CUDA_SUCCESS);
    expect_posted(1, 0xc0ffee, VG_CALLBACK_GONE);
    stop_cleanly();
}
END_TEST

/* A thread's own stream is no object of the guest's, and can be captured all the same. */
START_TEST(functions_captured_on_a_threads_stream_run_twice)
{
    const uint64_t own = (uintptr_t)CU_STREAM_PER_THREAD;
    struct vg_result res;

    host_ready(&h);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamBeginCapture_v2, own, 2), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_HOST_FUNC, own, 0xc0ffee, VG_CALLBACK_HOST_FUNC),
                     CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuStreamEndCapture, own, 1), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuGraphInstantiateWithFlags, 1, res.val[0], 0),
                     CUDA_SUCCESS);
    for (unsigned i = 0; i < 2; i++) {
        POST(&h, VG_CALL_cuGraphLaunch, res.val[0], 0);
        expect_posted(i, 0xc0ffee, VG_CALLBACK_NODE);
        vg_store_release(&h.slot->callback_tail, i + 1);
    }
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_STREAM, 0), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* More of them than the callback ring holds: none is lost, and nobody waits for room. */
START_TEST(many_ends_wait_for_room)
{
    enum { MANY = 3 * VG_CALLBACKS };
    struct vg_result res;

    host_ready(&h);
    for (uint64_t i = 1; i <= MANY; i++) {
        ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuUserObjectCreate, i, 1, 1), CUDA_SUCCESS);
        ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuUserObjectRelease, res.val[0], 1), CUDA_SUCCESS);
    }
    bool told[MANY + 1] = {false};
    uint64_t end = now_ms() + TEST_WAIT_MS, tail = 0;
    while (tail < MANY) {
        ck_assert(now_ms() < end);
        while (tail < vg_load_acquire(&h.slot->callback_head)) {
            uint64_t cookie = h.slot->callback[tail % VG_CALLBACKS].cookie;
            ck_assert(cookie > 0 && cookie <= MANY && !told[cookie]);
            told[cookie] = true;
            vg_store_release(&h.slot->callback_tail, ++tail);
        }
        ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP, 0), CUDA_SUCCESS);
    }
    stop_cleanly();
}
END_TEST

START_TEST(references_are_counted)
{
    struct vg_result res;

    host_ready(&h);
    uint64_t graph = new_graph();
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuUserObjectCreate, 7, 2, 1), CUDA_SUCCESS);
    uint64_t object = res.val[0];
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuUserObjectRelease, object, 3),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphRetainUserObject, graph, object, 2,
                         CU_GRAPH_USER_OBJECT_MOVE), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuUserObjectRelease, object, 1),
                     CUDA_ERROR_INVALID_VALUE); /* they are the graph's now */
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuUserObjectRetain, object, 1),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_uint_eq(h.slot->callback_head, 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphReleaseUserObject, graph, object, 2),
                     CUDA_SUCCESS);
    expect_posted(0, 7, VG_CALLBACK_GONE);
    stop_cleanly();
}
END_TEST

TCase *graph_cases(void)
{
    TCase *graph = tcase_create("graph");

    tcase_set_timeout(graph, 60);
    tcase_add_test(graph, nodes_name_only_what_the_guest_has);
    tcase_add_test(graph, copies_of_nodes_stay_in_the_region);
    tcase_add_test(graph, batches_and_frees_of_nodes_are_checked);
    tcase_add_test(graph, inner_graphs_are_their_nodes_own);
    tcase_add_test(graph, cookies_end_when_nothing_can_name_them);
    tcase_add_test(graph, functions_captured_on_a_threads_stream_run_twice);
    tcase_add_test(graph, many_ends_wait_for_room);
    tcase_add_test(graph, references_are_counted);
    return graph;
}
