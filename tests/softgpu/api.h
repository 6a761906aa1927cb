/* SPDX-License-Identifier: MIT */
/*
 * Shared by the tests of the software GPU's driver API: a context, the kernels, small helpers. Each
 * test runs in a process of its own, so faults and limits of one do not reach another.
 */
#ifndef VG_TESTS_SOFTGPU_API_H
#define VG_TESTS_SOFTGPU_API_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/vg_api.h"

#define ck_cu(call) ck_assert_int_eq((call), CUDA_SUCCESS)

/* The PTX of all kernels used here. */
extern const char api_ptx[];

/* Initialises, retains the primary context of device 0 and makes it current. */
CUcontext api_start(void);

/* A kernel of api_ptx, loaded once per process. */
CUfunction api_kernel(const char *name);

CUdeviceptr api_alloc(size_t bytes);                    /* zeroed */
uint32_t api_peek(CUdeviceptr ptr);                     /* synchronous, null stream */

/* set: *ptr = value. add: *ptr += 1. slow: spins n rounds, then *ptr = value. All one thread. */
void api_launch_set(CUdeviceptr ptr, uint32_t value, CUstream stream);
void api_launch_add(CUdeviceptr ptr, CUstream stream);
void api_launch_slow(CUdeviceptr ptr, uint32_t value, uint32_t n, CUstream stream);
/* until: waits until *flag is not 0, then *ptr = value. */
void api_launch_until(CUdeviceptr flag, CUdeviceptr ptr, uint32_t value, CUstream stream);
/* copy: *dst = *src. */
void api_launch_copy(CUdeviceptr dst, CUdeviceptr src, CUstream stream);

/* Either may be NULL. */
void api_end_graph(CUgraph g, CUgraphExec exec);

double api_now(void);                                   /* seconds */

Suite *api_device_suite(void);
Suite *api_memory_suite(void);
Suite *api_stream_suite(void);
Suite *api_graph_suite(void);
Suite *api_cond_suite(void);
Suite *api_module_suite(void);
Suite *api_fault_suite(void);
Suite *api_vmm_suite(void);

#endif
