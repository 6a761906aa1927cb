/* SPDX-License-Identifier: MIT */
/*
 * vgpu-run: runs a command whose libcuda.so.1 is ours, served by the mediator of
 * this host or by a private one that lives as long as the command. The command
 * keeps our descriptors, terminal, process group and signal dispositions; we wait,
 * pass on the signals that were meant for it, and end as it ended.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mediator/base/number.h"
#include "mediator/base/sock.h"
#include "place.h"
#include "private.h"
#include "protocol/vg_sock.h"
#include "protocol/vg_wire.h"

#define EXIT_USAGE      2
#define EXIT_OURS       125     /* as env and timeout use it: we failed, not the command */
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND  127

#define RETURN_MS 5000u     /* a mediator that was killed is there again by then */
#define LOOK_MS   20u

struct run {
    struct vg_loop loop;
    struct vg_private private;
    struct vg_private_options options;
    bool backend_given;
    const char *vm;
    bool stats;
    char **command;
    struct vg_child child;
    int status;
};

enum { OPT_BACKEND = 1, OPT_VM, OPT_MEMORY, OPT_STATS, OPT_VERBOSE, OPT_HELP, OPT_VERSION };

static const struct option options[] = {
    { "backend", required_argument, NULL, OPT_BACKEND },
    { "vm", required_argument, NULL, OPT_VM },
    { "memory", required_argument, NULL, OPT_MEMORY },
    { "stats", no_argument, NULL, OPT_STATS },
    { "verbose", no_argument, NULL, OPT_VERBOSE },
    { "help", no_argument, NULL, OPT_HELP },
    { "version", no_argument, NULL, OPT_VERSION },
    { 0 },
};

static const char usage[] =
    "Usage: vgpu-run [--backend auto|soft|cuda] [--vm NAME] [--memory MIB] [--stats]\n"
    "                [--verbose] [--] COMMAND [ARGUMENT]...\n"
    "       vgpu-run --help | --version\n"
    "Runs a CUDA program through the mediator: the running one, or with --backend or\n"
    "--memory, or where none is running, a private one. See vgpu-run(1).\n";

/* ---- options ---- */

static bool set_backend(struct run *r, const char *value)
{
    r->options.backend = value;
    r->backend_given = true;
    if (strcmp(value, "auto") == 0 || strcmp(value, "soft") == 0 || strcmp(value, "cuda") == 0)
        return true;
    fprintf(stderr, "vgpu-run: --backend: \"%s\" is not one of auto, soft, cuda\n", value);
    return false;
}

static bool set_vm(struct run *r, const char *value)
{
    r->vm = value;
    if (vg_name_ok(value, sizeof(((struct vg_msg *)0)->name)))
        return true;
    fprintf(stderr, "vgpu-run: --vm: \"%s\" is not a VM name: letters, digits and ._:-, at most "
                    "63\n", value);
    return false;
}

static bool set_memory(struct run *r, const char *value)
{
    char why[160];
    uint64_t mib;

    r->options.memory_mib = value;
    if (vg_number(value, 64, 1u << 20, &mib, why, sizeof(why)))
        return true;
    fprintf(stderr, "vgpu-run: --memory: %s\n", why);
    return false;
}

/* 0: run; 1: done; -1: wrong. */
static int parse(struct run *r, int argc, char **argv)
{
    bool ok = true;
    int opt;

    r->options.backend = "auto";
    /* getopt begins its messages with it; ours carry no path either. */
    argv[0] = (char *)"vgpu-run";
    while (ok && (opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
        switch (opt) {
        case OPT_BACKEND: ok = set_backend(r, optarg); break;
        case OPT_VM:      ok = set_vm(r, optarg); break;
        case OPT_MEMORY:  ok = set_memory(r, optarg); break;
        case OPT_STATS:   r->stats = true; break;
        case OPT_VERBOSE: r->options.verbose = true; break;
        case 'h':
        case OPT_HELP:    fputs(usage, stdout); return 1;
        case OPT_VERSION: printf("vgpu-run, protocol %u\n", VG_PROTOCOL_VERSION); return 1;
        default:          fputs(usage, stderr); return -1;
        }
    }
    if (ok && r->options.memory_mib && strcmp(r->options.backend, "cuda") == 0) {
        fputs("vgpu-run: --memory sets the software GPU's memory; a real one has what it has\n",
              stderr);
        ok = false;
    }
    r->command = argv + optind;
    if (ok && optind == argc) {
        fputs("vgpu-run: which command?\n", stderr);
        fputs(usage, stderr);
        ok = false;
    }
    return ok ? 0 : -1;
}

/* ---- which mediator ---- */

/*
 * 0 or -errno. A socket where nobody listens is that of one that was killed and comes again, with
 * all it knows of our VM; a private one would know nothing of it.
 */
static int reach(const char *path)
{
    unsigned waited = 0;
    int fd;

    while ((fd = vg_sock_connect(SOCK_SEQPACKET, path)) == -ECONNREFUSED && waited < RETURN_MS) {
        poll(NULL, 0, (int)LOOK_MS);
        waited += LOOK_MS;
    }
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

/* The socket for the command, or NULL after saying why there is none. */
static const char *find_mediator(struct run *r)
{
    const char *named = getenv("VGPU_SOCKET");
    bool is_named = named && *named, own = r->backend_given || r->options.memory_mib;
    int rc = own ? -ENOENT : reach(is_named ? named : VG_SOCKET_PATH);

    if (rc == 0)
        return is_named ? named : VG_SOCKET_PATH;
    if (is_named && !own) {
        fprintf(stderr, "vgpu-run: VGPU_SOCKET: no mediator answers at %s: %s\n", named,
                strerror(-rc));
        return NULL;
    }
    return vg_private_start(&r->private, &r->loop, &r->options) < 0 ? NULL : r->private.socket;
}

/* ---- the command ---- */

static int prepend_library_path(const char *dir)
{
    const char *old = getenv("LD_LIBRARY_PATH");
    vg_auto_free char *path = NULL;

    if (asprintf(&path, "%s%s%s", dir, old && *old ? ":" : "", old ? old : "") < 0)
        return -ENOMEM;
    return setenv("LD_LIBRARY_PATH", path, 1) < 0 ? -errno : 0;
}

static int make_env(const struct run *r, const char *sock)
{
    char dir[PATH_MAX];
    int rc = vg_place_guest(dir, sizeof(dir));

    if (rc < 0) {
        fputs("vgpu-run: libcuda.so.1 of the guest is neither beside this program nor in "
              "/usr/lib/vgpu\n", stderr);
        return rc;
    }
    rc = prepend_library_path(dir);
    if (rc == 0 && (setenv("VGPU_SOCKET", sock, 1) < 0 || setenv("VGPU_TRANSPORT", "unix", 1) < 0 ||
                    (r->vm && setenv("VGPU_VM_NAME", r->vm, 1) < 0) ||
                    (r->stats && setenv("VGPU_STATS", "1", 1) < 0)))
        rc = -errno;
    return rc;
}

static void command_ended(void *arg, const siginfo_t *how)
{
    struct run *r = arg;

    r->status = how->si_code == CLD_EXITED ? how->si_status : 128 + how->si_status;
    vg_loop_quit(&r->loop, 0);
}

/* What the terminal sends goes to the whole process group, the command included. */
static void pass_on(void *arg, const struct signalfd_siginfo *info)
{
    struct run *r = arg;

    if (info->ssi_code != SI_KERNEL && r->child.pid)
        kill(r->child.pid, (int)info->ssi_signo);
}

static int take_signals(struct run *r)
{
    static const int signals[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };
    int rc = 0;

    for (unsigned i = 0; i < VG_ARRAY_LEN(signals) && rc == 0; i++)
        rc = vg_loop_on_signal(&r->loop, signals[i], pass_on, r);
    return rc;
}

static void become_command(const struct run *r)
{
    int rc;

    sigprocmask(SIG_SETMASK, &r->loop.old_mask, NULL);
    execvp(r->command[0], r->command);
    rc = errno;
    fprintf(stderr, "vgpu-run: %s: %s\n", r->command[0], strerror(rc));
    _exit(rc == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

static int run_command(struct run *r)
{
    pid_t pid = fork();

    if (pid < 0)
        return -errno;
    if (pid == 0)
        become_command(r);
    vg_child_add(&r->loop, &r->child, pid, command_ended, r);
    return vg_loop_run(&r->loop);
}

static int run(struct run *r)
{
    const char *sock = find_mediator(r);
    int rc;

    if (!sock)
        return -ECONNREFUSED;
    rc = make_env(r, sock);
    if (rc == 0)
        rc = run_command(r);
    vg_private_stop(&r->private);
    return rc;
}

int main(int argc, char **argv)
{
    static struct run r;
    int rc = parse(&r, argc, argv);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : 0;
    rc = vg_loop_init(&r.loop);
    if (rc == 0)
        rc = take_signals(&r);
    if (rc == 0)
        rc = run(&r);
    vg_loop_fini(&r.loop);
    return rc < 0 ? EXIT_OURS : r.status;
}
