/* SPDX-License-Identifier: MIT */
/* A real daemon and raw peers, see fixture.h. */
#include "fixture.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mediator/base/file.h"
#include "mediator/base/loop.h"
#include "mediator/base/sock.h"

#define ARGS_MAX 40

void sleep_ms(unsigned ms)
{
    usleep(ms * 1000);
}

uint64_t now_ms(void)
{
    return vg_now() / VG_NS_PER_MS;
}

/* ---- daemon ---- */

/* Tests lie beside bin, in the build's directory. */
static void build_path(char *path, size_t cap, const char *rest)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    ck_assert_int_gt(n, 0);
    exe[n] = '\0';
    *strrchr(exe, '/') = '\0';
    ck_assert_int_lt(snprintf(path, cap, "%s/../%s", exe, rest), (int)cap);
}

static void exec_daemon(const struct daemon *d, const char *mode, const char *const *settings)
{
    char program[PATH_MAX], executor[PATH_MAX + 16], state[64];
    const char *argv[ARGS_MAX] = { "vgpu-mediator", "--foreground", "--config", "/dev/null",
                                   "--socket", d->socket, "--control-socket", d->control,
                                   "--backend", "soft", "--set", executor, "--set", state,
                                   "--set", "soft_library=/nowhere/libvgpu-softcuda.so",
                                   "--set", "telemetry=/nowhere/vgpu-telemetry",
                                   "--set", "prestart=0", "--set", "keep=never",
                                   "--set", "image_cache_mib=0" };
    unsigned n = 24;

    build_path(program, sizeof(program), "bin/vgpu-mediator");
    strcpy(executor, "executor=");
    build_path(executor + 9, PATH_MAX, "tests/fake-executor");
    snprintf(state, sizeof(state), "state_dir=%s", d->dir);
    while (settings && *settings && n + 3 < ARGS_MAX) {
        argv[n++] = "--set";
        argv[n++] = *settings++;
    }
    argv[n] = NULL;
    if (mode)
        setenv("VG_FAKE", mode, 1);
    else
        unsetenv("VG_FAKE");
    execv(program, (char **)(uintptr_t)argv);
    _exit(127);
}

static void wait_until_it_listens(int type, const char *path)
{
    int fd = -1;

    for (unsigned i = 0; i < 500 && fd < 0; i++) {
        fd = vg_sock_connect(type, path);
        if (fd < 0)
            sleep_ms(10);
    }
    ck_assert_msg(fd >= 0, "the mediator does not answer");
    close(fd);
}

static void spawn_daemon(struct daemon *d, const char *mode, const char *const *settings)
{
    d->pid = fork();
    ck_assert_int_ge(d->pid, 0);
    if (d->pid == 0)
        exec_daemon(d, mode, settings);
    /* The keeper may hold the first all the time; the second is always the daemon's own. */
    wait_until_it_listens(SOCK_SEQPACKET, d->socket);
    wait_until_it_listens(SOCK_STREAM, d->control);
}

void daemon_start(struct daemon *d, const char *mode, const char *const *settings)
{
    memset(d, 0, sizeof(*d));
    strcpy(d->dir, "/tmp/vgpu-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(d->dir));
    snprintf(d->socket, sizeof(d->socket), "%s/m.sock", d->dir);
    snprintf(d->control, sizeof(d->control), "%s/c.sock", d->dir);
    spawn_daemon(d, mode, settings);
}

void daemon_restart(struct daemon *d, const char *mode)
{
    spawn_daemon(d, mode, NULL);
}

void daemon_restart_with(struct daemon *d, const char *mode, const char *const *settings)
{
    spawn_daemon(d, mode, settings);
}

static int wait_for(pid_t pid)
{
    int status;

    for (unsigned i = 0; i < TEST_WAIT_MS; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        sleep_ms(1);
    }
    return -1;
}

int daemon_try(const struct daemon *d)
{
    pid_t pid = fork();
    int rc;

    if (pid == 0)
        exec_daemon(d, NULL, NULL);
    rc = wait_for(pid);
    if (rc < 0)
        kill(pid, SIGKILL);
    return rc;
}

int daemon_signal(struct daemon *d, int sig)
{
    kill(d->pid, sig);
    return wait_for(d->pid);
}

int daemon_stop(struct daemon *d)
{
    return daemon_signal(d, SIGTERM);
}

void daemon_kill(struct daemon *d)
{
    kill(d->pid, SIGKILL);
    ck_assert_int_eq(wait_for(d->pid), 128 + SIGKILL);
}

void daemon_clean(struct daemon *d)
{
    DIR *dir = opendir(d->dir);
    struct dirent *e;

    ck_assert_ptr_nonnull(dir);
    while ((e = readdir(dir)) != NULL)
        unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(d->dir);
}

/* 0 unless /proc/PID/stat can be read. */
static pid_t parent_of(pid_t pid)
{
    vg_auto_free char *text = NULL;
    char path[64];
    int parent = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (vg_file_read(path, 4096, &text) == 0 && strrchr(text, ')'))
        sscanf(strrchr(text, ')') + 1, " %*c %d", &parent);
    return parent;
}

unsigned daemon_children(const struct daemon *d, pid_t *pids, unsigned cap)
{
    DIR *proc = opendir("/proc");
    struct dirent *e;
    unsigned n = 0;

    while ((e = readdir(proc)) != NULL) {
        pid_t pid = atoi(e->d_name);

        if (pid <= 0 || parent_of(pid) != d->pid)
            continue;
        if (n < cap)
            pids[n] = pid;
        n++;
    }
    closedir(proc);
    return n;
}

unsigned daemon_fds(const struct daemon *d)
{
    char path[64];
    unsigned n = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)d->pid);
    dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

void daemon_wait_children(const struct daemon *d, unsigned count)
{
    unsigned n = 0;

    for (unsigned i = 0; i < TEST_WAIT_MS / 5; i++) {
        n = daemon_children(d, NULL, 0);
        if (n == count)
            return;
        sleep_ms(5);
    }
    ck_abort_msg("%u children, not %u", n, count);
}

/* ---- peers ---- */

void peer_connect(struct peer *p, const struct daemon *d)
{
    memset(p, 0, sizeof(*p));
    p->region_fd = -1;
    p->sock = vg_sock_connect(SOCK_SEQPACKET, d->socket);
    ck_assert_int_ge(p->sock, 0);
}

void peer_close(struct peer *p)
{
    if (p->base)
        munmap(p->base, p->layout.data_off);
    p->base = NULL;
    vg_close(&p->region_fd);
    vg_close(&p->sock);
}

void peer_send(struct peer *p, const struct vg_msg *msg, int fd)
{
    ck_assert_int_eq(vg_sock_send(p->sock, msg, sizeof(*msg), &fd, fd >= 0), 0);
}

void peer_send_raw(struct peer *p, const void *buf, size_t len)
{
    ck_assert_int_eq(vg_sock_send(p->sock, buf, len, NULL, 0), 0);
}

void peer_tell(struct peer *p, enum vg_msg_type type, uint32_t token)
{
    struct vg_msg msg = { .type = type, .token = token };

    peer_send(p, &msg, -1);
}

int peer_recv(struct peer *p, struct vg_msg *msg, int *ret_fd)
{
    struct pollfd pfd = { .fd = p->sock, .events = POLLIN };
    unsigned nfds = 0;
    ssize_t n;

    *ret_fd = -1;
    ck_assert_msg(poll(&pfd, 1, TEST_WAIT_MS) == 1, "no message in time");
    n = vg_sock_recv(p->sock, msg, sizeof(*msg), ret_fd, 1, &nfds);
    ck_assert_msg(n == 0 || n == -ECONNRESET || n == (ssize_t)sizeof(*msg), "received %zd", n);
    return n > 0;
}

int peer_expect(struct peer *p, enum vg_msg_type type, uint32_t token)
{
    struct vg_msg msg;
    int fd;

    ck_assert_msg(peer_recv(p, &msg, &fd), "the connection has ended");
    ck_assert_msg(msg.type == type && msg.token == token, "type %u token %#x text %s", msg.type,
                  msg.token, msg.text);
    return fd;
}

void peer_expect_end(struct peer *p)
{
    struct vg_msg msg;
    int fd;

    while (peer_recv(p, &msg, &fd))
        vg_close(&fd);
}

static void map(struct peer *p)
{
    p->base = mmap(NULL, p->layout.data_off, PROT_READ | PROT_WRITE, MAP_SHARED, p->region_fd, 0);
    ck_assert_ptr_ne(p->base, MAP_FAILED);
}

void peer_hello_device(struct peer *p, const struct daemon *d, const char *name)
{
    struct vg_msg msg = { .type = VG_MSG_HELLO, .version = VG_PROTOCOL_VERSION,
                          .role = VG_ROLE_DEVICE, .region_size = TEST_REGION,
                          .slot_count = TEST_SLOTS };

    peer_connect(p, d);
    p->region_fd = vg_memfd_new("device", TEST_REGION);
    ck_assert_int_ge(p->region_fd, 0);
    ck_assert(vg_region_layout_init(&p->layout, TEST_REGION, TEST_SLOTS));
    map(p);
    vg_region_format(p->base, &p->layout);
    snprintf(msg.name, sizeof(msg.name), "%s", name);
    peer_send(p, &msg, p->region_fd);
    peer_expect(p, VG_MSG_WELCOME, 0);
}

void peer_hello_process(struct peer *p, const struct daemon *d, const char *name)
{
    struct vg_msg msg = { .type = VG_MSG_HELLO, .version = VG_PROTOCOL_VERSION,
                          .role = VG_ROLE_PROCESS };

    peer_connect(p, d);
    snprintf(msg.name, sizeof(msg.name), "%s", name);
    peer_send(p, &msg, -1);
    ck_assert(peer_recv(p, &msg, &p->region_fd));
    ck_assert_uint_eq(msg.type, VG_MSG_WELCOME);
    ck_assert_int_ge(p->region_fd, 0);
    ck_assert(vg_region_layout_init(&p->layout, msg.region_size, msg.slot_count));
    map(p);
}

int peer_attach(struct peer *p, uint32_t token)
{
    int fd;

    peer_tell(p, VG_MSG_ATTACH, token);
    fd = peer_expect(p, VG_MSG_ATTACHED, token);
    ck_assert_int_ge(fd, 0);
    return fd;
}

uint32_t peer_slot_state(struct peer *p, unsigned slot)
{
    return *(volatile uint32_t *)&vg_region_slot(p->base, &p->layout, slot)->state;
}

void peer_wait_slot(struct peer *p, unsigned slot, uint32_t state)
{
    for (unsigned i = 0; i < TEST_WAIT_MS && peer_slot_state(p, slot) != state; i++)
        sleep_ms(1);
    ck_assert_uint_eq(peer_slot_state(p, slot), state);
}

/* ---- control ---- */

json_object *control_ask(const struct daemon *d, const char *line)
{
    int fd = vg_sock_connect(SOCK_STREAM, d->control);
    static char answer[1 << 20];
    size_t len = 0;
    ssize_t n;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
    ck_assert_int_eq(send(fd, "\n", 1, MSG_NOSIGNAL), 1);
    while ((n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0) {
        len += (size_t)n;
        if (answer[len - 1] == '\n')
            break;
    }
    close(fd);
    answer[len] = '\0';
    ck_assert_msg(len > 0, "no answer to %s", line);
    return json_tokener_parse(answer);
}

static json_object *member(json_object *o, const char *key)
{
    json_object *value = NULL;

    ck_assert_msg(json_object_object_get_ex(o, key, &value), "no %s in %s", key,
                  json_object_to_json_string(o));
    return value;
}

int64_t json_number(json_object *o, const char *key)
{
    return json_object_get_int64(member(o, key));
}

const char *json_text(json_object *o, const char *key)
{
    return json_object_get_string(member(o, key));
}
