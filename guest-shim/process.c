/* SPDX-License-Identifier: MIT */
/*
 * The life of this process as a user of the GPU: attach at the first need, cuInit,
 * fork, exit. Owns vg_process. Attaching is serialised by a lock of its own; it is
 * tried again by every cuInit until it succeeds.
 */
#include "guest-shim/process.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest-shim/call.h"
#include "guest-shim/call_private.h"
#include "guest-shim/callback.h"
#include "guest-shim/chan.h"
#include "guest-shim/features.h"
#include "guest-shim/lock.h"
#include "guest-shim/logs.h"
#include "guest-shim/state.h"
#include "guest-shim/stats.h"
#include "guest-shim/visible.h"
#include "vg_api.h"
#include "vg_atomic.h"

struct vg_process vg_process;
__thread struct vg_tls vg_tls __attribute__((tls_model("initial-exec")));
unsigned vg_log_level = 1;

static struct vg_lock attach_lock;

/* ---- log --------------------------------------------------------------------- */

/* One write per line, so that lines of several threads and processes stay whole. */
void vg_log(unsigned level, const char *format, ...)
{
    char line[512];
    va_list ap;

    if (level > vg_log_level && level > 1)
        return;
    int n = snprintf(line, sizeof(line), "vgpu[%d]: ", (int)getpid());
    va_start(ap, format);
    vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, ap);
    va_end(ap);
    if (level == 1)
        vg_logs_add(line + n);
    if (level > vg_log_level)
        return;
    strcat(line, "\n");
    ssize_t written = write(STDERR_FILENO, line, strlen(line));
    (void)written;
}

CUresult vg_unsupported(const char *what)
{
    vg_log(2, "not supported: %s", what);
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vg_unsupported_once(uint32_t *said, const char *symbol)
{
    if (vg_log_level >= 2 && !vg_load_relaxed(said)) {
        vg_store_relaxed(said, 1);
        vg_unsupported(symbol);
    }
    return CUDA_ERROR_NOT_SUPPORTED;
}

/* ---- end --------------------------------------------------------------------- */

/*
 * Runs before the exit handlers that were registered before cuInit (cudart's, the
 * C++ libraries'): what they still call gets CUDA_ERROR_DEINITIALIZED, as natively.
 * Threads in the middle of a call see the phase and give up. Nothing is unmapped.
 */
static void at_exit(void)
{
    if (vg_phase() == VG_PHASE_FORKED || !vg_process.chan)
        return;
    vg_console_drain();
    vg_stats_exit();
    vg_store_release(&vg_process.phase, VG_PHASE_EXITING);
    vg_process.chan->ops->release(vg_process.chan);
}

/* The region is not mapped in a child (MADV_DONTFORK): forget it, let go of the parent's slot. */
static void in_child(void)
{
    struct vg_chan *chan = vg_process.chan;

    attach_lock.word = 0;
    if (!chan)
        return;
    chan->ops->forget(chan);
    free(chan);
    free(vg_process.snapshot);
    memset(&vg_process, 0, sizeof(vg_process));
    vg_process.phase = VG_PHASE_FORKED;
}

/* Also a child forked in the middle of another thread's cuInit must find its locks free. */
static void __attribute__((constructor)) prepare(void)
{
    const char *s = getenv("VGPU_LOG");

    if (s && *s >= '0' && *s <= '9')
        vg_log_level = (unsigned)(*s - '0');
    pthread_atfork(NULL, NULL, in_child);
}

/* ---- attach ------------------------------------------------------------------ */

static CUresult check_snapshot(const struct vg_snapshot *s, size_t bytes)
{
    if (bytes < sizeof(*s) || s->size > bytes || s->device_count > VG_DEVICES_MAX ||
        s->size < sizeof(*s) + s->device_count * sizeof(s->device[0]))
        return CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
    return s->device_count ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

static CUresult fetch_snapshot(void *buffer, size_t bytes)
{
    struct vg_reply reply;
    struct vg_tx tx;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_SNAPSHOT, 0);

    if (r)
        return r;
    tx.call->flags |= VG_F_BULK;
    tx.call->arg[6] = vg_window_off(buffer);
    tx.call->arg[7] = bytes;
    r = vg_finish(&tx, &reply);
    if (!r)
        r = check_snapshot(buffer, reply.len < bytes ? reply.len : bytes);
    if (r)
        return r;
    vg_process.snapshot = malloc(reply.len);
    if (!vg_process.snapshot)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(vg_process.snapshot, buffer, reply.len);
    for (uint32_t i = 0; i < vg_process.snapshot->device_count; i++)
        vg_features_limit(&vg_process.snapshot->device[i]);
    return CUDA_SUCCESS;
}

static CUresult get_snapshot(void)
{
    size_t bytes;
    void *buffer = vg_window_get(VG_EXTENT_SIZE, VG_EXTENT_SIZE, &bytes);

    if (!buffer)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = fetch_snapshot(buffer, bytes);
    vg_window_put(buffer, bytes);
    if (r)
        vg_log(1, "no GPU: the host does not describe one (%d)", (int)r);
    return r;
}

/* A slot that answers nothing useful is given back, so that the next cuInit starts afresh. */
static void detach(void)
{
    vg_process.chan->ops->release(vg_process.chan);
    vg_process.chan->ops->forget(vg_process.chan);
    munmap(vg_process.base, vg_process.layout.size);
    free(vg_process.chan);
    free(vg_process.snapshot);
    memset(&vg_process, 0, sizeof(vg_process));
}

static CUresult attach_once(void)
{
    struct vg_chan *chan;

    CUresult r = vg_chan_open(&chan);
    if (r)
        return r;
    vg_process.base = chan->base;
    vg_process.layout = chan->layout;
    vg_process.slot_index = chan->slot_index;
    vg_process.slot = chan->slot;
    vg_process.chan = chan;
    vg_call_init(chan->slot);
    r = get_snapshot();
    if (r)
        detach();
    return r;
}

/*
 * What CUDA_VISIBLE_DEVICES says of devices that only the host knows. If others than the first
 * ones are wanted, or in another order, it gives them to us by these numbers: we come again.
 */
static CUresult attach_visible(void)
{
    vg_visible.count = 0;
    CUresult r = attach_once();
    if (r || !vg_visible_choose(vg_process.snapshot, &vg_visible))
        return r;
    uint32_t count = vg_visible.count;
    if (count && vg_visible_is_prefix(&vg_visible)) {
        vg_process.snapshot->device_count = count;
        return CUDA_SUCCESS;
    }
    detach();
    if (!count)
        return vg_visible.twice ? CUDA_ERROR_INVALID_DEVICE : CUDA_ERROR_NO_DEVICE;
    r = attach_once();
    if (r)
        return r;
    if (vg_process.snapshot->device_count == count)
        return CUDA_SUCCESS;
    detach();
    vg_log(1, "no GPU: the host does not know CUDA_VISIBLE_DEVICES in this order");
    return CUDA_ERROR_NO_DEVICE;
}

static CUresult attach_locked(void)
{
    static bool exit_hooked;

    if (vg_process.snapshot)
        return CUDA_SUCCESS;
    CUresult r = vg_visible_nothing() ? CUDA_ERROR_NO_DEVICE : attach_visible();
    if (r)
        return r;
    const struct vg_chan *chan = vg_process.chan;
    if (!exit_hooked)
        exit_hooked = atexit(at_exit) == 0;
    vg_log(2, "attached by %s, slot %u, %u device(s), driver %u%s", chan->ops->name,
           chan->slot_index, vg_process.snapshot->device_count, vg_process.snapshot->driver_version,
           vg_process.snapshot->software ? ", software GPU" : "");
    return CUDA_SUCCESS;
}

CUresult vg_attach(void)
{
    if (vg_phase() > VG_PHASE_RUNNING)
        return vg_not_running();
    vg_lock(&attach_lock);
    CUresult r = attach_locked();
    vg_unlock(&attach_lock);
    return r;
}

/* ---- state.h ----------------------------------------------------------------- */

CUresult vg_not_running(void)
{
    return vg_phase() == VG_PHASE_EXITING ? CUDA_ERROR_DEINITIALIZED
                                                : CUDA_ERROR_NOT_INITIALIZED;
}

const struct vg_device_info *vg_device(CUdevice dev)
{
    if (dev < 0 || (uint32_t)dev >= vg_process.snapshot->device_count)
        return NULL;
    return &vg_process.snapshot->device[dev];
}

/* ---- entry points ------------------------------------------------------------ */

CUresult cuInit(unsigned Flags)
{
    if (vg_phase() == VG_PHASE_RUNNING)
        return Flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    if (Flags)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = vg_attach();
    if (!r)
        vg_store_release(&vg_process.phase, VG_PHASE_RUNNING);
    return r;
}

/*
 * Asked before cuInit, and by programs that never call it: attaches if that works,
 * and else names what this library implements, so that cuInit can say what is wrong.
 */
CUresult cuDriverGetVersion(int *driverVersion)
{
    if (!driverVersion)
        return CUDA_ERROR_INVALID_VALUE;
    *driverVersion = vg_driver_version();
    return CUDA_SUCCESS;
}

/* Never above what the table knows, or clients would expect functions that we lack. */
int vg_driver_version(void)
{
    unsigned level = vg_log_level;

    if (!vg_process.snapshot && vg_phase() == VG_PHASE_NEW) {
        vg_log_level = level > 1 ? level : 0;   /* cuInit will say it */
        CUresult r = vg_attach();
        vg_log_level = level;
        if (r)
            return CUDA_VERSION;
    }
    if (!vg_process.snapshot || vg_process.snapshot->driver_version > CUDA_VERSION)
        return CUDA_VERSION;
    return (int)vg_process.snapshot->driver_version;
}
