/* SPDX-License-Identifier: MIT */
/*
 * A libcuda.so.1 that writes down every call and hands it on to the library named by
 * VG_TRACE_REAL, NVIDIA's or ours: what one does and the other does not shows in a diff.
 * Lines go to the file VG_TRACE_OUT.PID:  symbol(arguments) = result, outputs. Slots of
 * private tables are traced too, with what their pointers point to; only the tables whose
 * addresses cudart checks are handed out as they are. VG_TRACE_TIMES=1: lines end in ` took US`.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/gpu/trace.h"
#include "vg_api.h"

static int out = -1;
static int timed;
static function *real_of[VG_API_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void)
{
    const char *real = getenv("VG_TRACE_REAL"), *to = getenv("VG_TRACE_OUT");
    char file[512];
    void *lib = real ? dlopen(real, RTLD_NOW | RTLD_LOCAL) : NULL;

    if (!lib) {
        fprintf(stderr, "trace: VG_TRACE_REAL: %s\n", real ? dlerror() : "not set");
        _exit(127);
    }
    for (unsigned i = 0; i < VG_API_COUNT; i++)
        real_of[i] = (function *)(uintptr_t)dlsym(lib, vg_api_rows[i].symbol);
    timed = getenv("VG_TRACE_TIMES") != NULL;
    snprintf(file, sizeof(file), "%s.%d", to ? to : "/tmp/trace", (int)getpid());
    out = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

double trace_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

struct line {
    char text[1024];
    size_t len;
};

static void __attribute__((format(printf, 2, 3))) say(struct line *l, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(l->text + l->len, sizeof(l->text) - l->len, fmt, ap);
    va_end(ap);
    l->len += (size_t)n < sizeof(l->text) - l->len ? (size_t)n : sizeof(l->text) - l->len - 1;
}

static void finish(struct line *l, double took)
{
    if (timed)
        say(l, " took %.1f", took);
    say(l, "\n");
    l->text[l->len - 1] = '\n';
    if (write(out, l->text, l->len) < 0)
        return;
}

/* Bytes at an address that may not be one. */
static size_t peek(const void *p, void *to, size_t n)
{
    struct iovec from = {(void *)(uintptr_t)p, n}, into = {to, n};
    ssize_t got = process_vm_readv(getpid(), &into, 1, &from, 1, 0);

    return got < 0 ? 0 : (size_t)got;
}

static void say_memory(struct line *l, const void *p, size_t n)
{
    uint64_t words[8] = {0};
    size_t got = peek(p, words, n < sizeof(words) ? n : sizeof(words));

    for (size_t i = 0; i * 8 < got; i++)
        say(l, "%s%llx", i ? " " : "", (unsigned long long)words[i]);
}

/* ---- The public functions ---- */

#define BEFORE(kind, type, name, aux)      BEFORE_##kind(type, name)
#define BEFORE_WORD(name)                  say(&l, "%s=%llx ", #name, (unsigned long long)(uintptr_t)(name));
#define BEFORE_VAL(type, name)             say_value(&l, #name, &name, sizeof(name));
#define BEFORE_HND(type, name)             BEFORE_WORD(name)
#define BEFORE_STRM(type, name)            BEFORE_WORD(name)
#define BEFORE_DPTR(type, name)            BEFORE_WORD(name)
#define BEFORE_OUT(type, name)
#define BEFORE_OUTH(type, name)
#define BEFORE_IN(type, name)              say(&l, #name "=["), say_memory(&l, name, sizeof(*name)), say(&l, "] ");
#define BEFORE_INOUT(type, name)           BEFORE_IN(type, name)
#define BEFORE_STR(type, name)             say(&l, #name "=\"%.200s\" ", name ? (const char *)name : "");
#define BEFORE_INBUF(type, name)           BEFORE_WORD(name)
#define BEFORE_OUTBUF(type, name)
#define BEFORE_PTR(type, name)             BEFORE_WORD(name)
#define BEFORE_NONE(type, name)
#define AFTER(kind, type, name, aux)       AFTER_##kind(type, name)
#define AFTER_VAL(type, name)
#define AFTER_HND(type, name)
#define AFTER_STRM(type, name)
#define AFTER_DPTR(type, name)
#define AFTER_OUT(type, name)              say(&l, " " #name "="), say_memory(&l, name, sizeof(*name));
#define AFTER_OUTH(type, name)             AFTER_OUT(type, name)
#define AFTER_IN(type, name)
#define AFTER_INOUT(type, name)            AFTER_OUT(type, name)
#define AFTER_STR(type, name)
#define AFTER_INBUF(type, name)
#define AFTER_OUTBUF(type, name)           say(&l, " " #name "="), say_memory(&l, name, 32);
#define AFTER_PTR(type, name)
#define AFTER_NONE(type, name)

static void say_value(struct line *l, const char *name, const void *value, size_t size)
{
    uint64_t word = 0;

    memcpy(&word, value, size < 8 ? size : 8);
    say(l, "%s=%llx ", name, (unsigned long long)word);
}

/* Weak: trace_own.c puts those in front whose results must lead back here. */
#define WRAP(symbol_)                                                                              \
    CUresult traced_##symbol_(VG_PARAMS(symbol_));                                                 \
    CUresult traced_##symbol_(VG_PARAMS(symbol_))                                                  \
    {                                                                                              \
        struct line l = {.len = 0};                                                                \
                                                                                                   \
        pthread_once(&once, start);                                                                \
        CUresult (*real)(VG_PARAMS(symbol_)) =                                                     \
            (CUresult(*)(VG_PARAMS(symbol_)))(uintptr_t)real_of[VG_INDEX_##symbol_];               \
        say(&l, "%s(", #symbol_);                                                                  \
        VG_ARGS_##symbol_(BEFORE) double began = trace_now();                                      \
        CUresult rc = real ? real(VG_NAMES(symbol_)) : 500;                                        \
        double took = trace_now() - began;                                                         \
        say(&l, ") = %d", (int)rc);                                                                \
        if (!rc) {                                                                                 \
            VG_ARGS_##symbol_(AFTER)                                                               \
        }                                                                                          \
        finish(&l, took);                                                                          \
        return rc;                                                                                 \
    }                                                                                              \
    __attribute__((weak)) CUresult symbol_(VG_PARAMS(symbol_))                                     \
    {                                                                                              \
        return traced_##symbol_(VG_NAMES(symbol_));                                                \
    }


#define VG_API(id, symbol, base, since, mode, class) WRAP(symbol)
#include "vg_api.def"

function *const trace_entry[VG_API_COUNT] = {
#define VG_API(id, symbol, base, since, mode, class) \
        [VG_INDEX_##symbol] = (function *)(uintptr_t)symbol,
#include "vg_api.def"
};

/* ---- For trace_own.c ---- */

void trace_slot(const char *id, unsigned slot, const uint64_t arg[8], const char *when,
                uint64_t value, double took)
{
    struct line l = {.len = 0};

    say(&l, "%s[%u] %s %llx (", id, slot, when, (unsigned long long)value);
    for (unsigned i = 0; i < 6; i++) {
        say(&l, "%llx", (unsigned long long)arg[i]);
        if (arg[i] > 0x10000 && arg[i] < 1ull << 47) {
            say(&l, "[");
            say_memory(&l, (const void *)(uintptr_t)arg[i], 32);
            say(&l, "]");
        }
        say(&l, " ");
    }
    say(&l, ")");
    finish(&l, took);
}
