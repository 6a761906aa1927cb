/* SPDX-License-Identifier: MIT */
/* Texts that grow, see text.h. */
#include "text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void vg_text_init(struct vg_text *t)
{
    memset(t, 0, sizeof(*t));
}

void vg_text_fini(struct vg_text *t)
{
    free(t->data);
    vg_text_init(t);
}

bool vg_text_ok(const struct vg_text *t)
{
    return !t->failed;
}

static bool reserve(struct vg_text *t, size_t more)
{
    size_t cap = t->cap ? t->cap : 256;
    char *data;

    if (t->failed || more > SIZE_MAX / 4 - t->len)
        return false;
    while (cap < t->len + more + 1)
        cap *= 2;
    if (cap == t->cap)
        return true;
    data = realloc(t->data, cap);
    if (!data)
        return false;
    t->data = data;
    t->cap = cap;
    return true;
}

void vg_text_put(struct vg_text *t, const char *bytes, size_t len)
{
    if (!reserve(t, len)) {
        t->failed = true;
        return;
    }
    memcpy(t->data + t->len, bytes, len);
    t->len += len;
    t->data[t->len] = '\0';
}

void vg_text_puts(struct vg_text *t, const char *text)
{
    vg_text_put(t, text, strlen(text));
}

bool vg_text_take(struct vg_text *t, const char *bytes, size_t len, size_t most)
{
    if (len > most || t->len > most - len)
        return false;
    vg_text_put(t, bytes, len);
    return vg_text_ok(t);
}

/* ---- XML ---- */

/* Bytes of the UTF-8 sequence that begins at s, and its character; 0: none. */
static unsigned sequence(const unsigned char *s, uint32_t *ret_char)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3
                                                                    : s[0] < 0xf5 ? 4 : 0;
    uint32_t c = n < 2 ? s[0] : s[0] & (0x7fu >> n);

    for (unsigned i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (n > 1 && c < least[n])
        return 0;
    *ret_char = c;
    return n;
}

/* The characters of XML 1.0. */
static bool carried(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c < 0xd800) ||
           (c >= 0xe000 && c < 0xfffe) || (c >= 0x10000 && c < 0x110000);
}

void vg_text_put_xml(struct vg_text *t, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    while (*s) {
        uint32_t c = 0;
        unsigned n = sequence(s, &c);

        if (n == 0 || !carried(c))
            vg_text_puts(t, "?");
        else if (c == '&')
            vg_text_puts(t, "&amp;");
        else if (c == '<')
            vg_text_puts(t, "&lt;");
        else if (c == '>')
            vg_text_puts(t, "&gt;");
        else
            vg_text_put(t, (const char *)s, n);
        s += n ? n : 1;
    }
}
