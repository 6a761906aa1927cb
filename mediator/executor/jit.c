/* SPDX-License-Identifier: MIT */
/* Options of the JIT: numbers from the guest, log buffers from us; see load.h. Serve thread. */
#include <string.h>

#include "mediator/executor/load.h"
#include "vg_jit.h"

static void add_option(struct vg_jit *j, CUjit_option option, void *value)
{
    j->option[j->count] = option;
    j->value[j->count++] = value;
}

void vg_jit_add_logs(struct vg_jit *j, size_t capacity)
{
    size_t size = capacity / 2 < VG_JIT_LOG_MAX ? capacity / 2 : VG_JIT_LOG_MAX;

    if (size < 16)
        return;
    void *room = (void *)(uintptr_t)(size - 8);
    add_option(j, CU_JIT_INFO_LOG_BUFFER, j->info);
    add_option(j, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, room);
    add_option(j, CU_JIT_ERROR_LOG_BUFFER, j->error);
    add_option(j, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, room);
}

bool vg_jit_take_numbers(struct vg_jit_numbers *n, const uint8_t *p, uint64_t count, size_t room)
{
    struct vg_jit_option o;

    n->count = 0;
    if (count > VG_JIT_OPTIONS_MAX || count * sizeof(o) > room)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        memcpy(&o, p + i * sizeof(o), sizeof(o));
        if (!vg_jit_is_number(o.option))
            continue;
        n->option[n->count] = (CUjit_option)o.option;
        n->value[n->count++] = (void *)(uintptr_t)o.value;
    }
    return true;
}

bool vg_jit_add_numbers(struct vg_jit *j, const uint8_t *p, uint64_t count, size_t room)
{
    struct vg_jit_numbers n;

    if (!vg_jit_take_numbers(&n, p, count, room))
        return false;
    for (unsigned i = 0; i < n.count; i++)
        add_option(j, n.option[i], n.value[i]);
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
