/* SPDX-License-Identifier: MIT */
/*
 * Domains of the world that fake_xen.c shows to a xenstored: their lives, and what
 * their kernels would ask of xenstored through their own rings.
 *
 *   xen-domain create|introduce|shutdown|destroy N...
 *   xen-domain guest N read|write|rm|list|set-perms PATH [VALUE]
 *
 * Exit status 1: xenstored said no; the error's name is printed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <xenstore.h>

#include <xen/io/xs_wire.h>

#define PAGE 4096u
#define PORT_VIRQ 1u
#define PORT_FIRST 100u     /* port of domain N: this + N */
#define WAIT_MS 20000u

static void die(const char *what)
{
    fprintf(stderr, "xen-domain: %s: %s\n", what, strerror(errno));
    exit(2);
}

static const char *world(char *path, size_t cap, const char *kind, unsigned domid)
{
    const char *dir = getenv("VG_FAKE_XEN");

    snprintf(path, cap, "%s/%s%u", dir ? dir : ".", kind, domid);
    return path;
}

static void put_file(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, len) != (ssize_t)len)
        die(path);
    close(fd);
}

static void raise_port(uint32_t port)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    const char *dir = getenv("VG_FAKE_XEN");
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/evtchn", dir ? dir : ".");
    if (fd < 0 || sendto(fd, &port, sizeof(port), 0, (struct sockaddr *)&sun, sizeof(sun)) < 0)
        die(sun.sun_path);
    close(fd);
}

/* ---- lives ---- */

/* xenstored must know the domain before somebody gives it rights. */
static int create(unsigned domid)
{
    static const char page[PAGE];
    char path[256];

    put_file(world(path, sizeof(path), "dom-", domid), "", 0);
    put_file(world(path, sizeof(path), "ring-", domid), page, sizeof(page));
    return 0;
}

static int introduce(unsigned domid)
{
    struct xs_handle *h = xs_open(0);
    bool ok;

    ok = h && xs_introduce_domain(h, domid, 1, PORT_FIRST + domid);
    if (!ok)
        die("introduce");
    xs_close(h);
    return 0;
}

static int shut_down(unsigned domid)
{
    char path[256];

    put_file(world(path, sizeof(path), "dom-", domid), "shutdown", 8);
    raise_port(PORT_VIRQ);
    return 0;
}

static int destroy(unsigned domid)
{
    char path[256];

    unlink(world(path, sizeof(path), "dom-", domid));
    raise_port(PORT_VIRQ);
    return 0;
}

/* ---- the ring, as the domain sees it ---- */

struct guest {
    unsigned domid;
    struct xenstore_domain_interface *ring;
};

static void open_ring(struct guest *g, unsigned domid)
{
    char path[256];
    int fd = open(world(path, sizeof(path), "ring-", domid), O_RDWR);

    g->domid = domid;
    g->ring = fd < 0 ? MAP_FAILED
                     : mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (g->ring == MAP_FAILED)
        die(path);
    close(fd);
}

static void wait_a_little(unsigned *waited)
{
    if (++*waited > WAIT_MS) {
        errno = ETIMEDOUT;
        die("xenstored does not answer this domain");
    }
    usleep(1000);
}

static void put_bytes(struct guest *g, const void *data, size_t len)
{
    struct xenstore_domain_interface *r = g->ring;
    const char *p = data;
    unsigned waited = 0;

    while (len > 0) {
        uint32_t prod = r->req_prod, cons = __atomic_load_n(&r->req_cons, __ATOMIC_ACQUIRE);

        if (prod - cons == XENSTORE_RING_SIZE) {
            wait_a_little(&waited);
            continue;
        }
        r->req[MASK_XENSTORE_IDX(prod)] = *p++;
        __atomic_store_n(&r->req_prod, prod + 1, __ATOMIC_RELEASE);
        len--;
        if (prod + 1 - cons == XENSTORE_RING_SIZE || len == 0)
            raise_port(PORT_FIRST + g->domid);
    }
}

static void get_bytes(struct guest *g, void *data, size_t len)
{
    struct xenstore_domain_interface *r = g->ring;
    char *p = data;
    unsigned waited = 0;

    while (len > 0) {
        uint32_t cons = r->rsp_cons, prod = __atomic_load_n(&r->rsp_prod, __ATOMIC_ACQUIRE);

        if (prod == cons) {
            wait_a_little(&waited);
            continue;
        }
        *p++ = r->rsp[MASK_XENSTORE_IDX(cons)];
        __atomic_store_n(&r->rsp_cons, cons + 1, __ATOMIC_RELEASE);
        len--;
        if (prod - cons == XENSTORE_RING_SIZE)
            raise_port(PORT_FIRST + g->domid);
    }
}

static const struct {
    const char *name;
    uint32_t type;
} requests[] = {
    { "read", XS_READ }, { "write", XS_WRITE }, { "rm", XS_RM }, { "list", XS_DIRECTORY },
    { "set-perms", XS_SET_PERMS },
};

static int ask(struct guest *g, uint32_t type, const char *path, const char *value)
{
    struct xsd_sockmsg msg = { .type = type, .req_id = 1 };
    size_t path_len = strlen(path) + 1, value_len = value ? strlen(value) : 0;
    static char answer[XENSTORE_PAYLOAD_MAX + 1];

    /* Permissions are a list of texts, each with its NUL; a value has none. */
    msg.len = (uint32_t)(path_len + value_len + (type == XS_SET_PERMS));
    put_bytes(g, &msg, sizeof(msg));
    put_bytes(g, path, path_len);
    put_bytes(g, value, value_len);
    if (type == XS_SET_PERMS)
        put_bytes(g, "", 1);
    do {
        get_bytes(g, &msg, sizeof(msg));
        get_bytes(g, answer, msg.len < XENSTORE_PAYLOAD_MAX ? msg.len : XENSTORE_PAYLOAD_MAX);
    } while (msg.type == XS_WATCH_EVENT);
    answer[msg.len] = '\0';
    for (size_t i = 0; type == XS_DIRECTORY && i + 1 < msg.len; i++)
        answer[i] = answer[i] ? answer[i] : ' ';
    puts(answer);
    return msg.type == XS_ERROR;
}

static int guest(unsigned domid, const char *what, const char *path, const char *value)
{
    struct guest g;

    open_ring(&g, domid);
    for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (strcmp(requests[i].name, what) == 0)
            return ask(&g, requests[i].type, path, value);
    }
    errno = EINVAL;
    die(what);
    return 2;
}

static const struct {
    const char *name;
    int (*fn)(unsigned domid);
} events[] = {
    { "create", create }, { "introduce", introduce }, { "shutdown", shut_down },
    { "destroy", destroy },
};

int main(int argc, char **argv)
{
    if (argc >= 5 && strcmp(argv[1], "guest") == 0)
        return guest((unsigned)atoi(argv[2]), argv[3], argv[4], argc > 5 ? argv[5] : NULL);
    for (unsigned i = 0; argc > 2 && i < sizeof(events) / sizeof(events[0]); i++) {
        if (strcmp(events[i].name, argv[1]) != 0)
            continue;
        for (int n = 2; n < argc; n++)
            events[i].fn((unsigned)atoi(argv[n]));
        return 0;
    }
    fputs("see the beginning of tests/xenstore/domain.c\n", stderr);
    return 2;
}
