/* SPDX-License-Identifier: MIT */
/* The pretended host and mediator of the device core, see stub_host.h. */
#include "tests/qemu/stub_host.h"

#include <errno.h>
#include <string.h>

#include "tests/protocol/vg_test.h"

/* What the core did to its stub_host. Pretended fds count up from 100 and are tracked. */
struct stub_host stub_host;

struct vg_stub stub;
void *region;

static int host_open(void *opaque)
{
    (void)opaque;
    stub_host.opens++;
    if (stub_host.refuse_open)
        return -ECONNREFUSED;
    stub_host.open = true;
    return 0;
}

static void host_close(void *opaque)
{
    (void)opaque;
    ck_assert(stub_host.open);
    stub_host.open = false;
}

static int host_send(void *opaque, const struct vg_msg *msg, int fd)
{
    (void)opaque;
    ck_assert(stub_host.open);
    if (stub_host.send_error)
        return stub_host.send_error;
    stub_host.sent++;
    stub_host.last = *msg;
    stub_host.last_fd = fd;
    return 0;
}

static void host_connect_later(void *opaque, unsigned ms)
{
    (void)opaque;
    stub_host.retry_ms = ms;
}

static void host_signal(void *opaque, int fd)
{
    (void)opaque;
    ck_assert_uint_eq(stub_host.closed[fd], 0);
    stub_host.signals[fd]++;
}

static void host_fd_close(void *opaque, int fd)
{
    (void)opaque;
    ck_assert_uint_eq(stub_host.closed[fd], 0);
    stub_host.closed[fd] = 1;
}

static void host_event(void *opaque, enum vg_stub_event what, uint64_t a, uint64_t b)
{
    (void)opaque, (void)what, (void)a, (void)b;
}

static void host_guest_error(void *opaque, const char *what, uint64_t value)
{
    (void)opaque, (void)what, (void)value;
    stub_host.guest_errors++;
}

static void host_complain(void *opaque, const char *what, const char *detail)
{
    (void)opaque, (void)what, (void)detail;
    stub_host.complaints++;
}

const struct vg_stub_host stub_host_ops = {
    .link_open = host_open,
    .link_close = host_close,
    .link_send = host_send,
    .connect_later = host_connect_later,
    .fd_signal = host_signal,
    .fd_close = host_fd_close,
    .event = host_event,
    .guest_error = host_guest_error,
    .complain = host_complain,
};

void stub_host_setup(void)
{
    memset(&stub_host, 0, sizeof(stub_host));
    stub_host.next_fd = 100;
    region = calloc(1, STUB_SIZE);
    ck_assert_ptr_nonnull(region);
    ck_assert(vg_stub_init(&stub, &stub_host_ops, NULL, region, STUB_SIZE, STUB_SLOTS));
    stub.region_fd = 42;
    strcpy(stub.name, "vm one");
}

void stub_host_teardown(void)
{
    vg_stub_fini(&stub);
    ck_assert(!stub_host.open);
    for (int fd = 100; fd < stub_host.next_fd; fd++)
        ck_assert_uint_eq(stub_host.closed[fd], 1);
    free(region);
}

uint32_t stub_reg(unsigned offset)
{
    return (uint32_t)vg_stub_read(&stub, offset, 4);
}

void stub_set(unsigned offset, uint32_t value)
{
    vg_stub_write(&stub, offset, value, 4);
}

void stub_say(enum vg_msg_type type, uint32_t token, int fd)
{
    struct vg_msg msg = { .type = type, .token = token, .version = VG_PROTOCOL_VERSION };

    vg_stub_message(&stub, &msg, sizeof(msg), fd);
}

void stub_come_up(void)
{
    vg_stub_connect(&stub);
    stub_say(VG_MSG_WELCOME, 0, -1);
    ck_assert_uint_eq(stub_reg(VG_REG_STATUS), VG_STATUS_MEDIATOR);
}

struct vg_slot *stub_shared(uint32_t token)
{
    return vg_region_slot(region, &stub.layout, VG_TOKEN_SLOT(token));
}

uint32_t stub_claim(void)
{
    uint32_t token = stub_reg(VG_REG_CLAIM);

    ck_assert_uint_ne(token, VG_CLAIM_NONE);
    ck_assert_uint_eq(stub_shared(token)->state, VG_SLOT_CLAIMED);
    return token;
}

uint32_t stub_attached(int *ret_fd)
{
    uint32_t token = stub_claim();

    stub_set(VG_REG_ATTACH, token);
    *ret_fd = stub_host.next_fd++;
    stub_say(VG_MSG_ATTACHED, token, *ret_fd);
    return token;
}

void stub_ck_gone(uint32_t token, enum vg_gone_reason reason)
{
    ck_assert_uint_eq(stub_shared(token)->state, VG_SLOT_GONE);
    ck_assert_uint_eq(stub_shared(token)->reason, reason);
}
