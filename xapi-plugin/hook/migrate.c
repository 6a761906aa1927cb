/* SPDX-License-Identifier: MIT */
/* QEMU is told of a migration, see migrate.h. */
#include "migrate.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mediator/base/util.h"

#define QMP_DIR  "/var/run/xen"
#define DEVICE   "vgpu-stub"
#define LINE_MAX_BYTES 16384u

#define GREETING "{\"execute\": \"qmp_capabilities\"}\n"

/* The device's own word; one of an older version understands libxl's, in the same sense. */
static const char *const words[] = {
    "{\"execute\": \"qom-set\", \"arguments\": {\"path\": \"/machine\", "
    "\"property\": \"vgpu-leaving\", \"value\": true}}\n",
    "{\"execute\": \"xen-set-global-dirty-log\", \"arguments\": {\"enable\": true}}\n",
};

/* An argument of the process begins with the device's name. */
static bool has_device(const char *pid)
{
    char path[64];
    char *arg = NULL;
    size_t cap = 0;
    bool found = false;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%lu/cmdline", strtoul(pid, NULL, 10));
    f = fopen(path, "re");
    while (f && !found && getdelim(&arg, &cap, '\0', f) > 0)
        found = strncmp(arg, DEVICE, strlen(DEVICE)) == 0;
    if (f)
        fclose(f);
    free(arg);
    return found;
}

static int connect_to(int domid)
{
    const char *dir = getenv("VGPU_QMP_DIR");
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/qmp-libxl-%d", dir ? dir : QMP_DIR, domid);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* An older device does not know the word. */
static bool is_unknown(json_object *o)
{
    json_object *error, *text;

    return json_object_object_get_ex(o, "error", &error) &&
           json_object_object_get_ex(error, "desc", &text) &&
           strstr(json_object_get_string(text), "not found") != NULL;
}

/* Events may come before the answer. 0; 1: unknown; -1: refused, or not to be understood. */
static int hear_answer(FILE *f)
{
    char line[LINE_MAX_BYTES];

    while (fgets(line, sizeof(line), f)) {
        json_object *o = json_tokener_parse(line);
        bool good = json_object_is_type(o, json_type_object) &&
                    json_object_object_get_ex(o, "return", NULL);
        bool bad = !json_object_is_type(o, json_type_object) ||
                   json_object_object_get_ex(o, "error", NULL);
        bool unknown = bad && is_unknown(o);

        json_object_put(o);
        if (good || bad)
            return good ? 0 : unknown ? 1 : -1;
    }
    return -1;
}

static int ask(int fd, FILE *f, const char *word)
{
    if (send(fd, word, strlen(word), MSG_NOSIGNAL) != (ssize_t)strlen(word))
        return -1;
    return hear_answer(f);
}

/* Takes the socket. Its greeting is no answer, so it is passed over like an event. */
static int converse(int fd)
{
    FILE *f = fdopen(fd, "r");
    int rc = -1;

    if (f && ask(fd, f, GREETING) == 0)
        rc = 1;
    for (unsigned i = 0; rc == 1 && i < VG_ARRAY_LEN(words); i++)
        rc = ask(fd, f, words[i]);
    if (f)
        fclose(f);
    else
        close(fd);
    return rc;
}

int vg_migrate_announce(struct vg_xs *xs, const char *uuid, char *why, size_t cap)
{
    int domid = vg_xs_domid(xs, uuid), fd;
    char path[VG_XS_PATH], pid[32];

    snprintf(path, sizeof(path), "/local/domain/%d/qemu-pid", domid);
    if (domid < 0 || !vg_xs_read(xs, path, pid, sizeof(pid)) || !has_device(pid))
        return 0;
    fd = connect_to(domid);
    if (fd >= 0 && converse(fd) == 0)
        return 0;
    snprintf(why, cap, "QEMU of domain %d refuses the migration, or cannot be told of it: does a "
             "program use the GPU?", domid);
    return -1;
}
