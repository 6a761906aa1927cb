/* SPDX-License-Identifier: MIT */
/*
 * Misuse of launches, functions, occupancy, the compiler's options, names and symbols.
 */
#include "groups.h"

#include <stdio.h>
#include <string.h>

static CUfunction none, two, bounded, fixed;
static CUmodule m;
static CUlibrary l;
static CUkernel k;
static CUstream s;
static int value;
static size_t size;

static void begin(void)
{
    ask_start();
    m = ask_module();
    SAY(cuModuleGetFunction(&none, m, "none"));
    SAY(cuModuleGetFunction(&two, m, "two"));
    SAY(cuModuleGetFunction(&bounded, m, "bounded"));
    SAY(cuModuleGetFunction(&fixed, m, "fixed"));
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
}

/* A launch of none() with one attribute. */
static CUresult with(unsigned grid, CUlaunchAttribute attribute)
{
    CUlaunchConfig config = {grid, 1, 1, 32, 1, 1, 0, s, &attribute, 1};

    return cu.cuLaunchKernelEx(&config, none, NULL, NULL);
}
#define WITH(grid, what, ...)                                                                     \
    ASK("grid of " #grid " with " #what " " #__VA_ARGS__,                                              \
        with(grid, (CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_##what, .value = __VA_ARGS__}))

void launch_attributes(void)
{
    CUlaunchAttribute pair[2] = {{.id = CU_LAUNCH_ATTRIBUTE_IGNORE}};
    CUlaunchConfig config = {1, 1, 1, 32, 1, 1, 0, NULL, pair, 2};

    begin();
    WITH(8, IGNORE, {{0}});
    WITH(8, COOPERATIVE, {.cooperative = 1});
    WITH(8, COOPERATIVE, {.cooperative = 7});
    WITH(1000000, COOPERATIVE, {.cooperative = 1});
    WITH(8, CLUSTER_DIMENSION, {.clusterDim = {2, 1, 1}});
    WITH(8, CLUSTER_DIMENSION, {.clusterDim = {3, 1, 1}});
    WITH(8, CLUSTER_DIMENSION, {.clusterDim = {0, 1, 1}});
    WITH(8, CLUSTER_DIMENSION, {.clusterDim = {2, 2, 1}});
    WITH(64, CLUSTER_DIMENSION, {.clusterDim = {16, 1, 1}});
    WITH(64, CLUSTER_DIMENSION, {.clusterDim = {32, 1, 1}});
    WITH(8, PRIORITY, {.priority = -1000});
    WITH(8, PRIORITY, {.priority = 1000});
    WITH(8, SYNCHRONIZATION_POLICY, {.syncPolicy = CU_SYNC_POLICY_AUTO});
    WITH(8, PROGRAMMATIC_STREAM_SERIALIZATION, {.programmaticStreamSerializationAllowed = 1});
    WITH(8, PROGRAMMATIC_EVENT, {.programmaticEvent = {NULL, 0, 0}});
    WITH(8, LAUNCH_COMPLETION_EVENT, {.launchCompletionEvent = {NULL, 0}});
    WITH(8, MEM_SYNC_DOMAIN, {.memSyncDomain = CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE});
    WITH(8, MEM_SYNC_DOMAIN, {.memSyncDomain = (CUlaunchMemSyncDomain)9});
    WITH(8, CLUSTER_SCHEDULING_POLICY_PREFERENCE, {.pad = {77}});
    ASK("attribute 99", with(8, (CUlaunchAttribute){.id = (CUlaunchAttributeID)99}));
    SAY(cuLaunchKernelEx(&config, none, NULL, NULL));
    pair[1].id = (CUlaunchAttributeID)77;
    SAY(cuLaunchKernelEx(&config, none, NULL, NULL));
    config.numAttrs = 1000;
    config.attrs = NULL;
    SAY(cuLaunchKernelEx(&config, none, NULL, NULL));
    SAY(cuStreamSynchronize(s));
    SAY(cuCtxSynchronize());
}

void launch_handles(void)
{
    uint32_t a = 1;
    uint64_t b = 2;
    void *params[] = {&a, &b};
    CUfunction gone;

    begin();
    SAY(cuLaunchKernel(two, 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
    SAY(cuLaunchKernel(two, 1, 1, 1, 1, 1, 1, 0, s, NULL, NULL));
    SAY(cuLaunchKernel((CUfunction)ask_nobody(), 1, 1, 1, 1, 1, 1, 0, s, NULL, NULL));
    SAY(cuLaunchKernel((CUfunction)s, 1, 1, 1, 1, 1, 1, 0, s, NULL, NULL));
    SAY(cuLaunchKernel(none, 1, 1, 1, 1, 1, 1, 0, (CUstream)ask_nobody(), NULL, NULL));
    SAY(cuLaunchKernel(none, 0, 0, 0, 0, 0, 0, 0, s, NULL, NULL));
    SAY(cuLaunchKernel(none, 1, 1, 65536, 1, 1, 1, 0, s, NULL, NULL));
    SAY(cuLaunchKernel(none, 1, 1, 1, 0xffffffffu, 2, 1, 0, s, NULL, NULL));
    SAY(cuLaunchKernel(none, 1, 1, 1, 1, 1, 1, 0xffffffffu, s, NULL, NULL));
    SAY(cuLaunchKernel(fixed, 1, 1, 1, 33, 1, 1, 0, s, NULL, NULL));
    SAY(cuLaunchKernel(fixed, 1, 1, 1, 1, 32, 1, 0, s, NULL, NULL));
    SAY(cuLaunchKernel(bounded, 1, 1, 1, 1, 64, 1, 0, s, NULL, NULL));
    SAY(cuLaunchCooperativeKernel(none, 0, 1, 1, 1, 1, 1, 0, s, NULL));
    SAY(cuLaunchCooperativeKernel(none, 1, 1, 1, 2048, 1, 1, 0, s, NULL));
    SAY(cuLaunchCooperativeKernel(NULL, 1, 1, 1, 1, 1, 1, 0, s, NULL));
    SAY(cuLaunchCooperativeKernelMultiDevice(NULL, 0, 0));
    SAY(cuModuleLoadData(&m, ask_ptx));
    SAY(cuModuleGetFunction(&gone, m, "none"));
    SAY(cuModuleUnload(m));
    SAY(cuLaunchKernel(gone, 1, 1, 1, 1, 1, 1, 0, s, NULL, NULL));
    SAY(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, gone));
    SAY(cuModuleGetFunction(&gone, m, "none"));
    SAY(cuModuleUnload(m));
    SAY(cuModuleUnload((CUmodule)ask_nobody()));
    SAY(cuModuleUnload((CUmodule)s));
    SAY(cuModuleGetFunction(&gone, (CUmodule)ask_nobody(), "none"));
    SAY(cuLibraryLoadData(&l, ask_ptx, NULL, NULL, 0, NULL, NULL, 0));
    SAY(cuLibraryGetKernel(&k, l, "none"));
    SAY(cuLaunchKernel((CUfunction)k, 1, 1, 1, 1, 1, 1, 0, s, NULL, NULL));
    SAY(cuLibraryUnload(l));
    SAY(cuStreamSynchronize(s));
    SAY(cuCtxSynchronize());
}

#define GET(what)                                                                                  \
    do {                                                                                           \
        value = -1;                                                                                \
        SAY(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_##what, none));                           \
        ask_say("  " #what, value);                                                                \
    } while (0)

void function_attributes(void)
{
    begin();
    GET(MAX_THREADS_PER_BLOCK);
    GET(SHARED_SIZE_BYTES);
    GET(CONST_SIZE_BYTES);
    GET(LOCAL_SIZE_BYTES);
    GET(CACHE_MODE_CA);
    GET(PREFERRED_SHARED_MEMORY_CARVEOUT);
    GET(CLUSTER_SIZE_MUST_BE_SET);
    GET(REQUIRED_CLUSTER_WIDTH);
    GET(NON_PORTABLE_CLUSTER_SIZE_ALLOWED);
    GET(CLUSTER_SCHEDULING_POLICY_PREFERENCE);
    SAY(cuFuncSetAttribute(none, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 101));
    SAY(cuFuncSetAttribute(none, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, -2));
    SAY(cuFuncSetAttribute(none, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, -1));
    SAY(cuFuncSetAttribute(none, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 2));
    SAY(cuFuncSetAttribute(none, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1));
    SAY(cuFuncSetAttribute(none, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, -1));
    SAY(cuFuncSetAttribute(none, CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE, 9));
    SAY(cuFuncSetAttribute(none, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 64));
    SAY(cuFuncSetAttribute(none, (CUfunction_attribute)99, 1));
    SAY(cuFuncSetAttribute(NULL, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 1));
    SAY(cuFuncSetAttribute((CUfunction)ask_nobody(), CU_FUNC_ATTRIBUTE_MAX, 1));
    SAY(cuFuncSetCacheConfig(none, (CUfunc_cache)9));
    SAY(cuFuncSetCacheConfig(NULL, CU_FUNC_CACHE_PREFER_L1));
    SAY(cuFuncSetCacheConfig(none, CU_FUNC_CACHE_PREFER_L1));
    SAY(cuFuncSetSharedMemConfig(none, (CUsharedconfig)9));
    SAY(cuFuncIsLoaded(NULL, none));
    SAY(cuFuncIsLoaded(&(CUfunctionLoadingState){0}, NULL));
    SAY(cuFuncLoad(NULL));
    SAY(cuFuncLoad(none));
    SAY(cuFuncGetName(NULL, none));
    SAY(cuFuncGetModule(NULL, none));
    SAY(cuFuncGetParamInfo(none, 0, &size, &size));
    SAY(cuFuncGetParamInfo(two, 2, &size, &size));
    SAY(cuFuncGetParamInfo(two, (size_t)-1, &size, &size));
    SAY(cuFuncGetParamInfo(NULL, 0, &size, &size));
}

static CUresult clusters(unsigned grid, unsigned cluster)
{
    CUlaunchAttribute a = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
                           .value = {.clusterDim = {cluster, 1, 1}}};
    CUlaunchConfig config = {grid, 1, 1, 32, 1, 1, 0, NULL, &a, cluster ? 1 : 0};

    return cu.cuOccupancyMaxActiveClusters(&value, none, &config);
}

void occupancy_rules(void)
{
    CUlaunchConfig config = {8, 1, 1, 32, 1, 1, 0, NULL, NULL, 0};

    begin();
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&value, none, 128, 0, 9));
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&value, none, 128, 0, 1));
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, none, 1025, 0));
    ask_say("blocks", value);
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, bounded, 65, 0));
    ask_say("blocks", value);
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, none, 33, SIZE_MAX));
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, (CUfunction)ask_nobody(), 32, 0));
    SAY(cuOccupancyMaxPotentialBlockSize(&value, NULL, none, NULL, 0, 0));
    SAY(cuOccupancyMaxPotentialBlockSize(&value, &value, none, NULL, 0, -1));
    SAY(cuOccupancyMaxPotentialBlockSize(&value, &value, bounded, NULL, 0, 0));
    ask_say("block", value);
    SAY(cuOccupancyAvailableDynamicSMemPerBlock(&size, none, 1, 0));
    SAY(cuOccupancyAvailableDynamicSMemPerBlock(&size, none, 1, 2048));
    SAY(cuOccupancyAvailableDynamicSMemPerBlock(&size, none, 100000, 128));
    SAY(cuOccupancyAvailableDynamicSMemPerBlock(&size, NULL, 1, 128));
    SAY(cuOccupancyMaxPotentialClusterSize(&value, none, NULL));
    SAY(cuOccupancyMaxPotentialClusterSize(NULL, none, &config));
    SAY(cuOccupancyMaxPotentialClusterSize(&value, NULL, &config));
    SAY(cuOccupancyMaxPotentialClusterSize(&value, none, &config));
    SAY(cuOccupancyMaxActiveClusters(&value, none, NULL));
    ASK("clusters of none", clusters(8, 0));
    ASK("clusters of 2", clusters(8, 2));
    ASK("clusters of 3 in 8", clusters(8, 3));
    ASK("clusters of 16", clusters(16, 16));
    ASK("clusters of 64", clusters(64, 64));
}

static CUresult loaded_with(CUjit_option option, void *setting)
{
    CUmodule made = NULL;
    CUresult r = cu.cuModuleLoadDataEx(&made, ask_ptx, 1, &option, &setting);

    if (made)
        cu.cuModuleUnload(made);
    return r;
}
#define JIT(what, setting) ASK("load with " #what " of " #setting, loaded_with(CU_JIT_##what, (void *)(uintptr_t)(setting)))

void jit_options(void)
{
    ask_start();
    JIT(MAX_REGISTERS, 0);
    JIT(MAX_REGISTERS, 1);
    JIT(MAX_REGISTERS, 255);
    JIT(MAX_REGISTERS, 100000);
    JIT(THREADS_PER_BLOCK, 100000);
    JIT(OPTIMIZATION_LEVEL, 5);
    JIT(OPTIMIZATION_LEVEL, 0);
    JIT(TARGET_FROM_CUCONTEXT, 0);
    JIT(TARGET, 90);
    JIT(TARGET, 10);
    JIT(TARGET, 100);
    JIT(FALLBACK_STRATEGY, 9);
    JIT(FALLBACK_STRATEGY, 1);
    JIT(GENERATE_DEBUG_INFO, 1);
    JIT(GENERATE_LINE_INFO, 1);
    JIT(LOG_VERBOSE, 1);
    JIT(CACHE_MODE, 9);
    JIT(CACHE_MODE, 2);
    JIT(INFO_LOG_BUFFER, 0);
    JIT(INFO_LOG_BUFFER_SIZE_BYTES, 100);
    JIT(ERROR_LOG_BUFFER_SIZE_BYTES, 100);
    JIT(LTO, 1);
    JIT(FTZ, 1);
    JIT(FAST_COMPILE, 1);
    JIT(WALL_TIME, 0);
    JIT(POSITION_INDEPENDENT_CODE, 1);
    JIT(MIN_CTA_PER_SM, 1);
    JIT(OVERRIDE_DIRECTIVE_VALUES, 1);
    JIT(SPLIT_COMPILE, 2);
    JIT(NUM_OPTIONS, 0);
    ASK("load with option -1", loaded_with((CUjit_option)-1, NULL));
    SAY(cuModuleLoad(&m, "/no/such/file"));
    SAY(cuModuleLoad(&m, NULL));
    SAY(cuModuleLoad(NULL, "/no/such/file"));
    SAY(cuModuleLoad(&m, "/"));
    SAY(cuModuleLoad(&m, "/dev/null"));
    SAY(cuLibraryLoadFromFile(&l, "/no/such/file", NULL, NULL, 0, NULL, NULL, 0));
    SAY(cuLibraryLoadFromFile(&l, NULL, NULL, NULL, 0, NULL, NULL, 0));
}

void linker(void)
{
    CUlinkState state = NULL;
    void *cubin = NULL;
    CUjit_option bad = (CUjit_option)99;
    void *setting = NULL;

    ask_start();
    SAY(cuLinkCreate_v2(0, NULL, NULL, NULL));
    SAY(cuLinkCreate_v2(1, NULL, NULL, &state));
    SAY(cuLinkCreate_v2(1, &bad, &setting, &state));
    SAY(cuLinkCreate_v2(0, NULL, NULL, &state));
    SAY(cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, NULL, 10, "a", 0, NULL, NULL));
    SAY(cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, (void *)"prose", 6, "a", 0, NULL, NULL));
    SAY(cuLinkComplete(state, &cubin, &size));
    SAY(cuLinkDestroy(state));
    SAY(cuLinkCreate_v2(0, NULL, NULL, &state));
    SAY(cuLinkAddData_v2(state, (CUjitInputType)77, (void *)ask_ptx, 10, "a", 0, NULL, NULL));
    SAY(cuLinkAddFile_v2(state, CU_JIT_INPUT_PTX, "/no/such/file", 0, NULL, NULL));
    SAY(cuLinkAddFile_v2(state, CU_JIT_INPUT_PTX, NULL, 0, NULL, NULL));
    SAY(cuLinkDestroy(state));
    SAY(cuLinkCreate_v2(0, NULL, NULL, &state));
    SAY(cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, (void *)ask_ptx, strlen(ask_ptx) + 1, "a", 0,
                         NULL, NULL));
    SAY(cuLinkComplete(state, NULL, &size));
    SAY(cuLinkComplete(state, &cubin, NULL));
    SAY(cuLinkComplete(state, &cubin, &size));
    ask_say("cubin", cubin != NULL && size > 0);
    SAY(cuModuleLoadData(&m, cubin));
    SAY(cuLinkDestroy(state));
    SAY(cuLinkDestroy(NULL));
    SAY(cuLinkComplete(NULL, &cubin, &size));
    SAY(cuLinkAddData_v2(NULL, CU_JIT_INPUT_PTX, (void *)ask_ptx, 10, "a", 0, NULL, NULL));
}

/* A line for each error code there is, with its name; the wording of the text is each driver's. */
static void errors(void)
{
    for (int code = -1; code < 1002; code++) {
        const char *name = NULL, *text = NULL;
        CUresult r = cu.cuGetErrorName((CUresult)code, &name);
        CUresult t = cu.cuGetErrorString((CUresult)code, &text);

        if (r == CUDA_SUCCESS || t == CUDA_SUCCESS || name || text)
            printf("%d: %d %s, %d %d\n", code, r, name ? name : "-", t, text && *text);
    }
    fflush(stdout);
}

void names(void)
{
    const char *text = "unchanged";
    void *found;
    CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;

    errors();
    SAY(cuGetErrorName((CUresult)12345, &text));
    ask_say("cleared", text == NULL);
    SAY(cuInit(0xffffffffu));
    ask_start();
    SAY(cuGetProcAddress_v2("cuMemAlloc", &found, 2000, 0, &status));
    ask_say("status", status);
    SAY(cuGetProcAddress_v2("cuMemAlloc_v2", &found, 13000, 0, &status));
    ask_say("status", status);
    SAY(cuGetProcAddress_v2("cuStreamQuery", &found, 13000, 2, &status));
    ask_say("status", status);
    SAY(cuGetProcAddress_v2("cuStreamQuery", &found, 13000, 3, &status));
    SAY(cuGetProcAddress_v2("cuStreamQuery", &found, 13000, 4, &status));
    SAY(cuGetProcAddress_v2("cuStreamQuery", &found, -1, 0, &status));
    SAY(cuGetProcAddress_v2("cudaMalloc", &found, 13000, 0, &status));
    ask_say("status", status);
    SAY(cuDeviceGetName(NULL, 0, 0));
    SAY(cuDeviceGetProperties(NULL, 0));
    SAY(cuDeviceComputeCapability(NULL, NULL, 0));
    SAY(cuDeviceGetTexture1DLinearMaxWidth(&size, CU_AD_FORMAT_FLOAT, 3, 0));
    SAY(cuDeviceGetTexture1DLinearMaxWidth(&size, (CUarray_format)0x77, 1, 0));
    SAY(cuDeviceGetExecAffinitySupport(&value, (CUexecAffinityType)9, 0));
    SAY(cuDeviceGetPCIBusId(NULL, 16, 0));
    SAY(cuDeviceGetByPCIBusId(NULL, "0000:00:00.0"));
    SAY(cuDeviceGetByPCIBusId(&value, NULL));
    SAY(cuDeviceGetCount(NULL));
    SAY(cuDeviceTotalMem_v2(&size, -1));
    SAY(cuProfilerInitialize(NULL, NULL, (CUoutput_mode)0));
    SAY(cuFlushGPUDirectRDMAWrites((CUflushGPUDirectRDMAWritesTarget)9,
                                   CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER));
}
