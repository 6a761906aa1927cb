/* SPDX-License-Identifier: MIT */
/*
 * What device code finds in the driver: vprintf, __assertfail, malloc, free,
 * cudaGraphSetConditional.
 * Arguments are in the caller's local memory; pointers are checked as any.
 */
#include "handlers.h"
#include "print.h"

#include <stdio.h>
#include <string.h>

enum { MAX_HEAP_ALLOC = 1 << 30 };

static const char *const names[] = {[BUILTIN_VPRINTF] = "vprintf",
                                    [BUILTIN_ASSERT] = "__assertfail",
                                    [BUILTIN_MALLOC] = "malloc",
                                    [BUILTIN_FREE] = "free",
                                    [BUILTIN_SET_CONDITION] = "cudaGraphSetConditional"};

int ptx_builtin_find(const char *name)
{
    int i;

    for (i = BUILTIN_VPRINTF; i <= BUILTIN_SET_CONDITION; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return BUILTIN_NONE;
}

static uint64_t argument(const struct warp *w, const struct code_call *c, uint32_t k,
                         uint32_t lane)
{
    const struct code_param *p = &c->args[k];
    const unsigned char *at = p->reg_bytes
                                  ? w->cur->fr->regs + p->reg + (size_t)p->reg_bytes * lane
                                  : lane_frame(w, w->cur->fr, lane) + p->offset;
    uint32_t n = p->reg_bytes ? p->reg_bytes : p->size;
    uint64_t v = 0;

    memcpy(&v, at, n < 8 ? n : 8);
    return v;
}

static void result(struct warp *w, const struct code_call *c, uint32_t lane, uint64_t v)
{
    const struct code_param *p;
    unsigned char *at;
    uint32_t n;

    if (c->nrets == 0)
        return;
    p = &c->rets[0];
    n = p->reg_bytes ? p->reg_bytes : p->size;
    at = p->reg_bytes ? w->cur->fr->regs + p->reg + (size_t)p->reg_bytes * lane
                      : lane_frame(w, w->cur->fr, lane) + p->offset;
    memcpy(at, &v, n < 8 ? n : 8);
}

/* A string of device memory, cut to size. -1: it is not there. */
static int copy_string(struct warp *w, int lane, uint64_t addr, char *to, size_t size)
{
    size_t n;

    for (n = 0; n + 1 < size; n++) {
        const char *p = ptx_lane_memory(w, lane, addr + n, 1, 0);

        if (!p)
            return -1;
        to[n] = *p;
        if (!to[n])
            return 0;
    }
    to[n] = '\0';
    return 0;
}

static int print_lane(struct warp *w, const struct uop *u, const struct code_call *c, int lane)
{
    struct grid *g = w->cta->grid;
    char format[PRINT_FORMAT], text[PRINT_TEXT];
    uint64_t fmt = argument(w, c, 0, (uint32_t)lane);
    int n;

    if (copy_string(w, lane, fmt, format, sizeof(format)))
        return ptx_fault(w, u, lane, PTX_FAULT_ADDRESS, fmt, "printf: bad format address");
    n = ptx_print_format(w, lane, format, argument(w, c, 1, (uint32_t)lane), text, sizeof(text));
    if (n < 0)
        return ptx_fault(w, u, lane, PTX_FAULT_ADDRESS, 0, "printf: bad argument address");
    pthread_mutex_lock(&g->print_lock);
    if (g->l->print)
        g->l->print(g->l->print_ctx, text, strlen(text));
    pthread_mutex_unlock(&g->print_lock);
    result(w, c, (uint32_t)lane, (uint64_t)(int64_t)n);
    return 0;
}

static int assert_failed(struct warp *w, const struct uop *u, const struct code_call *c, int lane)
{
    char what[160] = "", file[128] = "", func[128] = "", text[640];
    struct grid *g = w->cta->grid;
    unsigned line = (unsigned)argument(w, c, 2, (uint32_t)lane);

    copy_string(w, lane, argument(w, c, 0, (uint32_t)lane), what, sizeof(what));
    copy_string(w, lane, argument(w, c, 1, (uint32_t)lane), file, sizeof(file));
    copy_string(w, lane, argument(w, c, 3, (uint32_t)lane), func, sizeof(func));
    snprintf(text, sizeof(text),
             "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` failed.\n", file,
             line, func, w->cta->id[0], w->cta->id[1], w->cta->id[2], w->tid[0][lane],
             w->tid[1][lane], w->tid[2][lane], what);
    pthread_mutex_lock(&g->print_lock);
    if (g->l->print)
        g->l->print(g->l->print_ctx, text, strlen(text));
    pthread_mutex_unlock(&g->print_lock);
    return ptx_fault(w, u, lane, PTX_FAULT_ASSERT, 0, "%s:%u: %s: assertion `%s` failed", file,
                     line, func, what);
}

static int heap_call(struct warp *w, const struct uop *u, const struct code_call *c, int lane)
{
    const struct ptx_heap *h = &w->cta->grid->l->heap;
    uint64_t v = argument(w, c, 0, (uint32_t)lane);

    if (c->builtin == BUILTIN_MALLOC) {
        if (!h->alloc || v == 0 || v > MAX_HEAP_ALLOC)
            v = 0;
        else
            v = h->alloc(h->ctx, v);
        result(w, c, (uint32_t)lane, v);
    } else if (v && h->release && h->release(h->ctx, v)) {
        return ptx_fault(w, u, lane, PTX_FAULT_ADDRESS, v,
                         "free of 0x%llx, which malloc did not give", (unsigned long long)v);
    }
    return 0;
}

static int set_condition(struct warp *w, const struct uop *u, const struct code_call *c, int lane)
{
    const struct ptx_launch *l = w->cta->grid->l;
    uint64_t handle = argument(w, c, 0, (uint32_t)lane);
    uint32_t value = (uint32_t)argument(w, c, 1, (uint32_t)lane);

    if (!l->set_condition || l->set_condition(handle, value))
        return ptx_fault(w, u, lane, PTX_FAULT_ADDRESS, handle,
                         "0x%llx is no handle of a conditional node", (unsigned long long)handle);
    return 0;
}

int ptx_builtin_call(struct warp *w, const struct uop *u, uint32_t mask)
{
    const struct code_call *c = u->aux;
    int rc = 0;

    FOR_LANES(i, mask) {
        if (c->builtin == BUILTIN_VPRINTF)
            rc = print_lane(w, u, c, (int)i);
        else if (c->builtin == BUILTIN_ASSERT)
            rc = assert_failed(w, u, c, (int)i);
        else if (c->builtin == BUILTIN_SET_CONDITION)
            rc = set_condition(w, u, c, (int)i);
        else
            rc = heap_call(w, u, c, (int)i);
        if (rc)
            return rc;
    }
    return CTL_NEXT;
}
