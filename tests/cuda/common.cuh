/* SPDX-License-Identifier: MIT */
/*
 * What the CUDA test programs share.  They are ordinary CUDA programs: they
 * know nothing of vgpu and run the same on a bare driver.  Each checks its
 * own results against the CPU, prints one line and exits 0 (right), 1 (wrong)
 * or 77 (the device does not offer what the program is about).
 */
#pragma once

#include <cuda_runtime.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#define TEST_SKIPPED 77

static inline void say(const char *verdict, const char *fmt, va_list args)
{
    printf("%s: %s: ", program_invocation_short_name, verdict);
    vprintf(fmt, args);
    printf("\n");
    fflush(stdout);
}

__attribute__((noreturn, format(printf, 1, 2)))
static inline void fail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say("FAILED", fmt, args);
    va_end(args);
    exit(1);
}

__attribute__((format(printf, 1, 2)))
static inline int passed(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say("ok", fmt, args);
    va_end(args);
    return 0;
}

__attribute__((noreturn, format(printf, 1, 2)))
static inline void skip(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say("skipped", fmt, args);
    va_end(args);
    exit(TEST_SKIPPED);
}

static inline void rt_check(cudaError_t got, cudaError_t want, const char *call, int line)
{
    if (got != want)
        fail("line %d: %s returned %d (%s), not %d (%s)", line, call, (int)got,
             cudaGetErrorName(got), (int)want, cudaGetErrorName(want));
}

/* A runtime call that must succeed, and one that must fail in a given way. */
#define RT(call) rt_check((call), cudaSuccess, #call, __LINE__)
#define RT_IS(want, call) rt_check((call), (want), #call, __LINE__)

#define EXPECT(cond, ...)      \
    do {                       \
        if (!(cond))           \
            fail(__VA_ARGS__); \
    } while (0)

/* A kernel launch that must be accepted. */
#define LAUNCHED() RT(cudaGetLastError())

static inline double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* xorshift32: the same numbers on every machine and in every run. */
static inline uint32_t next_random(uint32_t *state)
{
    uint32_t x = *state;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

static inline float random_unit(uint32_t *state)
{
    return (next_random(state) >> 8) * (1.0f / 16777216.0f);
}

/* The distance of two floats in units in the last place. */
static inline int64_t ulp_distance(float a, float b)
{
    int32_t x, y;

    memcpy(&x, &a, sizeof(x));
    memcpy(&y, &b, sizeof(y));
    if (x < 0)
        x = INT32_MIN - x;
    if (y < 0)
        y = INT32_MIN - y;
    return llabs((int64_t)x - y);
}

/* Device memory that is freed with its scope. */
template <class T> struct device_array {
    T *ptr;
    size_t count;

    explicit device_array(size_t n) : ptr(NULL), count(n)
    {
        RT(cudaMalloc(&ptr, n * sizeof(T)));
    }
    explicit device_array(const std::vector<T> &from) : ptr(NULL), count(from.size())
    {
        RT(cudaMalloc(&ptr, count * sizeof(T)));
        RT(cudaMemcpy(ptr, from.data(), count * sizeof(T), cudaMemcpyHostToDevice));
    }
    ~device_array() { cudaFree(ptr); }
    device_array(const device_array &) = delete;
    device_array &operator=(const device_array &) = delete;

    std::vector<T> read() const
    {
        std::vector<T> out(count);

        RT(cudaMemcpy(out.data(), ptr, count * sizeof(T), cudaMemcpyDeviceToHost));
        return out;
    }
};
