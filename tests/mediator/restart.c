/* SPDX-License-Identifier: MIT */
/* See restart.h. */
#include "restart.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mediator/base/file.h"
#include "mediator/base/sock.h"
#include "mediator/base/util.h"
#include "mediator/vg_keep.h"
#include "suite.h"

static const char *const survive[] = { "keep=crash", NULL };

void restart_begin(const char *mode)
{
    daemon_start(&d, mode, survive);
}

void restart_again(const char *mode)
{
    daemon_restart_with(&d, mode, survive);
}

void restart_kill(void)
{
    daemon_kill(&d);
    restart_again(NULL);
}

/* ---- processes ---- */

/* True for a living process; one that only waits to be reaped has ended. */
bool restart_lives(pid_t pid)
{
    vg_auto_free char *text = NULL;
    char path[64], *end;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (vg_file_read(path, 4096, &text) < 0 || !(end = strrchr(text, ')')))
        return false;
    return end[2] != 'Z' && end[2] != 'X';
}

void restart_wait_dead(pid_t pid)
{
    for (unsigned i = 0; restart_lives(pid); i++) {
        ck_assert_msg(i < TEST_WAIT_MS, "process %d lives", (int)pid);
        sleep_ms(1);
    }
}

/* Its command line names our socket. 0: there is none. */
pid_t restart_keeper_pid(void)
{
    DIR *proc = opendir("/proc");
    struct dirent *e;
    pid_t found = 0;

    while ((e = readdir(proc)) != NULL) {
        vg_auto_free char *text = NULL;
        char path[300];

        snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
        if (atoi(e->d_name) > 0 && vg_file_read(path, 4096, &text) == 0 &&
            strcmp(text, "vgpu-keeper") == 0 &&
            strncmp(text + sizeof("vgpu-keeper"), d.socket, strlen(d.socket)) == 0)
            found = atoi(e->d_name);
    }
    closedir(proc);
    return found;
}

pid_t restart_wait_keeper(pid_t other_than)
{
    for (unsigned i = 0; i < TEST_WAIT_MS / 5; i++) {
        pid_t pid = restart_keeper_pid();

        if (pid && pid != other_than)
            return pid;
        sleep_ms(5);
    }
    ck_abort_msg("no keeper");
    return 0;
}

json_object *restart_executors_of(const char *vm, json_object **ret_answer)
{
    char line[128];
    json_object *list;

    snprintf(line, sizeof(line), "{\"op\":\"show-vm\",\"vm_name\":\"%s\"}", vm);
    *ret_answer = control_ask(&d, line);
    ck_assert(json_object_object_get_ex(*ret_answer, "executors", &list));
    return list;
}

/* Of the VM's first executor, once it serves. */
pid_t restart_executor_pid(const char *vm)
{
    for (unsigned i = 0; i < TEST_WAIT_MS / 5; i++) {
        json_object *answer, *list = restart_executors_of(vm, &answer);
        json_object *first = json_object_array_get_idx(list, 0);
        pid_t pid = first && strcmp(json_text(first, "state"), "serving") == 0
                        ? (pid_t)json_number(first, "pid") : 0;

        json_object_put(answer);
        if (pid)
            return pid;
        sleep_ms(5);
    }
    ck_abort_msg("no executor serves");
    return 0;
}

int64_t restart_health_number(const char *key)
{
    json_object *o = control_ask(&d, "{\"op\":\"show-health\"}"), *health;
    int64_t n;

    ck_assert(json_object_object_get_ex(o, "health", &health));
    n = json_number(health, key);
    json_object_put(o);
    return n;
}

void restart_wait_number(const char *vm, const char *key, int64_t value)
{
    for (unsigned i = 0; vm_number(vm, key) != value; i++) {
        ck_assert_msg(i < TEST_WAIT_MS / 5, "%s is %d, not %d", key, (int)vm_number(vm, key),
                      (int)value);
        sleep_ms(5);
    }
}

/*
 * Where a daemon dies between an answer and noting it, the next one answers again, about
 * a use that is over by then; none may be missing.
 */
void restart_expect_answer(struct peer *p, enum vg_msg_type type, uint32_t token)
{
    for (;;) {
        struct vg_msg msg;
        int fd;

        ck_assert_msg(peer_recv(p, &msg, &fd), "the connection has ended");
        vg_close(&fd);
        if (msg.type == type && msg.token == token)
            return;
        ck_assert_msg(msg.type == VG_MSG_SLOT_FREE || msg.type == VG_MSG_ATTACHED,
                      "type %u token %#x text %s", msg.type, msg.token, msg.text);
    }
}

/* As suite's finish(), and the keeper is gone as well. */
void restart_end(void)
{
    pid_t keeper = restart_keeper_pid();

    finish();
    restart_wait_dead(keeper);
}
