/* SPDX-License-Identifier: MIT */
/*
 * ptx - load PTX text and run its kernels on CPU threads.
 *
 * A pure library: it knows PTX and nothing of the CUDA API. The owner of a
 * software GPU gives it text, device memory and a pool of threads:
 *
 *     ptx_module_new()  parse, check and decode (what a driver's JIT does)
 *     ptx_module_bind_global()  say where each module variable lives
 *     ptx_module_link() resolve addresses; then copy ptx_module_global_image()
 *     ptx_launch()      run one grid, blocking
 *
 * Addresses: a device address is a host virtual address (identity). Generic
 * addresses of shared, local and parameter memory lie in windows above user
 * space, PTX_WINDOW_*. A kernel can reach nothing but what struct ptx_space
 * declares valid; whatever else it does ends as a fault in struct ptx_result,
 * never as a signal in this process.
 *
 * Threads: a linked module is immutable and may be launched from any number
 * of threads at once. Building a module (new, bind, link) is one thread's.
 *
 * Errors: int, 0 or -errno. Sizes and addresses are bytes.
 */
#ifndef VG_PTX_H
#define VG_PTX_H

#include <stddef.h>
#include <stdint.h>

#include "texture.h"

/* Generic-address windows. None can be memory of a user process. */
#define PTX_WINDOW_SHARED 0x800000000000ull
#define PTX_WINDOW_LOCAL  0x800100000000ull
#define PTX_WINDOW_PARAM  0x800200000000ull
#define PTX_WINDOW_CODE   0x800300000000ull

#define PTX_MAX_SHARED (227u << 10) /* static + dynamic, one CTA */
#define PTX_MAX_PARAMS 32764u       /* bytes of kernel parameters */
#define PTX_MAX_THREADS 1024u       /* of one CTA */
#define PTX_MAX_STACK (512u << 10)  /* local memory of one thread */

struct ptx_module;
struct ptx_pool;

/* One translation unit. name is for messages only and may be NULL. */
struct ptx_source {
    const char *name;
    const char *text; /* needs no NUL at the end */
    size_t len;
};

struct ptx_param_info {
    uint32_t offset, size, align;
};

struct ptx_func_info {
    const char *name;
    int is_entry;
    uint32_t nparams;
    const struct ptx_param_info *params;
    uint32_t param_bytes;   /* packed size: end of the last parameter */
    uint32_t static_shared; /* bytes per CTA */
    uint32_t local_bytes;   /* per thread, callees included unless recursive */
    uint32_t regs;          /* 32-bit registers, an estimate of 16..255 */
    uint32_t max_threads;   /* per CTA, from .maxntid/.reqntid, else 1024 */
    uint32_t maxntid[3];    /* 0 0 0 when not given */
    uint32_t reqntid[3];    /* 0 0 0 when not given */
    uint32_t minnctapersm;  /* 0 when not given */
    uint32_t maxnreg;       /* 0 when not given */
    uint32_t cluster[3];    /* .reqnctapercluster, 0 0 0 when not given */
    uint32_t steps;         /* most instructions that a thread can run; 0: no bound is known */
};

struct ptx_global_info {
    const char *name;
    uint64_t size, align;
    int is_const;   /* .const: kernels may not write it */
    int is_managed; /* .attribute(.managed) */
    int is_visible; /* .visible/.weak/.common: may be looked up by name */
};

struct ptx_module_info {
    unsigned version_major, version_minor; /* .version */
    unsigned target;                       /* .target sm_NN, 90 for sm_90a */
    uint32_t nfuncs, nglobals;
};

/*
 * Parses, links and decodes n units into one module: a .extern of one unit is
 * resolved by a .visible of another. Everything is checked here, so a module
 * that loads runs. On failure *ret is untouched and log (log_size bytes, may
 * be 0) holds a line such as "ptx: line 42: unsupported instruction 'x.y'".
 * On success log is the empty string. The text is not needed afterwards.
 * -EINVAL: bad or unsupported PTX. -ENOMEM. -E2BIG: over a size cap.
 */
int ptx_module_new_linked(struct ptx_module **ret, const struct ptx_source *src, size_t n,
                          char *log, size_t log_size);
int ptx_module_new(struct ptx_module **ret, const char *text, size_t len, char *log,
                   size_t log_size);
void ptx_module_free(struct ptx_module *m); /* NULL is fine */

void ptx_module_get_info(const struct ptx_module *m, struct ptx_module_info *ret);

/* Valid while the module lives; NULL when i is out of range. */
const struct ptx_func_info *ptx_module_func(const struct ptx_module *m, uint32_t i);
const struct ptx_global_info *ptx_module_global(const struct ptx_module *m, uint32_t i);
/* Index, or -ENOENT. Finds only entries (func) and visible variables (global). */
int ptx_module_find_func(const struct ptx_module *m, const char *name);
int ptx_module_find_global(const struct ptx_module *m, const char *name);

/*
 * Every variable 0..nglobals-1 must be bound to device memory of its size and
 * alignment before ptx_module_link(). -EINVAL: index or alignment.
 */
int ptx_module_bind_global(struct ptx_module *m, uint32_t i, uint64_t addr);
/* -EINVAL: a variable is not bound. May be called again after a new bind. */
int ptx_module_link(struct ptx_module *m);
/*
 * Initial contents (size bytes, addresses resolved), to be copied to the bound
 * address; NULL means all zero. Valid after link, until the module is freed.
 */
const void *ptx_module_global_image(const struct ptx_module *m, uint32_t i);

/* ------------------------------------------------------------- device memory */

enum { PTX_PAGE_NONE = 0, PTX_PAGE_RW = 1, PTX_PAGE_RO = 2 };

struct ptx_range {
    uint64_t lo, hi; /* [lo, hi) */
};

/*
 * What a kernel may touch. The arena must stay mapped readable and writable
 * as long as a launch runs; page_map (one PTX_PAGE_* byte per page of
 * 1 << page_shift bytes) is read live, so an allocation made or freed by
 * another thread takes effect at the next access to a range the launch has not
 * met before (a kernel that uses memory while it is being freed is undefined, as
 * on a GPU, but stays inside the arena). ranges must not change during a launch.
 */
struct ptx_space {
    uint64_t arena_base, arena_size;
    unsigned page_shift; /* 8..30 */
    const uint8_t *page_map;
    const struct ptx_range *ranges; /* further memory: mapped host memory */
    size_t nranges;
};

/* -------------------------------------------------------------------- launch */

enum ptx_fault {
    PTX_OK = 0,
    PTX_FAULT_ADDRESS,    /* access outside struct ptx_space, shared, local */
    PTX_FAULT_MISALIGNED, /* address not a multiple of the access size */
    PTX_FAULT_ASSERT,     /* __assertfail; message holds its text */
    PTX_FAULT_TRAP,       /* trap, brkpt */
    PTX_FAULT_PC,         /* indirect call or branch to no code */
    PTX_FAULT_STACK,      /* local memory of a thread used up */
    PTX_FAULT_DEADLOCK,   /* every thread of a CTA waits at a barrier */
    PTX_FAULT_CANCELLED,  /* *cancel became nonzero */
    PTX_FAULT_RESOURCES,  /* this process has no memory to run the grid */
    PTX_FAULT_COUNT
};

/* Device malloc(): memory of struct ptx_space, 16-byte aligned, or 0. Called
 * from many threads at once; NULL functions make malloc() return 0. */
struct ptx_heap {
    void *ctx;
    uint64_t (*alloc)(void *ctx, uint64_t size);
    int (*release)(void *ctx, uint64_t addr); /* nonzero: not an allocation */
};

struct ptx_launch {
    const struct ptx_module *module; /* linked */
    uint32_t func;                   /* index of an entry */
    uint32_t grid[3], block[3];
    uint32_t dynamic_shared;
    const void *params;  /* packed as ptx_func_info says; read before any lane runs */
    uint32_t param_size; /* >= param_bytes */
    const struct ptx_space *space;
    int cooperative;            /* all CTAs co-resident; grid.sync() works */
    uint32_t stack_limit;       /* local bytes per thread, 0: 64 KiB */
    uint32_t sm_count;          /* what %nsmid says, 0: threads of the pool */
    uint64_t grid_id;           /* what %gridid says */
    const volatile int *cancel; /* may be NULL; polled about every millisecond */
    /* printf: whole output of one call; serialised within a launch. May be NULL. */
    void (*print)(void *ctx, const char *text, size_t len);
    void *print_ctx;
    struct ptx_heap heap;
    int (*set_condition)(uint64_t handle, uint32_t value);  /* NULL: there are none; 0 or -errno */
    struct ptx_textures textures;
};

struct ptx_result {
    enum ptx_fault fault;
    char message[256];     /* for people, "" when PTX_OK */
    const char *func_name; /* of the faulting function, lives with the module */
    uint32_t line;         /* in its PTX source, 0 when not known */
    uint32_t block[3], thread[3];
    uint64_t address;           /* PTX_FAULT_ADDRESS, _MISALIGNED, _PC */
    uint64_t warp_instructions; /* executed */
    uint64_t lane_instructions; /* executed, counting active lanes */
};

/* nthreads >= 1 counts the thread that calls ptx_launch: n - 1 are started. */
int ptx_pool_new(struct ptx_pool **ret, unsigned nthreads);
void ptx_pool_free(struct ptx_pool *pool); /* no launch may be running; NULL is fine */

/*
 * Runs the grid and returns when it has ended: 0 with *r filled (look at
 * r->fault), or -EINVAL for arguments that no launch can have (dimensions,
 * shared memory, parameter size, unlinked module), *r then untouched.
 * The caller's thread works on its own grid, so launches of several threads
 * always make progress beside each other, also when they wait for each other.
 */
int ptx_launch(struct ptx_pool *pool, const struct ptx_launch *l, struct ptx_result *r);

const char *ptx_fault_name(enum ptx_fault f);

#endif
