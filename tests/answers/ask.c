/* SPDX-License-Identifier: MIT */
/*
 * The processes of ask.h: a group's answers go to a file, so that several groups can be asked at a
 * time and a killed one can be asked again.
 */
#include "ask.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_A_TIME      8    /* groups that are asked at the same time */
#define QUESTIONS_MAX  512  /* of a group */
#define KILLED_MAX     24   /* of a group: then it is given up */
#define GROUP_SECONDS  60   /* a process that takes longer hangs */

/* One group's course. `asked` and `killed_by` are shared with its process. */
struct course {
    const struct ask_group *group;
    FILE *answers;
    pid_t pid;              /* 0: not running */
    unsigned deaths;
    bool done;
    struct { unsigned asked; uint8_t killed_by[QUESTIONS_MAX]; } *shared;
};

struct ask_cu cu;
static struct course *own;  /* in a group's process: its course */

/* Stands for a function that the driver lacks. It may be called with any arguments. */
static CUresult lacks_it(void)
{
    return CUDA_ERROR_NOT_SUPPORTED;
}

void ask_open(void)
{
    void *lib = dlopen("libcuda.so.1", RTLD_NOW);

    if (!lib) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
#define VG_API(id, symbol, base, since, mode, class) \
        cu.symbol = (__typeof__(symbol) *)(uintptr_t)dlsym(lib, #symbol);                           \
        if (!cu.symbol)                                                                            \
            cu.symbol = (__typeof__(symbol) *)(uintptr_t)lacks_it;
#include "vg_api.def"
}

void ask_say(const char *what, long long value)
{
    printf("%s = %lld\n", what, value);
    fflush(stdout);
}

bool ask_may(const char *what)
{
    unsigned number;

    if (!own)
        return true;
    number = own->shared->asked++;
    if (number >= QUESTIONS_MAX) {
        printf("too many questions\n");
        _exit(1);
    }
    if (!own->shared->killed_by[number])
        return true;
    printf("%s = signal %d\n", what, own->shared->killed_by[number]);
    fflush(stdout);
    return false;
}

/* The group's process. Leaves without the driver's own clean-up: that is not in question here. */
static void ask_group(struct course *c)
{
    own = c;
    alarm(GROUP_SECONDS);
    if (ftruncate(fileno(c->answers), 0) || dup2(fileno(c->answers), STDOUT_FILENO) < 0 ||
        lseek(STDOUT_FILENO, 0, SEEK_SET) < 0)
        _exit(1);
    ask_open();
    printf("-- %s\n", c->group->name);
    c->group->run();
    fflush(stdout);
    _exit(0);
}

static void course_start(struct course *c)
{
    c->shared->asked = 0;
    fflush(stdout);
    c->pid = fork();
    if (c->pid == 0)
        ask_group(c);
    if (c->pid < 0) {
        perror("fork");
        exit(1);
    }
}

/* A process ended: its group is done, or must be asked again without the deadly question. */
static void course_ended(struct course *c, int status)
{
    unsigned asked = c->shared->asked;

    c->pid = 0;
    c->done = !WIFSIGNALED(status) || !asked || ++c->deaths > KILLED_MAX;
    if (WIFSIGNALED(status) && asked)
        c->shared->killed_by[asked - 1] = WTERMSIG(status);
    if (!c->done)
        return;
    fseek(c->answers, 0, SEEK_END);
    if (WIFSIGNALED(status))
        fprintf(c->answers, "group ended by signal %d\n", WTERMSIG(status));
    else if (WEXITSTATUS(status))
        fprintf(c->answers, "group ended with status %d\n", WEXITSTATUS(status));
}

static void course_print(struct course *c)
{
    int byte;

    fseek(c->answers, 0, SEEK_SET);
    while ((byte = getc(c->answers)) != EOF)
        putchar(byte);
    fflush(stdout);
}

static unsigned start_more(struct course *courses, unsigned count, unsigned running)
{
    for (unsigned i = 0; i < count && running < AT_A_TIME; i++) {
        if (!courses[i].done && !courses[i].pid) {
            course_start(&courses[i]);
            running++;
        }
    }
    return running;
}

static void run_all(struct course *courses, unsigned count)
{
    unsigned running = 0;

    while ((running = start_more(courses, count, running)) > 0) {
        int status;
        pid_t pid = wait(&status);

        for (unsigned i = 0; i < count; i++) {
            if (pid > 0 && courses[i].pid == pid) {
                course_ended(&courses[i], status);
                running--;
            }
        }
    }
}

int ask_main(const struct ask_group *groups, unsigned count)
{
    struct course *courses = calloc(count, sizeof(*courses));

    for (unsigned i = 0; courses && i < count; i++) {
        courses[i].group = &groups[i];
        courses[i].answers = tmpfile();
        courses[i].shared = mmap(NULL, sizeof(*courses[i].shared), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (!courses[i].answers || courses[i].shared == MAP_FAILED)
            return 1;
    }
    if (!courses)
        return 1;
    run_all(courses, count);
    for (unsigned i = 0; i < count; i++) {
        course_print(&courses[i]);
        fclose(courses[i].answers);
    }
    free(courses);
    return 0;
}

/* ---- beginnings --------------------------------------------------------------------------- */

static void need(const char *what, CUresult result)
{
    if (result == CUDA_SUCCESS)
        return;
    printf("needed: %s = %d\n", what, result);
    fflush(stdout);
    _exit(1);
}
#define NEED(call) need(#call, cu.call)

CUcontext ask_start(void)
{
    CUcontext ctx;

    NEED(cuInit(0));
    NEED(cuDevicePrimaryCtxRetain(&ctx, 0));
    NEED(cuCtxSetCurrent(ctx));
    return ctx;
}

CUmodule ask_module(void)
{
    CUmodule m;

    NEED(cuModuleLoadData(&m, ask_ptx));
    return m;
}

CUfunction ask_kernel(const char *name)
{
    CUfunction f;

    NEED(cuModuleGetFunction(&f, ask_module(), name));
    return f;
}

CUdeviceptr ask_memory(size_t bytes)
{
    CUdeviceptr p;

    NEED(cuMemAlloc_v2(&p, bytes));
    NEED(cuMemsetD8_v2(p, 0, bytes));
    NEED(cuCtxSynchronize());
    return p;
}

CUresult ask_launch(CUfunction f, CUstream stream, CUdeviceptr parameter)
{
    void *args[] = {&parameter};

    return cu.cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, args, NULL);
}

CUresult ask_launch_none(CUfunction f, CUstream stream)
{
    return cu.cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL);
}

void *ask_nobody(void)
{
    static uint64_t zeros[512];

    return zeros + 16;
}

static void *thread_main(void *arg)
{
    void (**function)(void) = arg;

    (*function)();
    return NULL;
}

void ask_in_thread(void (*function)(void))
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, thread_main, &function))
        _exit(1);
    pthread_join(thread, NULL);
}

bool ask_busy_start(struct ask_busy *busy, CUstream stream)
{
    void *flag;
    CUdeviceptr address;

    NEED(cuMemHostAlloc(&flag, 4, CU_MEMHOSTALLOC_DEVICEMAP));
    NEED(cuMemHostGetDevicePointer_v2(&address, flag, 0));
    busy->flag = flag;
    *busy->flag = 0;
    return ask_launch(ask_kernel("spin"), stream, address) == CUDA_SUCCESS;
}

void ask_busy_stop(struct ask_busy *busy)
{
    *busy->flag = 1;
}

#define HEAD ".version 7.0\n.target sm_70\n.address_size 64\n"
const char ask_ptx[] =
    HEAD
    ".visible .global .align 4 .u32 counter;\n"
    ".visible .entry none() { ret; }\n"
    /* Stores 4 bytes anywhere. */
    ".visible .entry poke(.param .u64 p) {\n"
    "  .reg .u64 %a; .reg .u32 %v;\n"
    "  ld.param.u64 %a, [p]; mov.u32 %v, 51966; st.global.u32 [%a], %v; ret; }\n"
    ".visible .entry do_trap() { trap; ret; }\n"
    /* Runs until somebody stores to *p. */
    ".visible .entry spin(.param .u64 p) {\n"
    "  .reg .u64 %a; .reg .u32 %v; .reg .pred %q;\n"
    "  ld.param.u64 %a, [p];\n"
    "AGAIN:\n"
    "  ld.volatile.global.u32 %v, [%a]; setp.eq.u32 %q, %v, 0; @%q bra AGAIN; ret; }\n"
    /* assert(false) as the compiler writes it. */
    ".extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d,\n"
    "                           .param .b64 e);\n"
    ".global .align 1 .b8 text[6] = {102, 97, 108, 115, 101, 0};\n"
    ".visible .entry do_assert() {\n"
    "  .reg .u64 %g; .reg .u64 %s; .reg .u32 %l;\n"
    "  mov.u64 %g, text; cvta.global.u64 %g, %g; mov.u64 %s, 1; mov.u32 %l, 7;\n"
    "  { .param .b64 a; st.param.b64 [a], %g; .param .b64 b; st.param.b64 [b], %g;\n"
    "    .param .b32 c; st.param.b32 [c], %l; .param .b64 d; st.param.b64 [d], %g;\n"
    "    .param .b64 e; st.param.b64 [e], %s;\n"
    "    call.uni __assertfail, (a, b, c, d, e); }\n"
    "  ret; }\n"
    ".visible .entry bounded() .maxntid 64, 1, 1 { ret; }\n"
    ".visible .entry fixed() .reqntid 32, 1, 1 { ret; }\n"
    ".visible .entry two(.param .u32 a, .param .u64 b) { ret; }\n";
