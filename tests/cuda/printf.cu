/* SPDX-License-Identifier: MIT */
/*
 * printf() in kernels arrives on the program's standard output, whole lines,
 * in order within a thread, at the latest when a synchronizing call returns;
 * a failing assert() is error 710 from then on.
 */
#include "common.cuh"

#include <cassert>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

__global__ void talk(const char *text)
{
    printf("hello %d.%d of %s\n", blockIdx.x, threadIdx.x, text);
}

__global__ void formats(void)
{
    printf("[%5d|%-5d|%05u|%x|%lld]\n", -42, 42, 42u, 0xbeef, 1234567890123456789ll);
    printf("[%.3f|%e|%g|%c|%%|%8s]\n", 3.14159265, 12345.678, 0.5f, 'z', "end");
}

__global__ void must_be_even(const int *values)
{
    assert(values[threadIdx.x] % 2 == 0);
}

/* Runs work() with standard output in a file and returns what was written. */
static std::string capture(void (*work)(void))
{
    FILE *file = tmpfile();
    std::string out;
    char part[4096];
    ssize_t got;

    EXPECT(file, "no temporary file");
    fflush(stdout);
    int kept = dup(1);
    dup2(fileno(file), 1);
    work();
    fflush(stdout);
    dup2(kept, 1);
    close(kept);
    lseek(fileno(file), 0, SEEK_SET);
    while ((got = read(fileno(file), part, sizeof(part))) > 0)
        out.append(part, got);
    fclose(file);
    return out;
}

static const char text[] = "the test";
static char *device_text;

static void run_talk(void)
{
    talk<<<4, 8>>>(device_text);
    LAUNCHED();
    RT(cudaDeviceSynchronize());
}

static void run_formats(void)
{
    formats<<<1, 1>>>();
    LAUNCHED();
    RT(cudaDeviceSynchronize());
}

static void check_lines(const std::string &out)
{
    int lines = 0;

    for (char c : out)
        lines += c == '\n';
    EXPECT(lines == 32, "%d lines instead of 32:\n%s", lines, out.c_str());
    for (int b = 0; b < 4; b++)
        for (int t = 0; t < 8; t++) {
            char want[64];

            snprintf(want, sizeof(want), "hello %d.%d of %s\n", b, t, text);
            EXPECT(out.find(want) != std::string::npos, "missing line: %s", want);
        }
}

static void check_formats(const std::string &out)
{
    char want[256];

    snprintf(want, sizeof(want),
             "[%5d|%-5d|%05u|%x|%lld]\n[%.3f|%e|%g|%c|%%|%8s]\n", -42, 42, 42u, 0xbeef,
             1234567890123456789ll, 3.14159265, 12345.678, 0.5, 'z', "end");
    EXPECT(out == want, "formats: got\n%s instead of\n%s", out.c_str(), want);
}

/* In a process of its own: a failed assert() ends the context. */
static int assert_child(void)
{
    std::vector<int> values(32, 2);

    values[9] = 3;
    device_array<int> device(values);
    must_be_even<<<1, 32>>>(device.ptr);
    LAUNCHED();
    RT_IS(cudaErrorAssert, cudaDeviceSynchronize());
    RT_IS(cudaErrorAssert, cudaMemset(device.ptr, 0, 4));
    return 0;
}

static void check_assert(const char *self)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        freopen("/dev/null", "w", stderr); /* the assertion's own message */
        execl(self, "assert", "assert", (char *)NULL);
        _exit(127);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
           "the child with the failing assert() ended with status %#x", status);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "assert") == 0)
        return assert_child();
    check_assert("/proc/self/exe");
    RT(cudaMalloc(&device_text, sizeof(text)));
    RT(cudaMemcpy(device_text, text, sizeof(text), cudaMemcpyHostToDevice));
    check_lines(capture(run_talk));
    check_formats(capture(run_formats));
    RT(cudaFree(device_text));
    return passed("32 lines, all formats, assert() is error 710");
}
