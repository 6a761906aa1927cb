/* SPDX-License-Identifier: MIT */
/*
 * vgpu-admin: asks the mediator and shows its answer, as text or as the JSON it sent.
 * The mediator decides. Exit codes are in vgpu-admin(8).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "mediator/base/util.h"
#include "members.h"
#include "show.h"
#include "top.h"

/* Paths stay readable; json-c before 0.12 escapes every slash, which is JSON too. */
#ifndef JSON_C_TO_STRING_NOSLASHESCAPE
#define JSON_C_TO_STRING_NOSLASHESCAPE 0
#endif

#define EXIT_REFUSED   1    /* the mediator says no, or cannot serve a GPU */
#define EXIT_USAGE     2
#define EXIT_NO_ANSWER 3

static const struct {
    const char *verb;
    void (*show)(json_object *answer);
} shows[] = {
    { "unregister-vm", vg_show_done }, { "list", vg_show_list },
    { "show-vm", vg_show_vm },         { "show-metrics", vg_show_metrics },
    { "show-health", vg_show_health }, { "events", vg_show_events },
};

/* Verbs that change a VM tell what it is now. */
static void show(const struct vg_call *c, json_object *answer)
{
    for (unsigned i = 0; i < VG_ARRAY_LEN(shows); i++) {
        if (strcmp(shows[i].verb, c->verb->name) == 0) {
            shows[i].show(answer);
            return;
        }
    }
    if (vg_member(answer, "vm"))
        vg_show_policy(answer);
    else
        vg_show_done(answer);
}

static int refused(json_object *answer)
{
    json_object *error = vg_member(answer, "error");

    fprintf(stderr, "vgpu-admin: %s\n", error ? json_object_get_string(error) : "no answer");
    return EXIT_REFUSED;
}

static int report(const struct vg_call *c, json_object *answer)
{
    if (c->json)
        puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PRETTY |
                                                        JSON_C_TO_STRING_NOSLASHESCAPE));
    if (!vg_member_true(answer, "ok"))
        return refused(answer);
    if (!c->json)
        show(c, answer);
    return vg_show_is_unusable(answer) ? EXIT_REFUSED : 0;
}

static int ask(const struct vg_call *c)
{
    char why[256];
    json_object *answer = vg_ask(c->socket, c->request, why, sizeof(why));
    int rc = EXIT_NO_ANSWER;

    if (answer)
        rc = report(c, answer);
    else
        fprintf(stderr, "vgpu-admin: %s\n", why);
    json_object_put(answer);
    return rc;
}

/* ---- events --follow ---- */

struct follower {
    const struct vg_call *call;
    int rc;
};

static void put_event(const struct vg_call *c, json_object *event)
{
    if (c->json)
        puts(json_object_to_json_string_ext(event, JSON_C_TO_STRING_PLAIN |
                                                       JSON_C_TO_STRING_NOSLASHESCAPE));
    else
        vg_show_event(event);
}

/* The first line is the answer with what has been, each later one an event. */
static bool on_line(void *arg, json_object *line)
{
    struct follower *f = arg;
    json_object *event = vg_member(line, "event"), *past = vg_member(line, "events");

    if (!event && !vg_member_true(line, "ok")) {
        f->rc = refused(line);
        return false;
    }
    for (size_t i = 0; i < vg_members(past); i++)
        put_event(f->call, vg_item(past, i));
    if (event)
        put_event(f->call, event);
    return fflush(stdout) == 0;
}

static int follow(const struct vg_call *c)
{
    struct follower f = { .call = c };
    char why[256];
    int rc = vg_ask_follow(c->socket, c->request, on_line, &f, why, sizeof(why));

    if (rc < 0)
        fprintf(stderr, "vgpu-admin: %s\n", why);
    return rc < 0 ? EXIT_NO_ANSWER : f.rc;
}

static int run(const struct vg_call *c)
{
    if (strcmp(c->verb->name, "top") == 0)
        return vg_top(c);
    return c->follow ? follow(c) : ask(c);
}

int main(int argc, char **argv)
{
    struct vg_call c = { .request = json_object_new_object() };
    enum vg_parsed parsed = vg_args_parse(&c, argc, argv);
    int rc = parsed == VG_PARSED_WRONG ? EXIT_USAGE : 0;

    if (parsed == VG_PARSED_ASK)
        rc = run(&c);
    json_object_put(c.request);
    return rc;
}
