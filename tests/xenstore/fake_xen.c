/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into the stock xenstored and oxenstored so that they run without a
 * hypervisor: stands in for the few calls of libxenctrl, libxengnttab and
 * libxenevtchn that they make, and for the kernel's files about Dom0's ring.
 *
 * The world is the directory $VG_FAKE_XEN, which domain.c plays in:
 *   dom-N    exists: domain N lives; contains "shutdown" or "dying": it does that
 *   ring-N   a page, its xenstore ring
 *   evtchn   datagram socket of the daemon: a packet is the number of a port to raise
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#define XC_WANT_COMPAT_MAP_FOREIGN_API 1
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define EXPORT __attribute__((visibility("default")))
#define PAGE 4096u
#define PORT_VIRQ 1u                    /* "some domain has died" */
#define SOCKET_WIRED_IN "/var/run/xenstored/socket"     /* oxenstored takes no other */

static int evtchn_fd = -1;

static const char *world(char *path, size_t cap, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static const char *world(char *path, size_t cap, const char *fmt, ...)
{
    const char *dir = getenv("VG_FAKE_XEN");
    size_t n = (size_t)snprintf(path, cap, "%s/", dir ? dir : ".");
    va_list args;

    va_start(args, fmt);
    vsnprintf(path + n, cap - n, fmt, args);
    va_end(args);
    return path;
}

static void *next_symbol(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* ---- domains ---- */

/* False: there is none. */
static bool look_at(uint32_t domid, bool *ret_shutdown, bool *ret_dying)
{
    char path[256], text[16] = "";
    int fd;

    *ret_shutdown = *ret_dying = false;
    if (domid == 0)
        return true;
    world(path, sizeof(path), "dom-%u", (unsigned)domid);
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
    if (fd < 0)
        return false;
    if (read(fd, text, sizeof(text) - 1) < 0)
        text[0] = '\0';
    close(fd);
    *ret_shutdown = strncmp(text, "shutdown", 8) == 0;
    *ret_dying = strncmp(text, "dying", 5) == 0;
    return true;
}

EXPORT xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild,
                                       unsigned flags)
{
    static char handle;

    (void)logger, (void)dombuild, (void)flags;
    return (xc_interface *)(void *)&handle;
}

EXPORT int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

EXPORT const xc_error *xc_get_last_error(xc_interface *xch)
{
    static const xc_error error = { .code = XC_ERROR_NONE };

    (void)xch;
    return &error;
}

EXPORT int xc_domain_getinfo(xc_interface *xch, uint32_t first, unsigned max, xc_dominfo_t *info)
{
    bool shutdown, dying;

    (void)xch, (void)max;
    memset(info, 0, sizeof(*info));
    if (!look_at(first, &shutdown, &dying))
        return 0;
    info->domid = first;
    info->shutdown = shutdown;
    info->dying = dying;
    return 1;
}

EXPORT int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max,
                                 xc_domaininfo_t *info)
{
    bool shutdown, dying;

    (void)xch, (void)max;
    memset(info, 0, sizeof(*info));
    if (!look_at(first, &shutdown, &dying))
        return 0;
    info->domain = (domid_t)first;
    info->flags = (shutdown ? XEN_DOMINF_shutdown : 0) | (dying ? XEN_DOMINF_dying : 0);
    return 1;
}

/* ---- rings ---- */

static void *map_ring(uint32_t domid)
{
    char path[256];
    int fd = (int)syscall(SYS_openat, AT_FDCWD, world(path, sizeof(path), "ring-%u", (unsigned)domid), O_RDWR);
    void *p = MAP_FAILED;

    if (fd >= 0) {
        p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    return p == MAP_FAILED ? NULL : p;
}

EXPORT void *xc_map_foreign_range(xc_interface *xch, uint32_t domid, int size, int prot,
                                  unsigned long mfn)
{
    (void)xch, (void)size, (void)prot, (void)mfn;
    return map_ring(domid);
}

EXPORT xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned flags)
{
    static char handle;

    (void)logger, (void)flags;
    return (xengnttab_handle *)(void *)&handle;
}

EXPORT int xengnttab_close(xengnttab_handle *h)
{
    (void)h;
    return 0;
}

EXPORT int xengnttab_set_max_grants(xengnttab_handle *h, uint32_t count)
{
    (void)h, (void)count;
    return 0;
}

EXPORT void *xengnttab_map_grant_ref(xengnttab_handle *h, uint32_t domid, uint32_t ref, int prot)
{
    (void)h, (void)ref, (void)prot;
    return map_ring(domid);
}

EXPORT int xengnttab_unmap(xengnttab_handle *h, void *start, uint32_t count)
{
    (void)h;
    return munmap(start, count * PAGE);
}

/* ---- events: a domain's port has the same number on both sides ---- */

EXPORT xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned flags)
{
    static char handle;
    struct sockaddr_un sun = { .sun_family = AF_UNIX };

    (void)logger, (void)flags;
    if (evtchn_fd < 0) {
        evtchn_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        world(sun.sun_path, sizeof(sun.sun_path), "evtchn");
        unlink(sun.sun_path);
        if (bind(evtchn_fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
            return NULL;
    }
    return (xenevtchn_handle *)(void *)&handle;
}

EXPORT xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd, unsigned flags)
{
    (void)fd;
    return xenevtchn_open(logger, flags);
}

EXPORT int xenevtchn_close(xenevtchn_handle *h)
{
    (void)h;
    return 0;
}

EXPORT int xenevtchn_fd(xenevtchn_handle *h)
{
    (void)h;
    return evtchn_fd;
}

EXPORT xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid,
                                                            evtchn_port_t port)
{
    (void)h, (void)domid;
    return (xenevtchn_port_or_error_t)port;
}

EXPORT xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *h, unsigned virq)
{
    (void)h, (void)virq;
    return PORT_VIRQ;
}

EXPORT int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}

/* The domain polls its ring. */
EXPORT int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}

EXPORT int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}

EXPORT xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
    uint32_t port;

    (void)h;
    return recv(evtchn_fd, &port, sizeof(port), 0) == sizeof(port)
               ? (xenevtchn_port_or_error_t)port : -1;
}

/* ---- files, addresses and rights that need a Xen host ---- */

static const char *instead_of(const char *path, char *buf, size_t cap)
{
    if (strcmp(path, "/proc/xen/xsd_kva") == 0 || strcmp(path, "/dev/xen/xsd_kva") == 0)
        return world(buf, cap, "ring-0");
    if (strcmp(path, "/proc/xen/xsd_port") == 0 || strcmp(path, "/dev/xen/xsd_port") == 0)
        return world(buf, cap, "xsd_port");
    return path;
}

EXPORT int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...);
    void *p = next_symbol("open");
    char buf[256];
    va_list args;
    int mode;

    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    memcpy(&real, &p, sizeof(p));
    return real(instead_of(path, buf, sizeof(buf)), flags, mode);
}

static const char *own_socket(const char *path)
{
    const char *wanted = getenv("XENSTORED_PATH");

    return wanted && strcmp(path, SOCKET_WIRED_IN) == 0 ? wanted : path;
}

EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    int (*real)(int, const struct sockaddr *, socklen_t);
    void *p = next_symbol("bind");
    struct sockaddr_un sun;

    memcpy(&real, &p, sizeof(p));
    if (addr->sa_family != AF_UNIX)
        return real(fd, addr, len);
    memset(&sun, 0, sizeof(sun));
    memcpy(&sun, addr, len < sizeof(sun) ? len : sizeof(sun) - 1);
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s",
             own_socket(((const struct sockaddr_un *)(const void *)addr)->sun_path));
    return real(fd, (struct sockaddr *)&sun, sizeof(sun));
}

EXPORT int unlink(const char *path)
{
    int (*real)(const char *);
    void *p = next_symbol("unlink");

    memcpy(&real, &p, sizeof(p));
    return real(own_socket(path));
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    (void)resource, (void)limit;
    return 0;
}
