/* SPDX-License-Identifier: MIT */
/*
 * vgpu-admin: asks the mediator and shows its answer, as text or as the JSON it
 * sent. The mediator decides; options and their values are checked here by the same
 * code first, so that wrong usage is told as such even where no mediator answers.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "mediator/base/number.h"
#include "mediator/base/util.h"
#include "mediator/daemon/policy.h"
#include "mediator/daemon/vm.h"
#include "protocol/vg_sock.h"
#include "show.h"

/* Paths stay readable; json-c before 0.12 escapes every slash, which is JSON too. */
#ifndef JSON_C_TO_STRING_NOSLASHESCAPE
#define JSON_C_TO_STRING_NOSLASHESCAPE 0
#endif

#define EXIT_REFUSED 1      /* the mediator says no, cannot be reached, or is unusable */
#define EXIT_USAGE   2

struct command {
    const char *name;
    void (*show)(json_object *answer);
    bool takes_vm, needs_vm, takes_policy;
    const char *what;
};

static const struct command commands[] = {
    { "register-vm", vg_show_registered, true, true, true, "register a VM or change its policy" },
    { "unregister-vm", vg_show_done, true, true, false, "forget a VM's policy" },
    { "list", vg_show_list, false, false, false, "one line for each VM" },
    { "show-vm", vg_show_vm, true, true, false, "a VM's policy and executors" },
    { "show-metrics", vg_show_metrics, true, false, false, "counters of one VM or of all" },
    { "show-health", vg_show_health, false, false, false, "mediator, device, executors, faults" },
};

enum { OPT_JSON = 1, OPT_SOCKET, OPT_HELP, OPT_VM, OPT_POLICY };

/* Names here have '-', members of the request '_'. */
static const struct option options[] = {
    { "json", no_argument, NULL, OPT_JSON },
    { "socket", required_argument, NULL, OPT_SOCKET },
    { "help", no_argument, NULL, OPT_HELP },
    { "vm-name", required_argument, NULL, OPT_VM },
    { "pool", required_argument, NULL, OPT_POLICY },
    { "priority", required_argument, NULL, OPT_POLICY },
    { "weight", required_argument, NULL, OPT_POLICY },
    { "rate", required_argument, NULL, OPT_POLICY },
    { "queue-depth", required_argument, NULL, OPT_POLICY },
    { "memory-mib", required_argument, NULL, OPT_POLICY },
    { 0 },
};

struct call {
    const struct command *command;
    const char *socket;
    bool json;
    json_object *request;
};

static void usage(FILE *out)
{
    fputs("Usage: vgpu-admin COMMAND [--vm-name=NAME] [OPTION]... [--json] [--socket=PATH]\n\n", out);
    for (unsigned i = 0; i < VG_ARRAY_LEN(commands); i++)
        fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].what);
    fputs("\nregister-vm takes --pool=NAME --priority=high|medium|low --weight=1..100\n"
          "--rate=CALLS/S --queue-depth=CALLS --memory-mib=MIB. See vgpu-admin(8).\n", out);
}

static int wrong(const char *what, const char *value)
{
    fprintf(stderr, "vgpu-admin: %s \"%s\"; \"vgpu-admin --help\" shows what is allowed\n", what,
            value);
    return -1;
}

static const struct command *find(const char *name)
{
    for (unsigned i = 0; i < VG_ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static void to_member(char *key, size_t cap, const char *option)
{
    snprintf(key, cap, "%s", option);
    for (char *p = key; *p; p++)
        *p = *p == '-' ? '_' : *p;
}

/* False after saying which option has which wrong value. */
static bool value_ok(int opt, const char *name, const char *key, const char *value)
{
    char why[256];
    struct vg_policy scratch;

    if (opt == OPT_VM) {
        if (vg_name_ok(value, VG_VM_NAME_MAX))
            return true;
        fprintf(stderr, "vgpu-admin: --%s: \"%.80s\" is not a VM name: letters, digits and ._:-, "
                        "at most %u\n", name, value, VG_VM_NAME_MAX - 1);
        return false;
    }
    vg_policy_init(&scratch);
    if (vg_policy_set(&scratch, key, value, why, sizeof(why)) == 0)
        return true;
    /* The sentence begins with the member's name, "queue_depth: ". */
    fprintf(stderr, "vgpu-admin: --%s%s\n", name, why + strlen(key));
    return false;
}

static bool take(struct call *c, int opt, const char *name)
{
    char key[32];

    if (opt == OPT_JSON) {
        c->json = true;
    } else if (opt == OPT_SOCKET) {
        c->socket = optarg;
    } else {
        to_member(key, sizeof(key), name);
        if (!value_ok(opt, name, key, optarg))
            return false;
        json_object_object_add(c->request, key, json_object_new_string(optarg));
    }
    return true;
}

static bool has(const struct call *c, const char *option)
{
    char key[32];

    to_member(key, sizeof(key), option);
    return json_object_object_get_ex(c->request, key, NULL);
}

/* Options may stand before the command, so they are held against it at the end. */
static int check(const struct call *c)
{
    for (const struct option *o = options; o->name; o++) {
        bool vm = o->val == OPT_VM && !c->command->takes_vm;
        bool policy = o->val == OPT_POLICY && !c->command->takes_policy;

        if ((vm || policy) && has(c, o->name)) {
            fprintf(stderr, "vgpu-admin: %s takes no --%s\n", c->command->name, o->name);
            return -1;
        }
    }
    if (c->command->needs_vm && !has(c, "vm-name")) {
        fprintf(stderr, "vgpu-admin: %s needs --vm-name=NAME\n", c->command->name);
        return -1;
    }
    return 0;
}

static int take_command(struct call *c, int argc, char **argv)
{
    if (optind == argc) {
        usage(stderr);
        return -1;
    }
    c->command = find(argv[optind]);
    if (!c->command)
        return wrong("there is no command", argv[optind]);
    if (optind + 1 < argc)
        return wrong("one command at a time, not also", argv[optind + 1]);
    json_object_object_add(c->request, "op", json_object_new_string(c->command->name));
    return check(c);
}

/* 0: ask; 1: done; -1: wrong. */
static int parse(struct call *c, int argc, char **argv)
{
    int opt, index = 0;

    /* getopt begins its messages with it; ours carry no path either. */
    argv[0] = (char *)"vgpu-admin";
    while ((opt = getopt_long(argc, argv, "h", options, &index)) != -1) {
        if (opt == OPT_HELP || opt == 'h') {
            usage(stdout);
            return 1;
        }
        if (opt == '?')
            return -1;
        if (!take(c, opt, options[index].name))
            return -1;
    }
    return take_command(c, argc, argv);
}

static int report(const struct call *c, json_object *answer)
{
    json_object *ok = NULL, *error = NULL;

    json_object_object_get_ex(answer, "ok", &ok);
    json_object_object_get_ex(answer, "error", &error);
    if (c->json)
        puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PRETTY |
                                                        JSON_C_TO_STRING_NOSLASHESCAPE));
    if (!ok || !json_object_get_boolean(ok)) {
        fprintf(stderr, "vgpu-admin: %s\n", error ? json_object_get_string(error) : "no answer");
        return EXIT_REFUSED;
    }
    if (!c->json)
        c->command->show(answer);
    return vg_show_is_unusable(answer) ? EXIT_REFUSED : 0;
}

int main(int argc, char **argv)
{
    struct call c = { .socket = VG_CONTROL_PATH, .request = json_object_new_object() };
    json_object *answer;
    char why[256];
    int rc = parse(&c, argc, argv);

    if (rc != 0) {
        json_object_put(c.request);
        return rc < 0 ? EXIT_USAGE : 0;
    }
    answer = vg_ask(c.socket, c.request, why, sizeof(why));
    if (!answer)
        fprintf(stderr, "vgpu-admin: %s\n", why);
    rc = answer ? report(&c, answer) : EXIT_REFUSED;
    json_object_put(answer);
    json_object_put(c.request);
    return rc;
}
