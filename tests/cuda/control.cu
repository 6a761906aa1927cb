/* SPDX-License-Identifier: MIT */
/* Control flow: recursion, function pointers, virtual calls, switches, divergence. */
#include "common.cuh"

__device__ __noinline__ int fibonacci(int n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

typedef int (*operation)(int, int);

__device__ __noinline__ int op_add(int a, int b) { return a + b; }
__device__ __noinline__ int op_mul(int a, int b) { return a * b; }
__device__ __noinline__ int op_sub(int a, int b) { return a - b; }
__device__ operation operations[] = {op_add, op_mul, op_sub};

struct shape {
    __device__ virtual int area(int x) const { return x; }
    __device__ virtual ~shape() {}
};
struct square : shape {
    __device__ int area(int x) const override { return x * x; }
};
struct rectangle : shape {
    int h;
    __device__ explicit rectangle(int height) : h(height) {}
    __device__ int area(int x) const override { return x * h; }
};

__host__ __device__ static int dense_switch(int x)
{
    switch (x & 15) {
    case 0: return 17;
    case 1: return x + 4;
    case 2: return x * 3;
    case 3: return -x;
    case 4: return x ^ 0x55;
    case 5: return 9;
    case 6: return x << 2;
    case 9: return x >> 1;
    case 13: return 1 - x;
    default: return 1000 + x;
    }
}

/* Lanes leave the loop at different turns and some by a different door. */
__host__ __device__ static int ragged_loop(int x)
{
    int sum = 0;

    for (int i = 0; i < 50; i++) {
        if ((x + i) % 7 == 0)
            continue;
        if (i > x % 40)
            break;
        if (sum > 400)
            return -sum;
        sum += i ^ x;
    }
    return sum;
}

__global__ void run(int *fib, int *ops, int *areas, int *switches, int *loops)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    shape plain;
    square sq;
    rectangle rect(i % 5);
    const shape *shapes[] = {&plain, &sq, &rect};

    fib[i] = fibonacci(i % 11);
    ops[i] = operations[i % 3](i, 7);
    areas[i] = shapes[i % 3]->area(i);
    switches[i] = dense_switch(i);
    loops[i] = ragged_loop(i);
}

static int fibonacci_cpu(int n)
{
    return n < 2 ? n : fibonacci_cpu(n - 1) + fibonacci_cpu(n - 2);
}

int main(void)
{
    const int n = 256;
    device_array<int> fib(n), ops(n), areas(n), switches(n), loops(n);

    run<<<n / 64, 64>>>(fib.ptr, ops.ptr, areas.ptr, switches.ptr, loops.ptr);
    LAUNCHED();
    std::vector<int> f = fib.read(), o = ops.read(), a = areas.read(), s = switches.read(),
                     l = loops.read();
    for (int i = 0; i < n; i++) {
        int op = i % 3 == 0 ? i + 7 : i % 3 == 1 ? i * 7 : i - 7;
        int area = i % 3 == 0 ? i : i % 3 == 1 ? i * i : i * (i % 5);

        EXPECT(f[i] == fibonacci_cpu(i % 11), "recursion: fibonacci(%d) is %d", i % 11, f[i]);
        EXPECT(o[i] == op, "function pointers: [%d] is %d, not %d", i, o[i], op);
        EXPECT(a[i] == area, "virtual calls: [%d] is %d, not %d", i, a[i], area);
        EXPECT(s[i] == dense_switch(i), "switch: [%d] is %d, not %d", i, s[i], dense_switch(i));
        EXPECT(l[i] == ragged_loop(i), "loop: [%d] is %d, not %d", i, l[i], ragged_loop(i));
    }
    return passed("recursion, function pointers, virtual calls, switches, ragged loops");
}
