/* SPDX-License-Identifier: MIT */
/*
 * What a word of the command line may become, for the shells (completion/vgpu-admin):
 * verbs and options from the table, names of VMs and pools from the mediator, which is
 * not waited for.
 */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"

#define PATIENCE_S 1u

static void offer(const char *before, const char *text, const char *behind, const char *begun)
{
    char word[256];

    snprintf(word, sizeof(word), "%s%s%s", before, text, behind);
    if (strncmp(word, begun, strlen(begun)) == 0)
        puts(word);
}

/* Each VM's member `key`, "name" or "pool", as the mediator tells it. */
static void offer_known(const char *socket, const char *key, const char *before, const char *begun)
{
    json_object *request = json_object_new_object(), *answer, *vms, *value;
    char why[256];

    json_object_object_add(request, "op", json_object_new_string("list"));
    answer = vg_ask_within(socket, request, PATIENCE_S, why, sizeof(why));
    if (answer && json_object_object_get_ex(answer, "vms", &vms) &&
        json_object_is_type(vms, json_type_array)) {
        for (size_t i = 0; i < (size_t)json_object_array_length(vms); i++) {
            json_object *vm = json_object_array_get_idx(vms, (int)i);

            if (json_object_is_type(vm, json_type_object) &&
                json_object_object_get_ex(vm, key, &value))
                offer(before, json_object_get_string(value), "", begun);
        }
    }
    json_object_put(answer);
    json_object_put(request);
}

static void offer_values(const char *socket, const struct vg_arg *a, const char *before,
                         const char *begun)
{
    static const char *const priorities[] = { "high", "medium", "low" };

    if (a->kind == VG_ARG_VM)
        offer_known(socket, "name", before, begun);
    else if (strcmp(a->name, "pool") == 0)
        offer_known(socket, "pool", before, begun);
    else if (strcmp(a->name, "priority") == 0)
        for (unsigned i = 0; i < 3; i++)
            offer(before, priorities[i], "", begun);
}

static void offer_verbs(const char *begun)
{
    for (unsigned i = 0; i < vg_verb_count; i++)
        offer("", vg_verbs[i].name, "", begun);
    offer("", "help", "", begun);
}

static bool is_given(const char *option, int count, char **words)
{
    size_t n = strlen(option);

    for (int i = 0; i + 1 < count; i++) {
        if (strncmp(words[i], option, n) == 0 && (!words[i][n] || words[i][n] == '='))
            return true;
    }
    return false;
}

static void offer_options(const struct vg_arg *args, unsigned arg_count, int count, char **words)
{
    const char *begun = words[count - 1];
    char option[40];

    for (unsigned i = 0; i < arg_count; i++) {
        vg_args_option(&args[i], option, sizeof(option));
        if (!is_given(option, count, words))
            offer("", option, args[i].kind == VG_ARG_FLAG ? "" : "=", begun);
    }
    offer("", "--json", "", begun);
    offer("", "--socket", "=", begun);
    offer("", "--help", "", begun);
}

/* The value of the option that the word begins with: "--pool=A". True: it is one. */
static bool offer_value(const char *socket, const struct vg_arg *args, unsigned arg_count,
                        const char *begun)
{
    char option[41];

    for (unsigned i = 0; i < arg_count; i++) {
        vg_args_option(&args[i], option, sizeof(option) - 1);
        strcat(option, "=");
        if (strncmp(begun, option, strlen(option)) == 0) {
            offer_values(socket, &args[i], option, begun);
            return true;
        }
    }
    return false;
}

static const struct vg_verb *verb_among(int count, char **words, int *ret_at)
{
    for (int i = 0; i + 1 < count; i++) {
        const struct vg_verb *v = words[i][0] != '-' ? vg_verb_find(words[i]) : NULL;

        if (v) {
            *ret_at = i;
            return v;
        }
    }
    return NULL;
}

static const char *socket_among(const char *socket, int count, char **words)
{
    for (int i = 0; i < count; i++) {
        if (strncmp(words[i], "--socket=", 9) == 0)
            socket = words[i] + 9;
    }
    return socket;
}

/* Words without names stand for the arguments in order, but for those given by option. */
static void offer_word(const char *socket, const struct vg_arg *args, unsigned positional, int at,
                       int count, char **words)
{
    char option[40];
    int left = 0;

    for (int i = at + 1; i + 1 < count; i++)
        left += words[i][0] != '-';
    for (unsigned i = 0; i < positional; i++) {
        vg_args_option(&args[i], option, sizeof(option));
        if (!is_given(option, count, words) && left-- == 0) {
            offer_values(socket, &args[i], "", words[count - 1]);
            return;
        }
    }
}

void vg_complete(const char *socket, int count, char **words)
{
    struct vg_arg args[VG_VERB_ARGS_MAX];
    unsigned arg_count = 0, positional = 0;
    const struct vg_verb *v;
    int at = 0;

    if (count < 1)
        return;
    socket = socket_among(socket, count, words);
    v = verb_among(count, words, &at);
    if (v)
        arg_count = vg_verb_args(v, args, &positional);
    if (offer_value(socket, args, arg_count, words[count - 1]))
        return;
    if (words[count - 1][0] == '-')
        offer_options(args, arg_count, count, words);
    else if (v)
        offer_word(socket, args, positional, at, count, words);
    else
        offer_verbs(words[count - 1]);
}
