/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: packets of peers. An input is a list of packets for up to four
 * connections: one byte says which, whether a descriptor goes along and whether
 * the bytes are patched into a plausible message; one byte counts them. There is
 * no executor, so every ATTACH that gets that far is refused. Afterwards the
 * daemon has no peer left and no descriptor more than before.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mediator/base/file.h"
#include "mediator/base/log.h"
#include "mediator/base/sock.h"
#include "mediator/daemon/mediator.h"

#define PEERS 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void start(struct vg_mediator *m)
{
    memset(m, 0, sizeof(*m));
    vg_log_init(VG_LOG_ERROR);
    vg_config_init(&m->config);
    strcpy(m->config.executor, "/nowhere/vgpu-executor");
    m->config.region_mib = 16;
    vg_list_init(&m->clients);
    vg_list_init(&m->pool.sessions);
    vg_vms_init(&m->vms);
    m->listen_fd = m->lock_fd = m->listen_io.fd = -1;
    strcpy(m->config.telemetry, "/nowhere/vgpu-telemetry");
    vg_telemetry_init(&m->telemetry, m);
    if (vg_loop_init(&m->loop) < 0)
        abort();
}

/* One that arrives where accept() would have brought it. */
static int connect_peer(struct vg_mediator *m)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        abort();
    if (!vg_client_new(m, pair[1]))
        abort();
    m->client_count++;
    return pair[0];
}

static const uint8_t *send_packet(const int *peers, int region, const uint8_t *data,
                                  const uint8_t *end)
{
    uint8_t how = data[0], len = data[1];
    struct vg_msg msg = { .type = VG_MSG_HELLO, .version = VG_PROTOCOL_VERSION,
                          .role = VG_ROLE_DEVICE, .region_size = 16u << 20, .slot_count = 4,
                          .name = "vm" };
    size_t n = (size_t)(end - data - 2) < len ? (size_t)(end - data - 2) : len;
    int sock = peers[how % PEERS];

    memcpy(&msg, data + 2, n);
    vg_sock_send(sock, &msg, how & 0x40 ? n : sizeof(msg), &region, how & 0x80 ? 1 : 0);
    return data + 2 + n;
}

static void drain(int sock)
{
    struct vg_msg msg;
    unsigned nfds;
    int fd;

    while (vg_sock_recv(sock, &msg, sizeof(msg), &fd, 1, &nfds) > 0) {
        if (nfds)
            close(fd);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vg_mediator m;
    const uint8_t *end = data + size;
    int peers[PEERS], region = vg_memfd_new("fuzz", 16u << 20), lowest, after;

    start(&m);
    lowest = dup(0);
    close(lowest);
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = connect_peer(&m);
    while (end - data >= 2) {
        data = send_packet(peers, region, data, end);
        vg_loop_step(&m.loop, 0);
        for (unsigned i = 0; i < PEERS; i++)
            drain(peers[i]);
    }
    for (unsigned i = 0; i < PEERS; i++)
        close(peers[i]);
    for (unsigned i = 0; i < 8 && m.client_count; i++)
        vg_loop_step(&m.loop, 0);
    after = dup(0);
    close(after);
    if (m.client_count || m.session_count || after != lowest)
        abort();
    vg_vms_fini(&m.vms);
    vg_loop_fini(&m.loop);
    close(region);
    return 0;
}
