/* SPDX-License-Identifier: MIT */
/*
 * The defaults, and why. Where a comment says "H200" the figure was measured there: a
 * switch between two contexts that both have work costs about 0.15 ms.
 */
#include "sched.h"

#define US(n) ((uint64_t)(n) * 1000u)
#define MS(n) ((uint64_t)(n) * 1000000u)

static void init_turns(struct vg_sched_tuning *t)
{
    t->quantum = MS(6);             /* a switch is 3 % of it, 0.6 % when nothing is cut in two */
    t->quantum_min = US(500);
    t->quantum_max = MS(20);
    t->cycle = MS(48);              /* three rounds in 100 ms */
    t->quantum_lower = MS(2);
    t->window = MS(1);              /* covers the executor's poll many times over */
    t->window_lower = US(100);   /* what a high VM waits for without slices: a kernel, not two */
    t->window_ops = 256;            /* only a fence against estimates that are far too small */
    t->window_ops_lower = 64;
}

static void init_waits(struct vg_sched_tuning *t)
{
    t->handover = US(100);          /* H200: 0.1 to 0.2 ms of each turn are lost in it */
    t->lead = US(100);              /* ring, decide, grant, start: 20 to 50 us on an idle machine */
    t->lead_most = US(300);         /* H200, in a VM with 16 processors: 60 to 220 us */
    t->hold = US(100);              /* a program that waits for a result and goes on needs 10 to 50 */
    t->think_most = US(1500);       /* with a kernel of 20 ms, 0.6 ms: what a slow guest needs for a token */
    t->stall = MS(2);
    t->lag = US(250);
    t->open_after = MS(10);
    t->linger = MS(1000);
    t->crowd = 4;                   /* the one's gaps are filled by the others, and little is in flight */
}

static void init_classes(struct vg_sched_tuning *t)
{
    t->floor_quantum = US(500);
    t->patience = MS(20);
    t->kernel_long = MS(55);        /* H200: beside another context, slices of 2 ms lose 7 % in switches */
    t->newcomer = MS(100);
    t->floor_ppm[VG_CLASS_HIGH] = 0;
    t->floor_ppm[VG_CLASS_MEDIUM] = 62000;  /* 5 % promised; switches take some of it */
    t->floor_ppm[VG_CLASS_LOW] = 26000;     /* 2 % promised */
    t->age = MS(700);                       /* 1 s promised, less what runs then */
    t->debt = MS(500);
}

static void init_slices(struct vg_sched_tuning *t)
{
    t->slice_short_us = 50;     /* H200: a neighbour gets in 0.2 ms after a moment within it */
    t->slice_long_us = 8000;    /* what is in flight below waits for a kernel, but not for its class */
    t->slice_found_us = 2048;   /* what a CUDA process asks for by itself */
    t->hog = MS(100);           /* longer than what peers wait for, with room */
    t->hog_op = MS(30);         /* a second has thirty such; to wait for the end of each is 3 points off */
    t->hog_settle = MS(200);
    t->slice_linger = MS(10000);    /* H200: to set one takes 1.5 ms, many times that while others start */
}

void vg_sched_tuning_init(struct vg_sched_tuning *t)
{
    init_turns(t);
    init_waits(t);
    init_classes(t);
    init_slices(t);
}
