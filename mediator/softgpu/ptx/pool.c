/* SPDX-License-Identifier: MIT */
/*
 * The pool's threads and launches. A launch is worked on by the thread that
 * asked for it and by pool threads that have nothing else to do. CTAs run to
 * their end, unless they take long: then the worker gives the next one of the
 * grid a turn beside them, so CTAs that wait for each other make progress.
 */
#include "exec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    CTA_BUDGET = 200000, /* warp instructions of a turn: some milliseconds */
    MAX_RESIDENT = 128,  /* CTAs in turns, unless the launch is cooperative */
    MAX_POOL = 1024,
    DEFAULT_STACK = 64 << 10
};

struct ptx_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct grid *grids; /* that want helpers */
    unsigned nthreads, started;
    int quit;
    pthread_t *threads;
    struct block_cache blocks;
};

/* --------------------------------------------------------- work of one grid */

static void set_fault(struct grid *g, enum ptx_fault f, const char *what)
{
    if (g->result.fault == PTX_OK) {
        g->result.fault = f;
        strncpy(g->result.message, what, sizeof(g->result.message) - 1);
    }
    g->stop = 1;
}

/* A CTA to run, or NULL when there is none to start now. Under the lock. */
static struct cta *take_new(struct grid *g, uint64_t *index)
{
    struct cta *c = g->spare;

    if (g->stop || g->next_cta >= g->nctas)
        return NULL;
    *index = g->next_cta++;
    if (c)
        g->spare = c->next;
    g->resident++;
    pthread_mutex_unlock(&g->lock);
    if (!c)
        c = ptx_cta_new(g);
    if (c && ptx_cta_start(c, *index)) {
        ptx_cta_free(c);
        c = NULL;
    }
    pthread_mutex_lock(&g->lock);
    if (!c) {
        g->resident--;
        set_fault(g, PTX_FAULT_RESOURCES, "no memory to run a CTA");
    }
    return c;
}

static struct cta *take_waiting(struct grid *g)
{
    struct cta *c = g->queue;

    if (c) {
        g->queue = c->next;
        if (!g->queue)
            g->queue_tail = &g->queue;
    }
    return c;
}

static struct cta *take(struct grid *g)
{
    int fresh_first = g->l->cooperative || (g->queue && g->resident < MAX_RESIDENT);
    struct cta *c = NULL;
    uint64_t index;

    if (fresh_first || !g->queue)
        c = take_new(g, &index);
    return c || g->stop ? c : take_waiting(g);
}

static void account(struct grid *g, struct cta *c)
{
    uint32_t i;

    for (i = 0; i < c->nwarps; i++) {
        g->result.warp_instructions += c->warps[i].insns;
        g->result.lane_instructions += c->warps[i].lane_insns;
        c->warps[i].insns = c->warps[i].lane_insns = 0;
        c->warps[i].cost = 0;
    }
}

/* Takes turns until no CTA is left for this worker. Under the lock. */
static void work(struct grid *g)
{
    struct cta *c;

    while (!g->stop && (c = take(g)) != NULL) {
        int ended;

        pthread_mutex_unlock(&g->lock);
        ended = ptx_cta_run(c, CTA_BUDGET);
        pthread_mutex_lock(&g->lock);
        account(g, c);
        if (!ended) {
            c->next = NULL;
            *g->queue_tail = c;
            g->queue_tail = &c->next;
            pthread_cond_signal(&g->changed);
            pthread_cond_signal(&g->pool->work);
            continue;
        }
        g->resident--;
        g->done_ctas++;
        if (g->stop) {
            ptx_cta_free(c);
        } else {
            c->next = g->spare;
            g->spare = c;
        }
    }
}

/* --------------------------------------------------------------- the threads */

static struct grid *wanting(struct ptx_pool *p)
{
    struct grid *g;

    for (g = p->grids; g; g = g->next) {
        int wants;

        pthread_mutex_lock(&g->lock);
        wants = !g->stop && (g->next_cta < g->nctas || g->queue);
        if (wants)
            g->workers++;
        pthread_mutex_unlock(&g->lock);
        if (wants)
            return g;
    }
    return NULL;
}

static void *helper(void *arg)
{
    struct ptx_pool *p = arg;
    struct grid *g;

    pthread_mutex_lock(&p->lock);
    while (!p->quit) {
        g = wanting(p);
        if (!g) {
            pthread_cond_wait(&p->work, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        pthread_mutex_lock(&g->lock);
        work(g);
        g->workers--;
        pthread_cond_broadcast(&g->changed);
        pthread_mutex_unlock(&g->lock);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void offer(struct ptx_pool *p, struct grid *g)
{
    pthread_mutex_lock(&p->lock);
    g->next = p->grids;
    p->grids = g;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
}

static void withdraw(struct ptx_pool *p, struct grid *g)
{
    struct grid **at;

    pthread_mutex_lock(&p->lock);
    for (at = &p->grids; *at && *at != g; at = &(*at)->next)
        ;
    if (*at)
        *at = g->next;
    pthread_mutex_unlock(&p->lock);
}

int ptx_pool_new(struct ptx_pool **ret, unsigned nthreads)
{
    struct ptx_pool *p;

    if (nthreads < 1 || nthreads > MAX_POOL)
        return -EINVAL;
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->threads = calloc(nthreads, sizeof(*p->threads));
    if (!p->threads) {
        free(p);
        return -ENOMEM;
    }
    p->nthreads = nthreads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    ptx_blocks_init(&p->blocks);
    while (p->started < nthreads - 1 &&
           pthread_create(&p->threads[p->started], NULL, helper, p) == 0)
        p->started++;
    if (p->started < nthreads - 1) {
        ptx_pool_free(p);
        return -EAGAIN;
    }
    *ret = p;
    return 0;
}

void ptx_pool_free(struct ptx_pool *p)
{
    unsigned i;

    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->quit = 1;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    ptx_blocks_fini(&p->blocks);
    free(p->threads);
    free(p);
}

/* ------------------------------------------------------------------- launch */

static int dimensions_ok(const struct ptx_launch *l)
{
    int i;

    for (i = 0; i < 3; i++)
        if (l->grid[i] == 0 || l->block[i] == 0 || l->block[i] > PTX_MAX_THREADS)
            return 0;
    return (uint64_t)l->block[0] * l->block[1] * l->block[2] <= PTX_MAX_THREADS &&
           l->grid[1] <= 65535 && l->grid[2] <= 65535 && l->grid[0] <= INT32_MAX;
}

static int check(const struct ptx_launch *l)
{
    const struct ptx_func_info *f;

    if (!l->module || !l->module->linked || !l->space || !dimensions_ok(l))
        return -EINVAL;
    f = ptx_module_func(l->module, l->func);
    if (!f || !f->is_entry || l->param_size < f->param_bytes || l->param_size > PTX_MAX_PARAMS ||
        l->dynamic_shared > PTX_MAX_SHARED ||
        ((f->static_shared + 15) & ~15u) + l->dynamic_shared > PTX_MAX_SHARED + 16 ||
        l->space->page_shift < 8 || l->space->page_shift > 30 || l->stack_limit > PTX_MAX_STACK)
        return -EINVAL;
    return 0;
}

/* The caller's ranges, and the barrier of a cooperative grid. */
static int make_space(struct grid *g)
{
    const struct ptx_space *s = g->l->space;
    uint64_t own = (uint64_t)(uintptr_t)g->workspace;

    g->space = *s;
    g->ranges = calloc(s->nranges + 1, sizeof(*g->ranges));
    if (!g->ranges)
        return -ENOMEM;
    if (s->nranges)
        memcpy(g->ranges, s->ranges, s->nranges * sizeof(*g->ranges));
    g->ranges[s->nranges].lo = own;
    g->ranges[s->nranges].hi = own + sizeof(g->workspace);
    g->space.ranges = g->ranges;
    g->space.nranges = s->nranges + (g->l->cooperative != 0);
    return 0;
}

static uint32_t local_size(const struct code_func *fn, const struct ptx_launch *l)
{
    uint32_t stack = l->stack_limit ? l->stack_limit : DEFAULT_STACK;

    if (!fn->is_deep)
        return fn->info.local_bytes;
    return fn->info.local_bytes > stack ? fn->info.local_bytes : stack;
}

static struct grid *grid_new(struct ptx_pool *pool, const struct ptx_launch *l)
{
    struct grid *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->l = l;
    g->m = l->module;
    g->fn = &l->module->funcs[l->func];
    g->pool = pool;
    g->blocks = &pool->blocks;
    g->local_size = local_size(g->fn, l);
    g->nctas = (uint64_t)l->grid[0] * l->grid[1] * l->grid[2];
    g->queue_tail = &g->queue;
    g->workspace[0] = sizeof(g->workspace);
    pthread_mutex_init(&g->lock, NULL);
    pthread_mutex_init(&g->print_lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    g->params = calloc(1, l->param_size + 64);
    if (g->params && l->param_size)
        memcpy(g->params, l->params, l->param_size);
    if (!g->params || make_space(g))
        g->stop = 1; /* the launch ends as PTX_FAULT_RESOURCES */
    return g;
}

static void free_list(struct cta *c)
{
    while (c) {
        struct cta *next = c->next;

        ptx_cta_free(c);
        c = next;
    }
}

static void grid_free(struct grid *g)
{
    free_list(g->spare);
    free_list(g->queue);
    pthread_mutex_destroy(&g->lock);
    pthread_mutex_destroy(&g->print_lock);
    pthread_cond_destroy(&g->changed);
    free(g->params);
    free(g->ranges);
    free(g);
}

int ptx_launch(struct ptx_pool *pool, const struct ptx_launch *l, struct ptx_result *r)
{
    struct ptx_launch copy = *l;
    struct grid *g;
    int err = check(l);

    if (err)
        return err;
    if (!copy.sm_count)
        copy.sm_count = pool->nthreads;
    g = grid_new(pool, &copy);
    if (!g)
        return -ENOMEM;
    if (g->stop)
        set_fault(g, PTX_FAULT_RESOURCES, "no memory to launch");
    if (g->nctas > 1 && pool->started)
        offer(pool, g);
    pthread_mutex_lock(&g->lock);
    for (;;) {
        work(g);
        if (g->workers == 0 && (g->stop || (!g->queue && g->done_ctas == g->nctas)))
            break;
        if (!g->queue || g->stop)
            pthread_cond_wait(&g->changed, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    withdraw(pool, g);
    *r = g->result;
    grid_free(g);
    return 0;
}
