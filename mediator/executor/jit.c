/* SPDX-License-Identifier: MIT */
/* Options of the JIT: numbers from the guest, log buffers from us; see load.h. Serve thread. */
#include <string.h>

#include "mediator/executor/load.h"
#include "vg_jit.h"

static void add_option(struct vg_jit *j, uint64_t option, uint64_t value)
{
    j->option[j->count] = (CUjit_option)option;
    j->value[j->count++] = (void *)(uintptr_t)value;
}

void vg_jit_add_logs(struct vg_jit *j, size_t capacity)
{
    size_t size = capacity / 2 < VG_JIT_LOG_MAX ? capacity / 2 : VG_JIT_LOG_MAX;

    if (size < 16)
        return;
    add_option(j, CU_JIT_INFO_LOG_BUFFER, (uintptr_t)j->info);
    add_option(j, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, size - 8);
    add_option(j, CU_JIT_ERROR_LOG_BUFFER, (uintptr_t)j->error);
    add_option(j, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, size - 8);
}

bool vg_jit_add_numbers(struct vg_jit *j, const uint8_t *p, uint64_t count, size_t room)
{
    struct vg_jit_option o;

    if (count > VG_JIT_OPTIONS_MAX || count * sizeof(o) > room)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        memcpy(&o, p + i * sizeof(o), sizeof(o));
        if (vg_jit_is_number(o.option))
            add_option(j, o.option, o.value);
    }
    return true;
}

/* Length of a log as far as it fits half of the reply, its NUL included. */
static size_t log_length(const struct vg_req *r, const char *log)
{
    size_t n = strnlen(log, VG_JIT_LOG_MAX - 1), max = r->enc.cap / 2 - 1;

    return n < max ? n : max;
}

void vg_jit_send_logs(struct vg_req *r, const struct vg_jit *j)
{
    if (!(r->call.flags & VG_F_BULK) || r->enc.cap < 4)
        return;
    size_t error = log_length(r, j->error), info = log_length(r, j->info);
    memcpy(r->enc.payload, j->error, error);
    r->enc.payload[error] = '\0';
    memcpy(r->enc.payload + error + 1, j->info, info);
    r->enc.payload[error + 1 + info] = '\0';
    r->enc.len = error + info + 2;
    r->payload_always = true;
}
