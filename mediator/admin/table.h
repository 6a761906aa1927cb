/* SPDX-License-Identifier: MIT */
/* Text for people: tables whose columns fit, sizes and times with units. */
#ifndef VG_TABLE_H
#define VG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define VG_TABLE_COLUMNS 16u
#define VG_TABLE_CELL    160u    /* bytes of one cell, NUL included; longer text is cut */

struct vg_column {
    const char *title;
    bool right;             /* numbers */
};

struct vg_note {
    size_t row;             /* below which it stands */
    char text[256];
};

struct vg_table {
    const struct vg_column *columns;
    unsigned count;
    char (*cells)[VG_TABLE_CELL];   /* row by row */
    size_t used, cap;
    struct vg_note *notes;
    size_t note_count;
};

void vg_table_init(struct vg_table *t, const struct vg_column *columns, unsigned count);
void vg_table_fini(struct vg_table *t);

/* The next cell, left to right, row after row. Exits the program if memory runs out. */
void vg_table_put(struct vg_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A line of its own, indented, below the row that was put last; longer text is cut. */
void vg_table_note(struct vg_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void vg_table_print(const struct vg_table *t, FILE *out);

/* "512 B", "1.5 KiB", "2.0 GiB". */
void vg_text_bytes(char *text, size_t cap, uint64_t bytes);

/* "7 s", "3 min 20 s", "2 h 5 min", "9 d 4 h". */
void vg_text_seconds(char *text, size_t cap, uint64_t seconds);

#endif
