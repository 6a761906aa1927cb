/* SPDX-License-Identifier: MIT */
/*
 * The token bucket on a virtual clock: never more than the rate allows, never noticeably
 * less while somebody wants it. The account with many threads at once: never more granted
 * than the limit, nothing lost when one dies.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/limit/account.h"
#include "protocol/vg_atomic.h"

#define S  1000000000ull
#define MS 1000000ull

static uint32_t seed = 1;

static uint64_t random_below(uint64_t n)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 2; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        r = r << 32 | seed;
    }
    return r % n;
}

/* ---- The bucket ---- */

/* Tokens taken from `from` until `end` by somebody who comes back as told, late by up to `late`. */
static uint64_t drain(uint64_t *bucket, const struct vg_rate *r, uint64_t from, uint64_t end,
                      uint64_t late)
{
    uint64_t taken = 0, now = from;

    while (now < end) {
        uint64_t wait = vg_bucket_take(bucket, r, now);
        if (wait == 0)
            taken++;
        else
            now += wait + (late ? random_below(late) : 0);
    }
    return taken;
}

START_TEST(no_limit)
{
    struct vg_rate r;
    uint64_t bucket = 0;

    vg_rate_init(&r, 0, 5);
    for (unsigned i = 0; i < 1000; i++)
        ck_assert_uint_eq(vg_bucket_take(&bucket, &r, 7), 0);
    ck_assert_uint_eq(bucket, 0);
}
END_TEST

START_TEST(burst_first)
{
    struct vg_rate r;
    uint64_t bucket = 0, now = 123 * S;

    vg_rate_init(&r, 1000, 20);
    for (unsigned i = 0; i < 20; i++)
        ck_assert_uint_eq(vg_bucket_take(&bucket, &r, now), 0);
    ck_assert_uint_eq(vg_bucket_take(&bucket, &r, now), MS);
    ck_assert_uint_ne(vg_bucket_take(&bucket, &r, now + MS - 1), 0);
    ck_assert_uint_eq(vg_bucket_take(&bucket, &r, now + MS), 0);
    /* After a pause there is a burst again, and no more. */
    ck_assert_uint_eq(drain(&bucket, &r, now + 60 * S, now + 60 * S + 1, 0), 20);
}
END_TEST

START_TEST(default_burst)
{
    struct vg_rate r;
    uint64_t bucket = 0;

    vg_rate_init(&r, 500, 0);
    ck_assert_uint_eq(drain(&bucket, &r, S, S + 1, 0), 50);
    bucket = 0;
    vg_rate_init(&r, 3, 0);
    ck_assert_uint_eq(drain(&bucket, &r, S, S + 1, 0), 1);
}
END_TEST

/* A refusal takes nothing, however often one asks. */
START_TEST(asking_costs_nothing)
{
    struct vg_rate r;
    uint64_t bucket = 0, taken = 0;

    vg_rate_init(&r, 100, 1);
    for (uint64_t now = S; now < 11 * S; now += 10000)
        taken += vg_bucket_take(&bucket, &r, now) == 0;
    ck_assert_uint_ge(taken, 999);
    ck_assert_uint_le(taken, 1001);
}
END_TEST

/* Any rate, over a time in which it grants about 20000 tokens or ten seconds: within 2 %. */
START_TEST(random_rates)
{
    for (unsigned i = 0; i < 300; i++) {
        uint64_t rate = 1 + random_below(i % 3 == 0 ? 100 : i % 3 == 1 ? 20000 : VG_RATE_MAX);
        uint64_t burst = random_below(4) ? 0 : 1 + random_below(rate);
        uint64_t start = random_below(1000 * S), time = 20000 * S / rate, bucket = 0;
        struct vg_rate r;

        if (time > 10 * S)
            time = 10 * S;
        if (burst > 20000 || rate > 200000)
            burst = 1 + random_below(20000);
        vg_rate_init(&r, rate, burst);
        /* Whoever comes late by less than the bucket holds loses nothing. */
        uint64_t full = r.slack / 64, late = full > r.cost / 64 ? full - r.cost / 64 : 0;
        uint64_t initial = drain(&bucket, &r, start, start + 1, 0);
        uint64_t got = drain(&bucket, &r, start + 1, start + time, late);
        double want = (double)rate * (double)time / 1e9;

        ck_assert_msg((double)got <= want * 1.002 + 1, "rate %llu: %llu of %f",
                      (unsigned long long)rate, (unsigned long long)got, want);
        ck_assert_msg((double)got + (double)initial + 1 >= want * 0.998, "rate %llu: %llu of %f",
                      (unsigned long long)rate, (unsigned long long)got, want);
    }
}
END_TEST

/* Ten seconds, somebody always hungry and late by up to 20 ms: within 2 % by itself. */
START_TEST(ten_seconds)
{
    static const uint64_t rates[] = {100, 200, 1000, 5000, 20000, 100000};

    for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct vg_rate r;
        uint64_t bucket = 0, got;

        vg_rate_init(&r, rates[i], 0);
        drain(&bucket, &r, S, S + 1, 0);
        got = drain(&bucket, &r, S + 1, 11 * S, 20 * MS);
        ck_assert_uint_ge(got, rates[i] * 10 * 98 / 100);
        ck_assert_uint_le(got, rates[i] * 10 * 102 / 100);
    }
}
END_TEST

/* A year of uptime and the next second are alike. */
START_TEST(no_drift)
{
    const uint64_t year = 365 * 86400 * S;
    struct vg_rate r;
    uint64_t bucket = 0;

    vg_rate_init(&r, 7777, 1);
    drain(&bucket, &r, 8 * year, 8 * year + 1, 0);
    ck_assert_uint_eq(drain(&bucket, &r, 8 * year + 1, 8 * year + S, 0) / 10, 777);
}
END_TEST

START_TEST(changed_rate)
{
    struct vg_rate slow, fast;
    uint64_t bucket = 0;

    vg_rate_init(&slow, 1, 60);
    vg_rate_init(&fast, 1000, 10);
    ck_assert_uint_eq(drain(&bucket, &slow, S, S + 1, 0), 60);
    /* By the old rate the bucket would be empty for a minute. */
    ck_assert_uint_ge(drain(&bucket, &fast, S + 1, 2 * S, 0), 990);
    ck_assert_uint_le(drain(&bucket, &slow, 2 * S, 12 * S, 0), 60 + 10);
}
END_TEST

/* All takers together get the rate, not each. */
START_TEST(shared)
{
    uint64_t bucket = 0, next[5] = {0}, taken[5] = {0}, total = 0;
    struct vg_rate r;

    vg_rate_init(&r, 2000, 0);
    drain(&bucket, &r, S, S + 1, 0);
    for (uint64_t now = S + 1; now < 11 * S; now += 20000)
        for (unsigned i = 0; i < 5; i++) {
            uint64_t wait = now < next[i] ? 1 : vg_bucket_take(&bucket, &r, now);
            if (wait == 0)
                taken[i]++;
            else if (now >= next[i])
                next[i] = now + wait + random_below(MS);
        }
    for (unsigned i = 0; i < 5; i++) {
        total += taken[i];
        ck_assert_uint_gt(taken[i], 0);
    }
    ck_assert_uint_ge(total, 19600);
    ck_assert_uint_le(total, 20400);
}
END_TEST

/* ---- The account ---- */

static struct vg_account account;
static uint64_t limit;

START_TEST(reserves)
{
    memset(&account, 0, sizeof(account));
    limit = 100;
    for (unsigned i = 0; i < 3; i++)
        vg_account_sit(&account, i);
    ck_assert_int_eq(vg_account_reserve(&account, 0, 60, limit), VG_ACCOUNT_GRANTED);
    ck_assert_uint_eq(vg_account_used(&account), 60);
    /* It may yet fail at the driver: the higher seat takes its question back, the lower waits. */
    ck_assert_int_eq(vg_account_reserve(&account, 2, 50, limit), VG_ACCOUNT_CONTENDED);
    ck_assert_uint_eq(account.seat[2].asked, 0);
    vg_account_settle(&account, 0, 60);
    ck_assert_int_eq(vg_account_reserve(&account, 2, 50, limit), VG_ACCOUNT_REFUSED);
    ck_assert_int_eq(vg_account_reserve(&account, 1, 40, limit), VG_ACCOUNT_GRANTED);
    ck_assert_int_eq(vg_account_reserve(&account, 0, 1, limit), VG_ACCOUNT_CONTENDED);
    ck_assert_uint_eq(account.seat[0].asked, 1);
    vg_account_settle(&account, 1, 0);
    ck_assert_int_eq(vg_account_reserve(&account, 0, 40, limit), VG_ACCOUNT_GRANTED);
    vg_account_settle(&account, 0, 100);
    ck_assert_uint_eq(vg_account_used(&account), 100);
}
END_TEST

START_TEST(leaving)
{
    memset(&account, 0, sizeof(account));
    limit = 100;
    vg_account_sit(&account, 0);
    vg_account_sit(&account, 1);
    vg_account_settle(&account, 0, 80);
    ck_assert_int_eq(vg_account_reserve(&account, 1, 50, limit), VG_ACCOUNT_REFUSED);
    vg_account_leaving(&account, 0);
    ck_assert_int_eq(vg_account_reserve(&account, 1, 50, limit), VG_ACCOUNT_AWAITED);
    ck_assert_uint_eq(vg_account_used(&account), 80);
    ck_assert_int_eq(vg_account_reserve(&account, 1, 101, limit), VG_ACCOUNT_REFUSED);
    vg_account_leave(&account, 0);
    ck_assert_int_eq(vg_account_reserve(&account, 1, 50, limit), VG_ACCOUNT_GRANTED);
    vg_account_settle(&account, 1, 50);
    vg_account_sit(&account, 0);
    vg_account_settle(&account, 0, 50);
    ck_assert_int_eq(vg_account_reserve(&account, 1, 1, limit), VG_ACCOUNT_REFUSED);
}
END_TEST

START_TEST(huge_numbers)
{
    memset(&account, 0, sizeof(account));
    limit = 100;
    vg_account_sit(&account, 0);
    vg_account_sit(&account, 1);
    vg_account_settle(&account, 0, UINT64_MAX);
    ck_assert_int_eq(vg_account_reserve(&account, 1, 1, limit), VG_ACCOUNT_REFUSED);
    ck_assert_int_eq(vg_account_reserve(&account, 1, UINT64_MAX, limit), VG_ACCOUNT_REFUSED);
    ck_assert_uint_eq(vg_account_used(&account), UINT64_MAX);
    account.seats = UINT32_MAX;
    ck_assert_uint_eq(vg_account_used(&account), UINT64_MAX);
}
END_TEST

START_TEST(the_dead_give_back)
{
    memset(&account, 0, sizeof(account));
    limit = 100;
    vg_account_sit(&account, 0);
    vg_account_sit(&account, 5);
    vg_account_settle(&account, 5, 70);
    ck_assert_int_eq(vg_account_reserve(&account, 5, 30, limit), VG_ACCOUNT_GRANTED);
    account.seat[5].queued = 9;
    ck_assert_uint_eq(vg_account_queued(&account), 9);
    vg_account_leave(&account, 5);
    ck_assert_uint_eq(vg_account_used(&account), 0);
    ck_assert_uint_eq(vg_account_queued(&account), 0);
    ck_assert_int_eq(vg_account_reserve(&account, 0, 100, limit), VG_ACCOUNT_GRANTED);
}
END_TEST

START_TEST(things_of_all_seats)
{
    memset(&account, 0, sizeof(account));
    vg_account_sit(&account, 0);
    vg_account_sit(&account, 1);
    ck_assert(vg_account_admit(&account, 0, VG_QUOTA_STREAMS, 0, 3));
    ck_assert(vg_account_admit(&account, 0, VG_QUOTA_STREAMS, 1, 3));
    ck_assert(vg_account_admit(&account, 1, VG_QUOTA_STREAMS, 0, 3));
    ck_assert(!vg_account_admit(&account, 1, VG_QUOTA_STREAMS, 1, 3));
    ck_assert(!vg_account_admit(&account, 0, VG_QUOTA_STREAMS, 2, 3));
    ck_assert_uint_eq(vg_account_things(&account, VG_QUOTA_STREAMS), 3);
    ck_assert(vg_account_admit(&account, 0, VG_QUOTA_EVENTS, 1000, 0));
    vg_account_has(&account, 0, VG_QUOTA_STREAMS, 1);
    ck_assert(vg_account_admit(&account, 1, VG_QUOTA_STREAMS, 1, 3));
    vg_account_leave(&account, 1);
    ck_assert_uint_eq(vg_account_things(&account, VG_QUOTA_STREAMS), 1);
}
END_TEST

#define THREADS 6u
#define LIMIT   1000u
#define ROUNDS  4000u

static uint64_t at_driver;  /* what all threads really have */
static unsigned over, granted;

static uint64_t take(unsigned seat, uint64_t held, uint64_t bytes)
{
    for (unsigned i = 0; i < 10000; i++)
        switch (vg_account_reserve(&account, seat, bytes, limit)) {
        case VG_ACCOUNT_GRANTED:
            if (vg_fetch_add(&at_driver, bytes) + bytes > LIMIT)
                vg_fetch_add(&over, 1);
            vg_fetch_add(&granted, 1);
            vg_account_settle(&account, seat, held + bytes);
            return held + bytes;
        case VG_ACCOUNT_REFUSED:
            return held;
        case VG_ACCOUNT_CONTENDED:
        case VG_ACCOUNT_AWAITED:
            break;
        }
    vg_account_settle(&account, seat, held);
    return held;
}

static void *contend(void *arg)
{
    unsigned seat = (unsigned)(uintptr_t)arg;
    uint64_t held = 0;
    uint32_t state = seat + 1;

    for (unsigned i = 0; i < ROUNDS; i++) {
        state = state * 1664525u + 1013904223u;
        if ((state >> 16) % 2 && held) {
            vg_fetch_add(&at_driver, (uint64_t)0 - held);
            held = 0;
            vg_account_settle(&account, seat, 0);
        } else {
            held = take(seat, held, 1 + (state >> 20) % 400);
        }
    }
    vg_fetch_add(&at_driver, (uint64_t)0 - held);
    vg_account_settle(&account, seat, 0);
    return NULL;
}

START_TEST(never_over)
{
    pthread_t thread[THREADS];

    memset(&account, 0, sizeof(account));
    limit = LIMIT;
    at_driver = over = granted = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        vg_account_sit(&account, i);
        ck_assert_int_eq(pthread_create(&thread[i], NULL, contend, (void *)(uintptr_t)i), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    ck_assert_uint_eq(over, 0);
    ck_assert_uint_gt(granted, ROUNDS / 10);
    ck_assert_uint_eq(at_driver, 0);
    ck_assert_uint_eq(vg_account_used(&account), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("limit");
    TCase *bucket = tcase_create("bucket"), *seats = tcase_create("account");
    SRunner *r = srunner_create(s);

    tcase_add_test(bucket, no_limit);
    tcase_add_test(bucket, burst_first);
    tcase_add_test(bucket, default_burst);
    tcase_add_test(bucket, asking_costs_nothing);
    tcase_add_test(bucket, random_rates);
    tcase_add_test(bucket, ten_seconds);
    tcase_add_test(bucket, no_drift);
    tcase_add_test(bucket, changed_rate);
    tcase_add_test(bucket, shared);
    tcase_add_test(seats, reserves);
    tcase_add_test(seats, leaving);
    tcase_add_test(seats, huge_numbers);
    tcase_add_test(seats, the_dead_give_back);
    tcase_add_test(seats, things_of_all_seats);
    tcase_add_test(seats, never_over);
    tcase_set_timeout(seats, 120);
    tcase_set_timeout(bucket, 120);
    suite_add_tcase(s, bucket);
    suite_add_tcase(s, seats);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
