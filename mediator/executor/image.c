/* SPDX-License-Identifier: MIT */
/* Bounds of module images, from their headers; pure. Contents are the driver's business. */
#include "mediator/executor/image.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>

#define FATBIN_MAGIC  0xba55ed50u
#define WRAPPER_MAGIC 0x466243b1u

struct fatbin_header {
    uint32_t magic;
    uint16_t version, header_size;
    uint64_t size; /* bytes behind the header */
};

static bool inside(uint64_t off, uint64_t len, size_t total)
{
    return off <= total && len <= total - off;
}

static bool section_ok(const uint8_t *image, size_t len, const Elf64_Ehdr *e, unsigned i)
{
    Elf64_Shdr s;

    memcpy(&s, image + e->e_shoff + (uint64_t)i * sizeof(s), sizeof(s));
    return s.sh_type == SHT_NOBITS || s.sh_type == SHT_NULL || inside(s.sh_offset, s.sh_size, len);
}

static bool elf_ok(const uint8_t *image, size_t len)
{
    Elf64_Ehdr e;

    if (len < sizeof(e))
        return false;
    memcpy(&e, image, sizeof(e));
    if (e.e_ident[EI_CLASS] != ELFCLASS64 || (e.e_shnum && e.e_shentsize != sizeof(Elf64_Shdr)) ||
        (e.e_phnum && e.e_phentsize != sizeof(Elf64_Phdr)))
        return false;
    if (!inside(e.e_shoff, (uint64_t)e.e_shnum * sizeof(Elf64_Shdr), len) ||
        !inside(e.e_phoff, (uint64_t)e.e_phnum * sizeof(Elf64_Phdr), len))
        return false;
    for (unsigned i = 0; i < e.e_shnum; i++)
        if (!section_ok(image, len, &e, i))
            return false;
    return true;
}

static bool fatbin_ok(const uint8_t *image, size_t len)
{
    struct fatbin_header h;

    if (len < sizeof(h))
        return false;
    memcpy(&h, image, sizeof(h));
    return h.header_size >= sizeof(h) && inside(h.header_size, h.size, len);
}

/* Text: what else a driver might take the bytes for, they do not begin like. */
static bool text_ok(const uint8_t *image, size_t len)
{
    size_t n = strnlen((const char *)image, len);

    for (size_t i = 0; i < n && i < 64; i++)
        if (image[i] < 0x20 && image[i] != '\n' && image[i] != '\t' && image[i] != '\r')
            return false;
    return n > 0;
}

bool vg_image_ok(const void *image, size_t len)
{
    uint32_t magic = 0;

    if (len < sizeof(magic))
        return false;
    memcpy(&magic, image, sizeof(magic));
    if (magic == FATBIN_MAGIC)
        return fatbin_ok(image, len);
    if (magic == WRAPPER_MAGIC)
        return false; /* holds a pointer */
    if (memcmp(image, ELFMAG, SELFMAG) == 0)
        return elf_ok(image, len);
    return text_ok(image, len);
}
