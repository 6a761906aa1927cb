/* SPDX-License-Identifier: MIT */
/* A strict reader that keeps nothing, see json.h. Recursion is bounded by VG_JSON_DEPTH. */
#include "json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct reader {
    const char *text, *at, *end;
    unsigned depth;
    const char *wrong;      /* the first thing that is */
};

static bool value(struct reader *r);

static bool wrong(struct reader *r, const char *what)
{
    if (!r->wrong)
        r->wrong = what;
    return false;
}

static void blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(struct reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* ---- strings ---- */

static int hex4(const struct reader *r)
{
    int code = 0;

    for (int i = 0; i < 4; i++) {
        int c = r->at + i < r->end ? (unsigned char)r->at[i] : 0;

        if (!isxdigit(c))
            return -1;
        code = code * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return code;
}

static bool escape(struct reader *r)
{
    int code;

    if (r->at == r->end)
        return wrong(r, "a string does not end");
    if (*r->at != 'u') {
        if (!memchr("\"\\/bfnrt", *r->at, 8))
            return wrong(r, "an unknown escape in a string");
        r->at++;
        return true;
    }
    r->at++;
    code = hex4(r);
    if (code <= 0 || (code >= 0xd800 && code <= 0xdfff))
        return wrong(r, "a \\u escape that is no character");
    r->at += 4;
    return true;
}

/* The bytes of the character that begins here; 0 if that is not UTF-8 of the shortest form. */
static unsigned utf8_length(const struct reader *r)
{
    static const struct {
        unsigned char mask, lead;
        unsigned length;
        unsigned long least;
    } forms[] = { { 0x80, 0, 1, 0 }, { 0xe0, 0xc0, 2, 0x80 }, { 0xf0, 0xe0, 3, 0x800 },
                  { 0xf8, 0xf0, 4, 0x10000 } };
    unsigned char first = (unsigned char)*r->at;

    for (unsigned f = 0; f < 4; f++) {
        unsigned long code = first & (unsigned char)~forms[f].mask;
        unsigned n = forms[f].length;

        if ((first & forms[f].mask) != forms[f].lead)
            continue;
        if ((size_t)(r->end - r->at) < n)
            return 0;
        for (unsigned i = 1; i < n; i++) {
            if (((unsigned char)r->at[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | ((unsigned char)r->at[i] & 0x3f);
        }
        return code < forms[f].least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0
                                                                                              : n;
    }
    return 0;
}

/* After the opening quote. */
static bool string(struct reader *r)
{
    while (r->at < r->end) {
        unsigned n;

        if (take(r, '"'))
            return true;
        if (take(r, '\\')) {
            if (!escape(r))
                return false;
            continue;
        }
        n = utf8_length(r);
        if (n == 0)
            return wrong(r, "a string is not UTF-8");
        if ((unsigned char)*r->at < ' ')
            return wrong(r, "a control character in a string");
        r->at += n;
    }
    return wrong(r, "a string does not end");
}

/* ---- numbers and words ---- */

static bool digits(struct reader *r)
{
    const char *start = r->at;

    while (r->at < r->end && isdigit((unsigned char)*r->at))
        r->at++;
    return r->at > start;
}

static bool number(struct reader *r)
{
    const char *start = r->at, *whole;
    bool ok;

    take(r, '-');
    whole = r->at;
    ok = digits(r) && (*whole != '0' || r->at == whole + 1);
    if (ok && take(r, '.'))
        ok = digits(r);
    if (ok && (take(r, 'e') || take(r, 'E'))) {
        if (!take(r, '-'))
            take(r, '+');
        ok = digits(r);
    }
    if (!ok)
        return wrong(r, "neither a value nor a number");
    return (size_t)(r->at - start) <= VG_JSON_DIGITS || wrong(r, "a number that is too long");
}

static bool word(struct reader *r, const char *text)
{
    size_t n = strlen(text);

    if ((size_t)(r->end - r->at) < n || memcmp(r->at, text, n) != 0)
        return wrong(r, "an unknown word");
    r->at += n;
    return true;
}

/* ---- objects and arrays ---- */

struct keys {
    struct {
        const char *at;
        size_t len;
    } key[VG_JSON_MEMBERS];
    unsigned count;
};

/* After its opening quote, with the closing one. */
static bool new_key(struct reader *r, struct keys *k)
{
    const char *start = r->at;
    size_t len;

    while (r->at < r->end && *r->at >= ' ' && *r->at <= '~' && *r->at != '"' && *r->at != '\\')
        r->at++;
    len = (size_t)(r->at - start);
    if (!take(r, '"'))
        return wrong(r, "a key that is not plain text");
    if (k->count == VG_JSON_MEMBERS)
        return wrong(r, "an object with too many members");
    for (unsigned i = 0; i < k->count; i++) {
        if (k->key[i].len == len && memcmp(k->key[i].at, start, len) == 0)
            return wrong(r, "a key that is there twice");
    }
    k->key[k->count].at = start;
    k->key[k->count++].len = len;
    return true;
}

static bool member(struct reader *r, struct keys *k)
{
    blanks(r);
    if (!take(r, '"'))
        return wrong(r, "a key is missing");
    if (!new_key(r, k))
        return false;
    blanks(r);
    return take(r, ':') ? value(r) : wrong(r, "no colon after a key");
}

static bool object(struct reader *r)
{
    struct keys k = { .count = 0 };

    blanks(r);
    if (take(r, '}'))
        return true;
    do {
        if (!member(r, &k))
            return false;
        blanks(r);
    } while (take(r, ','));
    return take(r, '}') || wrong(r, "an object does not end");
}

static bool array(struct reader *r)
{
    blanks(r);
    if (take(r, ']'))
        return true;
    do {
        if (!value(r))
            return false;
        blanks(r);
    } while (take(r, ','));
    return take(r, ']') || wrong(r, "an array does not end");
}

static bool nested(struct reader *r, bool (*inner)(struct reader *r))
{
    bool ok;

    if (r->depth == VG_JSON_DEPTH)
        return wrong(r, "nested too deep");
    r->depth++;
    ok = inner(r);
    r->depth--;
    return ok;
}

static bool value(struct reader *r)
{
    blanks(r);
    if (take(r, '{'))
        return nested(r, object);
    if (take(r, '['))
        return nested(r, array);
    if (take(r, '"'))
        return string(r);
    switch (r->at < r->end ? *r->at : '\0') {
    case 't': return word(r, "true");
    case 'f': return word(r, "false");
    case 'n': return word(r, "null");
    default:  return number(r);
    }
}

bool vg_json_ok(const char *text, size_t len, char *why, size_t why_cap)
{
    struct reader r = { .text = text, .at = text, .end = text + len };
    bool ok = value(&r);

    if (ok) {
        blanks(&r);
        ok = r.at == r.end || wrong(&r, "something after the end");
    }
    if (!ok)
        snprintf(why, why_cap, "%s, at byte %zu", r.wrong, (size_t)(r.at - r.text));
    return ok;
}
