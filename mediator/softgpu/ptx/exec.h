/* SPDX-License-Identifier: MIT */
/*
 * State of running kernels. A CTA is run by one thread at a time; its warps
 * take turns. Inside a warp, lanes that went different ways are fragments,
 * each with its own program counter; the one deepest in calls, then lowest in
 * the code, runs first, so that they meet again, and a quantum lets the others
 * run when it spins.
 */
#ifndef VG_PTX_EXEC_H
#define VG_PTX_EXEC_H

#include <pthread.h>
#include <stdint.h>

#include "blocks.h"
#include "code.h"
#include "ptx.h"

#define FULL_MASK 0xffffffffu

/* What a handler asks of the loop. */
enum ctl {
    CTL_NEXT = 0, /* go on with the next instruction */
    CTL_JUMP,     /* all lanes of the fragment go to w->target */
    CTL_SWITCH,   /* fragments changed; the handler has set every pc */
    CTL_FAULT     /* w->cta->grid->result is filled */
};

enum frag_state { FRAG_RUN, FRAG_SYNC, FRAG_BARRIER };

struct frame {
    struct frame *up;
    const struct code_func *fn;
    const struct uop *call; /* that made it, NULL for an entry */
    uint32_t live;          /* lanes that have not returned */
    uint32_t ret_pc, depth;
    uint32_t local_base; /* where its local memory begins, per thread */
    uint32_t extra;      /* bytes of alloca behind it */
    struct frame *next_free;
    uint32_t size;
    unsigned char *regs; /* 64-byte aligned, in this allocation */
};

struct frag {
    uint32_t pc, mask;
    enum frag_state state;
    int force;     /* run a *.sync although lanes are missing */
    uint32_t need; /* FRAG_SYNC: lanes it waits for */
    uint32_t bar;  /* FRAG_BARRIER: which */
    uint32_t red, red_d; /* enum bar_red and where its result goes */
    uint64_t stamp; /* when it last ran, for fairness */
    struct frame *fr;
};

enum { MAX_BARRIERS = 16 };

enum bar_red { BAR_NONE, BAR_POPC, BAR_AND, BAR_OR };

struct barrier {
    uint32_t parked;   /* threads waiting */
    uint32_t arrived;  /* threads that bar.arrive'd and went on */
    uint32_t expected; /* 0: every thread of the CTA */
    uint32_t popc;     /* of the predicates of a reduction */
    uint32_t voters;
};

struct page_run {
    uint64_t lo, hi; /* [lo, hi) */
    int read_only;
};

enum { RUNS = 4 };

struct cta;

struct warp {
    unsigned char *regs; /* of the running fragment's frame */
    struct frag *cur;
    struct cta *cta;
    uint32_t target;
    uint32_t index;       /* in the CTA */
    uint32_t exist, live; /* lanes that are threads; that have not exited */
    uint32_t nfrags;
    struct frag frags[PTX_LANES];
    struct frag *sticky;
    int64_t fair;
    uint64_t stamp;
    uint64_t insns, lane_insns;
    int64_t cost; /* beside insns: see count_cost() */
    unsigned char *local; /* 32 blocks of local_stride bytes */
    uint32_t local_size, local_stride;
    struct page_run *runs; /* the CTA's, RUNS of them */
    struct frame *free_frames;
    uint64_t frame_memory;
    uint32_t parked[16]; /* lanes waiting at each barrier */
    uint32_t tid[3][PTX_LANES];
};

struct cta {
    struct grid *grid;
    struct cta *next; /* run queue */
    uint32_t id[3];
    uint32_t nthreads, nwarps, nlive; /* nlive: threads that have not exited */
    unsigned char *shared;
    uint32_t shared_size, dyn_base, sm;
    struct barrier bars[MAX_BARRIERS];
    struct page_run runs[RUNS]; /* valid ranges of global memory met last */
    uint32_t next_run;
    uint32_t next_warp;
    struct warp *warps;
};

struct grid {
    const struct ptx_launch *l;
    const struct ptx_module *m;
    const struct code_func *fn;
    struct ptx_pool *pool;
    struct block_cache *blocks; /* the pool's */
    unsigned char *params;
    uint32_t local_size;
    uint64_t nctas;
    uint64_t workspace[8]; /* grid barrier of cooperative groups */
    struct ptx_space space;
    struct ptx_range *ranges; /* caller's and our own */
    /* below: under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t next_cta;
    uint64_t done_ctas;
    uint32_t resident, idle_workers, workers;
    struct cta *queue, **queue_tail;
    struct cta *spare;
    struct grid *next; /* pool's list */
    volatile int stop; /* read without the lock */
    struct ptx_result result;
    pthread_mutex_t print_lock;
};

/* exec.c: up to budget instructions. */
enum warp_end { WARP_BUDGET, WARP_BLOCKED, WARP_DONE, WARP_FAULT };
enum warp_end ptx_warp_run(struct warp *w, int64_t budget);
struct frame *ptx_frame_push(struct warp *w, const struct code_func *fn, struct frame *up,
                             uint32_t mask, const struct uop *call);
void ptx_frame_pop(struct warp *w, struct frame *fr);
/* A new fragment beside the current one; the caller fixes the current's mask. */
struct frag *ptx_frag_split(struct warp *w, uint32_t pc, uint32_t mask, struct frame *fr);
void ptx_frag_remove(struct warp *w, struct frag *f);
void ptx_lanes_exit(struct warp *w, uint32_t mask);

/* barrier.c */
void ptx_barrier_check_all(struct cta *c);
/* Lanes of mask may run a *.sync of the lanes members[] names; the others stay
 * behind. 0: all wait. Return *rc from the handler after the work is done. */
uint32_t ptx_gather(struct warp *w, const struct uop *u, uint32_t mask, const uint32_t *members,
                    int *rc);

/* ctl.c */
struct code_call { /* uop.aux of a call */
    const struct code_func *fn; /* NULL: builtin or indirect */
    int builtin;                /* enum ptx_builtin, 0 none */
    struct code_param *args, *rets;
    uint32_t nargs, nrets;
};
struct code_targets { /* uop.aux of brx.idx */
    uint32_t n;
    uint32_t pc[];
};
static inline unsigned char *lane_frame(const struct warp *w, const struct frame *fr,
                                        uint32_t lane)
{
    return w->local + (size_t)lane * w->local_stride + fr->local_base;
}

/* builtin.c */
enum ptx_builtin { BUILTIN_NONE, BUILTIN_VPRINTF, BUILTIN_ASSERT, BUILTIN_MALLOC, BUILTIN_FREE,
                   BUILTIN_SET_CONDITION };
int ptx_builtin_find(const char *name); /* enum ptx_builtin */
int ptx_builtin_call(struct warp *w, const struct uop *u, uint32_t mask);

/* fault.c: record the first fault of a grid. Always CTL_FAULT. lane may be -1. */
__attribute__((format(printf, 6, 7)))
int ptx_fault(struct warp *w, const struct uop *u, int lane, enum ptx_fault f, uint64_t addr,
              const char *fmt, ...);

/* cta.c */
struct cta *ptx_cta_new(struct grid *g);
void ptx_cta_free(struct cta *c);
int ptx_cta_start(struct cta *c, uint64_t index);
/* Runs until about budget instructions are spent: 1 when the CTA has ended. */
int ptx_cta_run(struct cta *c, int64_t budget);

/* mem.c: how a uop addresses memory: a = address register, imm = added,
 * x[0] = enum mem_space, x[1] = 64-bit address register. */
enum mem_space { MEM_GLOBAL, MEM_SHARED, MEM_LOCAL, MEM_PARAM, MEM_FRAME, MEM_GENERIC };
/* Checks size bytes for every lane of mask and fills p[lane]. 0 or CTL_FAULT.
 * align is a power of two. */
int ptx_resolve(struct warp *w, const struct uop *u, uint32_t mask, uint32_t size, uint32_t align,
                int write, unsigned char **p);
/* Host address of n bytes at a generic address of one lane, or NULL. */
void *ptx_lane_memory(struct warp *w, int lane, uint64_t addr, uint32_t n, int write);

static inline uint32_t *reg32(const struct warp *w, uint32_t at)
{
    return (uint32_t *)(void *)(w->regs + at);
}

static inline uint64_t *reg64(const struct warp *w, uint32_t at)
{
    return (uint64_t *)(void *)(w->regs + at);
}

static inline void set_pred(struct warp *w, uint32_t at, uint32_t mask, uint32_t bits)
{
    uint32_t *p = reg32(w, at);

    *p = (*p & ~mask) | (bits & mask);
}

/*
 * What a waiting lane does over and over counts as many instructions, so that
 * the fragments, warps and CTAs it may be waiting for soon get a turn.
 */
enum { ATOMIC_COST = 64, SPIN_COST = 1024 };

static inline void count_cost(struct warp *w, int64_t cost)
{
    w->fair -= cost;
    w->cost += cost;
}

/* To be returned by a handler after its work: goes on behind u, but looks around first. */
static inline int look_around(struct warp *w, const struct uop *u)
{
    count_cost(w, SPIN_COST);
    w->cur->pc = (uint32_t)(u - w->cur->fr->fn->code) + 1;
    return CTL_SWITCH;
}

#define FOR_LANES(i, mask)                                                                        \
    for (uint32_t m_##i = (mask), i = 0;                                                          \
         m_##i && (i = (uint32_t)__builtin_ctz(m_##i), 1); m_##i &= m_##i - 1)

#endif
