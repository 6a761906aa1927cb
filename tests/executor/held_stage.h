/* SPDX-License-Identifier: MIT */
/*
 * An executor with a driver (held.c) that the test can hold up in a call of one thread of the
 * guest, and what its other threads do meanwhile. For check_held.c and check_copying.c.
 */
#ifndef VG_TEST_EXECUTOR_HELD_STAGE_H
#define VG_TEST_EXECUTOR_HELD_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/executor/harness.h"
#include "tests/executor/held.h"

#define CONTEXT  (64ull << 20) /* bytes that one is said to cost */
#define HELD     1u     /* cell of the thread that is held up */
#define OTHER    2u
#define SHORT_MS 50     /* in which what must not happen would */

/* Source of `add`, which adds 1 to a word. */
#define HELD_PTX                                                                                   \
    ".version 7.0\n.target sm_52\n.address_size 64\n"                                              \
    ".visible .entry add(.param .u64 p)\n{\n.reg .u64 %a;\n.reg .u32 %v;\n"                        \
    "ld.param.u64 %a, [p];\nld.global.u32 %v, [%a];\nadd.u32 %v, %v, 1;\n"                         \
    "st.global.u32 [%a], %v;\nret;\n}\n"

extern uint32_t *held_word;     /* enum hold */
extern uint64_t held_func;      /* of HELD_PTX */
extern uint64_t held_memory;    /* 4 KiB for it */

/* Starts the executor, with a context that is current. */
void held_begin(void);

/* A call that succeeds. Returns the first word of its answer. */
uint64_t held_made(uint32_t call, const uint64_t *arg, unsigned args);

/* Whether the call with that number has its answer in the cell. */
bool held_is_done(uint16_t cell, uint32_t seq);

/* Waits until the driver is in the call that is to be held up. */
void held_await(void);

/* Sends the call in cell HELD and waits until the driver is in it. Returns its number. */
uint32_t held_up(uint32_t call, const uint64_t *arg, unsigned args, const void *payload,
                 uint32_t len);

/* Lets the driver go. Returns the answer. */
struct vg_result held_let_go(uint32_t seq);

/* Adds 1 to the word of that number. The cell is for an answer, 0: none. */
uint32_t held_launch_in(uint64_t stream, unsigned number, uint16_t cell);
void held_launch(uint64_t stream, unsigned number);

/* What another thread does: a launch and a wait, both while the first one is held up. */
void held_others_go_on(void);

/* A graph of so many kernels, and an executable one. */
uint64_t held_graph_of(unsigned nodes);
uint64_t held_instance_of(uint64_t graph);

/* The record waits, and goes on when the driver has been let go. Frees cell OTHER. */
void held_waits_for(uint32_t held, uint32_t call, const uint64_t *arg, unsigned args);

#endif
