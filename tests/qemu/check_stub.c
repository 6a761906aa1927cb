/* SPDX-License-Identifier: MIT */
/* The device core against a pretended host and mediator: registers, slots, link, reset. */
#include <errno.h>
#include <string.h>

#include "qemu-device/vgpu_stub_core.h"
#include "tests/protocol/vg_test.h"
#include "vg_atomic.h"

#define SLOTS 4u
#define SIZE  VG_REGION_SIZE_MIN

/* What the core did to its host. Pretended fds count up from 100 and are tracked. */
static struct {
    bool refuse_open, open;
    int send_error;
    unsigned sent, guest_errors, complaints, opens, retry_ms;
    struct vg_msg last;
    int last_fd;
    int next_fd;
    unsigned closed[4096], signals[4096];
} host;

static struct vg_stub stub;
static void *region;

static int host_open(void *opaque)
{
    (void)opaque;
    host.opens++;
    if (host.refuse_open)
        return -ECONNREFUSED;
    host.open = true;
    return 0;
}

static void host_close(void *opaque)
{
    (void)opaque;
    ck_assert(host.open);
    host.open = false;
}

static int host_send(void *opaque, const struct vg_msg *msg, int fd)
{
    (void)opaque;
    ck_assert(host.open);
    if (host.send_error)
        return host.send_error;
    host.sent++;
    host.last = *msg;
    host.last_fd = fd;
    return 0;
}

static void host_connect_later(void *opaque, unsigned ms)
{
    (void)opaque;
    host.retry_ms = ms;
}

static void host_signal(void *opaque, int fd)
{
    (void)opaque;
    ck_assert_uint_eq(host.closed[fd], 0);
    host.signals[fd]++;
}

static void host_fd_close(void *opaque, int fd)
{
    (void)opaque;
    ck_assert_uint_eq(host.closed[fd], 0);
    host.closed[fd] = 1;
}

static void host_event(void *opaque, enum vg_stub_event what, uint64_t a, uint64_t b)
{
    (void)opaque, (void)what, (void)a, (void)b;
}

static void host_guest_error(void *opaque, const char *what, uint64_t value)
{
    (void)opaque, (void)what, (void)value;
    host.guest_errors++;
}

static void host_complain(void *opaque, const char *what, const char *detail)
{
    (void)opaque, (void)what, (void)detail;
    host.complaints++;
}

static const struct vg_stub_host ops = {
    .link_open = host_open,
    .link_close = host_close,
    .link_send = host_send,
    .connect_later = host_connect_later,
    .fd_signal = host_signal,
    .fd_close = host_fd_close,
    .event = host_event,
    .guest_error = host_guest_error,
    .complain = host_complain,
};

static void setup(void)
{
    memset(&host, 0, sizeof(host));
    host.next_fd = 100;
    region = calloc(1, SIZE);
    ck_assert_ptr_nonnull(region);
    ck_assert(vg_stub_init(&stub, &ops, NULL, region, SIZE, SLOTS));
    stub.region_fd = 42;
    strcpy(stub.name, "vm one");
}

static void teardown(void)
{
    vg_stub_fini(&stub);
    ck_assert(!host.open);
    for (int fd = 100; fd < host.next_fd; fd++)
        ck_assert_uint_eq(host.closed[fd], 1);
    free(region);
}

static uint32_t reg(unsigned offset)
{
    return (uint32_t)vg_stub_read(&stub, offset, 4);
}

static void set(unsigned offset, uint32_t value)
{
    vg_stub_write(&stub, offset, value, 4);
}

static void say(enum vg_msg_type type, uint32_t token, int fd)
{
    struct vg_msg msg = { .type = type, .token = token, .version = VG_PROTOCOL_VERSION };

    vg_stub_message(&stub, &msg, sizeof(msg), fd);
}

static void come_up(void)
{
    vg_stub_connect(&stub);
    say(VG_MSG_WELCOME, 0, -1);
    ck_assert_uint_eq(reg(VG_REG_STATUS), VG_STATUS_MEDIATOR);
}

static struct vg_slot *shared(uint32_t token)
{
    return vg_region_slot(region, &stub.layout, VG_TOKEN_SLOT(token));
}

static uint32_t claim(void)
{
    uint32_t token = reg(VG_REG_CLAIM);

    ck_assert_uint_ne(token, VG_CLAIM_NONE);
    ck_assert_uint_eq(shared(token)->state, VG_SLOT_CLAIMED);
    return token;
}

static uint32_t attached(int *ret_fd)
{
    uint32_t token = claim();

    set(VG_REG_ATTACH, token);
    *ret_fd = host.next_fd++;
    say(VG_MSG_ATTACHED, token, *ret_fd);
    return token;
}

static void ck_gone(uint32_t token, enum vg_gone_reason reason)
{
    ck_assert_uint_eq(shared(token)->state, VG_SLOT_GONE);
    ck_assert_uint_eq(shared(token)->reason, reason);
}

START_TEST(sizes_outside_the_limits_are_refused)
{
    struct vg_stub s;

    ck_assert(!vg_stub_init(&s, &ops, NULL, region, SIZE / 2, SLOTS));
    ck_assert(!vg_stub_init(&s, &ops, NULL, region, SIZE, 0));
    ck_assert(!vg_stub_init(&s, &ops, NULL, region, SIZE, VG_SLOTS_MAX + 1));
}
END_TEST

START_TEST(registers_say_who_we_are)
{
    ck_assert_uint_eq(reg(VG_REG_MAGIC), VG_REG_MAGIC_VALUE);
    ck_assert_uint_eq(reg(VG_REG_VERSION), VG_PROTOCOL_VERSION);
    ck_assert_uint_eq(reg(VG_REG_FEATURES), 0);
    ck_assert_uint_eq(reg(VG_REG_STATUS), 0);
    ck_assert_uint_eq(reg(VG_REG_EPOCH), 0);
    ck_assert_uint_eq(reg(VG_REG_SLOT_COUNT), SLOTS);
    ck_assert_uint_eq(reg(VG_REG_REGION_LO), SIZE);
    ck_assert_uint_eq(reg(VG_REG_REGION_HI), 0);
    ck_assert_uint_eq(reg(VG_REG_TRAPS), 8);
    ck_assert_uint_eq(reg(VG_REG_TRAPS), 8);
    ck_assert_uint_eq(host.guest_errors, 0);
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
    ck_assert_uint_eq(host.guest_errors, errors);
    set(VG_REG_MAGIC, 0);
    set(VG_REG_CLAIM, 0);
    ck_assert_uint_eq(reg(VG_REG_ATTACH), UINT32_MAX);
    ck_assert_uint_eq(host.guest_errors, errors + 3);
    ck_assert_uint_eq(reg(VG_REG_MAGIC), VG_REG_MAGIC_VALUE);
    ck_assert_uint_eq(VG_TOKEN_SLOT(claim()), 0);
}
END_TEST

START_TEST(every_slot_is_claimed_once)
{
    uint32_t token[SLOTS];

    for (unsigned i = 0; i < SLOTS; i++) {
        token[i] = claim();
        ck_assert_uint_ne(token[i], 0);
        ck_assert_uint_eq(VG_TOKEN_SLOT(token[i]), i);
        ck_assert_uint_eq(VG_TOKEN_GEN(token[i]), shared(token[i])->generation);
    }
    ck_assert_uint_eq(reg(VG_REG_CLAIM), VG_CLAIM_NONE);
    set(VG_REG_RELEASE, token[2]);
    ck_assert_uint_eq(shared(token[2])->state, VG_SLOT_FREE);
    uint32_t again = claim();
    ck_assert_uint_eq(VG_TOKEN_SLOT(again), 2);
    ck_assert_uint_ne(again, token[2]);
    set(VG_REG_RELEASE, token[2]);
    ck_assert_uint_eq(host.guest_errors, 1);
    ck_assert_uint_eq(shared(again)->state, VG_SLOT_CLAIMED);
    ck_assert_uint_eq(host.sent, 0);
}
END_TEST

START_TEST(generation_never_becomes_zero)
{
    for (unsigned i = 0; i < 70000; i++) {
        uint32_t token = claim();
        ck_assert_uint_ne(VG_TOKEN_GEN(token), 0);
        set(VG_REG_RELEASE, token);
    }
}
END_TEST

START_TEST(attach_without_a_mediator_fails_clearly)
{
    uint32_t token = claim();

    set(VG_REG_ATTACH, token);
    ck_gone(token, VG_GONE_MEDIATOR);
    set(VG_REG_DOORBELL, token);
    set(VG_REG_RELEASE, token);
    ck_assert_uint_eq(VG_TOKEN_SLOT(claim()), VG_TOKEN_SLOT(token));
    ck_assert_uint_eq(host.guest_errors, 0);
}
END_TEST

START_TEST(hello_carries_the_region)
{
    vg_stub_connect(&stub);
    ck_assert_uint_eq(host.last.type, VG_MSG_HELLO);
    ck_assert_uint_eq(host.last.role, VG_ROLE_DEVICE);
    ck_assert_uint_eq(host.last.version, VG_PROTOCOL_VERSION);
    ck_assert_uint_eq(host.last.region_size, SIZE);
    ck_assert_uint_eq(host.last.slot_count, SLOTS);
    ck_assert_str_eq(host.last.name, "vm one");
    ck_assert_int_eq(host.last_fd, 42);
    ck_assert_uint_eq(reg(VG_REG_STATUS), 0);
    vg_stub_connect(&stub);
    ck_assert_uint_eq(host.opens, 1);
}
END_TEST

START_TEST(a_slot_lives_from_attach_to_slot_free)
{
    int fd;

    come_up();
    ck_assert_uint_eq(reg(VG_REG_EPOCH), 1);
    uint32_t token = claim();
    set(VG_REG_ATTACH, token);
    ck_assert_uint_eq(host.last.type, VG_MSG_ATTACH);
    ck_assert_uint_eq(host.last.token, token);
    ck_assert_uint_eq(shared(token)->state, VG_SLOT_ATTACHING);
    vg_store_release(&shared(token)->state, VG_SLOT_READY);     /* the executor */
    fd = host.next_fd++;
    say(VG_MSG_ATTACHED, token, fd);
    ck_assert_uint_eq(shared(token)->state, VG_SLOT_READY);
    set(VG_REG_DOORBELL, token);
    set(VG_REG_DOORBELL, token);
    ck_assert_uint_eq(host.signals[fd], 2);
    set(VG_REG_RELEASE, token);
    ck_assert_uint_eq(host.last.type, VG_MSG_RELEASE);
    ck_assert_uint_eq(host.closed[fd], 1);
    set(VG_REG_RELEASE, token);
    ck_assert_uint_eq(host.guest_errors, 1);
    for (unsigned i = 1; i < SLOTS; i++)
        ck_assert_uint_ne(VG_TOKEN_SLOT(claim()), VG_TOKEN_SLOT(token));
    ck_assert_uint_eq(reg(VG_REG_CLAIM), VG_CLAIM_NONE);
    say(VG_MSG_SLOT_FREE, token, -1);
    ck_assert_uint_eq(VG_TOKEN_SLOT(claim()), VG_TOKEN_SLOT(token));
}
END_TEST

START_TEST(a_doorbell_before_the_eventfd_is_not_lost)
{
    int fd;

    come_up();
    uint32_t token = claim();
    set(VG_REG_ATTACH, token);
    set(VG_REG_DOORBELL, token);
    fd = host.next_fd++;
    say(VG_MSG_ATTACHED, token, fd);
    ck_assert_uint_eq(host.signals[fd], 1);
    ck_assert_uint_eq(host.guest_errors, 0);
}
END_TEST

START_TEST(wrong_attaches_are_guest_errors)
{
    int fd;

    come_up();
    uint32_t token = attached(&fd);
    unsigned sent = host.sent;
    set(VG_REG_ATTACH, token);
    set(VG_REG_ATTACH, VG_TOKEN(1, 1));
    set(VG_REG_ATTACH, VG_TOKEN(SLOTS, 1));
    set(VG_REG_ATTACH, UINT32_MAX);
    set(VG_REG_DOORBELL, token ^ 1u << 16);
    set(VG_REG_DOORBELL, VG_TOKEN(0xffff, 1));
    ck_assert_uint_eq(host.guest_errors, 6);
    set(VG_REG_RELEASE, VG_TOKEN(1, 1));        /* free, but this would be its next token */
    set(VG_REG_DOORBELL, VG_TOKEN(1, 1));
    set(VG_REG_DOORBELL, VG_TOKEN(SLOTS, 0));   /* beyond the last */
    ck_assert_uint_eq(host.guest_errors, 9);
    ck_assert_uint_eq(host.sent, sent);
    ck_assert_uint_eq(host.signals[fd], 0);
}
END_TEST

START_TEST(a_refused_slot_is_gone_with_the_better_reason)
{
    come_up();
    uint32_t plain = claim(), told = claim();
    set(VG_REG_ATTACH, plain);
    say(VG_MSG_REFUSED, plain, -1);
    ck_gone(plain, VG_GONE_REFUSED);

    set(VG_REG_ATTACH, told);
    shared(told)->reason = VG_GONE_NO_GPU;
    vg_store_release(&shared(told)->state, VG_SLOT_GONE);       /* the mediator */
    say(VG_MSG_REFUSED, told, -1);
    ck_gone(told, VG_GONE_NO_GPU);
    unsigned sent = host.sent;
    set(VG_REG_RELEASE, told);
    ck_assert_uint_eq(shared(told)->state, VG_SLOT_FREE);
    ck_assert_uint_eq(host.sent, sent);
    ck_assert_uint_eq(reg(VG_REG_STATUS), VG_STATUS_MEDIATOR);
}
END_TEST

START_TEST(a_refused_vm_keeps_trying_slowly)
{
    vg_stub_connect(&stub);
    say(VG_MSG_REFUSED, 0, -1);
    ck_assert_uint_eq(reg(VG_REG_STATUS), VG_STATUS_REFUSED);
    ck_assert_uint_eq(host.retry_ms, VG_STUB_RETRY_MAX_MS);
    ck_assert_uint_eq(host.complaints, 1);
    uint32_t token = claim();
    set(VG_REG_ATTACH, token);
    ck_gone(token, VG_GONE_REFUSED);
    vg_stub_connect(&stub);
    say(VG_MSG_REFUSED, 0, -1);
    ck_assert_uint_eq(host.complaints, 1);
    come_up();
    ck_assert_uint_eq(reg(VG_REG_EPOCH), 1);
}
END_TEST

START_TEST(another_protocol_version_is_refused)
{
    struct vg_msg msg = { .type = VG_MSG_WELCOME, .version = VG_PROTOCOL_VERSION + 1 };

    vg_stub_connect(&stub);
    vg_stub_message(&stub, &msg, sizeof(msg), -1);
    ck_assert_uint_eq(reg(VG_REG_STATUS), VG_STATUS_REFUSED);
    ck_assert_uint_eq(reg(VG_REG_EPOCH), 0);
    ck_assert(!host.open);
}
END_TEST

START_TEST(retries_back_off_and_start_over)
{
    static const unsigned expected[] = { 50, 100, 200, 400, 800, 1600, 2000, 2000 };

    host.refuse_open = true;
    for (unsigned i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        vg_stub_connect(&stub);
        ck_assert_uint_eq(host.retry_ms, expected[i]);
    }
    host.refuse_open = false;
    come_up();
    vg_stub_link_lost(&stub, -ECONNRESET);
    ck_assert_uint_eq(host.retry_ms, 50);
}
END_TEST

START_TEST(a_lost_mediator_takes_its_slots_along)
{
    int fd;

    come_up();
    uint32_t live = attached(&fd), waiting = claim(), leaving = claim(), idle = claim();
    set(VG_REG_ATTACH, waiting);
    set(VG_REG_ATTACH, leaving);
    set(VG_REG_RELEASE, leaving);
    vg_stub_link_lost(&stub, -ECONNRESET);
    ck_assert_uint_eq(reg(VG_REG_STATUS), 0);
    ck_gone(live, VG_GONE_MEDIATOR);
    ck_gone(waiting, VG_GONE_MEDIATOR);
    ck_assert_uint_eq(shared(leaving)->state, VG_SLOT_FREE);
    ck_assert_uint_eq(shared(idle)->state, VG_SLOT_CLAIMED);
    ck_assert_uint_eq(host.closed[fd], 1);

    come_up();
    ck_assert_uint_eq(reg(VG_REG_EPOCH), 2);
    unsigned sent = host.sent;
    set(VG_REG_RELEASE, live);
    ck_assert_uint_eq(host.sent, sent);
    ck_assert_uint_eq(shared(live)->state, VG_SLOT_FREE);
    set(VG_REG_ATTACH, idle);
    ck_assert_uint_eq(host.last.token, idle);
}
END_TEST

START_TEST(a_full_socket_counts_as_a_lost_mediator)
{
    come_up();
    uint32_t token = claim();
    host.send_error = -EAGAIN;
    set(VG_REG_ATTACH, token);
    ck_gone(token, VG_GONE_MEDIATOR);
    ck_assert(!host.open);
    vg_stub_connect(&stub);
    ck_assert(!host.open);
    ck_assert_uint_eq(reg(VG_REG_STATUS), 0);
}
END_TEST

START_TEST(a_lease_that_ends_frees_the_slot)
{
    int fd;

    come_up();
    uint32_t token = attached(&fd);
    say(VG_MSG_SLOT_FREE, token, -1);
    ck_assert_uint_eq(host.closed[fd], 1);
    ck_assert_uint_eq(shared(token)->state, VG_SLOT_FREE);
    uint32_t next = claim();
    say(VG_MSG_SLOT_FREE, token, -1);
    say(VG_MSG_SLOT_FREE, next, -1);    /* it knows nothing of this use yet */
    ck_assert_uint_eq(shared(next)->state, VG_SLOT_CLAIMED);
}
END_TEST

START_TEST(stray_and_broken_messages_leak_nothing)
{
    struct vg_msg msg = { .type = 99 };

    come_up();
    say(VG_MSG_ATTACHED, VG_TOKEN(0, 1), host.next_fd++);
    say(VG_MSG_ATTACHED, UINT32_MAX, host.next_fd++);
    uint32_t token = claim();
    set(VG_REG_ATTACH, token);
    say(VG_MSG_ATTACHED, token, -1);
    set(VG_REG_RELEASE, token);
    say(VG_MSG_ATTACHED, token, host.next_fd++);
    ck_assert(host.open);
    vg_stub_message(&stub, &msg, sizeof(msg), host.next_fd++);
    ck_assert(!host.open);
    come_up();
    vg_stub_message(&stub, &msg, sizeof(msg) - 1, host.next_fd++);
    ck_assert(!host.open);
    come_up();
    say(VG_MSG_WELCOME, 0, host.next_fd++);
    ck_assert(!host.open);
}
END_TEST

START_TEST(reset_returns_slots_once_executors_are_gone)
{
    int fd;

    come_up();
    uint32_t live = attached(&fd), leaving = claim(), idle = claim();
    set(VG_REG_ATTACH, leaving);
    set(VG_REG_RELEASE, leaving);
    uint64_t off = vg_extent_alloc(region, &stub.layout, VG_TOKEN_SLOT(live), 3);
    ck_assert_uint_ne(vg_extent_alloc(region, &stub.layout, VG_TOKEN_SLOT(idle), 2), 0);
    ((struct vg_region_header *)region)->magic = 0;     /* a hostile guest */
    ck_assert_uint_ne(vg_extent_alloc(region, &stub.layout, 1000, 2), 0);

    vg_stub_reset(&stub);
    ck_assert_uint_eq(host.last.type, VG_MSG_RESET);
    ck_assert_uint_eq(((struct vg_region_header *)region)->magic, VG_REGION_MAGIC);
    ck_assert_uint_eq(reg(VG_REG_TRAPS), 0);
    ck_assert_uint_eq(host.closed[fd], 1);
    ck_assert_uint_eq(VG_TOKEN_SLOT(claim()), VG_TOKEN_SLOT(idle));
    ck_assert_uint_eq(VG_TOKEN_SLOT(claim()), SLOTS - 1);
    ck_assert_uint_eq(reg(VG_REG_CLAIM), VG_CLAIM_NONE);
    /* Only what the living executor may still use is not free. */
    ck_assert_uint_eq(vg_extent_alloc(region, &stub.layout, 0, stub.layout.extent_count - 3),
                      off + 3 * VG_EXTENT_SIZE);
    say(VG_MSG_SLOT_FREE, live, -1);
    say(VG_MSG_SLOT_FREE, leaving, -1);
    ck_assert_uint_eq(vg_extent_alloc(region, &stub.layout, 0, 3), off);
    claim();
    claim();
}
END_TEST

START_TEST(a_refusal_that_crosses_a_reset_frees_the_slot)
{
    come_up();
    uint32_t token = claim();
    set(VG_REG_ATTACH, token);
    vg_stub_reset(&stub);
    say(VG_MSG_REFUSED, token, -1);
    ck_assert_uint_eq(shared(token)->state, VG_SLOT_FREE);
    ck_assert_uint_eq(VG_TOKEN_SLOT(claim()), VG_TOKEN_SLOT(token));
}
END_TEST

START_TEST(reset_without_a_mediator_returns_everything)
{
    uint32_t lost = claim();

    claim();
    set(VG_REG_ATTACH, lost);
    vg_stub_reset(&stub);
    for (unsigned i = 0; i < SLOTS; i++)
        claim();
    ck_assert_uint_eq(host.sent, 0);
}
END_TEST

/*
 * Random guest, mediator and connection. The rule that matters: a slot that the mediator was asked
 * to attach is not claimed again before it said SLOT_FREE or REFUSED, or the link was lost.
 */
START_TEST(random_histories_never_share_a_slot)
{
    uint64_t seed = vg_test_seed();
    bool held[SLOTS] = { false };
    uint32_t token[SLOTS] = { 0 };

    for (unsigned step = 0; step < 200000; step++) {
        unsigned i = vg_test_random(&seed) % SLOTS;
        switch (vg_test_random(&seed) % 12) {
        case 0: case 1: {
            uint32_t t = reg(VG_REG_CLAIM);
            if (t == VG_CLAIM_NONE)
                break;
            ck_assert(!held[VG_TOKEN_SLOT(t)]);
            ck_assert_uint_ne(t, token[VG_TOKEN_SLOT(t)]);
            token[VG_TOKEN_SLOT(t)] = t;
            break;
        }
        case 2: case 3: {
            unsigned sent = host.sent;
            set(VG_REG_ATTACH, token[i]);
            held[i] |= host.sent != sent;
            break;
        }
        case 4: set(VG_REG_RELEASE, token[i]); break;
        case 5: set(VG_REG_DOORBELL, token[i]); break;
        case 6:
            if (stub.link == VG_STUB_LINK_UP && held[i] && host.next_fd < 4000)
                say(VG_MSG_ATTACHED, token[i], host.next_fd++);
            break;
        case 7: case 8:
            if (stub.link == VG_STUB_LINK_UP && held[i]) {
                held[i] = false;
                say(VG_MSG_SLOT_FREE, token[i], -1);
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
                come_up();
        }
    }
    ck_assert_int_gt(host.next_fd, 200);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vgpu-stub core");
    TCase *tc = tcase_create("core");

    tcase_add_checked_fixture(tc, setup, teardown);
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
    return vg_test_main(suite);
}
