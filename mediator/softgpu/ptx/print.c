/* SPDX-License-Identifier: MIT */
/*
 * printf of device code; see print.h. The format is the guest's: each
 * conversion is rebuilt from what was parsed, never passed on as it came.
 */
#include "print.h"

#include <stdio.h>
#include <string.h>

enum { MAX_WIDTH = 1024, MAX_SPEC = 32 };

struct out {
    char *text;
    size_t size, n;
};

struct args {
    struct warp *w;
    int lane;
    uint64_t at;
    int used, bad;
};

struct spec {
    char flags[8];
    int width, precision; /* -1: not given */
    int is_long;          /* 64-bit integer */
    char conv;
};

static void put(struct out *o, const char *s, size_t n)
{
    size_t room = o->size - 1 - o->n;

    if (n > room)
        n = room;
    memcpy(o->text + o->n, s, n);
    o->n += n;
}

static uint64_t next_arg(struct args *a, unsigned size)
{
    uint64_t v = 0;
    const void *p;

    a->at = (a->at + size - 1) & ~(uint64_t)(size - 1);
    p = ptx_lane_memory(a->w, a->lane, a->at, size, 0);
    a->at += size;
    a->used++;
    if (!p) {
        a->bad = 1;
        return 0;
    }
    memcpy(&v, p, size);
    return v;
}

static const char *parse_number(const char *p, struct args *a, int *v)
{
    if (*p == '*') {
        *v = (int)(uint32_t)next_arg(a, 4);
        p++;
    } else {
        for (*v = 0; *p >= '0' && *p <= '9'; p++)
            *v = *v > MAX_WIDTH ? *v : *v * 10 + (*p - '0');
    }
    if (*v > MAX_WIDTH)
        *v = MAX_WIDTH;
    return p;
}

/* p is behind the '%'. */
static const char *parse_spec(const char *p, struct args *a, struct spec *s)
{
    size_t n = 0;

    memset(s, 0, sizeof(*s));
    s->width = s->precision = -1;
    for (; *p && strchr("-+ #0", *p); p++)
        if (n < 5 && !strchr(s->flags, *p))
            s->flags[n++] = *p;
    if (*p == '*' || (*p >= '1' && *p <= '9')) {
        p = parse_number(p, a, &s->width);
        if (s->width < 0) {
            s->width = s->width < -MAX_WIDTH ? MAX_WIDTH : -s->width;
            if (!strchr(s->flags, '-'))
                s->flags[n] = '-';
        }
    }
    if (*p == '.')
        p = parse_number(p + 1, a, &s->precision);
    for (; *p && strchr("hljztqL", *p); p++)
        s->is_long |= *p != 'h' && *p != 'L';
    s->conv = *p;
    return *p ? p + 1 : p;
}

static void make_format(const struct spec *s, const char *length, char conv, char *to)
{
    int n = snprintf(to, MAX_SPEC, "%%%s", s->flags);

    if (s->width >= 0)
        n += snprintf(to + n, (size_t)(MAX_SPEC - n), "%d", s->width);
    if (s->precision >= 0)
        n += snprintf(to + n, (size_t)(MAX_SPEC - n), ".%d", s->precision);
    snprintf(to + n, (size_t)(MAX_SPEC - n), "%s%c", length, conv);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void put_integer(struct out *o, struct args *a, const struct spec *s)
{
    char f[MAX_SPEC], buf[2 * MAX_WIDTH + 64];
    uint64_t v = next_arg(a, s->is_long ? 8 : 4);

    if (s->conv == 'd' || s->conv == 'i') {
        make_format(s, "ll", 'd', f);
        snprintf(buf, sizeof(buf), f,
                 s->is_long ? (long long)v : (long long)(int32_t)(uint32_t)v);
    } else {
        make_format(s, "ll", s->conv, f);
        snprintf(buf, sizeof(buf), f, (unsigned long long)v);
    }
    put(o, buf, strlen(buf));
}

static void put_float(struct out *o, struct args *a, const struct spec *s)
{
    char f[MAX_SPEC], buf[2 * MAX_WIDTH + 400];
    uint64_t v = next_arg(a, 8);
    double d;

    memcpy(&d, &v, 8);
    make_format(s, "", s->conv, f);
    snprintf(buf, sizeof(buf), f, d);
    put(o, buf, strlen(buf));
}

static void put_text(struct out *o, const struct spec *s, const char *text)
{
    char f[MAX_SPEC], buf[PRINT_FORMAT + MAX_WIDTH];

    make_format(s, "", 's', f);
    snprintf(buf, sizeof(buf), f, text);
    put(o, buf, strlen(buf));
}
#pragma GCC diagnostic pop

static void put_string(struct out *o, struct args *a, const struct spec *s)
{
    uint64_t at = next_arg(a, 8);
    char text[PRINT_FORMAT];
    size_t n, limit = s->precision >= 0 && s->precision < PRINT_FORMAT - 1
                          ? (size_t)s->precision
                          : sizeof(text) - 1;

    if (!at) {
        put_text(o, s, "(null)");
        return;
    }
    for (n = 0; n < limit; n++) {
        const char *p = ptx_lane_memory(a->w, a->lane, at + n, 1, 0);

        if (!p) {
            a->bad = 1;
            return;
        }
        text[n] = *p;
        if (!*p)
            break;
    }
    text[n] = '\0';
    put_text(o, s, text);
}

static void put_char(struct out *o, struct args *a, const struct spec *s)
{
    char text[2] = {(char)next_arg(a, 4), '\0'};

    put_text(o, s, text);
}

static void put_pointer(struct out *o, struct args *a, const struct spec *s)
{
    char text[32];

    snprintf(text, sizeof(text), "0x%llx", (unsigned long long)next_arg(a, 8));
    put_text(o, s, text);
}

static void convert(struct out *o, struct args *a, const struct spec *s)
{
    switch (s->conv) {
    case 'd': case 'i': case 'u': case 'x': case 'X': case 'o':
        put_integer(o, a, s);
        break;
    case 'f': case 'F': case 'e': case 'E': case 'g': case 'G': case 'a': case 'A':
        put_float(o, a, s);
        break;
    case 's':
        put_string(o, a, s);
        break;
    case 'c':
        put_char(o, a, s);
        break;
    case 'p':
        put_pointer(o, a, s);
        break;
    case '%':
        put(o, "%", 1);
        break;
    default:
        break;
    }
}

int ptx_print_format(struct warp *w, int lane, const char *format, uint64_t args, char *text,
                     size_t size)
{
    struct out o = {text, size, 0};
    struct args a = {w, lane, args, 0, 0};
    struct spec s;

    while (*format && !a.bad) {
        size_t plain = strcspn(format, "%");

        put(&o, format, plain);
        format += plain;
        if (*format != '%')
            continue;
        format = parse_spec(format + 1, &a, &s);
        if (!a.bad)
            convert(&o, &a, &s);
    }
    text[o.n] = '\0';
    return a.bad ? -1 : a.used;
}
