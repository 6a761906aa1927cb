/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: lines of administrators, each input several, against one daemon
 * without sockets or state directory, whose loop never runs: an end that was asked
 * for does not come. Whatever comes, every line has one answer that is a JSON
 * object with "ok".
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/base/loop.h"
#include "mediator/daemon/control.h"
#include "mediator/daemon/mediator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void serve_line(struct vg_mediator *m, const char *line, size_t len)
{
    struct vg_asker asker = { .rights = VG_RIGHTS_ADMIN };
    json_object *answer = vg_control_serve(m, &asker, line, len), *ok;

    if (!json_object_object_get_ex(answer, "ok", &ok) || !json_object_is_type(ok, json_type_boolean))
        abort();
    if (!json_object_get_boolean(ok) && !json_object_object_get_ex(answer, "error", NULL))
        abort();
    json_object_put(answer);
}

static void start(struct vg_mediator *m)
{
    memset(m, 0, sizeof(*m));
    vg_config_init(&m->config);
    m->config.state_dir[0] = '\0';
    vg_list_init(&m->clients);
    vg_list_init(&m->pool.sessions);
    vg_vms_init(&m->vms);
    vg_events_init(&m->events);
    m->listen_fd = m->lock_fd = m->listen_io.fd = -1;
    if (vg_loop_init(&m->loop) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vg_mediator m;
    const char *text = (const char *)data, *end = text + size;

    start(&m);
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t len = newline ? (size_t)(newline - text) : (size_t)(end - text);
        char *line = malloc(len + 1);   /* exact, so that reading beyond it is seen */

        memcpy(line, text, len);
        serve_line(&m, line, len);
        free(line);
        text += len + 1;
    }
    vg_vms_fini(&m.vms);
    vg_events_fini(&m.events);
    vg_loop_fini(&m.loop);
    return 0;
}
