/* SPDX-License-Identifier: MIT */
/* The device core against a pretended host and mediator: registers, slots, link, reset. */
#include <errno.h>
#include <string.h>

#include "tests/protocol/vg_test.h"
#include "tests/qemu/stub_host.h"
#include "vg_atomic.h"

START_TEST(sizes_outside_the_limits_are_refused)
{
    struct vg_stub s;

    ck_assert(!vg_stub_init(&s, &stub_host_ops, NULL, region, STUB_SIZE / 2, STUB_SLOTS));
    ck_assert(!vg_stub_init(&s, &stub_host_ops, NULL, region, STUB_SIZE, 0));
    ck_assert(!vg_stub_init(&s, &stub_host_ops, NULL, region, STUB_SIZE, VG_SLOTS_MAX + 1));
}
END_TEST

START_TEST(registers_say_who_we_are)
{
    ck_assert_uint_eq(stub_reg(VG_REG_MAGIC), VG_REG_MAGIC_VALUE);
    ck_assert_uint_eq(stub_reg(VG_REG_VERSION), VG_PROTOCOL_VERSION);
    ck_assert_uint_eq(stub_reg(VG_REG_FEATURES), 0);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), 0);
    ck_assert_uint_eq(stub_reg(VG_REG_EPOCH), 0);
    ck_assert_uint_eq(stub_reg(VG_REG_SLOT_COUNT), STUB_SLOTS);
    ck_assert_uint_eq(stub_reg(VG_REG_REGION_LO), STUB_SIZE);
    ck_assert_uint_eq(stub_reg(VG_REG_REGION_HI), 0);
    ck_assert_uint_eq(stub_reg(VG_REG_TRAPS), 8);
    ck_assert_uint_eq(stub_reg(VG_REG_TRAPS), 8);
    ck_assert_uint_eq(stub_host.guest_errors, 0);
}
END_TEST

START_TEST(bad_accesses_read_ones_and_change_nothing)
{
    static const unsigned sizes[] = { 0, 1, 2, 3, 8 };
    unsigned errors = 0;

    for (unsigned off = 0; off < VG_BAR0_SIZE; off++) {
        for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++, errors += 2) {
            ck_assert_uint_eq(vg_stub_read(&stub, off, sizes[i]), UINT64_MAX);
            vg_stub_write(&stub, off, UINT64_MAX, sizes[i]);
        }
        if (off % 4 == 0 && off < VG_REG_END)
            continue;
        ck_assert_uint_eq(vg_stub_read(&stub, off, 4), UINT64_MAX);
        vg_stub_write(&stub, off, 0, 4);
        errors += 2;
    }
    ck_assert_uint_eq(stub_host.guest_errors, errors);
    stub_set(VG_REG_MAGIC, 0);
    stub_set(VG_REG_CLAIM, 0);
    ck_assert_uint_eq(stub_reg(VG_REG_ATTACH), UINT32_MAX);
    ck_assert_uint_eq(stub_host.guest_errors, errors + 3);
    ck_assert_uint_eq(stub_reg(VG_REG_MAGIC), VG_REG_MAGIC_VALUE);
    ck_assert_uint_eq(VG_TOKEN_SLOT(stub_claim()), 0);
}
END_TEST

START_TEST(every_slot_is_claimed_once)
{
    uint32_t token[STUB_SLOTS];

    for (unsigned i = 0; i < STUB_SLOTS; i++) {
        token[i] = stub_claim();
        ck_assert_uint_ne(token[i], 0);
        ck_assert_uint_eq(VG_TOKEN_SLOT(token[i]), i);
        ck_assert_uint_eq(VG_TOKEN_GEN(token[i]), stub_shared(token[i])->generation);
    }
    ck_assert_uint_eq(stub_reg(VG_REG_CLAIM), VG_CLAIM_NONE);
    stub_set(VG_REG_RELEASE, token[2]);
    ck_assert_uint_eq(stub_shared(token[2])->state, VG_SLOT_FREE);
    uint32_t again = stub_claim();
    ck_assert_uint_eq(VG_TOKEN_SLOT(again), 2);
    ck_assert_uint_ne(again, token[2]);
    stub_set(VG_REG_RELEASE, token[2]);
    ck_assert_uint_eq(stub_host.guest_errors, 1);
    ck_assert_uint_eq(stub_shared(again)->state, VG_SLOT_CLAIMED);
    ck_assert_uint_eq(stub_host.sent, 0);
}
END_TEST

START_TEST(generation_never_becomes_zero)
{
    for (unsigned i = 0; i < 70000; i++) {
        uint32_t token = stub_claim();
        ck_assert_uint_ne(VG_TOKEN_GEN(token), 0);
        stub_set(VG_REG_RELEASE, token);
    }
}
END_TEST

START_TEST(attach_without_a_mediator_fails_clearly)
{
    uint32_t token = stub_claim();

    stub_set(VG_REG_ATTACH, token);
    stub_ck_gone(token, VG_GONE_MEDIATOR);
    stub_set(VG_REG_DOORBELL, token);
    stub_set(VG_REG_RELEASE, token);
    ck_assert_uint_eq(VG_TOKEN_SLOT(stub_claim()), VG_TOKEN_SLOT(token));
    ck_assert_uint_eq(stub_host.guest_errors, 0);
}
END_TEST

START_TEST(hello_carries_the_region)
{
    vg_stub_connect(&stub);
    ck_assert_uint_eq(stub_host.last.type, VG_MSG_HELLO);
    ck_assert_uint_eq(stub_host.last.role, VG_ROLE_DEVICE);
    ck_assert_uint_eq(stub_host.last.version, VG_PROTOCOL_VERSION);
    ck_assert_uint_eq(stub_host.last.region_size, STUB_SIZE);
    ck_assert_uint_eq(stub_host.last.slot_count, STUB_SLOTS);
    ck_assert_str_eq(stub_host.last.name, "vm one");
    ck_assert_int_eq(stub_host.last_fd, 42);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), 0);
    vg_stub_connect(&stub);
    ck_assert_uint_eq(stub_host.opens, 1);
}
END_TEST

START_TEST(a_slot_lives_from_attach_to_slot_free)
{
    int fd;

    stub_come_up();
    ck_assert_uint_eq(stub_reg(VG_REG_EPOCH), 1);
    uint32_t token = stub_claim();
    stub_set(VG_REG_ATTACH, token);
    ck_assert_uint_eq(stub_host.last.type, VG_MSG_ATTACH);
    ck_assert_uint_eq(stub_host.last.token, token);
    ck_assert_uint_eq(stub_shared(token)->state, VG_SLOT_ATTACHING);
    vg_store_release(&stub_shared(token)->state, VG_SLOT_READY);     /* the executor */
    fd = stub_host.next_fd++;
    stub_say(VG_MSG_ATTACHED, token, fd);
    ck_assert_uint_eq(stub_shared(token)->state, VG_SLOT_READY);
    stub_set(VG_REG_DOORBELL, token);
    stub_set(VG_REG_DOORBELL, token);
    ck_assert_uint_eq(stub_host.signals[fd], 2);
    stub_set(VG_REG_RELEASE, token);
    ck_assert_uint_eq(stub_host.last.type, VG_MSG_RELEASE);
    ck_assert_uint_eq(stub_host.closed[fd], 1);
    stub_set(VG_REG_RELEASE, token);
    ck_assert_uint_eq(stub_host.guest_errors, 1);
    for (unsigned i = 1; i < STUB_SLOTS; i++)
        ck_assert_uint_ne(VG_TOKEN_SLOT(stub_claim()), VG_TOKEN_SLOT(token));
    ck_assert_uint_eq(stub_reg(VG_REG_CLAIM), VG_CLAIM_NONE);
    stub_say(VG_MSG_SLOT_FREE, token, -1);
    ck_assert_uint_eq(VG_TOKEN_SLOT(stub_claim()), VG_TOKEN_SLOT(token));
}
END_TEST

START_TEST(a_doorbell_before_the_eventfd_is_not_lost)
{
    int fd;

    stub_come_up();
    uint32_t token = stub_claim();
    stub_set(VG_REG_ATTACH, token);
    stub_set(VG_REG_DOORBELL, token);
    fd = stub_host.next_fd++;
    stub_say(VG_MSG_ATTACHED, token, fd);
    ck_assert_uint_eq(stub_host.signals[fd], 1);
    ck_assert_uint_eq(stub_host.guest_errors, 0);
}
END_TEST

START_TEST(wrong_attaches_are_guest_errors)
{
    int fd;

    stub_come_up();
    uint32_t token = stub_attached(&fd);
    unsigned sent = stub_host.sent;
    stub_set(VG_REG_ATTACH, token);
    stub_set(VG_REG_ATTACH, VG_TOKEN(1, 1));
    stub_set(VG_REG_ATTACH, VG_TOKEN(STUB_SLOTS, 1));
    stub_set(VG_REG_ATTACH, UINT32_MAX);
    stub_set(VG_REG_DOORBELL, token ^ 1u << 16);
    stub_set(VG_REG_DOORBELL, VG_TOKEN(0xffff, 1));
    ck_assert_uint_eq(stub_host.guest_errors, 6);
    stub_set(VG_REG_RELEASE, VG_TOKEN(1, 1));        /* free, but this would be its next token */
    stub_set(VG_REG_DOORBELL, VG_TOKEN(1, 1));
    stub_set(VG_REG_DOORBELL, VG_TOKEN(STUB_SLOTS, 0));   /* beyond the last */
    ck_assert_uint_eq(stub_host.guest_errors, 9);
    ck_assert_uint_eq(stub_host.sent, sent);
    ck_assert_uint_eq(stub_host.signals[fd], 0);
}
END_TEST

START_TEST(a_refused_slot_is_gone_with_the_better_reason)
{
    stub_come_up();
    uint32_t plain = stub_claim(), told = stub_claim();
    stub_set(VG_REG_ATTACH, plain);
    stub_say(VG_MSG_REFUSED, plain, -1);
    stub_ck_gone(plain, VG_GONE_REFUSED);

    stub_set(VG_REG_ATTACH, told);
    stub_shared(told)->reason = VG_GONE_NO_GPU;
    vg_store_release(&stub_shared(told)->state, VG_SLOT_GONE);       /* the mediator */
    stub_say(VG_MSG_REFUSED, told, -1);
    stub_ck_gone(told, VG_GONE_NO_GPU);
    unsigned sent = stub_host.sent;
    stub_set(VG_REG_RELEASE, told);
    ck_assert_uint_eq(stub_shared(told)->state, VG_SLOT_FREE);
    ck_assert_uint_eq(stub_host.sent, sent);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), VG_STATUS_MEDIATOR);
}
END_TEST

START_TEST(a_refused_vm_keeps_trying_slowly)
{
    vg_stub_connect(&stub);
    stub_say(VG_MSG_REFUSED, 0, -1);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), VG_STATUS_REFUSED);
    ck_assert_uint_eq(stub_host.retry_ms, VG_STUB_RETRY_MAX_MS);
    ck_assert_uint_eq(stub_host.complaints, 1);
    uint32_t token = stub_claim();
    stub_set(VG_REG_ATTACH, token);
    stub_ck_gone(token, VG_GONE_REFUSED);
    vg_stub_connect(&stub);
    stub_say(VG_MSG_REFUSED, 0, -1);
    ck_assert_uint_eq(stub_host.complaints, 1);
    stub_come_up();
    ck_assert_uint_eq(stub_reg(VG_REG_EPOCH), 1);
}
END_TEST

START_TEST(another_protocol_version_is_refused)
{
    struct vg_msg msg = { .type = VG_MSG_WELCOME, .version = VG_PROTOCOL_VERSION + 1 };

    vg_stub_connect(&stub);
    vg_stub_message(&stub, &msg, sizeof(msg), -1);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), VG_STATUS_REFUSED);
    ck_assert_uint_eq(stub_reg(VG_REG_EPOCH), 0);
    ck_assert(!stub_host.open);
}
END_TEST

START_TEST(retries_back_off_and_start_over)
{
    static const unsigned expected[] = { 50, 100, 200, 400, 800, 1600, 2000, 2000 };

    stub_host.refuse_open = true;
    for (unsigned i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        vg_stub_connect(&stub);
        ck_assert_uint_eq(stub_host.retry_ms, expected[i]);
    }
    stub_host.refuse_open = false;
    stub_come_up();
    vg_stub_link_lost(&stub, -ECONNRESET);
    ck_assert_uint_eq(stub_host.retry_ms, 50);
}
END_TEST

START_TEST(a_lost_mediator_takes_its_slots_along)
{
    int fd;

    stub_come_up();
    uint32_t live = stub_attached(&fd), waiting = stub_claim();
    uint32_t leaving = stub_claim(), idle = stub_claim();
    stub_set(VG_REG_ATTACH, waiting);
    stub_set(VG_REG_ATTACH, leaving);
    stub_set(VG_REG_RELEASE, leaving);
    vg_stub_link_lost(&stub, -ECONNRESET);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), 0);
    stub_ck_gone(live, VG_GONE_MEDIATOR);
    stub_ck_gone(waiting, VG_GONE_MEDIATOR);
    ck_assert_uint_eq(stub_shared(leaving)->state, VG_SLOT_FREE);
    ck_assert_uint_eq(stub_shared(idle)->state, VG_SLOT_CLAIMED);
    ck_assert_uint_eq(stub_host.closed[fd], 1);

    stub_come_up();
    ck_assert_uint_eq(stub_reg(VG_REG_EPOCH), 2);
    unsigned sent = stub_host.sent;
    stub_set(VG_REG_RELEASE, live);
    ck_assert_uint_eq(stub_host.sent, sent);
    ck_assert_uint_eq(stub_shared(live)->state, VG_SLOT_FREE);
    stub_set(VG_REG_ATTACH, idle);
    ck_assert_uint_eq(stub_host.last.token, idle);
}
END_TEST

START_TEST(a_full_socket_counts_as_a_lost_mediator)
{
    stub_come_up();
    uint32_t token = stub_claim();
    stub_host.send_error = -EAGAIN;
    stub_set(VG_REG_ATTACH, token);
    stub_ck_gone(token, VG_GONE_MEDIATOR);
    ck_assert(!stub_host.open);
    vg_stub_connect(&stub);
    ck_assert(!stub_host.open);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), 0);
}
END_TEST

START_TEST(a_lease_that_ends_frees_the_slot)
{
    int fd;

    stub_come_up();
    uint32_t token = stub_attached(&fd);
    stub_say(VG_MSG_SLOT_FREE, token, -1);
    ck_assert_uint_eq(stub_host.closed[fd], 1);
    ck_assert_uint_eq(stub_shared(token)->state, VG_SLOT_FREE);
    uint32_t next = stub_claim();
    stub_say(VG_MSG_SLOT_FREE, token, -1);
    stub_say(VG_MSG_SLOT_FREE, next, -1);    /* it knows nothing of this use yet */
    ck_assert_uint_eq(stub_shared(next)->state, VG_SLOT_CLAIMED);
}
END_TEST

START_TEST(stray_and_broken_messages_leak_nothing)
{
    struct vg_msg msg = { .type = 99 };

    stub_come_up();
    stub_say(VG_MSG_ATTACHED, VG_TOKEN(0, 1), stub_host.next_fd++);
    stub_say(VG_MSG_ATTACHED, UINT32_MAX, stub_host.next_fd++);
    uint32_t token = stub_claim();
    stub_set(VG_REG_ATTACH, token);
    stub_say(VG_MSG_ATTACHED, token, -1);
    stub_set(VG_REG_RELEASE, token);
    stub_say(VG_MSG_ATTACHED, token, stub_host.next_fd++);
    ck_assert(stub_host.open);
    vg_stub_message(&stub, &msg, sizeof(msg), stub_host.next_fd++);
    ck_assert(!stub_host.open);
    stub_come_up();
    vg_stub_message(&stub, &msg, sizeof(msg) - 1, stub_host.next_fd++);
    ck_assert(!stub_host.open);
    stub_come_up();
    stub_say(VG_MSG_WELCOME, 0, stub_host.next_fd++);
    ck_assert(!stub_host.open);
}
END_TEST

START_TEST(reset_returns_slots_once_executors_are_gone)
{
    int fd;

    stub_come_up();
    uint32_t live = stub_attached(&fd), leaving = stub_claim(), idle = stub_claim();
    stub_set(VG_REG_ATTACH, leaving);
    stub_set(VG_REG_RELEASE, leaving);
    uint64_t off = vg_extent_alloc(region, &stub.layout, VG_TOKEN_SLOT(live), 3);
    ck_assert_uint_ne(vg_extent_alloc(region, &stub.layout, VG_TOKEN_SLOT(idle), 2), 0);
    ((struct vg_region_header *)region)->magic = 0;     /* a hostile guest */
    ck_assert_uint_ne(vg_extent_alloc(region, &stub.layout, 1000, 2), 0);

    vg_stub_reset(&stub);
    ck_assert_uint_eq(stub_host.last.type, VG_MSG_RESET);
    ck_assert_uint_eq(((struct vg_region_header *)region)->magic, VG_REGION_MAGIC);
    ck_assert_uint_eq(stub_reg(VG_REG_TRAPS), 0);
    ck_assert_uint_eq(stub_host.closed[fd], 1);
    ck_assert_uint_eq(VG_TOKEN_SLOT(stub_claim()), VG_TOKEN_SLOT(idle));
    ck_assert_uint_eq(VG_TOKEN_SLOT(stub_claim()), STUB_SLOTS - 1);
    ck_assert_uint_eq(stub_reg(VG_REG_CLAIM), VG_CLAIM_NONE);
    /* Only what the living executor may still use is not free. */
    ck_assert_uint_eq(vg_extent_alloc(region, &stub.layout, 0, stub.layout.extent_count - 3),
                      off + 3 * VG_EXTENT_SIZE);
    stub_say(VG_MSG_SLOT_FREE, live, -1);
    stub_say(VG_MSG_SLOT_FREE, leaving, -1);
    ck_assert_uint_eq(vg_extent_alloc(region, &stub.layout, 0, 3), off);
    stub_claim();
    stub_claim();
}
END_TEST

START_TEST(a_refusal_that_crosses_a_reset_frees_the_slot)
{
    stub_come_up();
    uint32_t token = stub_claim();
    stub_set(VG_REG_ATTACH, token);
    vg_stub_reset(&stub);
    stub_say(VG_MSG_REFUSED, token, -1);
    ck_assert_uint_eq(stub_shared(token)->state, VG_SLOT_FREE);
    ck_assert_uint_eq(VG_TOKEN_SLOT(stub_claim()), VG_TOKEN_SLOT(token));
}
END_TEST

START_TEST(reset_without_a_mediator_returns_everything)
{
    uint32_t lost = stub_claim();

    stub_claim();
    stub_set(VG_REG_ATTACH, lost);
    vg_stub_reset(&stub);
    for (unsigned i = 0; i < STUB_SLOTS; i++)
        stub_claim();
    ck_assert_uint_eq(stub_host.sent, 0);
}
END_TEST

/*
 * Random guest, mediator and connection. The rule that matters: a slot that the mediator was asked
 * to attach is not claimed again before it said SLOT_FREE or REFUSED, or the link was lost.
 */
START_TEST(random_histories_never_share_a_slot)
{
    uint64_t seed = vg_test_seed();
    bool held[STUB_SLOTS] = { false };
    uint32_t token[STUB_SLOTS] = { 0 };

    for (unsigned step = 0; step < 200000; step++) {
        unsigned i = vg_test_random(&seed) % STUB_SLOTS;
        switch (vg_test_random(&seed) % 12) {
        case 0: case 1: {
            uint32_t t = stub_reg(VG_REG_CLAIM);
            if (t == VG_CLAIM_NONE)
                break;
            ck_assert(!held[VG_TOKEN_SLOT(t)]);
            ck_assert_uint_ne(t, token[VG_TOKEN_SLOT(t)]);
            token[VG_TOKEN_SLOT(t)] = t;
            break;
        }
        case 2: case 3: {
            unsigned sent = stub_host.sent;
            stub_set(VG_REG_ATTACH, token[i]);
            held[i] |= stub_host.sent != sent;
            break;
        }
        case 4: stub_set(VG_REG_RELEASE, token[i]); break;
        case 5: stub_set(VG_REG_DOORBELL, token[i]); break;
        case 6:
            if (stub.link == VG_STUB_LINK_UP && held[i] && stub_host.next_fd < 4000)
                stub_say(VG_MSG_ATTACHED, token[i], stub_host.next_fd++);
            break;
        case 7: case 8:
            if (stub.link == VG_STUB_LINK_UP && held[i]) {
                held[i] = false;
                stub_say(VG_MSG_SLOT_FREE, token[i], -1);
            }
            break;
        case 9:
            if (vg_test_random(&seed) % 50 == 0)
                vg_stub_reset(&stub);
            break;
        case 10:
            if (vg_test_random(&seed) % 50 == 0) {
                vg_stub_link_lost(&stub, -ECONNRESET);
                memset(held, 0, sizeof(held));
            }
            break;
        default:
            if (stub.link == VG_STUB_LINK_DOWN)
                stub_come_up();
        }
    }
    ck_assert_int_gt(stub_host.next_fd, 200);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vgpu-stub core");
    TCase *tc = tcase_create("core");

    tcase_add_checked_fixture(tc, stub_host_setup, stub_host_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, sizes_outside_the_limits_are_refused);
    tcase_add_test(tc, registers_say_who_we_are);
    tcase_add_test(tc, bad_accesses_read_ones_and_change_nothing);
    tcase_add_test(tc, every_slot_is_claimed_once);
    tcase_add_test(tc, generation_never_becomes_zero);
    tcase_add_test(tc, attach_without_a_mediator_fails_clearly);
    tcase_add_test(tc, hello_carries_the_region);
    tcase_add_test(tc, a_slot_lives_from_attach_to_slot_free);
    tcase_add_test(tc, a_doorbell_before_the_eventfd_is_not_lost);
    tcase_add_test(tc, wrong_attaches_are_guest_errors);
    tcase_add_test(tc, a_refused_slot_is_gone_with_the_better_reason);
    tcase_add_test(tc, a_refused_vm_keeps_trying_slowly);
    tcase_add_test(tc, another_protocol_version_is_refused);
    tcase_add_test(tc, retries_back_off_and_start_over);
    tcase_add_test(tc, a_lost_mediator_takes_its_slots_along);
    tcase_add_test(tc, a_full_socket_counts_as_a_lost_mediator);
    tcase_add_test(tc, a_lease_that_ends_frees_the_slot);
    tcase_add_test(tc, stray_and_broken_messages_leak_nothing);
    tcase_add_test(tc, reset_returns_slots_once_executors_are_gone);
    tcase_add_test(tc, a_refusal_that_crosses_a_reset_frees_the_slot);
    tcase_add_test(tc, reset_without_a_mediator_returns_everything);
    tcase_add_test(tc, random_histories_never_share_a_slot);
    suite_add_tcase(suite, tc);
    suite_add_tcase(suite, stub_region_tests());
    suite_add_tcase(suite, stub_saved_tests());
    return vg_test_main(suite);
}
