/* SPDX-License-Identifier: MIT */
/* The groups of questions that misuse.c asks, by the file that holds them. */
#ifndef GROUPS_H
#define GROUPS_H

#include "ask.h"

/* memory.c */
void device_memory(void);
void host_memory(void);
void registered_memory(void);
void pointer_attributes(void);
void pools(void);
void virtual_memory(void);
void managed_memory(void);

/* copies.c */
void linear_copies(void);
void any_copies(void);
void fills(void);
void plane_copies(void);
void volume_copies(void);

/* arrays.c */
void array_shapes(void);
void array_questions(void);
void array_copies(void);
void textures(void);
void memory_textures(void);
void surfaces(void);

/* streams.c */
void stream_flags(void);
void dead_streams(void);
void events(void);
void busy_streams(void);
void memory_operations(void);
void host_functions(void);

/* contexts.c */
void no_context(void);
void popped_context(void);
void two_contexts(void);
void dead_context(void);
void other_thread(void);
void released_primary(void);
void context_settings(void);

/* captures.c */
void capture_global(void);
void capture_thread_local(void);
void capture_relaxed(void);
void capture_itself(void);
void capture_threads(void);
void capture_joins(void);
void capture_legacy(void);
void capture_events(void);
void capture_ends(void);
void captured_work(void);

/* graphs.c */
void graph_nodes(void);
void graph_execs(void);

/* launches.c */
void launch_attributes(void);
void launch_handles(void);
void function_attributes(void);
void occupancy_rules(void);
void jit_options(void);
void linker(void);
void names(void);

/* faults.c */
void fault_illegal(void);
void fault_null(void);
void fault_misaligned(void);
void fault_trap(void);
void fault_assert(void);
void fault_of_two_contexts(void);
void fault_of_own_context(void);
void out_of_memory(void);
void first_memory(void);
void first_free(void);
void first_pinned(void);
void first_launch(void);
void first_record(void);
void first_event(void);
void first_stream(void);
void first_create(void);
void first_copy(void);
void first_fill(void);
void first_info(void);
void first_wait(void);
void first_graph(void);
void first_current(void);
void first_attribute(void);
void first_limit(void);

#endif
