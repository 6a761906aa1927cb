/* SPDX-License-Identifier: MIT */
/* What a suspended or migrated VM's processes find on the device that it goes on with. */
#include <string.h>

#include "qemu-device/vgpu_stub_backing.h"
#include "tests/protocol/vg_test.h"
#include "tests/qemu/stub_host.h"
#include "vg_atomic.h"

static struct vg_stub_saved saved;
static uint8_t *owner;

static uint16_t *owners(void)
{
    return (uint16_t *)((char *)region + stub.layout.owners_off);
}

static void save(void)
{
    owner = calloc(1, stub.layout.extent_count);
    ck_assert_ptr_nonnull(owner);
    vg_stub_save(&stub, &saved, owner);
}

/* The device of another host: the same properties, memory that is new. */
static void restore_elsewhere(void)
{
    stub_host_teardown();
    stub_host_setup();
    vg_stub_restore(&stub, &saved, owner);
    free(owner);
}

START_TEST(saving_changes_nothing)
{
    unsigned sent;
    int fd;

    stub_come_up();
    uint32_t token = stub_attached(&fd);
    sent = stub_host.sent;
    save();
    free(owner);
    ck_assert_uint_eq(stub_host.sent, sent);
    ck_assert(stub_host.open);
    stub_set(VG_REG_DOORBELL, token);
    ck_assert_uint_eq(stub_host.signals[fd], 1);
}
END_TEST

START_TEST(who_computed_is_told_what_he_has_lost)
{
    int fd;

    stub_come_up();
    uint32_t live = stub_attached(&fd), idle = stub_claim();
    save();
    restore_elsewhere();
    stub_ck_gone(live, VG_GONE_MOVED);
    stub_ck_gone(idle, VG_GONE_MOVED);
    ck_assert_uint_eq(stub_reg(VG_REG_EPOCH), 1);
    ck_assert(!vg_stub_busy(&stub));

    /* The old tokens are good for one thing. */
    stub_come_up();
    stub_set(VG_REG_ATTACH, live);
    ck_assert_uint_eq(stub_host.guest_errors, 1);
    stub_ck_gone(live, VG_GONE_MOVED);
    stub_set(VG_REG_RELEASE, live);
    ck_assert_uint_eq(stub_shared(live)->state, VG_SLOT_FREE);
    uint32_t next = stub_attached(&fd);
    ck_assert_uint_eq(VG_TOKEN_SLOT(next), VG_TOKEN_SLOT(live));
    ck_assert_uint_ne(next, live);
    ck_assert_uint_eq(stub_host.guest_errors, 1);
}
END_TEST

START_TEST(a_slot_that_was_being_released_is_free)
{
    int fd;

    stub_come_up();
    uint32_t token = stub_attached(&fd);
    stub_set(VG_REG_RELEASE, token);
    save();
    restore_elsewhere();
    ck_assert_uint_eq(stub_shared(token)->state, VG_SLOT_FREE);
    uint32_t next = stub_claim();
    ck_assert_uint_eq(VG_TOKEN_SLOT(next), VG_TOKEN_SLOT(token));
    ck_assert_uint_ne(next, token);
}
END_TEST

/* Its process still has them mapped: nobody else may get them. */
START_TEST(extents_stay_with_their_process)
{
    uint32_t last = stub.layout.extent_count - 1;

    uint32_t token = stub_claim(), other = stub_claim();
    owners()[3] = (uint16_t)(VG_TOKEN_SLOT(token) + 1);
    owners()[last] = (uint16_t)(VG_TOKEN_SLOT(other) + 1);
    owners()[5] = UINT16_MAX;           /* the guest can write what it likes */
    owners()[6] = STUB_SLOTS;           /* of a slot that nobody has */
    stub_set(VG_REG_RELEASE, other);
    owners()[last] = (uint16_t)(VG_TOKEN_SLOT(token) + 1);
    save();
    restore_elsewhere();
    ck_assert_uint_eq(owners()[3], VG_TOKEN_SLOT(token) + 1);
    ck_assert_uint_eq(owners()[last], VG_TOKEN_SLOT(token) + 1);
    ck_assert_uint_eq(owners()[5], 0);
    ck_assert_uint_eq(owners()[6], 0);
    stub_set(VG_REG_RELEASE, token);
    ck_assert_uint_eq(owners()[3], 0);
    ck_assert_uint_eq(owners()[last], 0);
}
END_TEST

/* A state that is not what we would have written: slots stay slots. */
START_TEST(a_strange_state_is_survived)
{
    uint64_t seed = vg_test_seed();

    for (unsigned round = 0; round < 200; round++) {
        owner = malloc(stub.layout.extent_count);
        ck_assert_ptr_nonnull(owner);
        for (uint32_t e = 0; e < stub.layout.extent_count; e++)
            owner[e] = (uint8_t)vg_test_random(&seed);
        for (unsigned i = 0; i < VG_SLOTS_MAX; i++) {
            saved.generation[i] = (uint16_t)(vg_test_random(&seed) % 4 ? vg_test_random(&seed) : 0);
            saved.held[i] = (uint8_t)(vg_test_random(&seed) % 3);
        }
        restore_elsewhere();
        for (unsigned i = 0; i < STUB_SLOTS; i++) {
            ck_assert_uint_ne(stub.slot[i].generation, 0);
            ck_assert(stub.slot[i].state == VG_STUB_FREE || stub.slot[i].state == VG_STUB_LOST);
        }
        for (uint32_t e = 0; e < stub.layout.extent_count; e++)
            ck_assert_uint_le(owners()[e], STUB_SLOTS);
    }
}
END_TEST

START_TEST(only_who_computes_keeps_a_vm_here)
{
    int fd;

    ck_assert(!vg_stub_busy(&stub));
    uint32_t token = stub_claim();
    ck_assert(!vg_stub_busy(&stub));
    stub_set(VG_REG_RELEASE, token);
    stub_come_up();
    token = stub_attached(&fd);
    ck_assert(vg_stub_busy(&stub));
    stub_set(VG_REG_RELEASE, token);
    ck_assert(!vg_stub_busy(&stub));
    stub_say(VG_MSG_SLOT_FREE, token, -1);
    stub_attached(&fd);
    vg_stub_link_lost(&stub, -1);
    ck_assert(!vg_stub_busy(&stub));
}
END_TEST

/* Its pages have left the guest's memory: who has an executor goes on, nobody else begins. */
START_TEST(a_withdrawn_region_is_for_those_who_have_it)
{
    int fd;

    stub_come_up();
    uint32_t live = stub_attached(&fd), late = stub_claim();
    vg_stub_withdraw(&stub);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), VG_STATUS_MEDIATOR | VG_STATUS_REFUSED);
    stub_set(VG_REG_DOORBELL, live);
    ck_assert_uint_eq(stub_host.signals[fd], 1);
    vg_stub_region_write(&stub, STUB_SIZE - 8, 4711, 8);
    ck_assert_uint_eq(vg_stub_region_read(&stub, STUB_SIZE - 8, 8), 4711);
    stub_set(VG_REG_ATTACH, late);
    stub_ck_gone(late, VG_GONE_REFUSED);
    stub_set(VG_REG_RELEASE, live);
    stub_say(VG_MSG_SLOT_FREE, live, -1);
    ck_assert_uint_eq(stub_shared(live)->state, VG_SLOT_FREE);

    /* There is nothing that a mediator could be offered. */
    stub_host.retry_ms = 0;
    vg_stub_link_lost(&stub, -1);
    ck_assert_uint_eq(stub_host.retry_ms, 0);
    vg_stub_connect(&stub);
    ck_assert_uint_eq(stub_host.opens, 1);
}
END_TEST

/* The region is away for a while: those who have it stand still, nobody else begins. */
START_TEST(who_can_stand_still_is_waited_for)
{
    int fd;

    stub_come_up();
    uint32_t live = stub_attached(&fd), idle = stub_claim(), mute = stub_claim();
    stub_shared(live)->parks = stub_shared(idle)->parks = 1;
    stub_shared(idle)->parked = 1;      /* of an earlier time */
    vg_stub_move_begins(&stub);
    ck_assert_uint_eq(((struct vg_region_header *)region)->moving, 1);
    ck_assert(!vg_stub_is_parked(&stub));
    stub_shared(live)->parked = 1;
    ck_assert(!vg_stub_is_parked(&stub));
    stub_shared(idle)->parked = 1;
    ck_assert(vg_stub_is_parked(&stub));    /* one cannot, and is not waited for */

    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), VG_STATUS_MEDIATOR | VG_STATUS_REFUSED);
    stub_set(VG_REG_ATTACH, mute);
    stub_ck_gone(mute, VG_GONE_REFUSED);
    vg_stub_reset(&stub);
    ck_assert_uint_eq(((struct vg_region_header *)region)->moving, 1);

    vg_stub_move_ends(&stub);
    ck_assert_uint_eq(((struct vg_region_header *)region)->moving, 0);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), VG_STATUS_MEDIATOR);
}
END_TEST

START_TEST(who_stood_still_goes_on)
{
    int fd;

    stub_come_up();
    uint32_t live = stub_attached(&fd);
    vg_stub_move_begins(&stub);
    vg_stub_moved(&stub, 0x12345);
    ck_assert_uint_eq(stub_host.last.region_gfn, 0x12345);
    vg_stub_link_lost(&stub, -1);       /* the mediator's trouble is another matter */
    vg_stub_connect(&stub);
    ck_assert_uint_eq(stub_host.opens, 2);
    stub_say(VG_MSG_WELCOME, 0, -1);
    vg_stub_move_ends(&stub);
    stub_ck_gone(live, VG_GONE_MEDIATOR);
    ck_assert_uint_ne(stub_attached(&fd), live);
}
END_TEST

#define GIB (1ull << 30)
#define FRAME 4096u

/* Above all that the guest may have, not only what it has. */
START_TEST(parking_is_above_all_memory_to_come)
{
    static const struct { uint64_t highest, top, pages, parking; } cases[] = {
        { 0xfefff, 0x14000, 4096, 0xff000 + 4 * GIB / FRAME },
        { 0xff000, 0x14000, 4096, 0x100000 + 4 * GIB / FRAME },
        /* ballooned to less than 4 GiB, of 64 */
        { 0xfefff, 68 * GIB / FRAME, 65536, 72 * GIB / FRAME },
        { 70 * GIB / FRAME - 1, 68 * GIB / FRAME, 65536, 74 * GIB / FRAME },
        /* four times the region's own size, for firmware that puts BARs above memory */
        { 0xfefff, 0x14000, 16 * GIB / FRAME, 16 * GIB / FRAME + 64 * GIB / FRAME },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        ck_assert_uint_eq(vg_stub_parking(cases[i].highest, cases[i].top, cases[i].pages),
                          cases[i].parking);
}
END_TEST

TCase *stub_saved_tests(void)
{
    TCase *tc = tcase_create("saved");

    tcase_add_checked_fixture(tc, stub_host_setup, stub_host_teardown);
    tcase_add_test(tc, saving_changes_nothing);
    tcase_add_test(tc, who_computed_is_told_what_he_has_lost);
    tcase_add_test(tc, a_slot_that_was_being_released_is_free);
    tcase_add_test(tc, extents_stay_with_their_process);
    tcase_add_test(tc, a_strange_state_is_survived);
    tcase_add_test(tc, only_who_computes_keeps_a_vm_here);
    tcase_add_test(tc, a_withdrawn_region_is_for_those_who_have_it);
    tcase_add_test(tc, who_can_stand_still_is_waited_for);
    tcase_add_test(tc, who_stood_still_goes_on);
    tcase_add_test(tc, parking_is_above_all_memory_to_come);
    return tc;
}
