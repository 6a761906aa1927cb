/* SPDX-License-Identifier: MIT */
/* Client of QEMU's qtest protocol, see qtest.h. */
#include "qtest.h"

#include <check.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

const char *vg_qtest_binary(void)
{
    static char path[512];
    const char *given = getenv("VGPU_QEMU");
    FILE *p;

    if (given)
        return given;
    p = popen("qemu-device/build-qemu.sh --path 2>&1", "r");
    if (!p || !fgets(path, sizeof(path), p))
        path[0] = '\0';
    path[strcspn(path, "\n")] = '\0';
    if (p && pclose(p) == 0)
        return path;
    printf("%s\n", path[0] ? path : "QEMU is not built");
    return NULL;
}

static int listen_at(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    return fd;
}

/* Root may lift the limit, unless that right is taken as well. */
static void limit_files(enum vg_qtest_home home)
{
    struct rlimit limit;

    if (home < VG_QTEST_CONFINED)
        return;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 1 << 20;
    if (home == VG_QTEST_CRAMPED) {
        limit.rlim_max = limit.rlim_cur;
        prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE);
    }
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void exec_qemu(const struct vg_qtest *q, const char *binary, const char *properties)
{
    const char *home = q->home >= VG_QTEST_CONFINED ? "-chroot" : NULL;
    char qtest[128], qmp[128], device[256], incoming[80];
    const char *const argv[] = {
        binary, "-M", VG_QTEST_MACHINE, "-accel", "qtest", "-m", "64", "-nodefaults", "-no-user-config",
        "-display", "none", "-qmp", qmp, "-qtest", qtest, "-qtest-log", "none", "-d", "guest_errors", "-D", q->log,
        "-global", "migration.send-configuration=off", /* as under Xen */
        "-device", device, *q->state ? "-incoming" : home, *q->state ? incoming : q->dir, "-runas",
        "65534:65534", NULL,
    };

    snprintf(incoming, sizeof(incoming), "exec:cat %s", q->state);
    snprintf(qtest, sizeof(qtest), "unix:%s/qtest", q->dir);
    snprintf(qmp, sizeof(qmp), "unix:%s/qmp,server,nowait", q->dir);
    if (q->home == VG_QTEST_FREE)
        snprintf(device, sizeof(device), "vgpu-stub,vm=qtest,socket=%s/mediator%s", q->dir,
                 properties);
    else
        snprintf(device, sizeof(device), "vgpu-stub,vm=qtest,socket=/mediator,root=%s%s", q->dir,
                 properties);
    limit_files(q->home);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(binary, (char *const *)(uintptr_t)argv);
    _exit(127);
}

void vg_qtest_start(struct vg_qtest *q, const char *properties)
{
    const char *binary = vg_qtest_binary();
    struct timeval limit = { 20, 0 };
    char path[96];
    int listener;

    ck_assert_ptr_nonnull(binary);
    strcpy(q->dir, "/tmp/vgpu-qtest-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(q->dir));
    ck_assert_int_eq(chmod(q->dir, 0755), 0);
    snprintf(q->log, sizeof(q->log), "%s/log", q->dir);
    snprintf(path, sizeof(path), "%s/qtest", q->dir);
    listener = listen_at(path);
    q->pid = fork();
    ck_assert_int_ge(q->pid, 0);
    if (q->pid == 0)
        exec_qemu(q, binary, properties);
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    q->sock = accept(listener, NULL, NULL);
    ck_assert_msg(q->sock >= 0, "QEMU did not start");
    setsockopt(q->sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    close(listener);
}

void vg_qtest_stop(struct vg_qtest *q)
{
    char command[128];
    int status;

    close(q->sock);
    kill(q->pid, SIGTERM);
    ck_assert_int_eq(waitpid(q->pid, &status, 0), q->pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "QEMU ended with %#x", status);
    snprintf(command, sizeof(command), "rm -rf %s", q->dir);
    ck_assert_int_eq(system(command), 0);
}

/* Reads lines until an answer; lines that report interrupts are not ours. */
static uint64_t answer(struct vg_qtest *q)
{
    char line[256];
    size_t len = 0;

    for (;;) {
        ssize_t n = recv(q->sock, line + len, 1, 0);
        ck_assert_msg(n == 1, "QEMU is gone or does not answer");
        if (line[len++] != '\n') {
            ck_assert_uint_lt(len, sizeof(line));
            continue;
        }
        line[len - 1] = '\0';
        len = 0;
        if (strncmp(line, "IRQ ", 4) == 0)
            continue;
        ck_assert_msg(strncmp(line, "OK", 2) == 0, "QEMU says: %s", line);
        return strtoull(line + 2, NULL, 0);
    }
}

static uint64_t command(struct vg_qtest *q, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static uint64_t command(struct vg_qtest *q, const char *format, ...)
{
    char line[128];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    ck_assert_int_eq(send(q->sock, line, (size_t)n, MSG_NOSIGNAL), n);
    return answer(q);
}

static char suffix(unsigned bytes)
{
    return bytes == 1 ? 'b' : bytes == 2 ? 'w' : bytes == 4 ? 'l' : 'q';
}

uint64_t vg_qtest_read(struct vg_qtest *q, uint64_t addr, unsigned bytes)
{
    return command(q, "read%c 0x%" PRIx64 "\n", suffix(bytes), addr);
}

void vg_qtest_write(struct vg_qtest *q, uint64_t addr, uint64_t value, unsigned bytes)
{
    command(q, "write%c 0x%" PRIx64 " 0x%" PRIx64 "\n", suffix(bytes), addr, value);
}

static void select_config(struct vg_qtest *q, unsigned slot, unsigned offset)
{
    command(q, "outl 0xcf8 0x%x\n", 0x80000000u | slot << 11 | (offset & ~3u));
}

uint32_t vg_qtest_pci_read(struct vg_qtest *q, unsigned slot, unsigned offset)
{
    select_config(q, slot, offset);
    return (uint32_t)command(q, "inl 0xcfc\n");
}

void vg_qtest_pci_write(struct vg_qtest *q, unsigned slot, unsigned offset, uint32_t value)
{
    select_config(q, slot, offset);
    command(q, "outl 0xcfc 0x%x\n", value);
}

void vg_qtest_reset(struct vg_qtest *q)
{
    command(q, "outb 0xcf9 0x6\n");
}

/* One line, that begins with what is asked for: events come in between. */
static void qmp_line(int fd, const char *a, const char *b, char *line, size_t cap)
{
    size_t len = 0;

    do {
        for (len = 0; len == 0 || line[len - 1] != '\n'; len++) {
            ck_assert_uint_lt(len, cap - 1);
            ck_assert_msg(recv(fd, line + len, 1, 0) == 1, "no answer by QMP");
        }
        line[len] = '\0';
    } while (strncmp(line, a, strlen(a)) != 0 && strncmp(line, b, strlen(b)) != 0);
}

void vg_qtest_qmp(struct vg_qtest *q, const char *command, char *ret_answer, size_t cap)
{
    static const char hello[] = "{\"execute\": \"qmp_capabilities\"}\n";
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct timeval limit = { 20, 0 };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/qmp", q->dir);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    qmp_line(fd, "{\"QMP\"", "{\"QMP\"", ret_answer, cap);
    ck_assert_int_eq(send(fd, hello, strlen(hello), MSG_NOSIGNAL), (ssize_t)strlen(hello));
    qmp_line(fd, "{\"return\"", "{\"error\"", ret_answer, cap);
    ck_assert_int_eq(send(fd, command, strlen(command), MSG_NOSIGNAL), (ssize_t)strlen(command));
    qmp_line(fd, "{\"return\"", "{\"error\"", ret_answer, cap);
    close(fd);
}

bool vg_qtest_logged(struct vg_qtest *q, const char *text)
{
    char line[512];
    bool found = false;
    FILE *f = fopen(q->log, "r");

    while (f && !found && fgets(line, sizeof(line), f))
        found = strstr(line, text) != NULL;
    if (f)
        fclose(f);
    return found;
}
