/* SPDX-License-Identifier: MIT */
/* See cubin.h. ELF as NVIDIA uses it: facts by looking at what nvcc makes. Pure. */
#include "mediator/executor/cubin.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_MANAGED 0x04u /* in st_other */
#define RELOC_64      2u    /* the address, 64 bits */
#define RELOC_G64     4u    /* the generic address: the same */
#define RELOC_LO32    56u   /* the address' lower half in an instruction, as linked code has it ... */
#define RELOC_HI32    57u   /* ... and its upper half */
#define IMMEDIATE     4u    /* where in its 16 bytes an instruction has 32 bits for them */
#define ALIGN_MIN     16u
#define ALIGN_MAX     256u

struct file {
    uint8_t *p;
    size_t len;
    Elf64_Ehdr e;
    Elf64_Shdr symtab, strtab;
    size_t symbols;
};

static bool inside(uint64_t off, uint64_t bytes, uint64_t total)
{
    return off <= total && bytes <= total - off;
}

static bool section_at(const struct file *f, uint64_t i, Elf64_Shdr *ret)
{
    if (i >= f->e.e_shnum)
        return false;
    memcpy(ret, f->p + f->e.e_shoff + i * sizeof(*ret), sizeof(*ret));
    return ret->sh_type == SHT_NOBITS || inside(ret->sh_offset, ret->sh_size, f->len);
}

static int find_symbols(struct file *f)
{
    for (unsigned i = 0; i < f->e.e_shnum; i++) {
        if (!section_at(f, i, &f->symtab))
            return -EINVAL;
        if (f->symtab.sh_type != SHT_SYMTAB)
            continue;
        if (!section_at(f, f->symtab.sh_link, &f->strtab) || f->strtab.sh_type != SHT_STRTAB)
            return -EINVAL;
        f->symbols = f->symtab.sh_size / sizeof(Elf64_Sym);
        return 0;
    }
    f->symbols = 0;
    return 0;
}

static int open_file(struct file *f, const uint8_t *cubin, size_t len)
{
    *f = (struct file){.p = (uint8_t *)(uintptr_t)cubin, .len = len};
    if (len < sizeof(f->e) || memcmp(cubin, ELFMAG, SELFMAG) != 0)
        return -EINVAL;
    memcpy(&f->e, cubin, sizeof(f->e));
    if (f->e.e_ident[EI_CLASS] != ELFCLASS64 || f->e.e_shentsize != sizeof(Elf64_Shdr) ||
        !inside(f->e.e_shoff, (uint64_t)f->e.e_shnum * sizeof(Elf64_Shdr), len))
        return -EINVAL;
    return find_symbols(f);
}

/* ---- variables ---- */

static uint8_t *symbol_bytes(const struct file *f, size_t i)
{
    return f->p + f->symtab.sh_offset + i * sizeof(Elf64_Sym);
}

/* Whether symbol i is a managed variable, and which section holds it. */
static bool is_managed(const struct file *f, size_t i, Elf64_Sym *ret_symbol, Elf64_Shdr *ret_home)
{
    memcpy(ret_symbol, symbol_bytes(f, i), sizeof(*ret_symbol));
    return ELF64_ST_TYPE(ret_symbol->st_info) == STT_OBJECT &&
           (ret_symbol->st_other & OTHER_MANAGED) && ret_symbol->st_shndx != SHN_UNDEF &&
           section_at(f, ret_symbol->st_shndx, ret_home) &&
           inside(ret_symbol->st_value, ret_symbol->st_size, ret_home->sh_size);
}

/* As its place in its section is aligned, no less. */
static uint64_t align_of(const Elf64_Sym *s, const Elf64_Shdr *home)
{
    uint64_t bits = s->st_value | home->sh_addralign, lowest = bits & -bits;

    return lowest < ALIGN_MIN ? ALIGN_MIN : lowest > ALIGN_MAX ? ALIGN_MAX : lowest;
}

/* The next variable's place. False: more than any region holds. */
static bool take_place(uint64_t *end, const Elf64_Sym *s, const Elf64_Shdr *home, uint64_t *ret_at)
{
    uint64_t align = align_of(s, home), at = (*end + align - 1) & ~(align - 1);

    if (s->st_size > UINT32_MAX || at > UINT32_MAX)
        return false;
    *ret_at = at;
    *end = at + s->st_size;
    return true;
}

int vg_cubin_managed_bytes(const uint8_t *cubin, size_t len, uint64_t *ret_bytes)
{
    struct file f;
    Elf64_Sym s;
    Elf64_Shdr home;
    uint64_t at, end = 0;
    int rc = open_file(&f, cubin, len);

    for (size_t i = 0; rc == 0 && i < f.symbols; i++)
        if (is_managed(&f, i, &s, &home) && !take_place(&end, &s, &home, &at))
            rc = -EINVAL;
    if (rc == 0)
        *ret_bytes = end;
    return rc;
}

static void put_contents(const struct file *f, const Elf64_Sym *s, const Elf64_Shdr *home,
                         uint8_t *to)
{
    if (home->sh_type == SHT_NOBITS)
        memset(to, 0, s->st_size);
    else
        memcpy(to, f->p + home->sh_offset + s->st_value, s->st_size);
}

static const char *name_of(const struct file *f, const Elf64_Sym *s)
{
    const char *name = (const char *)f->p + f->strtab.sh_offset + s->st_name;

    if (s->st_name >= f->strtab.sh_size || !memchr(name, '\0', f->strtab.sh_size - s->st_name))
        return NULL;
    return name;
}

/* Gives each its place in where[] (by symbol), and makes it an ordinary variable. */
static int place_variables(struct file *f, uint8_t *memory, uint64_t room, uint64_t *where,
                           vg_cubin_tell *tell, void *to)
{
    Elf64_Sym s;
    Elf64_Shdr home;
    uint64_t at, end = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < f->symbols; i++) {
        if (!is_managed(f, i, &s, &home))
            continue;
        const char *name = name_of(f, &s);
        if (!name || !take_place(&end, &s, &home, &at) || end > room)
            return -EINVAL;
        where[i] = (uintptr_t)memory + at;
        put_contents(f, &s, &home, memory + at);
        s.st_other &= (unsigned char)~OTHER_MANAGED;
        memcpy(symbol_bytes(f, i), &s, sizeof(s));
        rc = tell(to, name, where[i], s.st_size);
    }
    return rc;
}

/* ---- what refers to them ---- */

/* The whole address into data. Addends of REL stand there before. */
static int put_address(uint8_t *at, uint64_t address, const Elf64_Rela *r, bool addend)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    value = address + (addend ? (uint64_t)r->r_addend : value);
    memcpy(at, &value, sizeof(value));
    return 1;
}

/* Half of it into an instruction, where half of an addend says nothing: NVIDIA's tools put none there. */
static int put_half(uint8_t *at, uint64_t address, const Elf64_Rela *r, bool addend)
{
    uint32_t half;

    memcpy(&half, at, sizeof(half));
    if (!addend && half != 0)
        return -ENOTSUP;
    address += addend ? (uint64_t)r->r_addend : 0;
    half = (uint32_t)(ELF64_R_TYPE(r->r_info) == RELOC_HI32 ? address >> 32 : address);
    memcpy(at, &half, sizeof(half));
    return 1;
}

/* One relocation, already as RELA. 0: not ours, 1: done for good. */
static int resolve(const struct file *f, const Elf64_Shdr *target, const Elf64_Rela *r, bool addend,
                   const uint64_t *where)
{
    uint64_t symbol = ELF64_R_SYM(r->r_info), type = ELF64_R_TYPE(r->r_info);

    if (symbol >= f->symbols || !where[symbol] || !(target->sh_flags & SHF_ALLOC))
        return 0;
    bool halves = type == RELOC_LO32 || type == RELOC_HI32;
    if ((!halves && type != RELOC_64 && type != RELOC_G64) || target->sh_type != SHT_PROGBITS ||
        halves != !!(target->sh_flags & SHF_EXECINSTR))
        return -ENOTSUP;
    if (!inside(r->r_offset, sizeof(uint64_t), target->sh_size))
        return -EINVAL;
    uint8_t *at = f->p + target->sh_offset + r->r_offset;
    return halves ? put_half(at + IMMEDIATE, where[symbol], r, addend)
                  : put_address(at, where[symbol], r, addend);
}

/* Takes what is resolved out of a table of relocations; s.sh_size is what is left. */
static int resolve_table(const struct file *f, Elf64_Shdr *s, const uint64_t *where)
{
    size_t entry = s->sh_type == SHT_RELA ? sizeof(Elf64_Rela) : sizeof(Elf64_Rel);
    uint8_t *from = f->p + s->sh_offset, *to = from, *end = from + s->sh_size / entry * entry;
    Elf64_Shdr target;

    if (!section_at(f, s->sh_info, &target))
        return 0;
    for (; from < end; from += entry) {
        Elf64_Rela r = {0};
        memcpy(&r, from, entry);
        int rc = resolve(f, &target, &r, entry == sizeof(r), where);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            memmove(to, from, entry);
            to += entry;
        }
    }
    s->sh_size = (size_t)(to - (f->p + s->sh_offset));
    return 0;
}

static int resolve_all(const struct file *f, const uint64_t *where)
{
    Elf64_Shdr s;
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < f->e.e_shnum; i++) {
        if (!section_at(f, i, &s))
            return -EINVAL;
        if (s.sh_type != SHT_RELA && s.sh_type != SHT_REL)
            continue;
        rc = resolve_table(f, &s, where);
        memcpy(f->p + f->e.e_shoff + (uint64_t)i * sizeof(s), &s, sizeof(s));
    }
    return rc;
}

int vg_cubin_place_managed(uint8_t *cubin, size_t len, uint8_t *memory, uint64_t room,
                           vg_cubin_tell *tell, void *to)
{
    struct file f;
    int rc = open_file(&f, cubin, len);

    if (rc < 0 || f.symbols == 0)
        return rc;
    uint64_t *where = calloc(f.symbols, sizeof(*where));
    if (!where)
        return -ENOMEM;
    rc = place_variables(&f, memory, room, where, tell, to);
    if (rc == 0)
        rc = resolve_all(&f, where);
    free(where);
    return rc;
}

size_t vg_cubin_length(const uint8_t *cubin)
{
    struct file f = {.p = (uint8_t *)(uintptr_t)cubin, .len = SIZE_MAX};
    Elf64_Shdr s;

    memcpy(&f.e, cubin, sizeof(f.e));
    size_t end = f.e.e_shoff + (size_t)f.e.e_shnum * sizeof(s);
    size_t programs = f.e.e_phoff + (size_t)f.e.e_phnum * sizeof(Elf64_Phdr);
    if (programs > end)
        end = programs;
    for (unsigned i = 0; i < f.e.e_shnum; i++)
        if (section_at(&f, i, &s) && s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL &&
            s.sh_offset + s.sh_size > end)
            end = s.sh_offset + s.sh_size;
    return end;
}
