/* SPDX-License-Identifier: MIT */
/*
 * The Mandelbrot set: a picture from the GPU, as PNG and for a terminal.
 *
 *   mandelbrot [PNG-FILE [DRAWING-FILE [ascii|256|true [COLUMNS]]]]
 *
 * Every pixel's step count is compared with the CPU's, which does the same
 * float operations in the same order.
 */
#include "vg_demo.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vg_picture.h"

#define WIDTH 480
#define HEIGHT 320
#define LIMIT 120

static const float left = -2.5f, top = -1.2f, step = 3.6f / WIDTH;

static int on_cpu(int x, int y)
{
    float cr = left + (float)x * step, ci = top + (float)y * step, zr = 0, zi = 0;
    int i = 0;

    for (; i < LIMIT; i++) {
        float rr = zr * zr, ii = zi * zi;

        if (rr + ii > 4.0f)
            break;
        zi = 2.0f * zr * zi + ci;
        zr = rr - ii + cr;
    }
    return i;
}

static int differences(const uint16_t *steps)
{
    int wrong = 0;

    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            wrong += steps[y * WIDTH + x] != on_cpu(x, y);
    return wrong;
}

/* Black inside; outside from deep blue over white to gold, by the logarithm of the steps. */
static void colour_of(int steps, uint8_t *rgb)
{
    static const float stops[][4] = {{0.00f, 4, 8, 60},      {0.25f, 24, 90, 190},
                                     {0.50f, 235, 250, 255}, {0.72f, 255, 180, 10},
                                     {1.01f, 90, 10, 10}};
    float t = logf(1 + steps) / logf(1 + LIMIT);
    int i = 0;

    memset(rgb, 0, 3);
    if (steps >= LIMIT)
        return;
    while (t > stops[i + 1][0])
        i++;
    for (int c = 0; c < 3; c++) {
        float part = (t - stops[i][0]) / (stops[i + 1][0] - stops[i][0]);

        rgb[c] = (uint8_t)(stops[i][c + 1] + part * (stops[i + 1][c + 1] - stops[i][c + 1]));
    }
}

static void draw(const struct vg_picture *picture, const char *path, const char *ink,
                 const char *columns)
{
    FILE *out = fopen(path, "w");

    if (!out)
        vg_drv_fail("cannot write %s", path);
    vg_picture_draw(picture,
                    strcmp(ink, "true") == 0 ? VG_INK_TRUE
                                             : strcmp(ink, "256") == 0 ? VG_INK_256 : VG_INK_ASCII,
                    atoi(columns) > 0 ? atoi(columns) : 78, out);
    if (fclose(out) != 0)
        vg_drv_fail("cannot write %s", path);
}

static void show(const uint16_t *steps, int argc, char **argv)
{
    struct vg_picture picture = {WIDTH, HEIGHT, vg_demo_memory(3 * WIDTH * HEIGHT)};
    int err;

    for (int i = 0; i < WIDTH * HEIGHT; i++)
        colour_of(steps[i], picture.rgb + 3 * i);
    if (argc > 1 && (err = vg_picture_png(&picture, argv[1])) != 0)
        vg_drv_fail("cannot write %s: %s", argv[1], strerror(-err));
    if (argc > 2)
        draw(&picture, argv[2], argc > 3 ? argv[3] : "ascii", argc > 4 ? argv[4] : "78");
    free(picture.rgb);
}

int main(int argc, char **argv)
{
    uint16_t *steps = vg_demo_memory(WIDTH * HEIGHT * sizeof(*steps));
    int width = WIDTH, height = HEIGHT, limit = LIMIT, wrong, inside = 0;
    float left_arg = left, top_arg = top, step_arg = step;
    struct vg_demo demo;

    vg_demo_start(&demo, "mandelbrot");
    CUdeviceptr out = vg_drv_alloc(WIDTH * HEIGHT * sizeof(*steps));
    vg_demo_run(&demo, (struct vg_demo_grid){WIDTH / 32, HEIGHT / 8, 32, 8},
                (void *[]){&out, &width, &height, &left_arg, &top_arg, &step_arg, &limit});
    VG_CU(cuMemcpyDtoH_v2(steps, out, WIDTH * HEIGHT * sizeof(*steps)));
    wrong = differences(steps);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        inside += steps[i] == LIMIT;
    show(steps, argc, argv);
    printf("%dx%d pixels, at most %d steps each, %d inside: %d differ from the CPU\n", WIDTH,
           HEIGHT, LIMIT, inside, wrong);
    free(steps);
    return vg_demo_end(&demo, wrong == 0, "%dx%d pixels, every one equal to the CPU's", WIDTH,
                       HEIGHT);
}
