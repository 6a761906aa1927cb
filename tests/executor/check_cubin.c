/* SPDX-License-Identifier: MIT */
/*
 * Managed variables of a cubin get their new places, on an ELF file made here; or, for cubin.sh, in
 * the files that the command line names.
 */
#include <check.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/cubin.h"

#define MANAGED 4u
#define LO32    56u
#define HI32    57u

enum { NONE, SYMTAB, STRTAB, INIT, ZERO, CONST, RELA, DEBUG, DEBUG_REL, CODE, CODE_REL, SECTIONS };
enum { S_NONE, S_COUNT, S_TABLE, S_PLAIN, SYMBOLS };

static const char names[] = "\0count\0table\0plain";

/*
 * What nvcc makes: variables in .nv.global.init and .nv.global, their addresses in .nv.constant4; or, in
 * code that was linked, halves of them in instructions of 16 bytes.
 */
struct cubin {
    Elf64_Ehdr e;
    Elf64_Shdr section[SECTIONS];
    Elf64_Sym symbol[SYMBOLS];
    char names[sizeof(names)];
    uint32_t init[4] __attribute__((aligned(8)));
    uint64_t constants[4];
    Elf64_Rela rela[3];
    uint64_t debug[2];
    Elf64_Rela debug_rela[1];
    uint32_t code[2][4];
    Elf64_Rela code_rela[2];
} __attribute__((aligned(8)));

static struct cubin c;
static uint8_t memory[8192] __attribute__((aligned(256)));

static void section(unsigned i, uint32_t type, uint64_t flags, const void *at, uint64_t bytes,
                    uint32_t link, uint32_t info)
{
    uint64_t off = at ? (uint64_t)((const uint8_t *)at - (const uint8_t *)&c) : 0;

    c.section[i] = (Elf64_Shdr){.sh_type = type, .sh_flags = flags, .sh_offset = off,
                                .sh_size = bytes, .sh_link = link, .sh_info = info,
                                .sh_addralign = 8};
}

static void variable(unsigned i, uint32_t name, unsigned home, uint64_t at, uint64_t bytes,
                     unsigned char other)
{
    c.symbol[i] = (Elf64_Sym){.st_name = name, .st_info = STT_OBJECT, .st_other = other,
                              .st_shndx = (Elf64_Half)home, .st_value = at, .st_size = bytes};
}

static void setup(void)
{
    memset(&c, 0, sizeof(c));
    memset(memory, 0xee, sizeof(memory));
    memcpy(c.e.e_ident, ELFMAG, SELFMAG);
    c.e.e_ident[EI_CLASS] = ELFCLASS64;
    c.e.e_shoff = offsetof(struct cubin, section);
    c.e.e_shentsize = sizeof(Elf64_Shdr);
    c.e.e_shnum = SECTIONS;
    memcpy(c.names, names, sizeof(names));
    section(SYMTAB, SHT_SYMTAB, 0, c.symbol, sizeof(c.symbol), STRTAB, 0);
    section(STRTAB, SHT_STRTAB, 0, c.names, sizeof(c.names), 0, 0);
    section(INIT, SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, c.init, sizeof(c.init), 0, 0);
    section(ZERO, SHT_NOBITS, SHF_ALLOC | SHF_WRITE, NULL, 400, 0, 0);
    section(CONST, SHT_PROGBITS, SHF_ALLOC, c.constants, sizeof(c.constants), 0, 0);
    section(RELA, SHT_RELA, 0, c.rela, sizeof(c.rela), SYMTAB, CONST);
    section(DEBUG, SHT_PROGBITS, 0, c.debug, sizeof(c.debug), 0, 0);
    section(DEBUG_REL, SHT_RELA, 0, c.debug_rela, sizeof(c.debug_rela), SYMTAB, DEBUG);
    section(CODE, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, c.code, sizeof(c.code), 0, 0);
    section(CODE_REL, SHT_RELA, 0, c.code_rela, sizeof(c.code_rela), SYMTAB, CODE);
    variable(S_COUNT, 1, INIT, 8, 4, MANAGED | 0x10);
    variable(S_TABLE, 7, ZERO, 0, 400, MANAGED);
    variable(S_PLAIN, 13, INIT, 0, 8, 0);
    c.init[2] = 7;
    c.rela[0] = (Elf64_Rela){.r_offset = 8, .r_info = ELF64_R_INFO(S_TABLE, 2), .r_addend = 20};
    c.rela[1] = (Elf64_Rela){.r_offset = 0, .r_info = ELF64_R_INFO(S_PLAIN, 2)};
    c.rela[2] = (Elf64_Rela){.r_offset = 16, .r_info = ELF64_R_INFO(S_COUNT, 2)};
    c.debug_rela[0] = (Elf64_Rela){.r_info = ELF64_R_INFO(S_COUNT, 2)};
    memset(c.code, 0x82, sizeof(c.code));
    c.code_rela[0] = (Elf64_Rela){.r_info = ELF64_R_INFO(S_TABLE, LO32), .r_addend = 8};
    c.code_rela[1] = (Elf64_Rela){.r_offset = 16, .r_info = ELF64_R_INFO(S_TABLE, HI32)};
}

struct told {
    unsigned n;
    uint64_t at[8], bytes[8];
    char name[8][16];
    int answer;
};

static int tell(void *to, const char *name, uint64_t at, uint64_t bytes)
{
    struct told *t = to;

    if (t->n == 8)
        return -E2BIG;
    t->at[t->n] = at;
    t->bytes[t->n] = bytes;
    strncpy(t->name[t->n++], name, 15);
    return t->answer;
}

static int place(struct told *t)
{
    memset(t, 0, sizeof(*t));
    return vg_cubin_place_managed((uint8_t *)&c, sizeof(c), memory, sizeof(memory), tell, t);
}

START_TEST(tells_how_much)
{
    uint64_t bytes = 1;

    ck_assert_int_eq(vg_cubin_managed_bytes((uint8_t *)&c, sizeof(c), &bytes), 0);
    ck_assert_uint_eq(bytes, 16 + 400);
    c.symbol[S_COUNT].st_other = c.symbol[S_TABLE].st_other = 0;
    ck_assert_int_eq(vg_cubin_managed_bytes((uint8_t *)&c, sizeof(c), &bytes), 0);
    ck_assert_uint_eq(bytes, 0);
    ck_assert_uint_eq(vg_cubin_length((uint8_t *)&c), sizeof(c));
}
END_TEST

START_TEST(places_variables)
{
    uint64_t count = (uintptr_t)memory, table = (uintptr_t)memory + 16;
    struct told t;

    ck_assert_int_eq(place(&t), 0);
    ck_assert_uint_eq(t.n, 2);
    ck_assert_str_eq(t.name[0], "count");
    ck_assert_str_eq(t.name[1], "table");
    ck_assert_uint_eq(t.at[0], count);
    ck_assert_uint_eq(t.at[1], table);
    ck_assert_uint_eq(t.bytes[1], 400);
    ck_assert_int_eq(*(int *)memory, 7);
    for (unsigned i = 16; i < 416; i++)
        ck_assert_uint_eq(memory[i], 0);
    ck_assert_uint_eq(memory[416], 0xee);
}
END_TEST

START_TEST(redirects_what_refers)
{
    uint64_t count = (uintptr_t)memory, table = (uintptr_t)memory + 16;
    struct told t;

    ck_assert_int_eq(place(&t), 0);
    ck_assert_uint_eq(c.constants[1], table + 20);
    ck_assert_uint_eq(c.constants[2], count);
    ck_assert_uint_eq(c.constants[0], 0);
    ck_assert_uint_eq(c.section[RELA].sh_size, sizeof(Elf64_Rela));
    ck_assert_uint_eq(ELF64_R_SYM(c.rela[0].r_info), S_PLAIN);
    ck_assert_uint_eq(c.section[DEBUG_REL].sh_size, sizeof(Elf64_Rela));
    ck_assert_uint_eq(c.symbol[S_COUNT].st_other, 0x10);
    ck_assert_uint_eq(c.symbol[S_TABLE].st_other, 0);
}
END_TEST

/* Addends of REL stand where the address goes. */
START_TEST(takes_addends_from_there)
{
    Elf64_Rel rel = {.r_offset = 24, .r_info = ELF64_R_INFO(S_COUNT, 4)};
    struct told t;

    memcpy(c.rela, &rel, sizeof(rel));
    section(RELA, SHT_REL, 0, c.rela, sizeof(rel), SYMTAB, CONST);
    c.constants[3] = 3;
    ck_assert_int_eq(place(&t), 0);
    ck_assert_uint_eq(c.constants[3], (uintptr_t)memory + 3);
    ck_assert_uint_eq(c.section[RELA].sh_size, 0);
}
END_TEST

START_TEST(redirects_instructions)
{
    uint64_t table = (uintptr_t)memory + 16;
    struct told t;

    ck_assert_int_eq(place(&t), 0);
    ck_assert_uint_eq(c.code[0][1], (uint32_t)(table + 8));
    ck_assert_uint_eq(c.code[1][1], (uint32_t)(table >> 32));
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(c.code[i][0], 0x82828282);
        ck_assert_uint_eq(c.code[i][2], 0x82828282);
    }
    ck_assert_uint_eq(c.section[CODE_REL].sh_size, 0);
}
END_TEST

static void halves_by_rel(uint32_t addend)
{
    const Elf64_Rel rel[2] = {{.r_info = ELF64_R_INFO(S_TABLE, LO32)},
                              {.r_offset = 16, .r_info = ELF64_R_INFO(S_TABLE, HI32)}};

    setup();
    memcpy(c.code_rela, rel, sizeof(rel));
    section(CODE_REL, SHT_REL, 0, c.code_rela, sizeof(rel), SYMTAB, CODE);
    c.code[0][1] = addend;
    c.code[1][1] = 0;
}

START_TEST(redirects_instructions_without_addends)
{
    uint64_t table = (uintptr_t)memory + 16;
    struct told t;

    halves_by_rel(0);
    ck_assert_int_eq(place(&t), 0);
    ck_assert_uint_eq(c.code[0][1], (uint32_t)table);
    ck_assert_uint_eq(c.code[1][1], (uint32_t)(table >> 32));
    halves_by_rel(8);
    ck_assert_int_eq(place(&t), -ENOTSUP);
}
END_TEST

START_TEST(refuses_what_it_cannot_change)
{
    struct told t;

    c.rela[2].r_info = ELF64_R_INFO(S_COUNT, 58);
    ck_assert_int_eq(place(&t), -ENOTSUP);
    setup();
    c.rela[2].r_info = ELF64_R_INFO(S_COUNT, LO32);
    ck_assert_int_eq(place(&t), -ENOTSUP);
    setup();
    c.code_rela[0].r_info = ELF64_R_INFO(S_TABLE, 2);
    ck_assert_int_eq(place(&t), -ENOTSUP);
    setup();
    c.code_rela[0].r_offset = sizeof(c.code) - 7;
    ck_assert_int_eq(place(&t), -EINVAL);
    setup();
    c.rela[2].r_offset = sizeof(c.constants) - 7;
    ck_assert_int_eq(place(&t), -EINVAL);
    setup();
    c.symbol[S_TABLE].st_name = sizeof(names);
    ck_assert_int_eq(place(&t), -EINVAL);
}
END_TEST

/* Less room than its tables said before; sections that are none say nothing of its length. */
START_TEST(stays_within_its_room)
{
    struct told t = {.n = 0};

    ck_assert_int_eq(vg_cubin_place_managed((uint8_t *)&c, sizeof(c), memory, 415, tell, &t),
                     -EINVAL);
    ck_assert_uint_eq(t.n, 1);
    ck_assert_uint_eq(memory[16], 0xee);
    c.section[0].sh_offset = sizeof(c);
    c.section[0].sh_size = 1u << 30;
    ck_assert_uint_eq(vg_cubin_length((uint8_t *)&c), sizeof(c));
}
END_TEST

/* Any byte may be anything: nothing outside the file and the memory is touched (ASAN looks). */
START_TEST(survives_noise)
{
    struct cubin *copy = malloc(sizeof(c));
    uint64_t bytes;
    struct told t;

    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        setup();
        for (unsigned n = 1 + (unsigned)rand() % 4; n > 0; n--)
            ((uint8_t *)&c)[(size_t)rand() % sizeof(c)] = (uint8_t)(rand() % 3 ? rand() : 0xff);
        memcpy(copy, &c, sizeof(c));
        memset(&t, 0, sizeof(t));
        if (vg_cubin_managed_bytes((uint8_t *)copy, sizeof(c), &bytes) == 0 &&
            bytes <= sizeof(memory))
            (void)!vg_cubin_place_managed((uint8_t *)copy, sizeof(c), memory, bytes,
                                         tell, &t);
    }
    free(copy);
}
END_TEST

/* ---- files ---- */

/* How often the file has these bytes at a multiple of `step`. */
static unsigned occurs(const uint8_t *file, size_t len, size_t from, size_t step, const void *bytes,
                       size_t n)
{
    unsigned count = 0;

    for (size_t at = from; at + n <= len; at += step)
        count += memcmp(file + at, bytes, n) == 0;
    return count;
}

/* Each variable's new address must stand in it, whole or in two instructions; its bytes are at the start. */
static bool check_file(uint8_t *file, size_t len, const char *name, bool halves)
{
    struct told t = {.n = 0};
    uint64_t bytes = 0;
    int rc = vg_cubin_managed_bytes(file, len, &bytes);
    bool ok = rc == 0 && bytes && bytes <= sizeof(memory);

    if (ok)
        rc = vg_cubin_place_managed(file, len, memory, sizeof(memory), tell, &t);
    ok = ok && rc == 0 && t.n;
    for (unsigned i = 0; ok && i < t.n; i++) {
        uint32_t low = (uint32_t)t.at[i], high = (uint32_t)(t.at[i] >> 32);
        ok = halves ? occurs(file, len, 4, 16, &low, 4) && occurs(file, len, 4, 16, &high, 4)
                    : occurs(file, len, 0, 8, &t.at[i], 8);
        if (!ok)
            fprintf(stderr, "%s: nothing refers to %s at its new place\n", name, t.name[i]);
    }
    printf("%s: %u variables, result %d: %s\n", name, t.n, rc, ok ? "ok" : "WRONG");
    return ok;
}

/* FILE HALVES..., where HALVES is `whole` or `halves`. */
static int check_files(char **word)
{
    static uint8_t file[1 << 20] __attribute__((aligned(16)));
    bool ok = true;

    for (; word[0] && word[1]; word += 2) {
        FILE *f = fopen(word[0], "rb");
        size_t len = f ? fread(file, 1, sizeof(file), f) : 0;
        if (f)
            fclose(f);
        ok = check_file(file, len, word[0], strcmp(word[1], "halves") == 0) && ok;
    }
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return check_files(argv + 1);

    Suite *s = suite_create("cubin");
    TCase *t = tcase_create("managed variables");
    SRunner *runner = srunner_create(s);

    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, tells_how_much);
    tcase_add_test(t, places_variables);
    tcase_add_test(t, stays_within_its_room);
    tcase_add_test(t, redirects_what_refers);
    tcase_add_test(t, takes_addends_from_there);
    tcase_add_test(t, redirects_instructions);
    tcase_add_test(t, redirects_instructions_without_addends);
    tcase_add_test(t, refuses_what_it_cannot_change);
    tcase_add_test(t, survives_noise);
    suite_add_tcase(s, t);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
