/* SPDX-License-Identifier: MIT */
/*
 * A text file as a C string in the program, by the assembler: no generated
 * source and no file to find at run time.  The path is relative to the root
 * of the tree, where make runs.  One VG_IMAGE per name and program.
 */
#ifndef VG_IMAGE_H
#define VG_IMAGE_H

#define VG_IMAGE(name, path)             \
    __asm__(".pushsection .rodata\n"     \
            ".global " #name "\n"        \
            #name ":\n"                  \
            ".incbin \"" path "\"\n"     \
            ".byte 0\n"                  \
            ".popsection\n");            \
    extern const char name[]

#endif
