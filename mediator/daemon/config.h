/* SPDX-License-Identifier: MIT */
/*
 * The daemon's settings: built-in values, overridden by the configuration file,
 * overridden by the command line. One table names each key (config.c); the manual
 * vgpu-mediator.conf(5) describes them.
 */
#ifndef VG_CONFIG_H
#define VG_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "place.h"
#include "policy.h"

#define VG_CONFIG_PATH "/etc/vgpu/mediator.conf"
#define VG_KERNEL_LOG_PATH "/dev/kmsg"
/* Above what systems, xenopsd's QEMUs, containers and directory services give out. */
#define VG_EXECUTOR_UID 2100000000u

#define VG_CONTEXT_AUTO UINT64_MAX
#define VG_SPIN_DEFAULT UINT64_MAX     /* spin_us: the executor's own choice */

enum vg_xenstore_choice { VG_XENSTORE_AUTO, VG_XENSTORE_YES, VG_XENSTORE_NO };
/* Turns and time slices; turns alone; neither, and nothing is measured. */
enum vg_scheduling { VG_SCHEDULING_SLICES, VG_SCHEDULING_TURNS, VG_SCHEDULING_OFF };
/* Whether code compiled of PTX is kept with the images; AUTO: if the driver keeps none itself. */
enum vg_jit_choice { VG_JIT_AUTO, VG_JIT_YES, VG_JIT_NO };
enum vg_backend_choice { VG_BACKEND_AUTO, VG_BACKEND_CUDA, VG_BACKEND_SOFT };

/* What goes on without the daemon: nothing, all after a crash, all after SIGTERM too. */
enum vg_keep_choice { VG_KEEP_NEVER, VG_KEEP_CRASH, VG_KEEP_ALWAYS };

struct vg_config {
    char socket[108];               /* where devices and processes connect */
    char control_socket[108];       /* where vgpu-admin connects */
    char group[64];                 /* that may use both sockets; "": only the daemon's user */
    char admin_group[64];           /* that may use the control socket; "": `group` */
    char monitor_group[64];         /* that may ask there and change nothing; "": nobody */
    char log_target[108];           /* "stderr", "journal" or "journal:PATH" */
    char metrics_listen[128];       /* where Prometheus asks; "": nowhere */
    char state_dir[PATH_MAX];       /* "": registrations are not kept */
    char executor[PATH_MAX];        /* "": vgpu-executor beside the daemon or in libexec */
    char soft_library[PATH_MAX];    /* "": searched, see backend.h */
    char cuda_library[PATH_MAX];    /* "": searched */
    char nvml_library[PATH_MAX];    /* "": searched */
    char telemetry[PATH_MAX];       /* "": vgpu-telemetry beside the daemon or in libexec */
    char watcher[PATH_MAX];         /* "": vgpu-xenstore beside the daemon or in libexec */
    char domain_socket[108];        /* of one domain, with {domid}; "": none */
    uint64_t executor_uid;          /* the first user of executors, see users.h; 0: the daemon's */
    uint64_t domain_uid_base;       /* a domain's QEMU runs as this + domid; 0: as the daemon's user */
    uint64_t xenstore;              /* enum vg_xenstore_choice */
    uint64_t backend;               /* enum vg_backend_choice */
    uint64_t auto_register;         /* bool: an unknown VM gets the default policy */
    uint64_t max_clients;           /* connections at one time */
    uint64_t max_executors;
    uint64_t region_mib;            /* shared memory of one host process */
    uint64_t prestart;              /* executors kept ready for guests to come */
    uint64_t prestart_context;      /* bool: with a context, which takes GPU memory */
    uint64_t prestart_refill;       /* bool: those taken are replaced */
    uint64_t start_timeout_s;       /* an executor that is not ready by then is ended */
    uint64_t watchdog_s;            /* GPU residency without progress, 0: no limit */
    uint64_t compile_s;             /* one call that computes on the host, 0: no limit */
    uint64_t stuck_s;               /* an executor that was killed and lives on is reported then */
    uint64_t fault_limit;           /* faults in fault_window_s that put a VM in quarantine, 0: none */
    uint64_t fault_window_s;
    uint64_t fault_long_limit;      /* the same, for who stays just below that */
    uint64_t fault_long_window_s;
    uint64_t gpu_events;            /* bool: NVML is asked for Xids */
    uint64_t measure_context;       /* bool: NVML is asked what a context costs */
    char kernel_log[PATH_MAX];      /* where the GPU's driver reports, "": not read */
    uint64_t spin_us;               /* an executor polls so long before it sleeps */
    uint64_t scheduling;            /* enum vg_scheduling */
    uint64_t keep;                  /* enum vg_keep_choice */
    uint64_t keep_s;                /* how long, before everything ends after all */
    uint64_t log_level;             /* enum vg_log_level */
    struct vg_policy policy;        /* of VMs nobody registered */
    struct vg_places places;        /* GPUs of pools */
    struct vg_policy cap;           /* the most that a policy can grant; see vg_policy_clamp */
    uint64_t max_processes;         /* of one VM */
    uint64_t max_contexts, max_streams, max_events, max_modules, max_graphs;
    uint64_t max_pinned_mib;        /* of all regions of a VM, 0: no limit */
    uint64_t jit_cache;             /* enum vg_jit_choice */
    uint64_t pin_region;            /* 0: regions are not shown to the GPU */
    uint64_t image_cache_mib;       /* of each VM, 0: none */
    uint64_t context_mib;           /* GPU memory that a context costs; VG_CONTEXT_AUTO: by backend */
};

void vg_config_init(struct vg_config *c);

/* One setting. On failure (-EINVAL) `why` names key, value and what is allowed. */
int vg_config_set(struct vg_config *c, const char *key, const char *value, char *why,
                  size_t why_cap);

/* A whole file; `why` begins with FILE:LINE. 0 or -errno. */
int vg_config_load(struct vg_config *c, const char *path, char *why, size_t why_cap);

#endif
