/* SPDX-License-Identifier: MIT */
/* Tables and units for people, see table.h. */
#include "table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void vg_table_init(struct vg_table *t, const struct vg_column *columns, unsigned count)
{
    memset(t, 0, sizeof(*t));
    t->columns = columns;
    t->count = count;
}

void vg_table_fini(struct vg_table *t)
{
    free(t->cells);
    free(t->notes);
    t->notes = NULL;
    t->note_count = 0;
    t->cells = NULL;
    t->used = t->cap = 0;
}

static void no_memory(void)
{
    fputs("out of memory\n", stderr);
    exit(1);
}

static char *next_cell(struct vg_table *t)
{
    if (t->used == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        void *cells = realloc(t->cells, cap * sizeof(*t->cells));

        if (!cells)
            no_memory();
        t->cells = cells;
        t->cap = cap;
    }
    return t->cells[t->used++];
}

void vg_table_put(struct vg_table *t, const char *fmt, ...)
{
    char *cell = next_cell(t);
    va_list args;

    va_start(args, fmt);
    vsnprintf(cell, VG_TABLE_CELL, fmt, args);
    va_end(args);
    if (!cell[0])
        strcpy(cell, "-");
}

void vg_table_note(struct vg_table *t, const char *fmt, ...)
{
    struct vg_note *notes = realloc(t->notes, (t->note_count + 1) * sizeof(*notes));
    va_list args;

    if (!notes)
        no_memory();
    t->notes = notes;
    notes[t->note_count].row = t->used / t->count;
    va_start(args, fmt);
    vsnprintf(notes[t->note_count].text, sizeof(notes[0].text), fmt, args);
    va_end(args);
    t->note_count++;
}

static void print_notes(const struct vg_table *t, size_t row, FILE *out)
{
    for (size_t i = 0; i < t->note_count; i++) {
        if (t->notes[i].row == row)
            fprintf(out, "  %s\n", t->notes[i].text);
    }
}

static int width_of(const struct vg_table *t, unsigned column)
{
    size_t width = strlen(t->columns[column].title);

    for (size_t i = column; i < t->used; i += t->count) {
        size_t n = strlen(t->cells[i]);

        width = n > width ? n : width;
    }
    return (int)width;
}

static void print_cell(const struct vg_table *t, unsigned column, int width, const char *text,
                       FILE *out)
{
    bool last = column + 1 == t->count;

    if (t->columns[column].right)
        fprintf(out, "%*s%s", width, text, last ? "\n" : "  ");
    else
        fprintf(out, "%-*s%s", last ? 0 : width, text, last ? "\n" : "  ");
}

void vg_table_print(const struct vg_table *t, FILE *out)
{
    int width[VG_TABLE_COLUMNS];

    for (unsigned c = 0; c < t->count; c++)
        width[c] = width_of(t, c);
    for (unsigned c = 0; c < t->count; c++)
        print_cell(t, c, width[c], t->columns[c].title, out);
    for (size_t i = 0; i < t->used; i++) {
        unsigned c = (unsigned)(i % t->count);

        print_cell(t, c, width[c], t->cells[i], out);
        if (c + 1 == t->count)
            print_notes(t, (i + 1) / t->count, out);
    }
}

void vg_text_bytes(char *text, size_t cap, uint64_t bytes)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
    double value = (double)bytes / 1024;
    unsigned u = 0;

    if (bytes < 1024) {
        snprintf(text, cap, "%" PRIu64 " B", bytes);
        return;
    }
    for (; value >= 1024 && u + 1 < sizeof(units) / sizeof(units[0]); u++)
        value /= 1024;
    snprintf(text, cap, "%.1f %s", value, units[u]);
}

void vg_text_seconds(char *text, size_t cap, uint64_t s)
{
    if (s < 60)
        snprintf(text, cap, "%" PRIu64 " s", s);
    else if (s < 3600)
        snprintf(text, cap, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, cap, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s % 3600 / 60);
    else
        snprintf(text, cap, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s % 86400 / 3600);
}
