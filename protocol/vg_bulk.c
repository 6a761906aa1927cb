/* SPDX-License-Identifier: MIT */
/* Streaming stores where the processor is known to have them; see vg_bulk.h. */
#include "vg_bulk.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

#define LINE 64u

static void stream_lines(uint8_t *dst, const uint8_t *src, size_t lines)
{
    for (; lines; lines--, dst += LINE, src += LINE) {
        const __m128i *s = (const __m128i *)(const void *)src;
        __m128i *d = (__m128i *)(void *)dst;
        __m128i a = _mm_loadu_si128(s), b = _mm_loadu_si128(s + 1);
        __m128i c = _mm_loadu_si128(s + 2), e = _mm_loadu_si128(s + 3);

        _mm_stream_si128(d, a);
        _mm_stream_si128(d + 1, b);
        _mm_stream_si128(d + 2, c);
        _mm_stream_si128(d + 3, e);
    }
    _mm_sfence();   /* before anybody is told that the bytes are there */
}

void vg_bulk_copy(void *dst, const void *src, size_t bytes)
{
    size_t head = -(uintptr_t)dst % LINE, middle;
    uint8_t *d = dst;
    const uint8_t *s = src;

    if (head > bytes)
        head = bytes;
    memcpy(d, s, head);
    middle = (bytes - head) / LINE * LINE;
    stream_lines(d + head, s + head, middle / LINE);
    memcpy(d + head + middle, s + head + middle, bytes - head - middle);
}

#else

void vg_bulk_copy(void *dst, const void *src, size_t bytes)
{
    memcpy(dst, src, bytes);
}

#endif
