/* SPDX-License-Identifier: MIT */
/* __managed__ variables: one variable for CPU and GPU, at one address, each seeing the other's stores. */
#include "common.cuh"

struct pair {
    double a;
    char tag[5];
};

__device__ __managed__ int counter = 7;
__device__ __managed__ int table[1000];
__device__ __managed__ pair both = {1.5, "init"};
__device__ __managed__ int *list;
__device__ __managed__ volatile int flag, answer;
__device__ int plain = 3;

__global__ void add(int n)
{
    atomicAdd(&counter, n);
    table[blockIdx.x * blockDim.x + threadIdx.x] += plain;
}

__global__ void through_pointer(int n)
{
    for (int i = 0; i < n; i++)
        list[i] = i * i;
    both.a *= 2;
    both.tag[0] = 'I';
}

/* Its tries are bounded: a GPU that never sees the CPU's store ends nevertheless. */
__global__ void ask(int tries)
{
    flag = 1;
    __threadfence_system();
    for (int i = 0; i < tries && answer == 0; i++)
        ;
    flag = answer ? 2 : -1;
}

static void initial(void)
{
    EXPECT(counter == 7 && table[999] == 0, "counter %d, table %d", counter, table[999]);
    EXPECT(both.a == 1.5 && strcmp(both.tag, "init") == 0, "both %g %s", both.a, both.tag);
}

static void kernels(void)
{
    for (int round = 1; round <= 3; round++) {
        counter = 10 * round;
        for (int &t : table)
            t = round;
        add<<<10, 100>>>(2);
        LAUNCHED();
        RT(cudaDeviceSynchronize());
        EXPECT(counter == 10 * round + 2000, "round %d: counter is %d", round, counter);
        EXPECT(table[0] == round + 3 && table[999] == round + 3, "table %d", table[999]);
    }
}

static void pointers(void)
{
    RT(cudaMallocManaged(&list, 50 * sizeof(int)));
    through_pointer<<<1, 1>>>(50);
    LAUNCHED();
    RT(cudaDeviceSynchronize());
    EXPECT(list[49] == 49 * 49, "list[49] is %d", list[49]);
    EXPECT(both.a == 3 && strcmp(both.tag, "Init") == 0, "both %g %s", both.a, both.tag);
    RT(cudaFree(list));
}

static void as_symbols(void)
{
    cudaPointerAttributes a;
    void *at = NULL;
    size_t bytes = 0;
    int value = 41;

    RT(cudaGetSymbolAddress(&at, counter));
    RT(cudaGetSymbolSize(&bytes, table));
    EXPECT(at == &counter && bytes == sizeof(table), "at %p, not %p; %zu bytes", at,
           (void *)&counter, bytes);
    RT(cudaMemcpyToSymbol(counter, &value, sizeof(value)));
    RT(cudaDeviceSynchronize());
    EXPECT(counter == 41, "the symbol is %d", counter);
    table[5] = 55;
    RT(cudaMemcpyFromSymbol(&value, table, sizeof(value), 5 * sizeof(int)));
    EXPECT(value == 55, "from the symbol: %d", value);
    RT(cudaPointerGetAttributes(&a, &table[7]));
    EXPECT(a.type == cudaMemoryTypeManaged && a.hostPointer == &table[7], "its type is %d",
           (int)a.type);
    RT(cudaMemcpy(&value, &table[5], sizeof(value), cudaMemcpyDefault));
    EXPECT(value == 55, "copied: %d", value);
    RT_IS(cudaErrorInvalidValue, cudaFree(&counter));
    cudaGetLastError();
}

/* Both at once, where the device says that this is possible. */
static void concurrent(void)
{
    int possible = 0;

    RT(cudaDeviceGetAttribute(&possible, cudaDevAttrConcurrentManagedAccess, 0));
    if (!possible)
        return;
    ask<<<1, 1>>>(1 << 26);
    LAUNCHED();
    while (flag == 0)
        ;
    answer = 1;
    RT(cudaDeviceSynchronize());
    EXPECT(flag == 2, "the kernel did not see the CPU's store");
}

int main(void)
{
    initial();
    kernels();
    pointers();
    as_symbols();
    concurrent();
    return passed("__managed__ variables are one for CPU and GPU");
}
