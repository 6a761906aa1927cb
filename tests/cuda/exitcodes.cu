/* SPDX-License-Identifier: MIT */
/*
 * A process that ends, however it ends, ends as it would without CUDA: its
 * exit status is its own, it does not hang, and work in flight harms nobody.
 */
#include "common.cuh"

#include <csignal>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

__global__ void busy(int *p, int turns)
{
    unsigned x = threadIdx.x;

    for (int i = 0; i < turns; i++)
        x = x * 1664525u + 1013904223u;
    p[threadIdx.x] = (int)x;
}

static void *leave_from_thread(void *unused)
{
    (void)unused;
    exit(9);
}

/* Starts work that nobody waits for, then ends in one of several ways. */
static int child(const char *way)
{
    pthread_t thread;
    int *p;

    alarm(60);
    RT(cudaMalloc(&p, 1024));
    for (int i = 0; i < 20; i++)
        busy<<<1, 32>>>(p, 1000);
    LAUNCHED();
    if (strcmp(way, "return") == 0)
        return 5;
    if (strcmp(way, "exit") == 0)
        exit(6);
    if (strcmp(way, "_exit") == 0)
        _exit(7);
    if (strcmp(way, "reset") == 0) {
        RT(cudaDeviceReset());
        return 8;
    }
    if (strcmp(way, "thread") == 0) {
        pthread_create(&thread, NULL, leave_from_thread, NULL);
        pthread_join(thread, NULL);
    }
    if (strcmp(way, "abort") == 0)
        abort();
    raise(SIGKILL);
    return 0;
}

static void ends_with(const char *way, int code, int sig)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/proc/self/exe", "exitcodes", way, (char *)NULL);
        _exit(127);
    }
    EXPECT(waitpid(pid, &status, 0) == pid, "waitpid failed");
    if (sig)
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == sig, "%s: status %#x, not signal %d",
               way, status, sig);
    else
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == code, "%s: status %#x, not code %d",
               way, status, code);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return child(argv[1]);
    ends_with("return", 5, 0);
    ends_with("exit", 6, 0);
    ends_with("_exit", 7, 0);
    ends_with("reset", 8, 0);
    ends_with("thread", 9, 0);
    ends_with("abort", 0, SIGABRT);
    ends_with("kill", 0, SIGKILL);
    return passed("7 ways to end a process");
}
