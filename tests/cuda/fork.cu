/* SPDX-License-Identifier: MIT */
/*
 * fork() in a program that already uses CUDA: the child gets an error (never
 * a hang or a crash), a child that calls exec works afresh, and the parent
 * carries on with right results while children come and go.
 */
#include "common.cuh"

#include <sys/wait.h>
#include <unistd.h>

__global__ void square(int *p, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        p[i] = p[i] * p[i];
}

static bool right_result(int n)
{
    std::vector<int> in(n);

    for (int i = 0; i < n; i++)
        in[i] = i - n / 2;
    device_array<int> p(in);
    square<<<(n + 63) / 64, 64>>>(p.ptr, n);
    LAUNCHED();
    std::vector<int> out = p.read();
    for (int i = 0; i < n; i++)
        if (out[i] != in[i] * in[i])
            return false;
    return true;
}

/* What a child says about CUDA: 0 means an error, as it must be. */
static int child_verdict(int *device)
{
    int value = 0;
    void *p = NULL;

    alarm(20); /* a hang is a failure too */
    if (cudaMemcpy(&value, device, sizeof(value), cudaMemcpyDeviceToHost) == cudaSuccess)
        return 1;
    if (cudaMalloc(&p, 16) == cudaSuccess)
        return 2;
    if (cudaDeviceSynchronize() == cudaSuccess)
        return 3;
    return 0;
}

static int wait_for(pid_t pid)
{
    int status = -1;

    EXPECT(waitpid(pid, &status, 0) == pid, "waitpid failed");
    return status;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "fresh") == 0)
        return right_result(500) ? 0 : 1;

    std::vector<int> one(1, 4711);
    device_array<int> cell(one);
    EXPECT(right_result(1000), "wrong before any fork");
    for (int round = 0; round < 3; round++) {
        pid_t plain = fork();
        if (plain == 0)
            _exit(child_verdict(cell.ptr));
        EXPECT(right_result(2000 + round), "round %d: wrong while a child runs", round);
        int status = wait_for(plain);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0,
               "round %d: a forked child used CUDA without an error (status %#x)", round, status);
        pid_t quiet = fork();
        if (quiet == 0)
            exit(0); /* runs atexit handlers, cudart's among them */
        status = wait_for(quiet);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "exit() in a child: %#x", status);
    }
    pid_t fresh = fork();
    if (fresh == 0) {
        execl("/proc/self/exe", "fork", "fresh", (char *)NULL);
        _exit(127);
    }
    int status = wait_for(fresh);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "after exec: status %#x", status);
    EXPECT(right_result(3000) && cell.read()[0] == 4711, "the parent is wrong after the forks");
    return passed("3 forked children refused, one exec'd child and the parent are right");
}
