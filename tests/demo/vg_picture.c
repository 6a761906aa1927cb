/* SPDX-License-Identifier: MIT */
/*
 * PNG (ISO/IEC 15948) with stored deflate blocks (RFC 1951), and drawing with
 * ANSI colours: the upper half block carries two pixels in one character.
 * Runs in the demo's process; no library, no state.
 */
#include "vg_picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STORED_MAX 65535u

static void put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static uint32_t crc_of(uint32_t crc, const uint8_t *p, size_t n)
{
    for (; n; n--, p++) {
        crc ^= *p;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return crc;
}

static uint32_t adler_of(const uint8_t *p, size_t n)
{
    uint32_t a = 1, b = 0;

    for (; n; n--, p++) {
        a = (a + *p) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static void write_chunk(FILE *out, const char *type, const uint8_t *data, size_t n)
{
    uint8_t word[4];
    uint32_t crc;

    put_be32(word, (uint32_t)n);
    fwrite(word, 1, 4, out);
    fwrite(type, 1, 4, out);
    if (n)
        fwrite(data, 1, n, out);
    crc = crc_of(0xffffffffu, (const uint8_t *)type, 4);
    put_be32(word, ~crc_of(crc, data, n));
    fwrite(word, 1, 4, out);
}

/* Every row begins with its filter: none. */
static uint8_t *scanlines(const struct vg_picture *p, size_t *ret_size)
{
    size_t row = 3 * (size_t)p->width;
    uint8_t *lines = malloc((row + 1) * p->height);

    if (!lines)
        return NULL;
    for (unsigned y = 0; y < p->height; y++) {
        lines[y * (row + 1)] = 0;
        memcpy(lines + y * (row + 1) + 1, p->rgb + y * row, row);
    }
    *ret_size = (row + 1) * p->height;
    return lines;
}

/* A zlib stream of stored blocks. */
static uint8_t *stored_stream(const uint8_t *data, size_t n, size_t *ret_size)
{
    size_t blocks = (n + STORED_MAX - 1) / STORED_MAX;
    uint8_t *stream = malloc(n + 5 * blocks + 6), *at = stream;

    if (!stream)
        return NULL;
    *at++ = 0x78;
    *at++ = 0x01;
    for (size_t done = 0; done < n;) {
        size_t len = n - done < STORED_MAX ? n - done : STORED_MAX;

        *at++ = done + len == n;
        *at++ = (uint8_t)len;
        *at++ = (uint8_t)(len >> 8);
        *at++ = (uint8_t)~len;
        *at++ = (uint8_t)(~len >> 8);
        memcpy(at, data + done, len);
        at += len;
        done += len;
    }
    put_be32(at, adler_of(data, n));
    *ret_size = (size_t)(at + 4 - stream);
    return stream;
}

static int write_file(const struct vg_picture *p, const char *path, const uint8_t *stream, size_t n)
{
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint8_t header[13] = {0};
    FILE *out = fopen(path, "wb");
    int broken;

    if (!out)
        return -errno;
    put_be32(header, p->width);
    put_be32(header + 4, p->height);
    header[8] = 8;      /* bits per sample */
    header[9] = 2;      /* RGB */
    fwrite(signature, 1, sizeof(signature), out);
    write_chunk(out, "IHDR", header, sizeof(header));
    write_chunk(out, "IDAT", stream, n);
    write_chunk(out, "IEND", NULL, 0);
    broken = ferror(out);
    if (fclose(out) != 0 || broken)
        return -EIO;
    return 0;
}

int vg_picture_png(const struct vg_picture *picture, const char *path)
{
    size_t raw = 0, packed = 0;
    uint8_t *lines = scanlines(picture, &raw);
    uint8_t *stream = lines ? stored_stream(lines, raw, &packed) : NULL;
    int err = stream ? write_file(picture, path, stream, packed) : -ENOMEM;

    free(lines);
    free(stream);
    return err;
}

/* The mean colour of the pixels that one cell covers. */
static void cell_colour(const struct vg_picture *p, unsigned columns, unsigned rows, unsigned x,
                        unsigned y, unsigned colour[3])
{
    unsigned left = x * p->width / columns, right = (x + 1) * p->width / columns;
    unsigned top = y * p->height / rows, bottom = (y + 1) * p->height / rows, n = 0;

    colour[0] = colour[1] = colour[2] = 0;
    right += right == left;
    bottom += bottom == top;
    for (unsigned py = top; py < bottom; py++)
        for (unsigned px = left; px < right; px++, n++)
            for (int c = 0; c < 3; c++)
                colour[c] += p->rgb[3 * (py * p->width + px) + c];
    for (int c = 0; c < 3; c++)
        colour[c] /= n;
}

static unsigned cube_index(const unsigned c[3])
{
    return 16 + 36 * ((c[0] * 5 + 127) / 255) + 6 * ((c[1] * 5 + 127) / 255) +
           (c[2] * 5 + 127) / 255;
}

static void put_block(enum vg_picture_ink ink, const unsigned up[3], const unsigned low[3],
                      FILE *out)
{
    if (ink == VG_INK_TRUE)
        fprintf(out, "\033[38;2;%u;%u;%um\033[48;2;%u;%u;%um\xe2\x96\x80", up[0], up[1], up[2],
                low[0], low[1], low[2]);
    else
        fprintf(out, "\033[38;5;%um\033[48;5;%um\xe2\x96\x80", cube_index(up), cube_index(low));
}

static void draw_blocks(const struct vg_picture *p, enum vg_picture_ink ink, unsigned columns,
                        FILE *out)
{
    unsigned rows = p->height * columns / p->width / 2 * 2, up[3], low[3];

    for (unsigned y = 0; y + 1 < rows; y += 2) {
        for (unsigned x = 0; x < columns; x++) {
            cell_colour(p, columns, rows, x, y, up);
            cell_colour(p, columns, rows, x, y + 1, low);
            put_block(ink, up, low, out);
        }
        fputs("\033[0m\n", out);
    }
}

static void draw_ascii(const struct vg_picture *p, unsigned columns, FILE *out)
{
    static const char inks[] = " .:-=+*#%@";
    unsigned rows = p->height * columns / p->width / 2, c[3];

    for (unsigned y = 0; y < rows; y++) {
        for (unsigned x = 0; x < columns; x++) {
            cell_colour(p, columns, rows, x, y, c);
            fputc(inks[(c[0] * 3 + c[1] * 6 + c[2]) / 10 * (sizeof(inks) - 2) / 255], out);
        }
        fputc('\n', out);
    }
}

void vg_picture_draw(const struct vg_picture *picture, enum vg_picture_ink ink, unsigned columns,
                     FILE *out)
{
    if (ink == VG_INK_ASCII)
        draw_ascii(picture, columns, out);
    else
        draw_blocks(picture, ink, columns, out);
}
