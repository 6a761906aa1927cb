/* SPDX-License-Identifier: MIT */
/* Xid lines and the states of GPUs, see kernel_log.h. */
#include "kernel_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mediator.h"
#include "mediator/base/log.h"

/* ---- states ---- */

enum vg_gpu_state vg_gpus_worst(const struct vg_gpus *g)
{
    enum vg_gpu_state worst = VG_GPU_OK;

    for (unsigned i = 0; i < g->count; i++) {
        if (g->gpu[i].state > worst)
            worst = g->gpu[i].state;
    }
    return worst;
}

const struct vg_gpu *vg_gpus_sick(const struct vg_gpus *g)
{
    for (unsigned i = 0; i < g->count; i++) {
        if (g->gpu[i].state != VG_GPU_OK)
            return &g->gpu[i];
    }
    return NULL;
}

static struct vg_gpu *known(struct vg_gpus *g, const char *name)
{
    for (unsigned i = 0; i < g->count; i++) {
        if (strcmp(g->gpu[i].name, name) == 0)
            return &g->gpu[i];
    }
    return NULL;
}

struct vg_gpu *vg_gpus_find(struct vg_gpus *g, const char *name)
{
    struct vg_gpu *gpu = known(g, name);

    if (gpu || g->count == VG_GPUS_MAX)
        return gpu;
    gpu = &g->gpu[g->count++];
    memset(gpu, 0, sizeof(*gpu));
    snprintf(gpu->name, sizeof(gpu->name), "%s", name);
    return gpu;
}

int vg_gpu_clear(struct vg_mediator *m, const char *name, char *why, size_t why_cap)
{
    struct vg_gpu *gpu = known(&m->health.gpus, name);
    struct vg_gpu before;
    int rc;

    if (!gpu || gpu->state == VG_GPU_OK) {
        snprintf(why, why_cap, "GPU \"%.32s\" is not held back; \"vgpu-admin show-health\" shows all",
                 name);
        return -EINVAL;
    }
    before = *gpu;
    gpu->state = VG_GPU_OK;
    gpu->since = (int64_t)time(NULL);
    rc = vg_health_save(m);
    if (rc < 0) {
        *gpu = before;
        snprintf(why, why_cap, "cannot write %.100s/health.json: %s", m->config.state_dir,
                 strerror(-rc));
        return rc;
    }
    vg_event(m, VG_EVENT_GPU_WELL, NULL, "gpu=%s was=%s xid=%u", gpu->name,
             vg_gpu_state_name(before.state), before.xid);
    return 0;
}

json_object *vg_gpus_to(const struct vg_gpus *g)
{
    json_object *list = json_object_new_array();

    for (unsigned i = 0; i < g->count; i++) {
        const struct vg_gpu *gpu = &g->gpu[i];
        json_object *o = json_object_new_object();

        json_object_object_add(o, "gpu", json_object_new_string(gpu->name));
        json_object_object_add(o, "state", json_object_new_string(vg_gpu_state_name(gpu->state)));
        json_object_object_add(o, "xid", json_object_new_int64(gpu->xid));
        json_object_object_add(o, "text", json_object_new_string(vg_xid_meaning(gpu->xid)));
        json_object_object_add(o, "xids", json_object_new_int64((int64_t)gpu->xids));
        json_object_object_add(o, "since", json_object_new_int64(gpu->since));
        json_object_array_add(list, o);
    }
    return list;
}

/* ---- what is said ---- */

static struct vg_session *session_of(struct vg_mediator *m, pid_t pid)
{
    struct vg_client *c;

    vg_list_for_each(c, &m->clients, link) {
        for (unsigned i = 0; pid && i < c->layout.slot_count; i++) {
            if (c->session[i] && vg_session_is_live(c->session[i]) && c->session[i]->pid == pid)
                return c->session[i];
        }
    }
    return NULL;
}

static void worsen(struct vg_mediator *m, const struct vg_xid *x, enum vg_xid_class class)
{
    struct vg_gpu *gpu = vg_gpus_find(&m->health.gpus, x->gpu);
    enum vg_gpu_state next;

    if (!gpu)
        return;
    gpu->xids++;
    next = vg_xid_state(gpu->state, class);
    if (next == gpu->state)
        return;
    gpu->state = next;
    gpu->xid = x->number;
    gpu->since = (int64_t)time(NULL);
    vg_event(m, VG_EVENT_GPU_SICK, NULL, "gpu=%s state=%s xid=%u meaning=\"%s\"", gpu->name,
             vg_gpu_state_name(next), x->number, vg_xid_meaning(x->number));
    vg_health_gpu_changed(m);
}

static void on_xid(struct vg_mediator *m, const struct vg_xid *x)
{
    enum vg_xid_class class = vg_xid_class(x->number);
    struct vg_session *s = session_of(m, x->pid);

    vg_log(class == VG_XID_NOTE ? VG_LOG_INFO : VG_LOG_WARNING, "xid",
           "gpu=%s xid=%u vm=%s pid=%d meaning=\"%s\" text=\"%s\"", x->gpu, x->number,
           s ? s->client->vm->name : "-", (int)x->pid, vg_xid_meaning(x->number), x->text);
    worsen(m, x, class);
    if (!s || class != VG_XID_MEMORY)
        return;
    /* Its context is dead, by no guest's doing. */
    s->blameless = true;
    vg_session_stop(s, VG_GONE_CRASHED);
}

static void take_line(struct vg_mediator *m, const char *line, size_t len)
{
    struct vg_xid x;

    if (vg_xid_parse(line, len, &x))
        on_xid(m, &x);
}

/* A pipe has lines, /dev/kmsg a record a read, whose first line it is. */
static void take_bytes(struct vg_mediator *m, const char *bytes, size_t n)
{
    struct vg_kernel_log *k = &m->health.kernel_log;

    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n') {
            if (k->len < sizeof(k->line))
                k->line[k->len++] = bytes[i];
            continue;
        }
        take_line(m, k->line, k->len);
        k->len = 0;
    }
}

static void log_ready(void *arg, uint32_t events)
{
    struct vg_mediator *m = arg;
    struct vg_kernel_log *k = &m->health.kernel_log;
    char bytes[8192];   /* the kernel's records are at most so long */

    (void)events;
    for (unsigned i = 0; i < VG_KERNEL_LOG_LINES; i++) {
        ssize_t n = read(k->fd, bytes, sizeof(bytes));

        if (n > 0) {
            take_bytes(m, bytes, (size_t)n);
            continue;
        }
        /* EPIPE: records were overwritten before they were read. */
        if (n < 0 && (errno == EPIPE || errno == EINTR))
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        snprintf(k->problem, sizeof(k->problem), "%s", n < 0 ? strerror(errno) : "it has ended");
        vg_log(VG_LOG_WARNING, "kernel-log-lost", "error=\"%s\"", k->problem);
        vg_kernel_log_close(m);
        return;
    }
}

/* ---- life ---- */

/* A pipe is held open for writing too: its writers come and go. */
static int open_log(const char *path)
{
    struct stat st;
    int how = stat(path, &st) == 0 && S_ISFIFO(st.st_mode) ? O_RDWR : O_RDONLY;
    int fd = open(path, how | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return -errno;
    /* What was said before we came is about a time in which we were not. */
    if (how == O_RDONLY)
        lseek(fd, 0, SEEK_END);
    return fd;
}

/* The host's log says nothing about a GPU that is its processors. */
static bool is_wanted(const struct vg_config *c)
{
    struct vg_backend backend;
    char why[160];

    if (strcmp(c->kernel_log, VG_KERNEL_LOG_PATH) != 0)
        return c->kernel_log[0] != '\0';
    return vg_backend_find(c, &backend, why, sizeof(why)) == 0 && !backend.software;
}

void vg_kernel_log_open(struct vg_mediator *m)
{
    struct vg_kernel_log *k = &m->health.kernel_log;
    const char *path = m->config.kernel_log;
    int rc;

    k->fd = k->io.fd = -1;
    if (!is_wanted(&m->config))
        return;
    k->fd = open_log(path);
    rc = k->fd < 0 ? k->fd : vg_io_add(&m->loop, &k->io, k->fd, EPOLLIN, log_ready, m);
    if (rc == 0)
        return;
    snprintf(k->problem, sizeof(k->problem), "%s", strerror(-rc));
    vg_log(VG_LOG_WARNING, "kernel-log-unread", "path=%s error=\"%s\"", path, k->problem);
    vg_kernel_log_close(m);
}

void vg_kernel_log_close(struct vg_mediator *m)
{
    struct vg_kernel_log *k = &m->health.kernel_log;

    if (k->fd < 0)
        return;
    vg_io_del(&m->loop, &k->io);
    close(k->fd);
    k->fd = -1;
}
