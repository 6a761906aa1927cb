/* SPDX-License-Identifier: MIT */
/*
 * The ring against a model: every record put in comes out once, whole, in order,
 * whatever the sizes; a guest that breaks the ring is told apart from an empty one.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "tests/protocol/vg_test.h"
#include "vg_atomic.h"
#include "vg_ring.h"

static struct vg_slot *slot;
static struct vg_ring_producer producer;
static struct vg_ring_consumer consumer;
static uint8_t payload[VG_PAYLOAD_MAX];
static const char *why;

static void setup(void)
{
    ck_assert_int_eq(posix_memalign((void **)&slot, VG_PAGE, VG_SLOT_STRIDE), 0);
    memset(slot, 0, VG_SLOT_STRIDE);
    vg_ring_producer_init(&producer, slot);
    vg_ring_consumer_init(&consumer, slot);
}

static void teardown(void)
{
    free(slot);
}

static void fill(uint8_t *p, size_t len, uint32_t seq)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(seq * 31 + i);
}

static bool put(uint32_t seq, size_t len)
{
    struct vg_call *call = vg_ring_reserve(&producer, len);

    if (!call)
        return false;
    call->call = VG_CALL_NOP;
    call->seq = seq;
    call->arg[7] = ~(uint64_t)seq;
    fill((uint8_t *)(call + 1), len, seq);
    (void)!vg_ring_commit(&producer, call);
    return true;
}

static void expect(uint32_t seq, size_t len)
{
    struct vg_call call;
    uint8_t want[VG_PAYLOAD_MAX];

    ck_assert_int_eq(vg_ring_take(&consumer, &call, payload, &why), VG_RING_RECORD);
    ck_assert_uint_eq(call.seq, seq);
    ck_assert_uint_eq(call.arg[7], ~(uint64_t)seq);
    ck_assert_uint_eq(call.payload_len, len);
    fill(want, len, seq);
    ck_assert_int_eq(memcmp(payload, want, len), 0);
}

START_TEST(random_sizes_follow_the_model)
{
    static size_t queued[VG_RING_SIZE / sizeof(struct vg_call) + 1];
    uint64_t rnd = vg_test_seed();
    uint32_t in = 0, out = 0;
    size_t model = sizeof(queued) / sizeof(queued[0]);

    for (int step = 0; step < 200000; step++) {
        uint64_t r = vg_test_random(&rnd);
        size_t len = r % 16 == 0 ? r / 16 % (VG_PAYLOAD_MAX + 1) : r / 16 % 200;
        if (r & (1ull << 40)) {
            if (put(in, len))
                queued[in++ % model] = len;
        } else if (out != in) {
            expect(out, queued[out % model]);
            out++;
        }
    }
    for (; out != in; out++)
        expect(out, queued[out % model]);
    struct vg_call call;
    ck_assert_int_eq(vg_ring_take(&consumer, &call, payload, &why), VG_RING_EMPTY);
}
END_TEST

START_TEST(every_offset_of_the_wrap_works)
{
    uint32_t seq = 0;

    for (size_t first = 0; first <= 512; first += 8) {
        for (int i = 0; i < 600; i++, seq++) {
            size_t len = i == 0 ? first : VG_PAYLOAD_MAX / 64 + (size_t)i % 48;
            ck_assert(put(seq, len));
            expect(seq, len);
        }
    }
}
END_TEST

START_TEST(a_full_ring_refuses_and_recovers)
{
    uint32_t seq = 0;

    while (put(seq, 1000))
        seq++;
    ck_assert_uint_ge(seq, VG_RING_SIZE / 1200);
    /* Room comes back in portions, and all of it once the ring is empty. */
    for (uint32_t i = 0; i < seq; i++) {
        expect(i, 1000);
        ck_assert_uint_le(consumer.tail - slot->tail, VG_RING_SIZE / 16);
    }
    struct vg_call call;
    ck_assert_int_eq(vg_ring_take(&consumer, &call, payload, &why), VG_RING_EMPTY);
    ck_assert_uint_eq(slot->tail, slot->head);
    ck_assert(put(seq, 900));
    ck_assert_ptr_null(vg_ring_reserve(&producer, VG_PAYLOAD_MAX + 1));
}
END_TEST

/* The sanitizer slows threads down a hundredfold. */
#if defined(__SANITIZE_THREAD__)
#define STORM 20000
#else
#define STORM 300000
#endif

struct storm {
    uint32_t count;
    bool stop;
};

static void *storm_producer(void *arg)
{
    struct storm *s = arg;

    for (uint32_t i = 0; i < s->count; i++) {
        while (!put(i, i % 97))
            sched_yield();
    }
    return NULL;
}

START_TEST(two_threads_lose_nothing)
{
    struct storm s = {.count = STORM};
    pthread_t t;

    ck_assert_int_eq(pthread_create(&t, NULL, storm_producer, &s), 0);
    for (uint32_t i = 0; i < s.count; i++) {
        while (vg_load_acquire(&slot->head) == consumer.tail)
            sched_yield();
        expect(i, i % 97);
    }
    pthread_join(t, NULL);
}
END_TEST

START_TEST(a_sleeper_is_always_woken)
{
    struct vg_call *call;

    ck_assert(vg_ring_sleepy(&consumer));
    call = vg_ring_reserve(&producer, 0);
    call->call = VG_CALL_NOP;
    ck_assert(vg_ring_commit(&producer, call));
    ck_assert(!vg_ring_sleepy(&consumer));
    call = vg_ring_reserve(&producer, 0);
    call->call = VG_CALL_NOP;
    ck_assert(!vg_ring_commit(&producer, call));
}
END_TEST

static enum vg_ring_verdict take(void)
{
    struct vg_call call;

    why = NULL;
    return vg_ring_take(&consumer, &call, payload, &why);
}

START_TEST(broken_rings_are_named)
{
    struct vg_call *at = (struct vg_call *)vg_slot_ring(slot);

    slot->head = VG_RING_SIZE + 16;             /* more than the ring holds */
    ck_assert_int_eq(take(), VG_RING_BROKEN);
    slot->head = (uint64_t)-16;                 /* moved back */
    ck_assert_int_eq(take(), VG_RING_BROKEN);
    slot->head = 88;                            /* not on a record boundary */
    ck_assert_int_eq(take(), VG_RING_BROKEN);
    slot->head = 64;                            /* less than a header */
    ck_assert_int_eq(take(), VG_RING_BROKEN);
    slot->head = 96;
    at->call = VG_CALL_NOP;
    at->payload_len = 17;                       /* reaches past head */
    ck_assert_int_eq(take(), VG_RING_BROKEN);
    at->payload_len = 0xfffffff0u;              /* size would wrap in 32 bits */
    ck_assert_int_eq(take(), VG_RING_BROKEN);
    slot->head = VG_RING_SIZE;
    at->payload_len = VG_PAYLOAD_MAX + 1;       /* fits the ring, over the limit */
    ck_assert_int_eq(take(), VG_RING_BROKEN);
    ck_assert_ptr_nonnull(why);
}
END_TEST

#if !defined(__SANITIZE_THREAD__)
static void *flipper(void *arg)
{
    struct storm *s = arg;
    struct vg_call *at = (struct vg_call *)vg_slot_ring(slot);

    while (!vg_load_relaxed(&s->stop)) {
        vg_store_relaxed(&at->payload_len, 16u);
        vg_store_relaxed(&at->payload_len, 0x7ffffff0u);
    }
    return NULL;
}

/* The length changes under the reader's hands: each verdict must rest on one reading of it. */
START_TEST(a_changing_descriptor_is_read_once)
{
    struct storm s = {0};
    pthread_t t;
    int records = 0, broken = 0;

    ck_assert_int_eq(pthread_create(&t, NULL, flipper, &s), 0);
    for (int i = 0; i < 200000 || !records || !broken; i++) {
        struct vg_call call;
        slot->head = 96;
        consumer.tail = 0;
        if (vg_ring_take(&consumer, &call, payload, &why) == VG_RING_RECORD) {
            ck_assert_uint_le(call.payload_len, 16);
            records++;
        } else {
            broken++;
        }
    }
    vg_store_relaxed(&s.stop, true);
    pthread_join(t, NULL);
}
END_TEST
#endif

START_TEST(garbage_never_hurts)
{
    uint64_t rnd = vg_test_seed();

    for (int round = 0; round < 2000; round++) {
        uint8_t *ring = vg_slot_ring(slot);
        for (size_t i = 0; i + 8 <= 4096; i += 8) {
            uint64_t r = vg_test_random(&rnd);
            memcpy(ring + i, &r, 8);
        }
        vg_ring_consumer_init(&consumer, slot);
        consumer.tail = (vg_test_random(&rnd) % VG_RING_SIZE) & ~15ull;
        slot->head = consumer.tail + vg_test_random(&rnd) % (2 * VG_RING_SIZE);
        while (take() == VG_RING_RECORD)
            ;
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ring");
    TCase *c = tcase_create("ring");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, random_sizes_follow_the_model);
    tcase_add_test(c, every_offset_of_the_wrap_works);
    tcase_add_test(c, a_full_ring_refuses_and_recovers);
    tcase_add_test(c, two_threads_lose_nothing);
    tcase_add_test(c, a_sleeper_is_always_woken);
    tcase_add_test(c, broken_rings_are_named);
#if !defined(__SANITIZE_THREAD__) /* a data race is what this test is about */
    tcase_add_test(c, a_changing_descriptor_is_read_once);
#endif
    tcase_add_test(c, garbage_never_hurts);
    suite_add_tcase(s, c);
    return vg_test_main(s);
}
