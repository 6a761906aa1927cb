/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wrapper's settings.  A file with mistakes changes what it says well. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "mediator/base/file.h"
#include "mediator/base/ini.h"
#include "mediator/base/number.h"
#include "mediator/base/util.h"
#include "wrapper.h"

#define FILE_MAX 16384u

#define TEXT(key)                                                              \
    { #key, offsetof(struct vg_wrapper_settings, key),                         \
      sizeof(((struct vg_wrapper_settings *)0)->key), 0, 0 }
#define NUMBER(key, low, high)                                                 \
    { #key, offsetof(struct vg_wrapper_settings, key), 0, low, high }

static const struct {
    const char *key;
    size_t offset, cap;         /* cap 0: a number */
    uint64_t min, max;
} rows[] = {
    TEXT(wrapper), TEXT(qemu), TEXT(socket), TEXT(root), TEXT(slot),
    NUMBER(size_mib, 16, 65536), NUMBER(slots, 1, 64),
};

static int set(void *arg, const char *key, const char *value, char *why,
               size_t cap)
{
    char *settings = arg;

    for (unsigned i = 0; i < VG_ARRAY_LEN(rows); i++) {
        void *field = settings + rows[i].offset;

        if (strcmp(rows[i].key, key) != 0) {
            continue;
        }
        if (rows[i].cap == 0) {
            if (!vg_number(value, rows[i].min, rows[i].max, field, why, cap)) {
                syslog(LOG_WARNING, VG_WRAPPER_CONFIG ": %s: %s", key, why);
            }
        } else if (strlen(value) < rows[i].cap) {
            strcpy(field, value);
        }
        return 0;
    }
    syslog(LOG_WARNING, VG_WRAPPER_CONFIG ": there is no setting %s", key);
    return 0;
}

void vg_wrapper_settings_load(struct vg_wrapper_settings *s)
{
    const char *path = getenv("VGPU_QEMU_WRAPPER_CONFIG");
    vg_auto_free char *text = NULL;
    char why[256];

    path = path ? path : VG_WRAPPER_CONFIG;
    if (vg_file_read(path, FILE_MAX, &text) == 0 &&
        vg_ini_parse(path, text, set, s, why, sizeof(why)) < 0) {
        syslog(LOG_WARNING, "%s", why);
    }
}
