/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wrapper's settings.  A file with mistakes changes what it says well. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "mediator/base/file.h"
#include "mediator/base/ini.h"
#include "mediator/base/number.h"
#include "mediator/base/util.h"
#include "protocol/vg_region.h"
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

/* A region that the device does not take would be the end of QEMU. */
static void check_region(struct vg_wrapper_settings *s,
                         const struct vg_wrapper_settings *usual)
{
    struct vg_region_layout layout;

    if ((s->size_mib & (s->size_mib - 1)) == 0 &&
        vg_region_layout_init(&layout, s->size_mib << 20, (uint32_t)s->slots)) {
        return;
    }
    syslog(LOG_WARNING, VG_WRAPPER_CONFIG ": size_mib must be a power of two in "
           "which %u slots fit: both as usual", (unsigned)s->slots);
    s->size_mib = usual->size_mib;
    s->slots = usual->slots;
}

/* So would be a place on the bus that is none, or the chipset's and the screen's. */
static void check_slot(struct vg_wrapper_settings *s,
                       const struct vg_wrapper_settings *usual)
{
    char *end;
    unsigned long slot = strtoul(s->slot, &end, 16);

    if (!s->slot[0]) {
        return;
    }
    if (*end || end == s->slot || slot < 3 || slot > 0x1f) {
        syslog(LOG_WARNING, VG_WRAPPER_CONFIG ": slot: 3 to 1f can stand here, "
               "not %s", s->slot);
        strcpy(s->slot, usual->slot);
    } else {
        snprintf(s->slot, sizeof(s->slot), "%lx", slot);
    }
}

void vg_wrapper_settings_load(struct vg_wrapper_settings *s)
{
    const char *path = getenv("VGPU_QEMU_WRAPPER_CONFIG");
    const struct vg_wrapper_settings usual = *s;
    vg_auto_free char *text = NULL;
    char why[256];

    path = path ? path : VG_WRAPPER_CONFIG;
    if (vg_file_read(path, FILE_MAX, &text) == 0 &&
        vg_ini_parse(path, text, set, s, why, sizeof(why)) < 0) {
        syslog(LOG_WARNING, "%s", why);
    }
    check_region(s, &usual);
    check_slot(s, &usual);
}
