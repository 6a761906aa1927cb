/* SPDX-License-Identifier: MIT */
/*
 * The API table checked against itself and against the lists beside this file; needs no toolkit.
 *   check-api-table          the tests
 *   check-api-table --list   the rows, one a line: symbol base since mode class target
 *   check-api-table --doc    the text of tests/abi/API.txt (make api-doc)
 *   check-api-table --unserved  what is not served, for the README (the same)
 */
#include <string.h>

#include "tests/abi/unserved.h"
#include "tests/protocol/vg_test.h"
#include "vg_api.h"
#include "vg_error.h"
#include "vg_wire.h"

#define SYMBOLS 637 /* exports of the stub libcuda.so of the CUDA 13.0 toolkit */

/* What a generated row passes by value is one word on the wire. */
#define VG_API(id, symbol, base, since, mode, class) WORDS_##mode(symbol)
#define WORDS_FWD(symbol) VG_ARGS_##symbol(WORD)
#define WORDS_POST(symbol) VG_ARGS_##symbol(WORD)
#define WORDS_CUSTOM(symbol)
#define WORDS_LOCAL(symbol)
#define WORDS_PTSZ(symbol)
#define WORDS_PTDS(symbol)
#define WORDS_OLD(symbol)
#define WORDS_NOSUP(symbol)
#define WORD(kind, type, name, aux) VG_IF_##kind(WORD_##kind(type))
#define WORD_VAL(type) _Static_assert(sizeof(type) <= sizeof(uint64_t), #type);
#define WORD_HND WORD_VAL
#define WORD_STRM WORD_VAL
#define WORD_DPTR WORD_VAL
#define WORD_OUTH WORD_VAL
#define WORD_OUT(type)
#define WORD_IN(type)
#define WORD_INOUT(type)
#define WORD_STR(type)
#define WORD_INBUF(type)
#define WORD_OUTBUF(type)
#include "vg_api.def"

static void print_list(FILE *out)
{
    unsigned i;

    for (i = 0; i < VG_API_COUNT; i++) {
        const struct vg_api_row *row = &vg_api_rows[i];

        fprintf(out, "%s %s %u %s %s %s\n", row->symbol, row->base, row->since,
                vg_api_mode_name(row->mode), vg_api_class_name(row->class),
                *row->target ? row->target : "-");
    }
}

static void print_doc(FILE *out)
{
    unsigned i;

    fprintf(out, "# How each symbol is served: id, symbol, mode, class, what it calls (vg_api.def)\n");
    for (i = 0; i < VG_API_COUNT; i++) {
        const struct vg_api_row *row = &vg_api_rows[i];

        fprintf(out, "0x%04x %-52s %-6s %s%s%s\n", row->id, row->symbol,
                vg_api_mode_name(row->mode), vg_api_class_name(row->class),
                *row->target ? " " : "", row->target);
    }
}

START_TEST(the_symbols_are_those_of_cuda_13_0)
{
    char line[256];
    unsigned seen = 0;
    FILE *expected = fopen("tests/abi/symbols.expected", "r");

    ck_assert_msg(expected != NULL, "run from the root of the tree");
    while (fgets(line, sizeof(line), expected)) {
        line[strcspn(line, "\n")] = '\0';
        ck_assert_msg(vg_api_by_symbol(line) != NULL, "no row for %s", line);
        seen++;
    }
    fclose(expected);
    ck_assert_uint_eq(seen, SYMBOLS);
    ck_assert_uint_eq(VG_API_COUNT, SYMBOLS);
}
END_TEST

START_TEST(every_row_is_found_by_id_and_by_symbol)
{
    unsigned i;

    for (i = 0; i < VG_API_COUNT; i++) {
        ck_assert_ptr_eq(vg_api_by_id(vg_api_rows[i].id), &vg_api_rows[i]);
        ck_assert_ptr_eq(vg_api_by_symbol(vg_api_rows[i].symbol), &vg_api_rows[i]);
    }
    ck_assert_ptr_eq(vg_api_by_id(VG_CALL_cuInit), &vg_api_rows[VG_INDEX_cuInit]);
    ck_assert_ptr_null(vg_api_by_id(0));
    ck_assert_ptr_null(vg_api_by_id(0x01ff));
    ck_assert_ptr_null(vg_api_by_id(VG_CALL_END));
    ck_assert_ptr_null(vg_api_by_id(~0u));
    ck_assert_ptr_null(vg_api_by_symbol("cuNoSuchCall"));
    ck_assert_ptr_null(vg_api_by_symbol(""));
}
END_TEST

START_TEST(ids_ascend_and_leave_room_for_internal_calls)
{
    unsigned i;

    for (i = 1; i < VG_API_COUNT; i++)
        ck_assert_msg(vg_api_rows[i - 1].id < vg_api_rows[i].id, "%s is out of order",
                      vg_api_rows[i].symbol);
    ck_assert_uint_ge(vg_api_rows[0].id, VG_CALL_INTERNAL_END);
    ck_assert_uint_lt(vg_api_rows[VG_API_COUNT - 1].id, VG_CALL_END);
}
END_TEST

/* "VAL CUdevice dev _;..." -> does an argument of this kind occur? */
static bool has_kind(const struct vg_api_row *row, const char *kind)
{
    const char *p = row->args;
    size_t length = strlen(kind);

    while (*p) {
        if (strncmp(p, kind, length) == 0 && p[length] == ' ')
            return true;
        p = strchr(p, ';') + 1;
    }
    return false;
}

START_TEST(generated_rows_use_only_kinds_that_can_be_generated)
{
    static const char *const comes_back[] = { "OUT", "OUTH", "INOUT", "OUTBUF", "PTR", "IN",
                                              "INBUF", "STR" };
    unsigned i, k;

    for (i = 0; i < VG_API_COUNT; i++) {
        const struct vg_api_row *row = &vg_api_rows[i];

        if (row->mode == VG_MODE_FWD)
            ck_assert_msg(!has_kind(row, "PTR"), "%s", row->symbol);
        for (k = 0; row->mode == VG_MODE_POST && k < sizeof(comes_back) / sizeof(*comes_back); k++)
            ck_assert_msg(!has_kind(row, comes_back[k]), "%s: %s", row->symbol, comes_back[k]);
        ck_assert_uint_eq(row->crosses, row->mode == VG_MODE_FWD || row->mode == VG_MODE_POST ||
                                            row->mode == VG_MODE_CUSTOM);
    }
}
END_TEST

/* The buffer arguments name a count that is itself an argument; so do sized DPTRs. */
START_TEST(every_length_is_an_argument)
{
    char aux[64], wanted[80];
    unsigned i;

    for (i = 0; i < VG_API_COUNT; i++) {
        const char *end = vg_api_rows[i].args;

        while ((end = strchr(end, ';')) != NULL) {
            const char *last = end++;

            while (last[-1] != ' ')
                last--;
            snprintf(aux, sizeof(aux), "%.*s", (int)(end - 1 - last), last);
            aux[strcspn(aux, "-")] = '\0';
            if (strcmp(aux, "_") == 0 || strcmp(aux, "DIES") == 0)
                continue;
            snprintf(wanted, sizeof(wanted), " %s _;", aux);
            ck_assert_msg(strstr(vg_api_rows[i].args, wanted) != NULL, "%s: %s",
                          vg_api_rows[i].symbol, aux);
        }
    }
}
END_TEST

START_TEST(every_alias_reaches_a_served_row)
{
    unsigned i;

    for (i = 0; i < VG_API_COUNT; i++) {
        const struct vg_api_row *row = &vg_api_rows[i], *target;

        if (row->mode != VG_MODE_PTSZ && row->mode != VG_MODE_PTDS && row->mode != VG_MODE_OLD) {
            ck_assert_str_eq(row->target, "");
            continue;
        }
        target = vg_api_by_symbol(row->target);
        ck_assert_msg(target != NULL && target != row, "%s", row->symbol);
        if (target->mode == VG_MODE_OLD)
            target = vg_api_by_symbol(target->target);
        ck_assert_msg(target->mode == VG_MODE_FWD || target->mode == VG_MODE_POST ||
                          target->mode == VG_MODE_CUSTOM || target->mode == VG_MODE_LOCAL,
                      "%s", row->symbol);
        if (row->mode == VG_MODE_PTSZ)
            ck_assert_msg(has_kind(row, "STRM"), "%s maps no stream", row->symbol);
        if (row->mode != VG_MODE_PTDS)
            ck_assert_str_eq(row->args, target->args);
    }
}
END_TEST

/* 0: cuFoo, 2: cuFoo_v2, ...; any per-thread suffix set aside. */
static unsigned version_suffix(const struct vg_api_row *row)
{
    unsigned version = 0;

    if (strncmp(row->symbol, row->base, strlen(row->base)) == 0)
        sscanf(row->symbol + strlen(row->base), "_v%u", &version);
    return version;
}

START_TEST(newer_symbols_of_a_name_came_later)
{
    unsigned i, k;

    for (i = 0; i < VG_API_COUNT; i++) {
        for (k = i + 1; k < VG_API_COUNT; k++) {
            const struct vg_api_row *a = &vg_api_rows[i], *b = &vg_api_rows[k];
            bool same_variant = (strstr(a->symbol, "_pt") != NULL) ==
                                (strstr(b->symbol, "_pt") != NULL);

            if (strcmp(a->base, b->base) != 0 || !same_variant)
                continue;
            ck_assert_msg((version_suffix(a) < version_suffix(b)) == (a->since < b->since),
                          "%s and %s", a->symbol, b->symbol);
        }
    }
}
END_TEST

static void expect(const char *base, int version, bool per_thread, const char *symbol)
{
    const struct vg_api_row *row = NULL;

    ck_assert_int_eq(vg_api_resolve(base, version, per_thread, &row), VG_API_FOUND);
    ck_assert_str_eq(row->symbol, symbol);
}

START_TEST(names_resolve_as_the_driver_resolves_them)
{
    const struct vg_api_row *row = NULL;

    expect("cuMemAlloc", 3020, false, "cuMemAlloc_v2");
    expect("cuMemAlloc", 13000, true, "cuMemAlloc_v2");
    expect("cuMemAlloc", 3010, false, "cuMemAlloc");
    expect("cuCtxCreate", 3020, false, "cuCtxCreate_v2");
    expect("cuCtxCreate", 11040, false, "cuCtxCreate_v3");
    expect("cuCtxCreate", 13000, false, "cuCtxCreate_v4");
    expect("cuCtxGetDevice", 12090, false, "cuCtxGetDevice");
    expect("cuCtxGetDevice", 13000, false, "cuCtxGetDevice_v2");
    expect("cuGetProcAddress", 11030, false, "cuGetProcAddress");
    expect("cuGetProcAddress", 12000, false, "cuGetProcAddress_v2");
    expect("cuLaunchKernel", 12000, false, "cuLaunchKernel");
    expect("cuLaunchKernel", 12000, true, "cuLaunchKernel_ptsz");
    expect("cuLaunchKernel", 4000, true, "cuLaunchKernel");
    expect("cuMemcpyHtoD", 12000, true, "cuMemcpyHtoD_v2_ptds");
    expect("cuStreamGetCaptureInfo", 11030, true, "cuStreamGetCaptureInfo_v2_ptsz");
    expect("cuStreamGetCaptureInfo", 12030, false, "cuStreamGetCaptureInfo_v3");
    expect("cuInit", 99999, false, "cuInit");

    ck_assert_int_eq(vg_api_resolve("cuKernelGetName", 12020, false, &row), VG_API_TOO_NEW);
    ck_assert_int_eq(vg_api_resolve("cuMemAlloc_v2", 13000, false, &row), VG_API_UNKNOWN);
    ck_assert_int_eq(vg_api_resolve("", 0, false, &row), VG_API_UNKNOWN);
    ck_assert_ptr_null(row);
}
END_TEST

START_TEST(every_status_has_one_name_and_a_text)
{
    CUresult code, back;
    unsigned known = 0;

    for (code = 0; code <= CUDA_ERROR_UNKNOWN; code++) {
        const char *name = vg_error_name(code);

        ck_assert_int_eq(name != NULL, vg_error_text(code) != NULL);
        if (!name)
            continue;
        known++;
        ck_assert_int_eq(vg_error_by_name(name, &back), 0);
        ck_assert_uint_eq(back, code);
    }
    ck_assert_uint_gt(known, 90);
    ck_assert_str_eq(vg_error_name(CUDA_ERROR_OUT_OF_MEMORY), "CUDA_ERROR_OUT_OF_MEMORY");
    ck_assert_ptr_null(vg_error_name(0xfffff));
    ck_assert_int_lt(vg_error_by_name("CUDA_ERROR_NONE", &back), 0);
}
END_TEST

START_TEST(names_of_modes_and_classes)
{
    unsigned i;

    for (i = 0; i < VG_MODE_COUNT; i++)
        ck_assert_str_ne(vg_api_mode_name(i), "?");
    for (i = 0; i < VG_CLASS_COUNT; i++)
        ck_assert_str_ne(vg_api_class_name(i), "?");
    ck_assert_str_eq(vg_api_mode_name(VG_MODE_NOSUP), "NOSUP");
    ck_assert_str_eq(vg_api_class_name(VG_CLASS_OTHER), "OTHER");
    ck_assert_str_eq(vg_api_class_name(VG_CLASS_COUNT), "?");
    ck_assert(vg_api_hash() != 0 && vg_api_hash() == vg_api_hash());
}
END_TEST

/* What is served how is part of the product's promise: a change must be seen in review. */
START_TEST(the_document_is_current)
{
    static char expected[128 << 10], actual[128 << 10];
    FILE *golden = fopen("tests/abi/API.txt", "r"), *now = tmpfile();
    size_t length;

    ck_assert_msg(golden && now, "run from the root of the tree");
    length = fread(expected, 1, sizeof(expected) - 1, golden);
    print_doc(now);
    rewind(now);
    ck_assert_uint_eq(fread(actual, 1, sizeof(actual) - 1, now), length);
    ck_assert_msg(strcmp(expected, actual) == 0, "tests/abi/API.txt is old: make api-doc");
    fclose(golden);
    fclose(now);
}
END_TEST

START_TEST(what_is_not_served_is_explained_to_users)
{
    static char readme[256 << 10], section[64 << 10];
    FILE *f = fopen("README.md", "r"), *now = tmpfile();

    ck_assert_msg(unserved_without_reason() == NULL, "%s is not served, and unserved.c has no "
                  "reason", unserved_without_reason());
    ck_assert_msg(f && now, "run from the root of the tree");
    ck_assert(fread(readme, 1, sizeof(readme) - 1, f) > 0);
    fputs("<!-- unserved: made by make api-doc -->\n", now);
    unserved_print(now);
    fputs("<!-- end -->\n", now);
    rewind(now);
    ck_assert(fread(section, 1, sizeof(section) - 1, now) > 0);
    ck_assert_msg(strstr(readme, section) != NULL, "the README's table of what is not served is "
                  "old: make api-doc");
    fclose(f);
    fclose(now);
}
END_TEST

static Suite *table_suite(void)
{
    Suite *suite = suite_create("api table");
    TCase *table = tcase_create("table");

    tcase_add_test(table, the_symbols_are_those_of_cuda_13_0);
    tcase_add_test(table, every_row_is_found_by_id_and_by_symbol);
    tcase_add_test(table, ids_ascend_and_leave_room_for_internal_calls);
    tcase_add_test(table, generated_rows_use_only_kinds_that_can_be_generated);
    tcase_add_test(table, every_length_is_an_argument);
    tcase_add_test(table, every_alias_reaches_a_served_row);
    tcase_add_test(table, newer_symbols_of_a_name_came_later);
    tcase_add_test(table, names_resolve_as_the_driver_resolves_them);
    tcase_add_test(table, every_status_has_one_name_and_a_text);
    tcase_add_test(table, names_of_modes_and_classes);
    tcase_add_test(table, the_document_is_current);
    tcase_add_test(table, what_is_not_served_is_explained_to_users);
    suite_add_tcase(suite, table);
    return suite;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--unserved") == 0) {
        unserved_print(stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        print_list(stdout);
        return EXIT_SUCCESS;
    }
    if (argc == 2 && strcmp(argv[1], "--doc") == 0) {
        print_doc(stdout);
        return EXIT_SUCCESS;
    }
    return vg_test_main(table_suite());
}
