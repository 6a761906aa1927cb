/* SPDX-License-Identifier: MIT */
/* Parts of administration that need no daemon: JSON as it may come in, the table of verbs. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "mediator/base/journal.h"
#include "mediator/base/json.h"
#include "mediator/base/util.h"
#include "mediator/daemon/policy.h"
#include "mediator/daemon/verbs.h"

static char why[256];

static bool ok(const char *text)
{
    why[0] = '\0';
    return vg_json_ok(text, strlen(text), why, sizeof(why));
}

START_TEST(json_that_is_taken)
{
    static const char *const good[] = {
        "{}", " { } ", "[]", "[1,2]", "0", "-1", "1.5", "-0.5e+3", "1E9", "true", "false", "null",
        "\"\"", "\"a\\n\\u00e4\\\"\\\\\\/\"", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
        "{\"a\":1,\"b\":{\"a\":[{},[]]}}", "\t{\"a\"\r\n:\n1}\n", "999999999999999999",
        "[[[[[[[[]]]]]]]]",
    };

    for (unsigned i = 0; i < VG_ARRAY_LEN(good); i++)
        ck_assert_msg(ok(good[i]), "%s: %s", good[i], why);
}
END_TEST

START_TEST(json_that_is_not)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "", "neither" }, { "{", "key is missing" }, { "}", "neither" }, { "{\"a\"}", "no colon" },
        { "{\"a\":}", "neither" }, { "{\"a\":1,}", "key is missing" }, { "{a:1}", "key is missing" },
        { "{'a':1}", "key is missing" }, { "[1,]", "neither" }, { "[1 2]", "does not end" },
        { "{\"a\":1 \"b\":2}", "does not end" }, { "{\"a\":1}{", "after the end" },
        { "01", "neither" }, { "+1", "neither" }, { ".5", "neither" }, { "1.", "neither" },
        { "1e", "neither" }, { "-", "neither" }, { "0x10", "after the end" }, { "NaN", "neither" },
        { "Infinity", "neither" }, { "-Infinity", "neither" }, { "nan", "unknown word" },
        { "tru", "unknown word" }, { "nulL", "unknown word" }, { "\"", "does not end" },
        { "\"a\\", "does not end" }, { "\"\\x41\"", "unknown escape" },
        { "\"\\u12\"", "no character" }, { "\"\\u0000\"", "no character" },
        { "\"\\ud83d\"", "no character" }, { "\"a\tb\"", "control character" },
        { "\"\xff\"", "not UTF-8" }, { "\"\xc0\x80\"", "not UTF-8" },
        { "\"\xed\xa0\x80\"", "not UTF-8" }, { "\"\xf4\x90\x80\x80\"", "not UTF-8" },
        { "\"\xe2\x82", "not UTF-8" }, { "{\"\\u0061\":1}", "not plain text" },
        { "{\"\xc3\xa4\":1}", "not plain text" }, { "{\"a\":1,\"a\":2}", "twice" },
        { "{\"a\":1,\"b\":{},\"a\":2}", "twice" }, { "[[[[[[[[[]]]]]]]]]", "too deep" },
        { "1234567890123456789", "too long" }, { "// x\n1", "neither" }, { "1 // x", "after the end" },
    };

    for (unsigned i = 0; i < VG_ARRAY_LEN(bad); i++) {
        ck_assert_msg(!ok(bad[i].text), "taken: %s", bad[i].text);
        ck_assert_msg(strstr(why, bad[i].why), "%s: %s", bad[i].text, why);
    }
}
END_TEST

/* No byte beyond the length is looked at, whatever the text is cut at. */
START_TEST(json_cut_anywhere)
{
    static const char text[] = "{\"op\":\"show-vm\",\"n\":-1.5e3,\"s\":\"\\u00e4\xe2\x82\xac\",\"f\":[true]}";

    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        char *exact = malloc(n ? n : 1);

        memcpy(exact, text, n);
        ck_assert_msg(!vg_json_ok(exact, n, why, sizeof(why)), "%.*s", (int)n, text);
        free(exact);
    }
    ck_assert(ok(text));
}
END_TEST

START_TEST(json_members_are_bounded)
{
    char text[VG_JSON_MEMBERS * 16 + 64];
    size_t n = 1;

    strcpy(text, "{");
    for (unsigned i = 0; i < VG_JSON_MEMBERS; i++)
        n += (size_t)sprintf(text + n, "%s\"m%u\":1", i ? "," : "", i);
    strcpy(text + n, "}");
    ck_assert_msg(ok(text), "%s", why);
    strcpy(text + n, ",\"more\":1}");
    ck_assert(!ok(text));
    ck_assert_ptr_nonnull(strstr(why, "too many"));
}
END_TEST

/* ---- the journal's packets ---- */

static void packet_is(const char *event, const char *text, const char *want)
{
    char out[VG_JOURNAL_MAX + 1];
    size_t n = vg_journal_format(out, VG_JOURNAL_MAX, "test", 4, event, text);

    out[n] = '\0';
    ck_assert_str_eq(out, want);
}

START_TEST(journal_packets)
{
    char long_text[3000], out[VG_JOURNAL_MAX];

    packet_is("fault", "vm=web1 why=\"it broke\" slot=3",
              "MESSAGE=fault vm=web1 why=\"it broke\" slot=3\nPRIORITY=4\nSYSLOG_IDENTIFIER=test\n"
              "VGPU_EVENT=fault\nVGPU_VM=web1\nVGPU_WHY=it broke\nVGPU_SLOT=3\n");
    packet_is("e", "", "MESSAGE=e\nPRIORITY=4\nSYSLOG_IDENTIFIER=test\nVGPU_EVENT=e\n");
    /* Nothing in a value begins a field, and what is no pair ends the pairs. */
    packet_is("e", "a=x\nPRIORITY=0 b=\"y\nz\" words c=1",
              "MESSAGE=e a=x PRIORITY=0 b=\"y z\" words c=1\nPRIORITY=4\nSYSLOG_IDENTIFIER=test\n"
              "VGPU_EVENT=e\nVGPU_A=x PRIORITY=0\nVGPU_B=y z\n");
    packet_is("e", "a=\"x", "MESSAGE=e a=\"x\nPRIORITY=4\nSYSLOG_IDENTIFIER=test\nVGPU_EVENT=e\n"
                            "VGPU_A=x\n");
    memset(long_text, 'x', sizeof(long_text) - 1);
    memcpy(long_text, "a=", 2);
    long_text[sizeof(long_text) - 1] = '\0';
    ck_assert_uint_le(vg_journal_format(out, sizeof(out), "test", 4, "e", long_text), sizeof(out));
    ck_assert_uint_eq(vg_journal_format(out, 0, "test", 4, "e", long_text), 0);
}
END_TEST

/* ---- verbs ---- */

/* Every word of the table names an argument, every argument says what it is and takes. */
START_TEST(table_is_whole)
{
    for (unsigned i = 0; i < vg_verb_count; i++) {
        const struct vg_verb *v = &vg_verbs[i];
        struct vg_arg args[VG_VERB_ARGS_MAX];
        unsigned positional, count = vg_verb_args(v, args, &positional), words = 0;
        char allowed[128];

        for (const char *p = v->args; *p; p += strspn(p, " "))
            words += *p != '|', p += strcspn(p, " ");
        ck_assert_msg(strchr(v->args, '*') ? count == words - 1 + VG_POLICY_FIELDS : count == words,
                      "%s: \"%s\"", v->name, v->args);
        ck_assert_uint_le(positional, count);
        ck_assert_ptr_eq(vg_verb_find(v->name), v);
        for (unsigned j = 0; j < count; j++) {
            ck_assert_msg(args[j].what && args[j].what[0], "%s", args[j].name);
            allowed[0] = '\0';
            vg_arg_allowed(&args[j], allowed, sizeof(allowed));
            ck_assert_msg(allowed[0], "%s", args[j].name);
        }
    }
    ck_assert_ptr_null(vg_verb_find("lis"));
    ck_assert_ptr_null(vg_verb_find(""));
}
END_TEST

static void takes(const char *name, const char *value, bool want)
{
    struct vg_arg a;

    ck_assert(vg_arg_find(name, &a));
    why[0] = '\0';
    ck_assert_msg(vg_arg_ok(&a, value, why, sizeof(why)) == want, "%s=%s: %s", name, value, why);
    ck_assert_msg(want || strncmp(why, name, strlen(name)) == 0, "%s", why);
}

START_TEST(values)
{
    takes("vm_name", "web1", true);
    takes("vm_name", "", false);
    takes("vm_name", "-a", false);
    takes("vm_name", "a\nb", false);
    takes("weight", "1", true);
    takes("weight", "100", true);
    takes("weight", "0", false);
    takes("weight", "101", false);
    takes("weight", "1.0", false);
    takes("weight", " 1", false);
    takes("weight", "+1", false);
    takes("weight", "18446744073709551617", false);
    takes("priority", "high", true);
    takes("priority", "High", false);
    takes("follow", "true", true);
    takes("follow", "1", false);
    takes("reason", "it mines coins", true);
    takes("reason", "a \"b\"", false);
    takes("reason", "a\nb", false);
    ck_assert(!vg_arg_find("colour", &(struct vg_arg){ 0 }));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = { json_that_is_taken, json_that_is_not, json_cut_anywhere,
                                   json_members_are_bounded, journal_packets, table_is_whole, values };
    Suite *s = suite_create("verbs");
    TCase *tc = tcase_create("parts");
    SRunner *r = srunner_create(s);
    int failed;

    for (unsigned i = 0; i < VG_ARRAY_LEN(tests); i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(s, tc);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
