/* SPDX-License-Identifier: MIT */
/*
 * The command line, see args.h. Options may stand anywhere, abbreviated they are
 * unknown: a script must mean the same with the next version.
 */
#include "args.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/base/util.h"
#include "protocol/vg_sock.h"

#define GIVEN_MAX 64u

/* What stands on the command line, before the verb is known. */
struct given {
    struct {
        struct vg_arg arg;
        const char *value;      /* NULL: a flag */
    } option[GIVEN_MAX];
    const char *word[GIVEN_MAX];
    unsigned options, words;
    bool help;
};

static bool wrong(const char *what, const char *value)
{
    fprintf(stderr, "vgpu-admin: %s \"%s\"; \"vgpu-admin help\" shows what is allowed\n", what,
            value);
    return false;
}

void vg_args_option(const struct vg_arg *a, char *text, size_t cap)
{
    snprintf(text, cap, "--%s", strcmp(a->name, "memory_mib") == 0 ? "memory" : a->name);
    for (char *p = text; *p; p++)
        *p = *p == '_' ? '-' : *p;
}

static bool find_option(const char *text, size_t len, struct vg_arg *ret_arg)
{
    char name[32];

    if (len >= sizeof(name) || memchr(text, '_', len))
        return false;
    snprintf(name, sizeof(name), "%.*s", (int)len, text);
    if (strcmp(name, "memory") == 0)
        return vg_arg_find("memory_mib", ret_arg);
    for (char *p = name; *p; p++)
        *p = *p == '-' ? '_' : *p;
    return vg_arg_find(name, ret_arg);
}

/* ---- reading ---- */

static bool add_option(struct given *g, const struct vg_arg *a, const char *value)
{
    char name[40];

    vg_args_option(a, name, sizeof(name));
    for (unsigned i = 0; i < g->options; i++) {
        if (strcmp(g->option[i].arg.name, a->name) == 0)
            return wrong("there twice: option", name);
    }
    if (g->options == GIVEN_MAX)
        return wrong("too much from here on:", name);
    g->option[g->options].arg = *a;
    g->option[g->options++].value = value;
    return true;
}

static bool add_word(struct given *g, const char *word)
{
    if (g->words == GIVEN_MAX)
        return wrong("too much from here on:", word);
    g->word[g->words++] = word;
    return true;
}

/* The options that every verb has. True: it was one of these. */
static bool common(struct vg_call *c, struct given *g, const char *option, size_t len,
                   const char *value)
{
    if (len == 4 && memcmp(option, "json", len) == 0 && !value)
        c->json = true;
    else if (len == 4 && memcmp(option, "help", len) == 0 && !value)
        g->help = true;
    else if (len == 6 && memcmp(option, "socket", len) == 0 && value)
        c->socket = value;
    else
        return false;
    return true;
}

/* One of "--name=value", "--name value", "--flag"; *next is what follows it. */
static bool take_option(struct vg_call *c, struct given *g, const char *text, char ***next)
{
    size_t len = strcspn(text + 2, "=");
    const char *value = text[2 + len] ? text + 2 + len + 1 : NULL;
    struct vg_arg a = { .name = NULL };
    bool socket = strncmp(text, "--socket", 9) == 0, known = find_option(text + 2, len, &a);
    bool takes = socket || (known && a.kind != VG_ARG_FLAG);

    if (takes && !value) {
        value = **next;
        if (!value)
            return wrong("a value is missing behind", text);
        (*next)++;
    }
    if (common(c, g, text + 2, len, value))
        return true;
    if (!known)
        return wrong("unrecognized option", text);
    if (!takes && value)
        return wrong("no value belongs to", text);
    return add_option(g, &a, value);
}

static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] && !isdigit((unsigned char)text[1]);
}

static bool read_all(struct vg_call *c, struct given *g, char **argv)
{
    char **next = argv + 1;

    while (*next) {
        const char *text = *next++;

        if (strcmp(text, "--") == 0) {
            while (*next) {
                if (!add_word(g, *next++))
                    return false;
            }
        } else if (strcmp(text, "-h") == 0) {
            g->help = true;
        } else if (is_option(text)) {
            if (text[1] != '-')
                return wrong("unrecognized option", text);
            if (!take_option(c, g, text, &next))
                return false;
        } else if (!add_word(g, text)) {
            return false;
        }
    }
    return true;
}

/* ---- values ---- */

static bool bad_value(const struct vg_arg *a, const char *reason)
{
    char option[40];

    vg_args_option(a, option, sizeof(option));
    /* The reason begins with the member's name, "queue_depth: ". */
    fprintf(stderr, "vgpu-admin: %s%s\n", option, reason + strlen(a->name));
    return false;
}

/* "24G", "512M", "24GiB": in MiB, which a mere number is already. */
static void to_mib(const char *value, char *text, size_t cap)
{
    static const struct {
        const char *suffix;
        unsigned shift;
    } units[] = { { "M", 0 }, { "MiB", 0 }, { "G", 10 }, { "GiB", 10 }, { "T", 20 }, { "TiB", 20 } };
    size_t digits = strspn(value, "0123456789");

    snprintf(text, cap, "%s", value);
    for (unsigned i = 0; i < VG_ARRAY_LEN(units); i++) {
        if (digits > 0 && digits < 10 && strcmp(value + digits, units[i].suffix) == 0)
            snprintf(text, cap, "%llu", strtoull(value, NULL, 10) << units[i].shift);
    }
}

static void take_local(struct vg_call *c, const struct vg_arg *a, const char *value)
{
    if (strcmp(a->name, "interval") == 0)
        c->interval_ms = strtoull(value, NULL, 10);
    else if (strcmp(a->name, "count") == 0)
        c->count = strtoull(value, NULL, 10);
    else if (strcmp(a->name, "once") == 0)
        c->count = 1;
}

static bool take_value(struct vg_call *c, const struct vg_arg *a, const char *value)
{
    char why[256], text[1024];

    if (strcmp(a->name, "memory_mib") == 0)
        to_mib(value, text, sizeof(text));
    else
        snprintf(text, sizeof(text), "%s", value ? value : "true");
    if (!vg_arg_ok(a, text, why, sizeof(why)))
        return bad_value(a, why);
    if (a->local)
        take_local(c, a, text);
    else
        json_object_object_add(c->request, a->name,
                               value ? json_object_new_string(text) : json_object_new_boolean(1));
    c->follow = c->follow || strcmp(a->name, "follow") == 0;
    return true;
}

/* ---- against the verb ---- */

static const struct vg_arg *of_verb(const struct vg_arg *args, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(args[i].name, name) == 0)
            return &args[i];
    }
    return NULL;
}

static bool take_options(struct vg_call *c, const struct given *g, const struct vg_arg *args,
                         unsigned count)
{
    for (unsigned i = 0; i < g->options; i++) {
        const struct vg_arg *a = of_verb(args, count, g->option[i].arg.name);
        char name[40];

        if (!a) {
            vg_args_option(&g->option[i].arg, name, sizeof(name));
            fprintf(stderr, "vgpu-admin: %s takes no %s\n", c->verb->name, name);
            return false;
        }
        if (!take_value(c, a, g->option[i].value))
            return false;
    }
    return true;
}

/* Words behind the verb stand for the arguments that have no option, in the table's order. */
static bool take_words(struct vg_call *c, const struct given *g, const struct vg_arg *args,
                       unsigned positional)
{
    unsigned word = 1;

    for (unsigned i = 0; i < positional && word < g->words; i++) {
        if (json_object_object_get_ex(c->request, args[i].name, NULL))
            continue;
        if (!take_value(c, &args[i], g->word[word++]))
            return false;
    }
    if (word == g->words)
        return true;
    fprintf(stderr, "vgpu-admin: %s takes no further \"%s\"\n", c->verb->name, g->word[word]);
    return false;
}

static bool complete(const struct vg_call *c, const struct vg_arg *args, unsigned count)
{
    char option[40];
    unsigned more = 0;

    for (unsigned i = 0; i < count; i++) {
        bool there = json_object_object_get_ex(c->request, args[i].name, NULL);

        more += there && !args[i].needed;
        if (!args[i].needed || there)
            continue;
        vg_args_option(&args[i], option, sizeof(option));
        fprintf(stderr, "vgpu-admin: %s needs %s\n", c->verb->name, option);
        return false;
    }
    if (!c->verb->some || more > 0)
        return true;
    fprintf(stderr, "vgpu-admin: %s needs one more option; \"vgpu-admin help %s\" lists them\n",
            c->verb->name, c->verb->name);
    return false;
}

static enum vg_parsed against_verb(struct vg_call *c, const struct given *g)
{
    struct vg_arg args[VG_VERB_ARGS_MAX];
    unsigned positional, count = vg_verb_args(c->verb, args, &positional);

    json_object_object_add(c->request, "op", json_object_new_string(c->verb->name));
    return take_options(c, g, args, count) && take_words(c, g, args, positional) &&
                   complete(c, args, count)
               ? VG_PARSED_ASK
               : VG_PARSED_WRONG;
}

static enum vg_parsed help(const struct vg_call *c, const char *verb)
{
    const struct vg_verb *v = verb ? vg_verb_find(verb) : NULL;

    if (verb && !v) {
        wrong("there is no command", verb);
        return VG_PARSED_WRONG;
    }
    if (c->json)
        vg_help_json();
    else if (v)
        vg_help_verb(v);
    else
        vg_help();
    return VG_PARSED_DONE;
}

enum vg_parsed vg_args_parse(struct vg_call *c, int argc, char **argv)
{
    struct given g = { .options = 0 };

    c->socket = VG_CONTROL_PATH;
    c->interval_ms = 1000;
    if (argc > 1 && strcmp(argv[1], "--complete") == 0) {
        vg_complete(c->socket, argc - 2, argv + 2);
        return VG_PARSED_DONE;
    }
    if (!read_all(c, &g, argv))
        return VG_PARSED_WRONG;
    if (g.words > 0 && strcmp(g.word[0], "help") == 0)
        return help(c, g.words > 1 ? g.word[1] : NULL);
    if (g.help)
        return help(c, g.words > 0 ? g.word[0] : NULL);
    if (g.words == 0) {
        fputs("vgpu-admin: which command? \"vgpu-admin help\" lists them\n", stderr);
        return VG_PARSED_WRONG;
    }
    c->verb = vg_verb_find(g.word[0]);
    if (!c->verb) {
        wrong("there is no command", g.word[0]);
        return VG_PARSED_WRONG;
    }
    return against_verb(c, &g);
}
