/* SPDX-License-Identifier: MIT */
/* The answer of a call that took too long or crashed, see deadline.h. */
#include "deadline.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static const int caught[] = { SIGALRM, SIGTERM, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };

static const char *volatile function_name = "";
static const char *volatile stage = "";

static void put(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, text, len);

        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
}

static void puts_raw(const char *text)
{
    put(text, strlen(text));
}

/* The same bytes as vg_xmlrpc_put_failure, without memory of its own. */
static void give_up(int sig)
{
    puts_raw("<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value><struct>\n"
             "<member>\n<name>Status</name>\n<value><string>Failure</string></value>\n</member>\n"
             "<member>\n<name>ErrorDescription</name>\n<value><array><data>\n"
             "<value><string>XENAPI_PLUGIN_FAILURE</string></value>\n<value><string>");
    puts_raw(function_name);
    puts_raw("</string></value>\n<value><string>");
    puts_raw(sig == SIGALRM ? "Timeout" : "Crashed");
    puts_raw("</string></value>\n<value><string>");
    puts_raw(sig == SIGALRM ? "not done in 5 seconds, while " : "the plugin crashed while ");
    puts_raw(stage);
    puts_raw("</string></value>\n</data></array></value>\n</member>\n</struct></value>\n"
             "</param>\n</params>\n</methodResponse>\n\n");
    _exit(0);
}

void vg_deadline_start(const char *function, unsigned ms)
{
    struct itimerval when = { { 0, 0 }, { (time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000 } };
    struct sigaction action;
    sigset_t none;

    function_name = function;
    memset(&action, 0, sizeof(action));
    action.sa_handler = give_up;
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        sigaction(caught[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setitimer(ITIMER_REAL, &when, NULL);
}

void vg_deadline_stage(const char *doing)
{
    stage = doing;
}

void vg_deadline_answer(const char *text, unsigned long len)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    put(text, len);
}
