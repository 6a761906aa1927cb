/* SPDX-License-Identifier: MIT */
/*
 * vgpu-executor: serves one guest process. Started by vgpu-mediator by fork and
 * exec, with everything it needs already open (options.h).
 *
 * The order at start is the security design: load the driver, give up root (user.h),
 * initialise the driver, take the job (job.h), become the VM's user, restrict the
 * process, and only then look at the guest's hello, map its region and read its
 * requests. So the mediator can start processes ahead of need, which wait for their job
 * with the slow part done. The end is the process's end: the driver gives back all it held.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mediator/executor/sandbox.h"
#include "mediator/executor/serve.h"
#include "mediator/executor/user.h"
#include "vg_atomic.h"
#include "vg_sock.h"

#define DEVICE_FILE "/dev/nvidia-uvm"

#define EXIT_GONE 10 /* exit status of a guest that had to go: this plus enum vg_gone_reason */

static struct vg_exec the_exec; /* one per process; the signal handler needs it */

/* The mediator hung up or asks us to go: nothing here outlives it. Any thread, and signals. */
static void mediator_gone(void)
{
    vg_guest_gone(&the_exec.guest, VG_GONE_MEDIATOR);
    _exit(0); /* not exit(): a library's cleanup may wait for the GPU */
}

static void on_terminate(int signal)
{
    (void)signal;
    mediator_gone();
}

static void tell(uint32_t type, uint32_t token, const char *text)
{
    struct vg_msg m = {.type = type, .version = VG_PROTOCOL_VERSION, .token = token};

    snprintf(m.text, sizeof(m.text), "%s", text);
    if (send(VG_FD_CONTROL, &m, sizeof(m), MSG_NOSIGNAL) < 0)
        fprintf(stderr, "executor: cannot tell the mediator: %s\n", strerror(errno));
}

/* Says it to the guest, to the mediator and to the log. Returns the exit status. */
static int fail(struct vg_exec *x, enum vg_gone_reason reason, const char *why)
{
    vg_log(x, "event=failed reason=%d why=\"%s\"", (int)reason, why);
    vg_guest_gone(&x->guest, reason);
    tell(VG_MSG_FAILED, reason, why);
    return EXIT_GONE + (int)reason;
}

static int open_stats(struct vg_exec *x)
{
    void *p =
        mmap(NULL, sizeof(struct vg_stats), PROT_READ | PROT_WRITE, MAP_SHARED, VG_FD_STATS, 0);

    if (p == MAP_FAILED)
        return -errno;
    x->stats = p;
    return 0;
}

static void tell_stats(struct vg_exec *x)
{
    x->stats->guest_pid = x->guest.pid;
    memcpy(x->stats->guest_comm, x->guest.comm, sizeof(x->stats->guest_comm));
    vg_store_release(&x->stats->magic, VG_STATS_MAGIC);
}

/*
 * The first process that uses the GPU after the host's start makes its files, by a program of the
 * driver's that needs root. A process of its own does that: what has begun as root stays so.
 */
static void make_device_file(struct vg_exec *x)
{
    if (x->opt.software || access(DEVICE_FILE, F_OK) == 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        x->cuda.cuInit(0);
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* The driver's threads have no more rights than we from here on. */
static int give_up_rights(struct vg_exec *x)
{
    if (x->opt.user == 0)
        return vg_sandbox_drop();
    make_device_file(x);
    return vg_user_begin(x->opt.user);
}

static int open_driver(struct vg_exec *x, char *ret_name, size_t size, const char **ret_why)
{
    if (vg_cuda_open(&x->cuda, x->opt.driver, ret_why) < 0)
        return -ENOENT;
    *ret_why = "cannot give up rights";
    if (give_up_rights(x) < 0)
        return -EPERM;
    *ret_why = "cuInit failed";
    if (x->cuda.cuInit(0) != CUDA_SUCCESS)
        return -ENODEV;
    *ret_why = "no device";
    if (x->cuda.cuDeviceGetName(ret_name, (int)size, 0) != CUDA_SUCCESS)
        return -ENODEV;
    return 0;
}

/* What needs no guest. Returns 0 or the exit status. */
static int prepare(struct vg_exec *x, char *ret_device, size_t size)
{
    const char *why;

    if (open_stats(x) < 0)
        return fail(x, VG_GONE_CRASHED, "cannot map the counters");
    if (vg_gate_open(x, VG_FD_GATE, VG_FD_BELL) < 0)
        return fail(x, VG_GONE_CRASHED, "cannot map the gate");
    if (vg_orders_open(x, VG_FD_ORDERS) < 0)
        return fail(x, VG_GONE_CRASHED, "cannot map the orders");
    if (vg_console_init(&x->console, NULL) < 0)
        return fail(x, VG_GONE_CRASHED, "cannot redirect stdout");
    vg_guest_reserve();
    if (open_driver(x, ret_device, size, &why) < 0)
        return fail(x, VG_GONE_NO_GPU, why);
    vg_overhead_open(x);
    /* Whoever has a guest waiting for it lets the guest say what it needs. */
    if (x->opt.warm && !vg_job_is_here(VG_FD_CONTROL))
        vg_context_warm_up(x);
    /* Who keeps his user has nothing to wait for. */
    if (x->opt.user == 0 && vg_sandbox_enter(x->opt.software, false) < 0)
        return fail(x, VG_GONE_CRASHED, "cannot restrict the process");
    return 0;
}

/* Between the mediator's last word and the guest's first. Returns 0 or the exit status. */
static int restrict_process(struct vg_exec *x)
{
    uint32_t user = x->job.user ? x->job.user : x->opt.user;

    /* Started to stay who it is, before the setting was changed: ends untold, so the guest gets another. */
    if (x->opt.user == 0)
        return x->job.user ? EXIT_GONE + VG_GONE_CRASHED : 0;
    if (vg_user_become(user) < 0)
        return fail(x, VG_GONE_CRASHED, "cannot become the VM's user");
    if (vg_sandbox_enter(x->opt.software, true) < 0)
        return fail(x, VG_GONE_CRASHED, "cannot restrict the process");
    return 0;
}

/* From here on there is a guest. Returns 0 or the exit status. */
static int start(struct vg_exec *x, const char *device)
{
    const char *why;
    int rc;

    if (vg_quota_open(x) < 0)
        return fail(x, VG_GONE_CRASHED, "cannot map the VM's account");
    rc = vg_guest_open(&x->guest, &x->job, &why);
    if (rc != 0)
        return fail(x, rc > 0 ? (enum vg_gone_reason)rc : VG_GONE_CRASHED, why);
    if (vg_shelf_open(&x->shelf, x->job.shelf_fd, x->job.shelf_size) < 0)
        vg_log(x, "event=no_shelf");
    vg_pins_init(&x->pins, x->guest.says_pins);
    x->guest.slot->features = VG_HOST_MARKS_STREAMS | VG_HOST_PINS_PARTS;
    if (x->shelf.map)
        x->guest.slot->features |= VG_HOST_KEEPS_IMAGES;
    tell_stats(x);
    x->console.slot = x->guest.slot;
    vg_callbacks_init(&x->callbacks, x->guest.slot);
    if (vg_console_watch(&x->console, VG_FD_CONTROL, mediator_gone) < 0)
        return fail(x, VG_GONE_CRASHED, "cannot start a thread");
    vg_ring_consumer_init(&x->ring, x->guest.slot);
    vg_log(x, "event=ready device=\"%s\"", device);
    vg_guest_ready(&x->guest);
    tell(VG_MSG_READY, 0, device);
    return 0;
}

static int await_job(struct vg_exec *x, const char *device)
{
    if (!vg_job_is_here(VG_FD_CONTROL))
        tell(VG_MSG_IDLE, 0, device);
    int rc = vg_job_wait(VG_FD_CONTROL, &x->job);
    if (rc == -EPIPE)
        mediator_gone();
    return rc == 0 ? 0 : fail(x, VG_GONE_CRASHED, "the mediator's message is malformed");
}

int main(int argc, char **argv)
{
    struct vg_exec *x = &the_exec;
    const char *why = "";
    char device[64];

    if (vg_exec_init(x) < 0 || vg_options_parse(&x->opt, argc, argv) < 0)
        return 2;
    if (x->opt.software)
        x->ranges.page = VG_RANGE_PAGE_SOFT;
    signal(SIGTERM, on_terminate);
    vg_sandbox_offer();
    int rc = prepare(x, device, sizeof(device));
    if (rc == 0)
        rc = await_job(x, device);
    if (rc == 0)
        rc = restrict_process(x);
    if (rc == 0)
        rc = start(x, device);
    if (rc != 0)
        return rc;
    rc = vg_serve(x, VG_FD_CONTROL, VG_FD_DOORBELL, &why);
    if (rc == 0)
        mediator_gone();
    vg_log(x, "event=gone reason=%d why=\"%s\"", rc, why);
    vg_guest_gone(&x->guest, (enum vg_gone_reason)rc);
    /* Besides the exit status: a daemon that has not started us cannot see that. */
    tell(VG_MSG_FAILED, (uint32_t)rc, why);
    _exit(EXIT_GONE + rc);
}
