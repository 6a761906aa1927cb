/* SPDX-License-Identifier: MIT */
/* Settings, see settings.h. */
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "mediator/base/file.h"
#include "mediator/base/ini.h"
#include "mediator/base/number.h"
#include "mediator/base/util.h"

#define ROOM_MAX 65536u         /* GiB */

static int put(char *field, size_t cap, const char *value, char *why, size_t why_cap)
{
    size_t n = strlen(value);

    if (n == 0 || n >= cap) {
        snprintf(why, why_cap, "1 to %zu characters can stand here", cap - 1);
        return -EINVAL;
    }
    memcpy(field, value, n + 1);
    return 0;
}

static int put_url(struct vg_cloud_settings *s, const char *value, char *why, size_t cap)
{
    if (strncmp(value, "https://", 8) != 0 && strncmp(value, "http://", 7) != 0) {
        snprintf(why, cap, "an address with https:// can stand here");
        return -EINVAL;
    }
    return put(s->url, sizeof(s->url), value, why, cap);
}

static int put_tag(struct vg_cloud_settings *s, const char *value, char *why, size_t cap)
{
    if (!vg_name_ok(value, VG_TAG_MAX)) {
        snprintf(why, cap, "a name of letters, digits, '.', '_', ':' and '-' can stand here");
        return -EINVAL;
    }
    return put(s->tags.tag, sizeof(s->tags.tag), value, why, cap);
}

/* Numbers with blanks between. */
static int put_rooms(struct vg_tags *t, const char *value, char *why, size_t cap)
{
    char text[512], *left = text, *word;
    uint64_t room;

    snprintf(text, sizeof(text), "%s", value);
    t->rooms_n = 0;
    while ((word = strsep(&left, " \t")) != NULL) {
        if (!*word)
            continue;
        if (t->rooms_n == VG_TAGS_ROOMS) {
            snprintf(why, cap, "at most %u numbers can stand here", VG_TAGS_ROOMS);
            return -EINVAL;
        }
        if (!vg_number(word, 1, ROOM_MAX, &room, why, cap))
            return -EINVAL;
        t->rooms[t->rooms_n++] = (unsigned)room;
    }
    return 0;
}

static int take(void *arg, const char *key, const char *value, char *why, size_t cap)
{
    struct vg_cloud_settings *s = arg;

    if (strcmp(key, "url") == 0)
        return put_url(s, value, why, cap);
    if (strcmp(key, "api_key") == 0)
        return put(s->api_key, sizeof(s->api_key), value, why, cap);
    if (strcmp(key, "secret_key") == 0)
        return put(s->secret_key, sizeof(s->secret_key), value, why, cap);
    if (strcmp(key, "ca_file") == 0)
        return put(s->ca_file, sizeof(s->ca_file), value, why, cap);
    if (strcmp(key, "tag") == 0)
        return put_tag(s, value, why, cap);
    if (strcmp(key, "room_gib") == 0)
        return put_rooms(&s->tags, value, why, cap);
    snprintf(why, cap, "\"%s\" is no setting; there are url, api_key, secret_key, ca_file, tag, "
                       "room_gib", key);
    return -EINVAL;
}

static int check_secret(const char *path, char *why, size_t cap)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        snprintf(why, cap, "%s: %s", path, strerror(errno));
        return -errno;
    }
    if ((st.st_mode & 077) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()))
        return 0;
    snprintf(why, cap, "%s holds a secret and others may read it: chmod 600, chown root", path);
    return -EPERM;
}

int vg_cloud_settings_read(struct vg_cloud_settings *s, const char *path, char *why, size_t cap)
{
    vg_auto_free char *text = NULL;
    int rc = check_secret(path, why, cap);

    memset(s, 0, sizeof(*s));
    snprintf(s->tags.tag, sizeof(s->tags.tag), "vgpu");
    if (rc < 0)
        return rc;
    rc = vg_file_read(path, 65536, &text);
    if (rc < 0) {
        snprintf(why, cap, "%s: %s", path, strerror(-rc));
        return rc;
    }
    rc = vg_ini_parse(path, text, take, s, why, cap);
    if (rc == 0 && (!s->url[0] || !s->api_key[0] || !s->secret_key[0])) {
        snprintf(why, cap, "%s: url, api_key and secret_key must stand there", path);
        return -EINVAL;
    }
    return rc;
}
