/* SPDX-License-Identifier: MIT */
/*
 * Prints sizes, offsets and values of the CUDA types, for toolkit.sh: built once with the toolkit's
 * header and once with ours, it must print the same. values.inc, V(name), is made by the script.
 */
#include CUDA_HEADER
#ifdef CUDA_PROFILER_HEADER
#include CUDA_PROFILER_HEADER
#endif

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int main(void)
{
#define S(type) printf("sizeof " #type " %zu\n", sizeof(type));
#define M(type, member) \
    printf(#type "." #member " at %zu size %zu\n", offsetof(type, member), \
           sizeof(((type *)0)->member));
#include "layout.def"
#define V(name) printf(#name " %lld\n", (long long)(intptr_t)name);
#include "values.inc"
    return 0;
}
