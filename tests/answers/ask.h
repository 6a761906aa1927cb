/* SPDX-License-Identifier: MIT */
/*
 * Programs that ask a driver questions and print one line per answer, `question = code`. The same
 * binary runs on NVIDIA's library and on ours, so lines hold no address, no time and nothing that
 * depends on the model of the GPU.
 *
 * Questions come in groups. Each group is a process of its own, forked before anybody called
 * cuInit: what one breaks (a context, the GPU's trust in a process), no other one sees. Where a
 * question kills its process, the group is asked again without it, and the line says which signal
 * it was.
 */
#ifndef ASK_H
#define ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_api.h"

/* Every function of the API table; one that the driver lacks answers CUDA_ERROR_NOT_SUPPORTED. */
struct ask_cu {
#define VG_API(id, symbol, base, since, mode, class) __typeof__(symbol) *symbol;
#include "vg_api.def"
};
extern struct ask_cu cu;

/* Prints `what = value`. */
void ask_say(const char *what, long long value);

/* False where this question, the next of its group, has killed a process: the line is printed. */
bool ask_may(const char *what);

#define SAY(call) ASK(#call, cu.call)
#define ASK(what, code) ((void)(ask_may(what) && (ask_say(what, (long long)(code)), true)))

struct ask_group {
    const char *name;
    void (*run)(void);
};
#define ASK_GROUP(function) {#function, function}

/* Asks all groups (some at a time) and prints their answers in order. The exit status. */
int ask_main(const struct ask_group *groups, unsigned count);

/* Opens the driver: for programs of one process, which do not use ask_main. */
void ask_open(void);

/* ---- what most groups begin with; failures end the process with a line --------------------- */

/* cuInit, and the primary context of device 0 made current. */
CUcontext ask_start(void);

/* A kernel of ask.ptx, loaded into the current context; NULL and a line if there is none. */
CUfunction ask_kernel(const char *name);
CUmodule ask_module(void);
extern const char ask_ptx[];

/* Memory of the current context, filled with zeros. */
CUdeviceptr ask_memory(size_t bytes);

/* Launches one thread of the kernel with one parameter, or with none. */
CUresult ask_launch(CUfunction f, CUstream stream, CUdeviceptr parameter);
CUresult ask_launch_none(CUfunction f, CUstream stream);

/* A handle of nobody: points to zeroed memory, so that a driver may look at it. */
void *ask_nobody(void);

/* A thread that runs function(arg) to its end. */
void ask_in_thread(void (*function)(void));

/* A kernel that runs until it is told to stop, on a stream. */
struct ask_busy {
    volatile uint32_t *flag;    /* pinned memory */
};
bool ask_busy_start(struct ask_busy *busy, CUstream stream);
void ask_busy_stop(struct ask_busy *busy);

#endif
