/* SPDX-License-Identifier: MIT */
/* What the tests of the daemon's end and next start share: a daemon that keeps what runs. */
#ifndef VG_TEST_RESTART_H
#define VG_TEST_RESTART_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "suite.h"

void restart_begin(const char *mode);
void restart_again(const char *mode);
void restart_kill(void);
bool restart_lives(pid_t pid);
void restart_wait_dead(pid_t pid);
pid_t restart_keeper_pid(void);
pid_t restart_wait_keeper(pid_t other_than);
json_object *restart_executors_of(const char *vm, json_object **ret_answer);
pid_t restart_executor_pid(const char *vm);
int64_t restart_health_number(const char *key);
void restart_wait_number(const char *vm, const char *key, int64_t value);
void restart_expect_answer(struct peer *p, enum vg_msg_type type, uint32_t token);
void restart_end(void);

#endif
