/* SPDX-License-Identifier: MIT */
/* The plan (xenstore-watcher/plan.h): each rule by itself, then random histories. */
#include <string.h>

#include "mediator/base/util.h"
#include "tests/protocol/vg_test.h"
#include "xenstore-watcher/plan.h"

#define UUID_A "0a0a0a0a-1111-2222-3333-44444444444a"
#define UUID_B "0b0b0b0b-1111-2222-3333-44444444444b"
#define A_LEAVING "0a0a0a0a-1111-2222-3333-000000000000"
#define A_ARRIVING "0a0a0a0a-1111-2222-3333-000000000001"

static struct vg_plan was, is;
static struct vg_plan_rules rules;
static struct vg_plan_request request[VG_PLAN_REQUESTS_MAX];
static struct vg_xen_domain domain[4];

static void setup(void)
{
    memset(&was, 0, sizeof(was));
    memset(&is, 0, sizeof(is));
    memset(&rules, 0, sizeof(rules));
    memset(domain, 0, sizeof(domain));
    vg_policy_init(&rules.defaults);
    vg_policy_init_caps(&rules.caps);
    rules.pools = "";
}

static struct vg_xen_domain *make(unsigned i, uint32_t domid, const char *instance,
                                  const char *uuid)
{
    struct vg_xen_domain *d = &domain[i];

    memset(d, 0, sizeof(*d));
    d->domid = domid;
    snprintf(d->instance, sizeof(d->instance), "%s", instance);
    snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
    snprintf(d->label, sizeof(d->label), "vm %u", (unsigned)domid);
    return d;
}

static struct vg_xen_key *put(struct vg_xen_domain *d, enum vg_xen_place place, const char *name,
                              const char *value)
{
    struct vg_xen_key *k = &d->key[d->count++];

    ck_assert_uint_le(d->count, VG_XEN_KEYS_MAX);
    k->place = (uint8_t)place;
    snprintf(k->name, sizeof(k->name), "%s", name);
    snprintf(k->value, sizeof(k->value), "%s", value);
    return k;
}

/* The plan of the first `count` domains becomes the one in force; returns the requests. */
static unsigned step(unsigned count)
{
    const struct vg_xen_domain *list[VG_ARRAY_LEN(domain)];

    was = is;
    for (unsigned i = 0; i < count; i++)
        list[i] = &domain[i];
    vg_plan_make(list, count, &was, &rules, &is);
    return vg_plan_diff(&was, &is, request);
}

static void wants_note(const char *text)
{
    ck_assert_msg(strstr(is.vm[0].notes, text), "no \"%s\" in \"%s\"", text, is.vm[0].notes);
}

static void wants_request(unsigned i, enum vg_plan_op op, uint32_t domid)
{
    ck_assert_msg(request[i].op == op && request[i].vm->domid == domid,
                  "request %u: op %d of domain %u", i, request[i].op, request[i].vm->domid);
}

START_TEST(all_keys)
{
    struct vg_xen_domain *d = make(0, 3, "i", UUID_A);

    put(d, VG_XEN_PLATFORM, "gpu_enabled", "true");
    put(d, VG_XEN_PLATFORM, "gpu_pool", "B");
    put(d, VG_XEN_PLATFORM, "gpu_priority", "high");
    put(d, VG_XEN_PLATFORM, "gpu_weight", "80");
    put(d, VG_XEN_PLATFORM, "gpu_rate", "200");
    put(d, VG_XEN_PLATFORM, "gpu_queue_depth", "100");
    put(d, VG_XEN_PLATFORM, "gpu_memory_mib", "8192");
    ck_assert_uint_eq(step(1), 1);
    wants_request(0, VG_PLAN_REGISTER, 3);
    ck_assert_str_eq(is.vm[0].name, UUID_A);
    ck_assert_str_eq(is.vm[0].notes, "");
    ck_assert(is.vm[0].enabled && is.vm[0].rules);
    ck_assert_str_eq(is.vm[0].policy.pool, "B");
    ck_assert_uint_eq(is.vm[0].policy.priority, VG_PRIORITY_HIGH);
    ck_assert_uint_eq(is.vm[0].policy.weight, 80);
    ck_assert_uint_eq(is.vm[0].policy.rate, 200);
    ck_assert_uint_eq(is.vm[0].policy.queue_depth, 100);
    ck_assert_uint_eq(is.vm[0].policy.memory_mib, 8192);
    ck_assert_uint_eq(step(1), 0);
}
END_TEST

START_TEST(nothing_said)
{
    make(0, 3, "i", UUID_A);
    ck_assert_uint_eq(step(1), 0);
    ck_assert_uint_eq(is.count, 0);
}
END_TEST

/* What is wrong is told and left out; the rest holds. */
START_TEST(wrong_values)
{
    struct vg_xen_domain *d = make(0, 3, "i", UUID_A);

    put(d, VG_XEN_PLATFORM, "gpu_enabled", "1");
    put(d, VG_XEN_PLATFORM, "gpu_weight", "1000");
    put(d, VG_XEN_PLATFORM, "gpu_priority", "urgent");
    put(d, VG_XEN_PLATFORM, "gpu_rate", "7");
    put(d, VG_XEN_PLATFORM, "gpu_wieght", "10");
    step(1);
    ck_assert(is.vm[0].enabled);
    ck_assert_uint_eq(is.vm[0].policy.weight, 50);
    ck_assert_uint_eq(is.vm[0].policy.priority, VG_PRIORITY_MEDIUM);
    ck_assert_uint_eq(is.vm[0].policy.rate, 7);
    wants_note("gpu_weight: \"1000\" is not a number from 1 to 100");
    wants_note("gpu_priority: \"urgent\" is not one of high, medium, low");
    wants_note("gpu_wieght: there is no such key");
}
END_TEST

START_TEST(wrong_enabled)
{
    struct vg_xen_domain *d = make(0, 3, "i", UUID_A);

    put(d, VG_XEN_PLATFORM, "gpu_enabled", "maybe");
    step(1);
    ck_assert_uint_eq(is.count, 1);
    ck_assert(!is.vm[0].enabled);
    wants_note("gpu_enabled: \"maybe\" is neither true nor false");
}
END_TEST

START_TEST(forged)
{
    struct vg_xen_domain *d = make(0, 3, "i", UUID_A);

    put(d, VG_XEN_PLATFORM, "gpu_enabled", "true");
    put(d, VG_XEN_PLATFORM, "gpu_weight", "99")->state = VG_XEN_FORGEABLE;
    put(d, VG_XEN_HOOK, "gpu_weight", "20");
    put(d, VG_XEN_PLATFORM, "gpu_rate", "")->state = VG_XEN_LONG;
    step(1);
    ck_assert_uint_eq(is.vm[0].policy.weight, 20);
    wants_note("gpu_weight: ignored, as others than Dom0 may write it");
    wants_note("gpu_rate: the value is too long");
    domain[0].key[0].state = VG_XEN_FORGEABLE;
    ck_assert_uint_eq(step(1), 1);
    wants_request(0, VG_PLAN_CHANGE, 3);
    ck_assert(!is.vm[0].enabled);
}
END_TEST

/* Key by key the platform map wins; what is wrong there leaves the hook's in force. */
START_TEST(places)
{
    struct vg_xen_domain *d = make(0, 3, "i", UUID_A);

    put(d, VG_XEN_HOOK, "gpu_enabled", "true");
    put(d, VG_XEN_HOOK, "gpu_weight", "20");
    put(d, VG_XEN_HOOK, "gpu_rate", "5");
    put(d, VG_XEN_PLATFORM, "gpu_weight", "30");
    put(d, VG_XEN_PLATFORM, "gpu_rate", "-5");
    put(d, VG_XEN_HOOK, "gpu_pool", "no pool");
    step(1);
    ck_assert(is.vm[0].enabled);
    ck_assert_uint_eq(is.vm[0].policy.weight, 30);
    ck_assert_uint_eq(is.vm[0].policy.rate, 5);
    ck_assert_str_eq(is.vm[0].policy.pool, "A");
    wants_note("hook's gpu_pool: \"no pool\"");
}
END_TEST

START_TEST(caps)
{
    struct vg_xen_domain *d = make(0, 3, "i", UUID_A);

    rules.caps.weight = 60;
    rules.caps.memory_mib = 4096;
    rules.caps.rate = 100;
    rules.caps.priority = VG_PRIORITY_MEDIUM;
    rules.pools = "A, gold";
    put(d, VG_XEN_PLATFORM, "gpu_enabled", "true");
    put(d, VG_XEN_PLATFORM, "gpu_weight", "80");
    put(d, VG_XEN_PLATFORM, "gpu_memory_mib", "0");
    put(d, VG_XEN_PLATFORM, "gpu_priority", "high");
    put(d, VG_XEN_PLATFORM, "gpu_pool", "gol");
    step(1);
    ck_assert_uint_eq(is.vm[0].policy.weight, 80);
    ck_assert(is.vm[0].enabled);
    ck_assert_str_eq(is.vm[0].policy.pool, "A");
    wants_note("gpu_weight: this host allows 60 at most");
    wants_note("gpu_memory_mib: this host allows 4096 at most");
    wants_note("gpu_priority: this host allows medium at most");
    wants_note("gpu_pool: this host's VMs may be in A, gold, not in gol");
    ck_assert_ptr_null(strstr(is.vm[0].notes, "gpu_rate"));
    strcpy(domain[0].key[4].value, "gold");
    ck_assert_uint_eq(step(1), 1);
    ck_assert_str_eq(is.vm[0].policy.pool, "gold");
}
END_TEST

START_TEST(many_notes)
{
    struct vg_xen_domain *d = make(0, 3, "i", UUID_A);

    for (unsigned i = 0; i < VG_XEN_KEYS_MAX; i++)
        put(d, VG_XEN_PLATFORM, "gpu_a_key_that_does_not_exist", "x");
    d->more_keys = 7;
    step(1);
    size_t len = strlen(is.vm[0].notes);
    ck_assert_uint_lt(len, VG_PLAN_NOTES_MAX);
    ck_assert_str_eq(is.vm[0].notes + len - 5, "; ...");
}
END_TEST

START_TEST(live_edit_and_rename)
{
    struct vg_xen_domain *d = make(0, 3, "i", UUID_A);

    put(d, VG_XEN_PLATFORM, "gpu_enabled", "true");
    step(1);
    put(d, VG_XEN_PLATFORM, "gpu_weight", "9");
    ck_assert_uint_eq(step(1), 1);
    wants_request(0, VG_PLAN_CHANGE, 3);
    ck_assert_uint_eq(request[0].vm->policy.weight, 9);
    strcpy(d->label, "another");
    ck_assert_uint_eq(step(1), 1);
    wants_request(0, VG_PLAN_RENAME, 3);
    d->count = 0;
    ck_assert_uint_eq(step(1), 1);
    wants_request(0, VG_PLAN_UNREGISTER, 3);
}
END_TEST

/* A reboot that reuses the domid, and one that does not. */
START_TEST(reboot)
{
    put(make(0, 3, "first", UUID_A), VG_XEN_PLATFORM, "gpu_enabled", "true");
    step(1);
    put(make(0, 3, "second", UUID_A), VG_XEN_PLATFORM, "gpu_enabled", "true");
    ck_assert_uint_eq(step(1), 2);
    wants_request(0, VG_PLAN_UNREGISTER, 3);
    wants_request(1, VG_PLAN_REGISTER, 3);
    ck_assert_str_eq(request[0].vm->instance, "first");
    ck_assert_str_eq(request[1].vm->instance, "second");
    put(make(0, 4, "third", UUID_A), VG_XEN_PLATFORM, "gpu_enabled", "true");
    ck_assert_uint_eq(step(1), 2);
    wants_request(1, VG_PLAN_REGISTER, 4);
    ck_assert_str_eq(request[1].vm->name, UUID_A);
}
END_TEST

/* Within one host: built under a temporary uuid, the old one renamed, the new one renamed. */
START_TEST(migration)
{
    put(make(0, 3, "old", UUID_A), VG_XEN_PLATFORM, "gpu_enabled", "true");
    put(&domain[0], VG_XEN_PLATFORM, "gpu_weight", "10");
    step(1);
    put(make(1, 4, "new", A_ARRIVING), VG_XEN_PLATFORM, "gpu_enabled", "true");
    put(&domain[1], VG_XEN_PLATFORM, "gpu_weight", "20");
    strcpy(domain[1].final_uuid, UUID_A);
    ck_assert_uint_eq(step(2), 1);
    wants_request(0, VG_PLAN_REGISTER, 4);
    ck_assert_str_eq(is.vm[1].name, UUID_A);
    ck_assert(is.vm[0].rules && !is.vm[1].rules);

    strcpy(domain[0].uuid, A_LEAVING);
    strcpy(domain[1].uuid, UUID_A);
    domain[1].final_uuid[0] = '\0';
    ck_assert_uint_eq(step(2), 2);
    wants_request(0, VG_PLAN_CHANGE, 3);
    wants_request(1, VG_PLAN_CHANGE, 4);
    ck_assert(!is.vm[0].rules && is.vm[1].rules);
    ck_assert_str_eq(is.vm[0].name, UUID_A);

    domain[0] = domain[1];
    ck_assert_uint_eq(step(1), 1);
    wants_request(0, VG_PLAN_UNREGISTER, 3);
}
END_TEST

/* Seen for the first time in the middle: the one that leaves belongs to the VM it was. */
START_TEST(migration_seen_late)
{
    put(make(0, 3, "old", A_LEAVING), VG_XEN_PLATFORM, "gpu_enabled", "true");
    put(make(1, 4, "new", UUID_A), VG_XEN_PLATFORM, "gpu_enabled", "true");
    ck_assert_uint_eq(step(2), 2);
    ck_assert_str_eq(is.vm[0].name, UUID_A);
    ck_assert_str_eq(is.vm[0].uuid, UUID_A);
    ck_assert(!is.vm[0].rules && is.vm[1].rules);
}
END_TEST

/* CloudStack makes a new VM at every start; its own name for it stays. */
START_TEST(identity)
{
    put(make(0, 3, "a", UUID_A), VG_XEN_PLATFORM, "gpu_enabled", "true");
    strcpy(domain[0].identity, "i-2-34-VM");
    step(1);
    ck_assert_str_eq(is.vm[0].name, "i-2-34-VM");
    ck_assert_str_eq(is.vm[0].notes, "");
    put(make(1, 4, "b", UUID_B), VG_XEN_PLATFORM, "gpu_enabled", "true");
    strcpy(domain[1].identity, "i-2-34-VM");
    step(2);
    ck_assert_str_eq(is.vm[0].name, "i-2-34-VM");
    ck_assert_str_eq(is.vm[1].name, UUID_B);
    ck_assert_ptr_nonnull(strstr(is.vm[1].notes, "identity i-2-34-VM: "));
    ck_assert_uint_eq(step(2), 0);
    strcpy(domain[0].identity, UUID_B);
    step(2);
    ck_assert_str_eq(is.vm[0].name, "i-2-34-VM");
    wants_note("identity " UUID_B);
}
END_TEST

START_TEST(identity_is_anothers_uuid)
{
    put(make(0, 3, "a", UUID_A), VG_XEN_PLATFORM, "gpu_enabled", "true");
    strcpy(domain[0].identity, UUID_B);
    put(make(1, 4, "b", UUID_B), VG_XEN_PLATFORM, "gpu_enabled", "true");
    step(2);
    ck_assert_str_eq(is.vm[0].name, UUID_B);
    ck_assert_str_eq(is.vm[1].name, "domain-4");
    strcpy(domain[0].identity, "not a name");
    setup();
    put(make(0, 3, "a", ""), VG_XEN_PLATFORM, "gpu_enabled", "true");
    step(1);
    ck_assert_str_eq(is.vm[0].name, "domain-3");
}
END_TEST

/* ---- random histories ---- */

#define HOSTED 8u

static struct vg_xen_domain world[HOSTED];
static unsigned world_count, next_life;
static uint64_t seed;

static unsigned pick(unsigned n)
{
    return (unsigned)(vg_test_random(&seed) >> 33) % n;
}

static void random_keys(struct vg_xen_domain *d)
{
    static const char *const names[] = { "gpu_enabled", "gpu_weight", "gpu_pool", "gpu_priority",
                                         "gpu_rate", "gpu_typo", "gpu_" };
    static const char *const values[] = { "true", "false", "1", "40", "high", "B", "", "?" };

    d->count = 0;
    for (unsigned n = pick(6); n > 0; n--) {
        struct vg_xen_key *k = put(d, (enum vg_xen_place)pick(2), names[pick(7)], values[pick(8)]);

        k->state = (uint8_t)(pick(8) == 0 ? 1 + pick(2) : 0);
    }
}

static void random_event(void)
{
    struct vg_xen_domain *d = world_count ? &world[pick(world_count)] : NULL;

    switch (pick(6)) {
    case 0:
    case 1:
        if (world_count == HOSTED)
            break;
        d = &world[world_count];
        memset(d, 0, sizeof(*d));
        d->domid = 1 + pick(20);
        for (unsigned i = 0; i < world_count; i++)
            if (world[i].domid == d->domid)
                return;
        snprintf(d->instance, sizeof(d->instance), "life-%u", ++next_life);
        snprintf(d->uuid, sizeof(d->uuid), "%08u-1111-2222-3333-444444444444", pick(4));
        if (pick(4) == 0)
            snprintf(d->identity, sizeof(d->identity), "vm%u", pick(3));
        random_keys(d);
        world_count++;
        break;
    case 2:
        if (d)
            *d = world[--world_count];
        break;
    case 3:
        if (d)
            random_keys(d);
        break;
    case 4:
        if (d)
            snprintf(d->label, sizeof(d->label), "label %u", pick(3));
        break;
    case 5:
        if (d)
            strcpy(d->uuid + 24, pick(2) ? "000000000000" : "444444444444");
        break;
    }
}

/* A mediator that does what it is asked and no more. */
static struct vg_plan done;

static struct vg_plan_vm *done_find(const struct vg_plan_vm *vm)
{
    return (struct vg_plan_vm *)(uintptr_t)vg_plan_find(&done, vm->domid, vm->instance);
}

static void apply(const struct vg_plan_request *r)
{
    struct vg_plan_vm *vm = done_find(r->vm);

    ck_assert((r->op == VG_PLAN_REGISTER) == (vm == NULL));
    if (r->op == VG_PLAN_REGISTER) {
        for (unsigned i = 0; i < done.count; i++)
            ck_assert_msg(done.vm[i].domid != r->vm->domid, "domid registered twice");
        done.vm[done.count++] = *r->vm;
    } else if (r->op == VG_PLAN_UNREGISTER) {
        *vm = done.vm[--done.count];
    } else if (r->op == VG_PLAN_RENAME) {
        ck_assert_str_ne(vm->label, r->vm->label);
        strcpy(vm->label, r->vm->label);
    } else {
        *vm = *r->vm;
    }
}

static void check_done(void)
{
    ck_assert_uint_eq(done.count, is.count);
    for (unsigned i = 0; i < is.count; i++) {
        const struct vg_plan_vm *want = &is.vm[i], *have = done_find(want);
        unsigned rulers = 0;

        ck_assert_ptr_nonnull(have);
        ck_assert_mem_eq(have, want, sizeof(*want));
        for (unsigned j = 0; j < is.count; j++) {
            bool same = strcmp(is.vm[j].name, want->name) == 0;

            rulers += same && is.vm[j].rules;
            ck_assert_msg(!same || strcmp(is.vm[j].uuid, want->uuid) == 0, "two VMs, one name");
        }
        ck_assert_uint_eq(rulers, 1);
    }
}

static void check_names_stay(void)
{
    for (unsigned i = 0; i < was.count; i++) {
        const struct vg_plan_vm *now = vg_plan_find(&is, was.vm[i].domid, was.vm[i].instance);

        ck_assert_msg(!now || strcmp(now->name, was.vm[i].name) == 0, "an instance changed its VM");
    }
}

START_TEST(requests_lead_to_the_plan)
{
    const struct vg_xen_domain *list[HOSTED];

    seed = vg_test_seed();
    world_count = 0;
    memset(&done, 0, sizeof(done));
    for (unsigned round = 0; round < 20000; round++) {
        for (unsigned events = 1 + pick(4); events > 0; events--)
            random_event();
        for (unsigned i = 0; i < world_count; i++)
            list[i] = &world[i];
        was = is;
        vg_plan_make(list, world_count, &was, &rules, &is);
        unsigned n = vg_plan_diff(&was, &is, request);
        for (unsigned i = 0; i < n; i++)
            apply(&request[i]);
        check_done();
        check_names_stay();
        ck_assert_uint_eq(vg_plan_diff(&is, &is, request), 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        all_keys, nothing_said, wrong_values, wrong_enabled, forged, places, caps, many_notes,
        live_edit_and_rename, reboot, migration, migration_seen_late, identity,
        identity_is_anothers_uuid, requests_lead_to_the_plan,
    };
    Suite *s = suite_create("plan");
    TCase *tc = tcase_create("plan");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_set_timeout(tc, 120);
    for (unsigned i = 0; i < VG_ARRAY_LEN(tests); i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(s, tc);
    return vg_test_main(s);
}
