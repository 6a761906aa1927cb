/* SPDX-License-Identifier: MIT */
/*
 * Metrics in Prometheus' text format 0.0.4: of the daemon, and of each VM the sums of
 * its executors, by class of call where that says something. Names, types and help
 * texts stand in tables (scrape.c); labels are escaped.
 */
#ifndef VG_SCRAPE_H
#define VG_SCRAPE_H

#include <stdbool.h>
#include <stddef.h>

#define VG_SCRAPE_MAX (64u << 20)   /* bytes: 1024 VMs with every class of call need half */

struct vg_mediator;

/* Text that grows, up to VG_SCRAPE_MAX; then, or without memory, it is `full`. */
struct vg_text {
    char *at;
    size_t len, cap;
    bool full;
};

void vg_text_add(struct vg_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Adds every metric as it is now. The caller frees t->at. */
void vg_scrape(struct vg_mediator *m, struct vg_text *t);

#endif
