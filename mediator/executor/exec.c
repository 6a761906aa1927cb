/* SPDX-License-Identifier: MIT */
/* The executor's state as a whole, its clock and its log. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mediator/executor/capture.h"
#include "mediator/executor/executor.h"
#include "mediator/executor/load.h"
#include "mediator/executor/managed.h"

uint64_t vg_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

void vg_doorbell_ring(void *arg)
{
    uint64_t one = 1;

    (void)arg;
    if (write(VG_FD_DOORBELL, &one, sizeof(one)) < 0)
        return; /* full: it rings already */
}

void vg_log(const struct vg_exec *x, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    fprintf(stderr, "executor vm=%s slot=%u gen=%u pid=%u comm=%s %s\n", x->job.vm, x->job.slot,
            x->job.generation, x->guest.pid, x->guest.comm, line);
}

int vg_exec_init(struct vg_exec *x)
{
    memset(x, 0, sizeof(*x));
    vg_job_init(&x->job);
    vg_cuda_init_missing(&x->cuda);
    vg_objset_init(&x->obj);
    vg_ranges_init(&x->ranges);
    vg_vmm_init(&x->vmm);
    x->control_fd = -1;
    x->orders = &x->own_orders;
    vg_gatekeeper_init(&x->keeper);
    if (vg_quota_init(x) < 0)
        return -ENOMEM;
    vg_waits_init(&x->waits);
    x->console.pipe_read = -1;
    x->payload = malloc(VG_PAYLOAD_MAX);
    x->out = malloc(VG_OUT_MAX);
    return x->payload && x->out ? 0 : -ENOMEM;
}

/* Memory only: what the driver holds ends with the process, all at once and always. */
void vg_exec_fini(struct vg_exec *x)
{
    vg_meter_fini(&x->meter);
    vg_quota_fini(x);
    vg_waits_fini(&x->waits);
    vg_bounce_fini(&x->bounce);
    vg_capture_fini(x);
    vg_callbacks_fini(&x->callbacks);
    vg_links_fini(x);
    vg_managed_forget(x, 0);
    vg_image_drop(x, 0);
    free(x->resources.at);
    vg_objset_fini(&x->obj);
    vg_ranges_fini(&x->ranges);
    vg_vmm_fini(&x->vmm);
    vg_shares_fini(&x->shares);
    vg_fetch_fini(&x->fetch);
    vg_shelf_close(&x->shelf);
    free(x->payload);
    free(x->out);
    free(x->upload.bytes);
    free(x->snapshot);
    x->upload.bytes = NULL;
    x->snapshot = NULL;
    x->payload = x->out = NULL;
}
