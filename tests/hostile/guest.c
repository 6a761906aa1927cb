/* SPDX-License-Identifier: MIT */
/* The ill-mannered guest and its daemon; see guest.h. One thread. */
#include "tests/hostile/guest.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vg_api.h"
#include "vg_atomic.h"
#include "vg_regs.h"
#include "vg_sock.h"

unsigned guest_patience_ms = 20000;
const char *guest_name = "hostile";

void must(bool ok, const char *what, const char *file, int line)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    exit(1);
}

static void nap(void)
{
    const struct timespec t = {.tv_nsec = 200000};

    nanosleep(&t, NULL);
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- The daemon ---- */

static const char *build_dir(void)
{
    static char dir[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

    MUST(n > 0);
    dir[n] = '\0';
    for (int i = 0; i < 2; i++)
        *strrchr(dir, '/') = '\0';
    return dir;
}

static void exec_daemon(const struct daemon *d)
{
    const char *build = build_dir();
    char program[PATH_MAX + 64], executor[PATH_MAX + 64], library[PATH_MAX + 64], state[96];
    int log = open(d->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    snprintf(program, sizeof(program), "%s/bin/vgpu-mediator", build);
    snprintf(executor, sizeof(executor), "executor=%s/bin/vgpu-executor", build);
    snprintf(library, sizeof(library), "soft_library=%s/lib/libvgpu-softcuda.so", build);
    snprintf(state, sizeof(state), "state_dir=%s", d->dir);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execl(program, "vgpu-mediator", "--foreground", "--config", "/dev/null", "--socket", d->socket,
          "--control-socket", d->control, "--backend", "soft", "--set", executor, "--set", library,
          "--set", state, "--set", "fault_limit=0", "--set", "fault_long_limit=0", (char *)NULL);
    _exit(127);
}

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    if (s >= 0 && connect(s, (struct sockaddr *)&a, sizeof(a)) == 0)
        return s;
    close(s);
    return -1;
}

void daemon_start(struct daemon *d)
{
    int s = -1;

    memset(d, 0, sizeof(*d));
    strcpy(d->dir, "/tmp/vgpu-hostile-XXXXXX");
    MUST(mkdtemp(d->dir) != NULL);
    snprintf(d->socket, sizeof(d->socket), "%s/m.sock", d->dir);
    snprintf(d->control, sizeof(d->control), "%s/c.sock", d->dir);
    snprintf(d->log, sizeof(d->log), "%s/log", d->dir);
    d->pid = fork();
    MUST(d->pid >= 0);
    if (d->pid == 0)
        exec_daemon(d);
    for (unsigned i = 0; i < 50000 && s < 0; i++, nap())
        s = connect_to(d->socket);
    MUST(s >= 0);
    close(s);
}

unsigned daemon_said(const struct daemon *d, const char *text)
{
    FILE *f = fopen(d->log, "r");
    char line[4096];
    unsigned n = 0;

    MUST(f != NULL);
    while (fgets(line, sizeof(line), f))
        n += strstr(line, text) != NULL;
    fclose(f);
    return n;
}

void daemon_stop(struct daemon *d)
{
    static const char *const left[] = { "log", "m.sock", "c.sock", "health.json", "vms.json" };
    char path[sizeof(d->dir) + 16];
    int status = -1;

    kill(d->pid, SIGTERM);
    MUST(waitpid(d->pid, &status, 0) == d->pid);
    unsigned crashed = daemon_said(d, "reason=crashed") + daemon_said(d, "Sanitizer") +
                       daemon_said(d, "runtime error");
    if (crashed || status != 0) {
        fprintf(stderr, "daemon: status %#x, %u crashes, see %s\n", (unsigned)status, crashed,
                d->log);
        exit(1);
    }
    for (unsigned i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", d->dir, left[i]);
        unlink(path);
    }
    MUST(rmdir(d->dir) == 0);
}

/* ---- Connecting ---- */

static bool say(int sock, const struct vg_msg *m)
{
    return send(sock, m, sizeof(*m), MSG_NOSIGNAL) == (ssize_t)sizeof(*m);
}

static bool hear(int sock, struct vg_msg *m, int *ret_fd)
{
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
    struct iovec io = {m, sizeof(*m)};
    struct msghdr h = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

    if (recvmsg(sock, &h, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*m))
        return false;
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    *ret_fd = -1;
    if (c)
        memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
    return true;
}

static bool join(struct guest *g)
{
    struct vg_msg m = {.type = VG_MSG_HELLO,
                       .version = VG_PROTOCOL_VERSION,
                       .role = VG_ROLE_PROCESS,
                       .pid = (uint32_t)getpid()};

    snprintf(m.name, sizeof(m.name), "%s", guest_name);
    if (!say(g->sock, &m) || !hear(g->sock, &m, &g->region_fd) || m.type != VG_MSG_WELCOME)
        return false;
    return vg_region_layout_init(&g->layout, m.region_size, m.slot_count);
}

static bool attach(struct guest *g, uint64_t address)
{
    struct vg_msg m = {.type = VG_MSG_ATTACH, .version = VG_PROTOCOL_VERSION};

    g->slot->version = VG_PROTOCOL_VERSION;
    g->slot->pid = (uint32_t)getpid();
    g->slot->address = address;
    g->slot->api_hash = vg_api_hash();
    strcpy(g->slot->comm, "hostile");
    m.token = g->slot->generation << 16;
    if (!say(g->sock, &m) || !hear(g->sock, &m, &g->bell) || m.type != VG_MSG_ATTACHED)
        return false;
    for (uint64_t end = now_ms() + guest_patience_ms; now_ms() < end; nap()) {
        uint32_t state = vg_load_acquire(&g->slot->state);
        if (state == VG_SLOT_READY || state == VG_SLOT_GONE)
            return state == VG_SLOT_READY;
    }
    return false;
}

bool guest_open(struct guest *g, const struct daemon *d, void *at)
{
    memset(g, 0, sizeof(*g));
    g->bell = g->region_fd = -1;
    g->sock = connect_to(d->socket);
    if (g->sock < 0 || !join(g))
        return false;
    g->base = mmap(NULL, g->layout.size, PROT_READ | PROT_WRITE, MAP_SHARED, g->region_fd, 0);
    MUST(g->base != MAP_FAILED);
    g->slot = vg_region_slot(g->base, &g->layout, 0);
    bool ready = attach(g, (uintptr_t)(at ? at : (void *)0x6f0000000000));
    vg_ring_producer_init(&g->ring, g->slot);
    return ready;
}

void guest_close(struct guest *g)
{
    if (g->base)
        munmap(g->base, g->layout.size);
    close(g->sock);
    close(g->bell);
    close(g->region_fd);
    g->base = NULL;
}

/* ---- Calling ---- */

void guest_ring_bell(struct guest *g)
{
    uint64_t one = 1;

    if (write(g->bell, &one, sizeof(one)) < 0)
        return;
}

bool guest_gone(struct guest *g, unsigned ms)
{
    for (uint64_t end = now_ms() + ms;; nap()) {
        if (vg_load_acquire(&g->slot->state) == VG_SLOT_GONE)
            return true;
        if (now_ms() >= end)
            return false;
    }
}

bool guest_post(struct guest *g, uint32_t call, const uint64_t *arg, const void *payload,
                uint32_t len, unsigned flags, unsigned cell)
{
    struct vg_call *c = NULL;

    for (uint64_t end = now_ms() + guest_patience_ms; !c && now_ms() < end;) {
        c = vg_ring_reserve(&g->ring, len);
        if (c)
            break;
        if (guest_gone(g, 0))
            return false;
        guest_ring_bell(g);
        nap();
    }
    if (!c)
        return false;
    c->call = call;
    c->seq = ++g->seq;
    memcpy(c->arg, arg, sizeof(c->arg));
    c->flags = (uint16_t)flags;
    c->cell = (uint16_t)cell;
    if (len)
        memcpy(c + 1, payload, len);
    if (vg_ring_commit(&g->ring, c))
        guest_ring_bell(g);
    return true;
}

int guest_call(struct guest *g, uint32_t call, const uint64_t *arg, const void *payload,
               uint32_t len, unsigned flags, unsigned cell)
{
    struct vg_cell *at = vg_slot_cell(g->slot, cell);

    if (!guest_post(g, call, arg, payload, len, flags, cell))
        return guest_gone(g, 0) ? GUEST_DEAD : GUEST_TIMEOUT;
    for (uint64_t end = now_ms() + guest_patience_ms; vg_load_acquire(&at->done) != g->seq;) {
        if (guest_gone(g, 0))
            return GUEST_DEAD;
        if (now_ms() >= end)
            return GUEST_TIMEOUT;
        nap();
    }
    g->res = at->result;
    return at->result.result;
}

/* ---- What an honest program would do ---- */

uint64_t guest_context(struct guest *g)
{
    if (CALL(g, VG_CALL_cuDevicePrimaryCtxRetain, 1, 0) != 0)
        return 0;
    uint64_t ctx = g->res.val[0];
    return CALL(g, VG_CALL_SET_CONTEXT, ctx) == 0 ? ctx : 0;
}

uint64_t guest_module(struct guest *g, const char *ptx)
{
    size_t len = strlen(ptx) + 1;
    const uint64_t arg[8] = {VG_IMAGE_MODULE, g->layout.data_off, len};

    MUST(len <= g->layout.size - g->layout.data_off);
    memcpy(g->base + g->layout.data_off, ptx, len);
    return guest_call(g, VG_CALL_IMAGE_LOAD, arg, NULL, 0, VG_F_REPLY, 1) == 0 ? g->res.val[0] : 0;
}

uint64_t guest_function(struct guest *g, uint64_t module, const char *name)
{
    const uint64_t arg[8] = {VG_IMAGE_MODULE, module};

    return guest_call(g, VG_CALL_FUNCTION_GET, arg, name, (uint32_t)strlen(name) + 1, VG_F_REPLY,
                      1) == 0
               ? g->res.val[0]
               : 0;
}

int guest_launch(struct guest *g, uint64_t func, unsigned blocks, unsigned threads,
                 const uint64_t *word, unsigned words)
{
    const uint64_t arg[8] = {
        func, blocks | 1ull << 32, 1 | (uint64_t)threads << 32, 1 | 1ull << 32, 0, 0, words * 8};
    int rc = guest_call(g, VG_CALL_LAUNCH, arg, word, words * 8, VG_F_REPLY, 1);

    return rc ? rc : CALL(g, VG_CALL_SYNC, VG_SYNC_CONTEXT, 0);
}
