/* SPDX-License-Identifier: MIT */
/* Pages on a terminal by the four sequences that every terminal but a dumb one knows. */
#include "screen.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mediator/base/loop.h"
#include "mediator/base/util.h"

#define HOME_CURSOR "\033[H"
#define CLEAR_LINE  "\033[K"
#define CLEAR_BELOW "\033[J"
#define CLEAR_ALL   "\033[2J"

static volatile sig_atomic_t stopped, resized;

static void on_signal(int signo)
{
    if (signo == SIGWINCH)
        resized = 1;
    else
        stopped = 1;
}

static void catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal };

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
}

static bool terminal_can(void)
{
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

static void read_keys(struct vg_screen *s)
{
    struct termios raw;

    s->keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &s->before) == 0;
    if (!s->keys)
        return;
    raw = s->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void vg_screen_init(struct vg_screen *s, bool plain)
{
    memset(s, 0, sizeof(*s));
    s->live = !plain && terminal_can();
    catch_signals();
    if (s->live)
        read_keys(s);
}

void vg_screen_fini(struct vg_screen *s)
{
    if (s->keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
    s->keys = s->live = false;
}

bool vg_screen_is_live(const struct vg_screen *s)
{
    return s->live;
}

FILE *vg_screen_begin(struct vg_screen *s)
{
    s->out = open_memstream(&s->page, &s->len);
    if (!s->out) {
        perror("vgpu-admin");
        vg_screen_fini(s);
        exit(1);
    }
    return s->out;
}

static void size_of(unsigned *ret_rows, unsigned *ret_columns)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;

    *ret_rows = known ? size.ws_row : 24;
    *ret_columns = known ? size.ws_col : 80;
}

/* No line may wrap and the last must not scroll, or the page would wander. */
static void put_in_place(const struct vg_screen *s)
{
    unsigned rows, columns, row = 0;
    const char *line = s->page;

    size_of(&rows, &columns);
    fputs(s->pages == 0 || resized ? CLEAR_ALL HOME_CURSOR : HOME_CURSOR, stdout);
    resized = 0;
    for (; *line && ++row < rows; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t n = strcspn(line, "\n");

        printf("%.*s" CLEAR_LINE "\n", (int)(n < columns ? n : columns), line);
    }
    fputs(CLEAR_BELOW, stdout);
}

void vg_screen_end(struct vg_screen *s)
{
    fclose(s->out);
    if (s->live)
        put_in_place(s);
    else
        fputs(s->page, stdout);
    s->pages++;
    free(s->page);
    s->page = NULL;
}

static bool key_is_quit(void)
{
    char key;

    return read(STDIN_FILENO, &key, 1) == 1 && (key == 'q' || key == 'Q');
}

bool vg_screen_wait(struct vg_screen *s, uint64_t ms)
{
    uint64_t end = vg_now() + ms * VG_NS_PER_MS, now;
    struct pollfd keys = { .fd = s->keys ? STDIN_FILENO : -1, .events = POLLIN };

    if (fflush(stdout) != 0)
        return false;
    while (!stopped && !resized && (now = vg_now()) < end) {
        int n = poll(&keys, 1, (int)((end - now + VG_NS_PER_MS - 1) / VG_NS_PER_MS));

        if (n > 0 && key_is_quit())
            return false;
        if (n > 0 && (keys.revents & (POLLHUP | POLLERR)))
            keys.fd = -1;
    }
    return !stopped;
}
