/* SPDX-License-Identifier: MIT */
/* Help from the table of verbs: nothing is said here that the checks do not know. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "args.h"

static const char common[] =
    "  --json            print the mediator's answer as JSON\n"
    "  --socket=PATH     control socket, usually /var/vgpu/control.sock\n"
    "  -h, --help        this text, or that of a command\n";

void vg_help(void)
{
    fputs("Usage: vgpu-admin COMMAND [VALUE]... [OPTION]...\n\nCommands:\n", stdout);
    for (unsigned i = 0; i < vg_verb_count; i++)
        printf("  %-17s %s\n", vg_verbs[i].name, vg_verbs[i].what);
    printf("  %-17s %s\n\nOptions of all commands:\n%s", "help", "this text, or that of a command",
           common);
    fputs("\n\"vgpu-admin help COMMAND\" lists a command's own options. See vgpu-admin(8).\n",
          stdout);
}

/* "VM_NAME" for "vm_name". */
static void print_word(const struct vg_arg *a)
{
    printf(a->needed ? " " : " [");
    for (const char *p = a->name; *p; p++)
        putchar(toupper((unsigned char)*p));
    fputs(a->needed ? "" : "]", stdout);
}

static void print_arg(const struct vg_arg *a)
{
    char option[48], allowed[128];
    size_t n;

    vg_args_option(a, option, sizeof(option));
    n = strlen(option);
    snprintf(option + n, sizeof(option) - n, "%s", a->kind == VG_ARG_FLAG ? "" : "=");
    vg_arg_allowed(a, allowed, sizeof(allowed));
    printf("  %-17s %s%s\n", option, a->what, a->needed ? " (needed)" : "");
    if (a->kind != VG_ARG_FLAG)
        printf("  %-17s   %s%s%s\n", "", allowed, a->unit[0] ? ", " : "", a->unit);
}

void vg_help_verb(const struct vg_verb *v)
{
    struct vg_arg args[VG_VERB_ARGS_MAX];
    unsigned positional, count = vg_verb_args(v, args, &positional);

    printf("Usage: vgpu-admin %s", v->name);
    for (unsigned i = 0; i < positional; i++)
        print_word(&args[i]);
    printf(" [OPTION]...\n\n%c%s.\n\n", toupper((unsigned char)v->what[0]), v->what + 1);
    for (unsigned i = 0; i < count; i++)
        print_arg(&args[i]);
    printf("%s%s", count ? "\n" : "", common);
}

/* ---- for programs ---- */

static void add(json_object *o, const char *key, const char *text)
{
    json_object_object_add(o, key, json_object_new_string(text));
}

static json_object *arg_json(const struct vg_arg *a, bool positional)
{
    static const char *const kinds[] = {
        [VG_ARG_VM] = "vm", [VG_ARG_POLICY] = "policy", [VG_ARG_NUMBER] = "number",
        [VG_ARG_TEXT] = "text", [VG_ARG_FLAG] = "flag",
    };
    json_object *o = json_object_new_object();
    char text[128];

    add(o, "name", a->name);
    vg_args_option(a, text, sizeof(text));
    add(o, "option", text);
    add(o, "kind", kinds[a->kind]);
    vg_arg_allowed(a, text, sizeof(text));
    add(o, "allowed", text);
    add(o, "unit", a->unit);
    add(o, "what", a->what);
    json_object_object_add(o, "needed", json_object_new_boolean(a->needed));
    json_object_object_add(o, "local", json_object_new_boolean(a->local));
    json_object_object_add(o, "positional", json_object_new_boolean(positional));
    return o;
}

static json_object *verb_json(const struct vg_verb *v)
{
    json_object *o = json_object_new_object(), *list = json_object_new_array();
    struct vg_arg args[VG_VERB_ARGS_MAX];
    unsigned positional, count = vg_verb_args(v, args, &positional);

    for (unsigned i = 0; i < count; i++)
        json_object_array_add(list, arg_json(&args[i], i < positional));
    add(o, "name", v->name);
    add(o, "rights", v->rights == VG_RIGHTS_ADMIN ? "admin" : "monitor");
    add(o, "what", v->what);
    add(o, "answer", v->answer);
    json_object_object_add(o, "some", json_object_new_boolean(v->some));
    json_object_object_add(o, "args", list);
    return o;
}

void vg_help_json(void)
{
    json_object *o = json_object_new_object(), *list = json_object_new_array();

    for (unsigned i = 0; i < vg_verb_count; i++)
        json_object_array_add(list, verb_json(&vg_verbs[i]));
    json_object_object_add(o, "verbs", list);
    puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
    json_object_put(o);
}
