/* SPDX-License-Identifier: MIT */
/*
 * Many modules, generated as PTX text at run time: loaded, used, unloaded,
 * loaded again; a broken one is refused with an error and harms nothing.
 */
#include "common.cuh"

#if CUDART_VERSION >= 12080

static std::vector<char> module_text(int id)
{
    std::vector<char> text(1024);

    snprintf(text.data(), text.size(),
             ".version 6.4\n.target sm_75\n.address_size 64\n"
             ".visible .entry kernel_%d(.param .u64 out)\n{\n"
             "    .reg .u64 %%p;\n    .reg .u32 %%t, %%v;\n"
             "    ld.param.u64 %%p, [out];\n    cvta.to.global.u64 %%p, %%p;\n"
             "    mov.u32 %%t, %%tid.x;\n    mad.lo.u32 %%v, %%t, %d, %d;\n"
             "    mad.wide.u32 %%p, %%t, 4, %%p;\n    st.global.u32 [%%p], %%v;\n    ret;\n}\n",
             id, id + 1, id * 1000);
    return text;
}

static cudaError_t load(cudaLibrary_t *lib, const void *text)
{
    return cudaLibraryLoadData(lib, text, NULL, NULL, 0, NULL, NULL, 0);
}

static void use(cudaLibrary_t lib, int id, unsigned *out)
{
    char name[32];
    cudaKernel_t kernel;
    void *args[] = {&out};
    unsigned got[32];

    snprintf(name, sizeof(name), "kernel_%d", id);
    RT(cudaLibraryGetKernel(&kernel, lib, name));
    RT(cudaLaunchKernel((const void *)kernel, dim3(1), dim3(32), args, 0, 0));
    RT(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
    for (unsigned t = 0; t < 32; t++)
        EXPECT(got[t] == t * (id + 1) + id * 1000, "module %d: [%u] is %u", id, t, got[t]);
}

/* A driver that loads lazily may notice only when the kernel is asked for. */
static void refuses_broken(void)
{
    cudaLibrary_t lib;
    cudaKernel_t kernel;
    cudaError_t got = load(&lib, ".version 6.4\n.target sm_75\n.address_size 64\n"
                                 ".visible .entry k() { frobnicate.u32 1; }\n");

    if (got == cudaSuccess) {
        got = cudaLibraryGetKernel(&kernel, lib, "k");
        cudaLibraryUnload(lib);
    }
    EXPECT(got == cudaErrorInvalidPtx, "a broken module gives %d (%s)", (int)got,
           cudaGetErrorName(got));
}

int main(void)
{
    const int count = 120;
    std::vector<cudaLibrary_t> libs(count);
    device_array<unsigned> out(32);
    cudaKernel_t kernel;

    for (int i = 0; i < count; i++)
        RT(load(&libs[i], module_text(i).data()));
    for (int i = count - 1; i >= 0; i--)
        use(libs[i], i, out.ptr);
    for (int i = 0; i < count; i += 2)
        RT(cudaLibraryUnload(libs[i]));
    for (int i = 0; i < count; i += 2)
        RT(load(&libs[i], module_text(i + 500).data()));
    for (int i = 0; i < count; i++)
        use(libs[i], i % 2 ? i : i + 500, out.ptr);

    refuses_broken();
    RT_IS(cudaErrorSymbolNotFound, cudaLibraryGetKernel(&kernel, libs[1], "kernel_0"));
    cudaGetLastError();
    use(libs[1], 1, out.ptr);
    for (int i = 0; i < count; i++)
        RT(cudaLibraryUnload(libs[i]));
    return passed("%d modules, half of them replaced, one refused", count);
}

#else

int main(void)
{
    skip("this runtime has no cudaLibraryLoadData");
}

#endif
