/* SPDX-License-Identifier: MIT */
/* __constant__ and __device__ variables: initial values, copies to and from, addresses. */
#include "common.cuh"

struct config {
    int offset;
    float factor;
    long long big;
};

__constant__ struct config config = {3, 0.5f, 1ll << 40};
__constant__ float table[64];
__device__ int counters[10] = {0, 10, 20, 30, 40, 50, 60, 70, 80, 90};
__device__ float *indirect;
__device__ __align__(16) const char message[] = "constant text in global memory";
static __device__ unsigned hidden = 7;

__global__ void use(float *out, int *letters)
{
    int i = threadIdx.x;

    out[i] = table[i] * config.factor + config.offset + (float)(config.big >> 40);
    if (i < 10)
        counters[i] += i + (int)hidden;
    if (i < (int)sizeof(message))
        letters[i] = message[i];
    if (indirect && i == 0)
        *indirect = 42.0f;
}

static void check_initial(void)
{
    int got[10];
    size_t size = 0;

    RT(cudaMemcpyFromSymbol(got, counters, sizeof(got)));
    for (int i = 0; i < 10; i++)
        EXPECT(got[i] == i * 10, "counters[%d] starts as %d", i, got[i]);
    RT(cudaGetSymbolSize(&size, table));
    EXPECT(size == 64 * sizeof(float), "the size of table is %zu", size);
}

static void check_use(const struct config *now, const float *values)
{
    device_array<float> out(64), cell(1);
    device_array<int> letters(64);
    float *cell_address = cell.ptr;

    RT(cudaMemcpyToSymbol(indirect, &cell_address, sizeof(cell_address)));
    use<<<1, 64>>>(out.ptr, letters.ptr);
    LAUNCHED();
    std::vector<float> got = out.read();
    std::vector<int> text = letters.read();
    for (int i = 0; i < 64; i++) {
        float want = values[i] * now->factor + now->offset + (float)(now->big >> 40);

        EXPECT(got[i] == want, "out[%d] is %g, not %g", i, got[i], want);
    }
    for (size_t i = 0; i < sizeof("constant text in global memory"); i++)
        EXPECT(text[i] == "constant text in global memory"[i], "letter %zu is %d", i, text[i]);
    EXPECT(cell.read()[0] == 42.0f, "the store through a pointer variable is missing");
    cell_address = NULL;
    RT(cudaMemcpyToSymbol(indirect, &cell_address, sizeof(cell_address)));
}

int main(void)
{
    struct config now = {3, 0.5f, 1ll << 40};
    float values[64];
    int seven = -1, counter = 0;
    void *address = NULL;

    check_initial();
    for (int i = 0; i < 64; i++)
        values[i] = i * 0.25f;
    RT(cudaMemcpyToSymbol(table, values, sizeof(values)));
    check_use(&now, values);
    now.offset = -8;
    now.factor = 2;
    RT(cudaMemcpyToSymbolAsync(config, &now, sizeof(now), 0, cudaMemcpyHostToDevice, 0));
    RT(cudaMemcpyToSymbol(table, values, 8 * sizeof(float), 56 * sizeof(float)));
    memcpy(values + 56, values, 8 * sizeof(float));
    check_use(&now, values);

    RT(cudaMemcpyFromSymbol(&seven, counters, sizeof(int), 7 * sizeof(int)));
    EXPECT(seven == 70 + 2 * (7 + 7), "counters[7] is %d", seven);
    RT(cudaGetSymbolAddress(&address, counters));
    RT(cudaMemcpy(&counter, (int *)address + 9, sizeof(int), cudaMemcpyDeviceToHost));
    EXPECT(counter == 90 + 2 * (9 + 7), "counters[9] by address is %d", counter);
    return passed("initial values, copies both ways, offsets, addresses");
}
