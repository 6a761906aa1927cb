/* SPDX-License-Identifier: MIT */
/* Descriptors, arguments and environment of an executor, see spawn.h. */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "mediator.h"
#include "mediator/base/file.h"
#include "mediator/base/proc.h"
#include "slotmem.h"

static int open_channels(struct vg_session *s, struct vg_spawn *sp)
{
    int pair[2], log_pipe[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    s->control_fd = pair[0];
    sp->control = pair[1];
    if (pipe2(log_pipe, O_CLOEXEC) < 0)
        return -errno;
    s->log_fd = log_pipe[0];
    sp->log = log_pipe[1];
    if (s->doorbell_fd < 0)
        s->doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->bell_fd < 0)
        s->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* Its end too: with nobody to read what it says, it drops that and goes on. */
    if (s->doorbell_fd < 0 || s->bell_fd < 0 || fcntl(s->log_fd, F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(sp->log, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

/* Smaller than we take it for, it would end us at the first look. */
static int map_shared(int fd, size_t size, int prot, void **ret_map)
{
    struct stat st;
    void *map;

    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < (off_t)size)
        return -EINVAL;
    map = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    *ret_map = map;
    return 0;
}

int vg_spawn_map(struct vg_session *s)
{
    void *map = NULL;
    int rc = map_shared(s->stats_fd, VG_STATS_SIZE, PROT_READ, &map);

    s->stats = map;
    if (rc == 0)
        rc = map_shared(s->gate_fd, VG_GATE_SIZE, PROT_READ | PROT_WRITE, &map);
    s->gate = rc == 0 ? map : NULL;
    if (rc == 0)
        rc = map_shared(s->orders_fd, VG_ORDERS_SIZE, PROT_READ | PROT_WRITE, &map);
    s->orders = rc == 0 ? map : NULL;
    return rc;
}

/*
 * A seal against new writable mappings would do, but then the next daemon could not write either.
 * So the executor's descriptor can only be read, and the file not be opened for more.
 */
static int open_orders(struct vg_session *s, struct vg_spawn *sp)
{
    char path[32];
    int rc;

    s->orders_fd = vg_memfd_new("vgpu-orders", VG_ORDERS_SIZE);
    if (s->orders_fd < 0)
        return s->orders_fd;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", s->orders_fd);
    sp->orders = open(path, O_RDONLY | O_CLOEXEC);
    if (sp->orders < 0 || fchmod(s->orders_fd, 0400) < 0)
        return -errno;
    rc = vg_spawn_map(s);
    if (rc == 0)
        vg_quota_tell(s);
    return rc;
}

static int open_pages(struct vg_session *s, struct vg_spawn *sp)
{
    s->stats_fd = vg_memfd_new("vgpu-stats", VG_STATS_SIZE);
    s->gate_fd = vg_memfd_new("vgpu-gate", VG_GATE_SIZE);
    if (s->stats_fd < 0 || s->gate_fd < 0)
        return s->stats_fd < 0 ? s->stats_fd : s->gate_fd;
    return open_orders(s, sp);
}

void vg_spawn_gpus(const struct vg_client *c, unsigned slot, char ret_gpus[VG_PLACE_TEXT])
{
    uint8_t visible[VG_DEVICES_MAX];
    struct vg_place place;

    vg_gpus_place(c->mediator, c->vm->grant.pool, &place);
    /* Where the daemon's own environment hides some, their numbers mean nothing to a guest. */
    if (!place.mask && getenv("CUDA_VISIBLE_DEVICES"))
        strcpy(ret_gpus, place.gpus);
    else
        vg_place_choose(&place, visible, vg_slotmem_visible(&c->mem, &c->layout, slot, visible), ret_gpus);
}

/* One that is started ahead of need sees the GPUs of the pool that VMs are in by default. */
static void choose_gpus(struct vg_session *s)
{
    struct vg_place place;

    if (s->client) {
        vg_spawn_gpus(s->client, s->slot, s->gpus);
        return;
    }
    vg_gpus_place(s->mediator, s->mediator->config.policy.pool, &place);
    strcpy(s->gpus, place.gpus);
}

/* As long as nobody knows what a context costs, those who can measure it. Entries of argv. */
static void add_measure(struct vg_session *s, char **argv, char *nvml, size_t cap)
{
    const struct vg_mediator *m = s->mediator;

    if (!vg_quota_wants_measure(m, s))
        return;
    vg_backend_nvml(&m->config, &s->backend, nvml, cap);
    argv[0] = (char *)"--nvml";
    argv[1] = nvml;
}

/* The driver keeps what it compiles in files, if our environment says where and it may write there. */
static bool keeps_code(const struct vg_session *s)
{
    const struct vg_mediator *m = s->mediator;
    uint64_t choice = m->config.jit_cache;

    if (s->backend.software)
        return false;
    /* Our home is closed to users that are not ours. */
    return choice == VG_JIT_YES || (choice == VG_JIT_AUTO && !getenv("CUDA_CACHE_PATH") &&
                                    (vg_users_start(s) || !getenv("HOME")));
}

/* Written behind each other: the first NULL ends the list. */
static char **extra_env(char *visible, char *extra[4])
{
    char *const all[] = { vg_backend_order(), vg_backend_pages(), visible };
    unsigned n = 0;

    for (unsigned i = 0; i < VG_ARRAY_LEN(all); i++)
        if (all[i])
            extra[n++] = all[i];
    extra[n] = NULL;
    return extra;
}

static int spawn(struct vg_session *s, const struct vg_spawn *sp)
{
    const struct vg_config *config = &s->mediator->config;
    uint32_t user = vg_users_start(s);
    char spin[24], user_text[16], visible[sizeof(s->gpus) + 32], nvml[PATH_MAX];
    char *extra[4];
    char *argv[16] = { (char *)"vgpu-executor", (char *)"--backend",
                      (char *)(uintptr_t)vg_backend_name(&s->backend),
                      (char *)"--driver", s->backend.library };
    const int fds[] = { -1, -1, sp->log, sp->control, s->doorbell_fd, s->stats_fd, s->gate_fd,
                        s->bell_fd, sp->orders };
    vg_auto_free char **envp = vg_proc_env(vg_backend_env,
                                           extra_env(s->gpus[0] ? visible : NULL, extra));
    /*
     * No death signal: at the end of its control socket it tells its guest, then goes. Device
     * pointers are addresses of its own space, and must be free in the guest's, whose stacks
     * and libraries come from the top downwards.
     */
    struct vg_proc proc = { .path = sp->program, .argv = argv, .envp = envp, .fds = fds,
                            .nfds = VG_ARRAY_LEN(fds), .session = true, .no_core = true,
                            .maps_low = true };
    unsigned n = 5;

    /* First in the list, so it is found before what we were started with. */
    snprintf(visible, sizeof(visible), "CUDA_VISIBLE_DEVICES=%s", s->gpus);
    if (user) {
        snprintf(user_text, sizeof(user_text), "%" PRIu32, user);
        argv[n++] = (char *)"--user";
        argv[n++] = user_text;
    }
    if (s->ahead && config->prestart_context)
        argv[n++] = (char *)"--warm";
    if (!config->pin_region)
        argv[n++] = (char *)"--unregistered";
    if (keeps_code(s))
        argv[n++] = (char *)"--jit-cache";
    if (config->spin_us != VG_SPIN_DEFAULT) {
        snprintf(spin, sizeof(spin), "%" PRIu64, config->spin_us);
        argv[n++] = (char *)"--spin-us";
        argv[n++] = spin;
    }
    add_measure(s, argv + n, nvml, sizeof(nvml));
    return envp ? vg_proc_spawn(&proc, &s->pid) : -ENOMEM;
}

static int explain(int rc, const struct vg_spawn *sp, char *why, size_t why_cap)
{
    if (rc < 0)
        snprintf(why, why_cap, "cannot start %.100s: %s", sp->program, strerror(-rc));
    return rc;
}

int vg_spawn_init(struct vg_spawn *sp, struct vg_session *s, char *why, size_t why_cap)
{
    const struct vg_config *config = &s->mediator->config;
    int rc;

    sp->control = sp->log = sp->orders = -1;
    snprintf(sp->program, sizeof(sp->program), "vgpu-executor");
    choose_gpus(s);
    rc = vg_users_check(s->mediator, why, why_cap);
    if (rc == 0)
        rc = vg_backend_find(config, &s->backend, why, why_cap);
    if (rc < 0)
        return rc;
    rc = vg_backend_executor(config, sp->program, sizeof(sp->program));
    if (rc == 0)
        s->program = vg_backend_id(sp->program);
    if (rc == 0)
        rc = open_channels(s, sp);
    if (rc == 0)
        rc = open_pages(s, sp);
    return explain(rc, sp, why, why_cap);
}

int vg_spawn_run(struct vg_spawn *sp, struct vg_session *s, char *why, size_t why_cap)
{
    return explain(spawn(s, sp), sp, why, why_cap);
}

void vg_spawn_fini(struct vg_spawn *sp)
{
    vg_close(&sp->control);
    vg_close(&sp->log);
    vg_close(&sp->orders);
}
