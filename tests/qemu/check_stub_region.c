/* SPDX-License-Identifier: MIT */
/* The device's BAR1 where the guest's pages are not in it: slow path, moves, and their failure. */
#include <errno.h>
#include <string.h>

#include "tests/protocol/vg_test.h"
#include "tests/qemu/stub_host.h"

START_TEST(what_is_served_here_is_right_and_counted)
{
    uint64_t at = stub.layout.data_off;

    vg_stub_region_write(&stub, at, 0x1122334455667788, 8);
    vg_stub_region_write(&stub, at + 2, 0xaabb, 2);
    ck_assert_uint_eq(vg_stub_region_read(&stub, at, 8), 0x11223344aabb7788);
    ck_assert_uint_eq(vg_stub_region_read(&stub, at + 7, 1), 0x11);
    ck_assert_uint_eq(stub_reg(VG_REG_REGION_TRAPS), 4);
    ck_assert_uint_eq(stub_reg(VG_REG_TRAPS), 0);
    vg_stub_reset(&stub);
    ck_assert_uint_eq(stub_reg(VG_REG_REGION_TRAPS), 0);
}
END_TEST

START_TEST(beyond_the_region_there_is_nothing)
{
    static const struct { uint64_t offset; unsigned size; } outside[] = {
        { STUB_SIZE, 1 }, { STUB_SIZE - 7, 8 }, { STUB_SIZE - 1, 2 }, { UINT64_MAX, 1 },
        { UINT64_MAX - 7, 8 }, { 0, 9 },
    };

    for (unsigned i = 0; i < sizeof(outside) / sizeof(*outside); i++) {
        vg_stub_region_write(&stub, outside[i].offset, 0, outside[i].size);
        ck_assert_uint_eq(vg_stub_region_read(&stub, outside[i].offset, outside[i].size),
                          UINT64_MAX);
    }
    vg_stub_region_write(&stub, STUB_SIZE - 8, 7, 8);
    ck_assert_uint_eq(vg_stub_region_read(&stub, STUB_SIZE - 8, 8), 7);
}
END_TEST

START_TEST(the_mediator_hears_of_moves)
{
    stub.region_gfn = 0x100;
    vg_stub_moved(&stub, 0x200);        /* nobody to tell */
    ck_assert_uint_eq(stub_host.sent, 0);
    vg_stub_connect(&stub);
    ck_assert_uint_eq(stub_host.last.region_gfn, 0x200);
    vg_stub_moved(&stub, 0x300);        /* not welcome yet: HELLO said another frame */
    ck_assert_uint_eq(stub_host.last.type, VG_MSG_MOVED);
    ck_assert_uint_eq(stub_host.last.region_gfn, 0x300);
    stub_say(VG_MSG_WELCOME, 0, -1);
    vg_stub_moved(&stub, 0x400);
    ck_assert_uint_eq(stub_host.last.type, VG_MSG_MOVED);
    ck_assert_uint_eq(stub_host.last.region_gfn, 0x400);
    ck_assert_uint_eq(stub_host.complaints, 0);
}
END_TEST

START_TEST(a_lost_region_takes_the_device_offline_for_good)
{
    int fd;

    stub_come_up();
    uint32_t live = stub_attached(&fd), idle = stub_claim();
    vg_stub_disable(&stub, "the region is lost", strerror(EIO));
    ck_assert_uint_eq(stub_host.complaints, 1);
    ck_assert(!stub_host.open);
    ck_assert_uint_eq(stub_host.closed[fd], 1);
    stub_ck_gone(live, VG_GONE_MEDIATOR);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), VG_STATUS_REFUSED);

    /* No mediator is looked for, ever; what a guest asks for is refused, not put off. */
    ck_assert_uint_eq(stub_host.retry_ms, 0);
    vg_stub_connect(&stub);
    ck_assert_uint_eq(stub_host.opens, 1);
    stub_set(VG_REG_ATTACH, idle);
    stub_ck_gone(idle, VG_GONE_REFUSED);
    vg_stub_reset(&stub);
    vg_stub_connect(&stub);
    vg_stub_disable(&stub, "once more", "");
    ck_assert_uint_eq(stub_host.opens, 1);
    ck_assert_uint_eq(stub_host.complaints, 1);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), VG_STATUS_REFUSED);
    ck_assert_uint_eq(stub_host.guest_errors, 0);
}
END_TEST

START_TEST(a_region_lost_before_there_is_a_mediator_is_no_different)
{
    stub_host.refuse_open = true;
    vg_stub_connect(&stub);
    vg_stub_disable(&stub, "the region is lost", "");
    stub_host.refuse_open = false;
    vg_stub_connect(&stub);             /* the timer that was set before */
    ck_assert_uint_eq(stub_host.opens, 1);
    ck_assert_uint_eq(stub_host.sent, 0);
}
END_TEST

TCase *stub_region_tests(void)
{
    TCase *tc = tcase_create("region");

    tcase_add_checked_fixture(tc, stub_host_setup, stub_host_teardown);
    tcase_add_test(tc, what_is_served_here_is_right_and_counted);
    tcase_add_test(tc, beyond_the_region_there_is_nothing);
    tcase_add_test(tc, the_mediator_hears_of_moves);
    tcase_add_test(tc, a_lost_region_takes_the_device_offline_for_good);
    tcase_add_test(tc, a_region_lost_before_there_is_a_mediator_is_no_different);
    return tc;
}
