/* SPDX-License-Identifier: MIT */
/*
 * The file's bytes, see rrd_file.h. All numbers big-endian:
 *
 *     "DATASOURCES"  crc of timestamp and values  crc of the description  count
 *     timestamp (double)  values (8 bytes each)  length of the description  description
 */
#include "rrd_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mediator/base/util.h"
#include "xapi-plugin/text.h"

#define MAGIC     "DATASOURCES"
#define MAGIC_LEN (sizeof(MAGIC) - 1)
#define DATA_CRC  MAGIC_LEN
#define TEXT_CRC  (DATA_CRC + 4)
#define COUNT     (TEXT_CRC + 4)
#define TIME      (COUNT + 4)
#define VALUES    (TIME + 8)

/* The CRC of zlib, PNG and Ethernet. */
static uint32_t crc32_of(const unsigned char *p, size_t len)
{
    uint32_t crc = 0xffffffffu;

    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void put32(unsigned char *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static void put64(unsigned char *p, uint64_t v)
{
    put32(p, (uint32_t)(v >> 32));
    put32(p + 4, (uint32_t)v);
}

static void put_double(unsigned char *p, double d)
{
    uint64_t bits;

    memcpy(&bits, &d, sizeof(bits));
    put64(p, bits);
}

/* ---- the description ---- */

static void put_bound(struct vg_text *t, const char *key, bool bounded, double bound,
                      const char *none)
{
    char text[64];

    if (bounded)
        snprintf(text, sizeof(text), ",\"%s\":\"%.2f\"", key, bound);
    else
        snprintf(text, sizeof(text), ",\"%s\":\"%s\"", key, none);
    vg_text_puts(t, text);
}

/* Names are not unique, so this is no object that json-c could build. */
static void put_source(struct vg_text *t, const struct vg_rrd_source *s, bool first)
{
    const char *const parts[] = {
        first ? "" : ",", "\"", s->name, "\":{\"description\":\"", s->description,
        "\",\"owner\":\"", s->owner, "\",\"value_type\":\"", s->is_float ? "float" : "int64",
        "\",\"type\":\"", s->type == VG_RRD_GAUGE ? "gauge" : "derive",
        "\",\"default\":\"true\",\"units\":\"", s->units, "\"",
    };
    bool bounded = s->max >= s->min;

    for (unsigned i = 0; i < VG_ARRAY_LEN(parts); i++)
        vg_text_puts(t, parts[i]);
    put_bound(t, "min", bounded, s->min, "-inf");
    put_bound(t, "max", bounded, s->max, "inf");
    vg_text_puts(t, "}");
}

static char *describe(const struct vg_rrd_source *s, unsigned count)
{
    struct vg_text t;

    vg_text_init(&t);
    vg_text_puts(&t, "{\"datasources\":{");
    for (unsigned i = 0; i < count; i++)
        put_source(&t, &s[i], i == 0);
    vg_text_puts(&t, "}}");
    if (!vg_text_ok(&t))
        vg_text_fini(&t);
    return t.data;
}

/* ---- writing ---- */

static void put_values(unsigned char *at, const struct vg_rrd_source *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (s[i].is_float)
            put_double(at + 8 * i, s[i].value);
        else
            put64(at + 8 * i, (uint64_t)s[i].number);
    }
}

/* A reader that comes in between finds a checksum that is wrong, and comes again. */
int vg_rrd_write(struct vg_rrd_file *f, const struct vg_rrd_source *s, unsigned count, double now)
{
    char *text = describe(s, count);
    size_t len = text ? strlen(text) : 0, end = VALUES + 8 * (size_t)count;

    if (!text || end + 4 + len > VG_RRD_SIZE) {
        free(text);
        return text ? -EFBIG : -ENOMEM;
    }
    if (!f->text || strcmp(f->text, text) != 0) {
        put32(f->map + TEXT_CRC, crc32_of((unsigned char *)text, len));
        put32(f->map + COUNT, count);
        put32(f->map + end, (uint32_t)len);
        memcpy(f->map + end + 4, text, len);
    }
    put_double(f->map + TIME, now);
    put_values(f->map + VALUES, s, count);
    put32(f->map + DATA_CRC, crc32_of(f->map + TIME, 8 + 8 * (size_t)count));
    memcpy(f->map, MAGIC, MAGIC_LEN);
    free(f->text);
    f->text = text;
    return 0;
}

static int map_new(struct vg_rrd_file *f, const char *path)
{
    vg_auto_fd int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    void *map;

    if (fd < 0 || ftruncate(fd, VG_RRD_SIZE) < 0)
        return -errno;
    map = mmap(NULL, VG_RRD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    f->map = map;
    return 0;
}

int vg_rrd_open(struct vg_rrd_file *f, const char *path, const struct vg_rrd_source *s,
                unsigned count, double now)
{
    char unfinished[sizeof(f->path) + 8];
    int rc;

    memset(f, 0, sizeof(*f));
    if (strlen(path) >= sizeof(f->path))
        return -ENAMETOOLONG;
    snprintf(unfinished, sizeof(unfinished), "%s.tmp", path);   /* the daemon ignores such */
    rc = map_new(f, unfinished);
    if (rc == 0)
        rc = vg_rrd_write(f, s, count, now);
    if (rc == 0 && rename(unfinished, path) < 0)
        rc = -errno;
    if (rc < 0)
        unlink(unfinished);
    else
        strcpy(f->path, path);
    return rc;
}

void vg_rrd_close(struct vg_rrd_file *f)
{
    if (f->path[0])
        unlink(f->path);
    if (f->map)
        munmap(f->map, VG_RRD_SIZE);
    free(f->text);
    memset(f, 0, sizeof(*f));
}
