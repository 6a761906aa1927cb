/* SPDX-License-Identifier: MIT */
/*
 * vgpu-vm-hook: what the scripts in /etc/xapi.d run, as root, for each VM that starts,
 * resumes, leaves, arrives or ends on this host.
 *
 *     vgpu-vm-hook HOOK -vmuuid UUID -reason REASON [-vmdomid N]
 *
 * xenopsd waits for it without a bound, and takes every exit status but 0 and 1, and
 * every signal, as an order not to start the VM. So it ends after 4 seconds, and its
 * status is 0, or 1: something went wrong, syslog says what, the VM starts all the same.
 */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <sys/time.h>
#include <unistd.h>

#include "carry.h"
#include "migrate.h"
#include "mediator/base/util.h"
#include "xapi-plugin/machine.h"
#include "xapi-plugin/xapi.h"

#define NAME       "vgpu-vm-hook"
#define DEADLINE_S 4

static const int caught[] = { SIGALRM, SIGTERM, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };

static void give_up(int sig)
{
    (void)sig;
    _exit(1);
}

static void bound_time(void)
{
    struct itimerval when = { { 0, 0 }, { DEADLINE_S, 0 } };

    for (unsigned i = 0; i < VG_ARRAY_LEN(caught); i++)
        signal(caught[i], give_up);
    signal(SIGPIPE, SIG_IGN);
    setitimer(ITIMER_REAL, &when, NULL);
}

static int complain(const char *what, const char *why)
{
    syslog(LOG_WARNING, "%s: %s", what, why);
    fprintf(stderr, NAME ": %s: %s\n", what, why);
    return 1;
}

/* other_config of the VM, from XAPI's database: takes no lock of the VM. */
static json_object *ask_other_config(const char *uuid)
{
    struct vg_failure f = { NULL };
    json_object *ref = NULL, *map = NULL;
    struct vg_xapi x;
    char why[VG_FAILURE_TEXT];

    vg_xapi_init(&x, NAME, NULL);
    x.timeout_ms = (DEADLINE_S - 1) * 1000;
    if (vg_xapi_login(&x, &f) == 0 &&
        vg_xapi_ask(&x, "VM.get_by_uuid", uuid, NULL, NULL, &ref, &f) == 0 && ref)
        vg_xapi_ask(&x, "VM.get_other_config", json_object_get_string(ref), NULL, NULL, &map, &f);
    if (f.parts) {
        vg_failure_say(&f, why, sizeof(why));
        complain(uuid, why);
    }
    vg_failure_fini(&f);
    vg_xapi_fini(&x);
    json_object_put(ref);
    if (json_object_is_type(map, json_type_object))
        return map;
    json_object_put(map);
    return NULL;
}

static int carry(struct vg_xs *xs, const char *uuid)
{
    json_object *other_config = ask_other_config(uuid);
    int rc;

    if (!other_config)
        return 1;
    rc = vg_carry_put(xs, uuid, other_config);
    json_object_put(other_config);
    return rc < 0 ? complain(uuid, strerror(-rc)) : 0;
}

static int forget(struct vg_xs *xs, const char *uuid)
{
    int rc = vg_carry_remove(xs, uuid);

    return rc < 0 ? complain(uuid, strerror(-rc)) : 0;
}

static int announce(struct vg_xs *xs, const char *uuid)
{
    char why[160];

    return vg_migrate_announce(xs, uuid, why, sizeof(why)) < 0 ? complain(uuid, why) : 0;
}

static const struct {
    const char *name;
    int (*run)(struct vg_xs *xs, const char *uuid);
} hooks[] = {
    { "vm-pre-start", carry },
    { "vm-pre-resume", carry },
    { "vm-pre-migrate", announce },
    { "vm-post-migrate", carry },
    { "vm-post-destroy", forget },
};

static int run(const char *hook, const char *uuid)
{
    struct vg_xs xs;
    char why[160];
    int rc = 1;

    if (vg_xs_init(&xs, why, sizeof(why)) < 0)
        return complain("xenstore", why);
    for (unsigned i = 0; i < VG_ARRAY_LEN(hooks); i++) {
        if (strcmp(hooks[i].name, hook) == 0)
            rc = hooks[i].run(&xs, uuid);
    }
    vg_xs_fini(&xs);
    return rc;
}

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    }
    return "";
}

int main(int argc, char **argv)
{
    const char *uuid = option(argc, argv, "-vmuuid");
    char lower[VG_UUID_MAX];

    bound_time();
    openlog(NAME, LOG_PID, LOG_DAEMON);
    if (argc < 2 || !vg_uuid_ok(uuid))
        return complain("usage", NAME " HOOK -vmuuid UUID -reason REASON");
    vg_uuid_lower(lower, uuid);
    curl_global_init(CURL_GLOBAL_NOTHING);
    return run(argv[1], lower);
}
