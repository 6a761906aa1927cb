/* SPDX-License-Identifier: MIT */
/*
 * vgpu-mediator: who may use the GPU, through which executor.
 *
 * One process, one thread, one loop. Peers (the device in each VM's QEMU, or
 * processes on this host) connect to one socket and attach slots of a shared
 * region; for each the daemon starts a vgpu-executor with exactly the descriptors
 * it needs, hands the doorbell to the peer, and is out of the data path from then
 * on. Administrators connect to a second socket. Whatever a guest breaks ends with
 * its executor; whatever breaks here is put right by the next daemon, which gets every
 * socket back from vgpu-keeper (keep.h) and goes on where this one ended.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "mediator.h"
#include "mediator/base/journal.h"
#include "mediator/base/log.h"
#include "notify.h"

enum { OPT_CONFIG = 1, OPT_FOREGROUND, OPT_SOCKET, OPT_CONTROL, OPT_BACKEND, OPT_SET, OPT_HELP };

static const struct option options[] = {
    { "config", required_argument, NULL, OPT_CONFIG },
    { "foreground", no_argument, NULL, OPT_FOREGROUND },
    { "socket", required_argument, NULL, OPT_SOCKET },
    { "control-socket", required_argument, NULL, OPT_CONTROL },
    { "backend", required_argument, NULL, OPT_BACKEND },
    { "set", required_argument, NULL, OPT_SET },
    { "help", no_argument, NULL, OPT_HELP },
    { 0 },
};

static const char usage[] =
    "Usage: vgpu-mediator [--foreground] [--config FILE] [--socket PATH]\n"
    "                     [--control-socket PATH] [--backend auto|cuda|soft]\n"
    "                     [--set KEY=VALUE]...\n"
    "Serves GPU calls of VMs and processes through executors. See vgpu-mediator(8).\n";

static int complain(const char *why)
{
    fprintf(stderr, "vgpu-mediator: %s\n", why);
    return -1;
}

static int set(struct vg_config *c, const char *key, const char *value)
{
    char why[256], line[320];

    if (vg_config_set(c, key, value, why, sizeof(why)) == 0)
        return 0;
    snprintf(line, sizeof(line), "command line: %s", why);
    return complain(line);
}

static int set_pair(struct vg_config *c, char *pair)
{
    char *equals = strchr(pair, '=');

    if (!equals)
        return complain("--set takes KEY=VALUE");
    *equals = '\0';
    return set(c, pair, equals + 1);
}

/* The file comes first whatever the order of the options: they override it. */
static int load_file(struct vg_config *c, int argc, char **argv)
{
    const char *path = NULL;
    char why[512];
    int opt;

    optind = 1;
    opterr = 0;
    /* getopt begins its messages with it; ours carry no path either. */
    argv[0] = (char *)"vgpu-mediator";
    while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (opt == OPT_CONFIG)
            path = optarg;
    }
    if (!path && access(VG_CONFIG_PATH, F_OK) < 0)
        return 0;
    return vg_config_load(c, path ? path : VG_CONFIG_PATH, why, sizeof(why)) < 0 ? complain(why)
                                                                                 : 0;
}

/* 0: run; 1: done; -1: wrong. */
static int parse(struct vg_config *c, bool *foreground, int argc, char **argv)
{
    int opt, rc = load_file(c, argc, argv);

    optind = 1;
    opterr = 1;
    while (rc == 0 && (opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (opt) {
        case OPT_CONFIG:     break;
        case OPT_FOREGROUND: *foreground = true; break;
        case OPT_SOCKET:     rc = set(c, "socket", optarg); break;
        case OPT_CONTROL:    rc = set(c, "control_socket", optarg); break;
        case OPT_BACKEND:    rc = set(c, "backend", optarg); break;
        case OPT_SET:        rc = set_pair(c, optarg); break;
        case 'h':
        case OPT_HELP:       fputs(usage, stdout); return 1;
        default:             fputs(usage, stderr); return -1;
        }
    }
    if (rc == 0 && optind < argc)
        rc = complain("takes no arguments, only options");
    return rc;
}

/* The parent waits until the daemon serves, so that its exit code means something. */
static int go_to_background(int *ret_ready)
{
    int ready[2];
    char ok = 0;
    pid_t pid;

    if (pipe(ready) < 0)
        return -errno;
    pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0) {
        close(ready[1]);
        _exit(read(ready[0], &ok, 1) == 1 ? 0 : 1);
    }
    close(ready[0]);
    setsid();
    *ret_ready = ready[1];
    return chdir("/") < 0 ? -errno : 0;
}

static void say_ready(int *ready)
{
    vg_notify("READY=1\n");
    if (*ready >= 0 && write(*ready, "", 1) < 0)
        vg_log(VG_LOG_DEBUG, "parent-gone", "fd=%d", *ready);
    vg_close(ready);
}

/* Three descriptors for each executor and two for each peer: 1024 would be few. */
static void raise_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* No journal is no reason not to serve. */
static int choose_log(const char *target)
{
    static const char journal[] = "journal";
    const char *rest = target + sizeof(journal) - 1;
    int rc;

    if (strcmp(target, "stderr") == 0)
        return 0;
    if (strncmp(target, journal, sizeof(journal) - 1) != 0 || (*rest && *rest != ':'))
        return complain("log_target: none of stderr, journal, journal:PATH");
    rc = vg_log_to_journal("vgpu-mediator", *rest ? rest + 1 : VG_JOURNAL_PATH);
    if (rc < 0)
        vg_log(VG_LOG_WARNING, "no-journal", "error=\"%s\"", strerror(-rc));
    return 0;
}

int main(int argc, char **argv)
{
    static struct vg_mediator m;
    bool foreground = false;
    char why[512] = "";
    int ready = -1, rc;

    vg_config_init(&m.config);
    rc = parse(&m.config, &foreground, argc, argv);
    if (rc != 0)
        return rc < 0 ? 2 : 0;
    vg_log_init((enum vg_log_level)m.config.log_level);
    if (choose_log(m.config.log_target) < 0)
        return 2;
    if (!foreground && go_to_background(&ready) < 0)
        return 1;
    raise_fd_limit();
    rc = vg_mediator_init(&m, why, sizeof(why));
    if (rc < 0) {
        complain(why);
        return 1;
    }
    vg_event(&m, VG_EVENT_STARTED, NULL, "pid=%d socket=%s control=%s vms=%u", (int)getpid(),
             m.config.socket, m.config.control_socket, m.vms.count);
    say_ready(&ready);
    rc = vg_mediator_run(&m);
    vg_mediator_fini(&m);
    return rc;
}
