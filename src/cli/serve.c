/* autoglm serve: the supervisor with its sockets, or the process that it starts. */
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/out.h"
#include "cli/serve.h"
#include "logs/logs.h"
#include "process/supervisor.h"

#define MAX_ARGS 1024

/* The sockets, opened by this process. */
typedef struct door {
    ag_listener v[AG_MAX_LISTENERS];
    size_t n;
} door;

static void close_door(door *d) {
    for (size_t i = 0; i < d->n; i++)
        ag_listener_close(&d->v[i]);
}

static int open_door(const ag_config *c, door *d) {
    ag_err err = {0};
    if (c->listen.n > AG_MAX_LISTENERS)
        return ag_cli_usage("server.listen: at most %d addresses", AG_MAX_LISTENERS);
    for (size_t i = 0; i < c->listen.n; i++, d->n++)
        if (ag_listener_open(&d->v[i], c->listen.v[i], &err)) {
            close_door(d);
            return ag_cli_fail(&err);
        }
    return AG_CLI_DONE;
}

static void note(ag_log_level level, const char *line) {
    ag_log_note(AG_LOG_JSON, level, "server", line);
}

/* Where the log's JSON lines are on standard error, everything there is one. */
static void take_notes(const ag_config *c) {
    if (!c->log_file && strcmp(c->log_format, "json") == 0)
        ag_cli_notes_to(note);
}

static void on_log(void *ctx, ag_log_level level, const char *component, const char *line) {
    (void)ctx;
    if (level <= AG_LOG_WARN && ag_cli_notes_are_taken())
        ag_log_note(AG_LOG_JSON, level, component, line);
    else if (level <= AG_LOG_WARN)
        ag_cli_note("%s: %s", component, line);
}

/* What the child is called with: this command's own options, and the sockets' names. */
static bool child_args(const ag_cli_args *a, const door *d, char *program, char *argv[MAX_ARGS]) {
    int n = 0;
    if (a->argc + 3 + 2 * (int)d->n > MAX_ARGS)
        return false;
    argv[n++] = program;
    argv[n++] = (char *)"serve-child";
    for (size_t i = 0; i < d->n; i++) {
        argv[n++] = (char *)"--listening";
        argv[n++] = (char *)(uintptr_t)d->v[i].name;
    }
    for (int i = 0; i < a->argc; i++)
        argv[n++] = a->argv[i];
    argv[n] = NULL;
    return true;
}

static uint64_t number_of(const char *text) {
    unsigned long long v = 0;
    return text && sscanf(text, "%llu", &v) == 1 ? v : 0;
}

static int supervise(const ag_cli_args *a, const ag_config *c, const door *d) {
    char program[4096];
    char *argv[MAX_ARGS];
    ag_err err = {0};
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    if (n <= 0 || !child_args(a, d, program, argv))
        return ag_cli_usage("serve: too many arguments to start a server with");
    ag_supervise_opts o = {
        .argv = argv,
        .listeners = d->v,
        .n_listeners = d->n,
        .notify_socket = ag_cli_env("NOTIFY_SOCKET"),
        .watchdog_us = number_of(ag_cli_env("WATCHDOG_USEC")),
        .flight_dir = c->flight_dir,
        .stall_ms = (uint32_t)c->stall_timeout,
        .drain_ms = (uint32_t)(c->drain_delay + c->drain_timeout + 10000),
        .log = {.write = on_log, .level = AG_LOG_WARN},
    };
    int status = ag_supervise(&o, &err);
    if (status && err.code)
        ag_cli_note("%s", err.msg);
    return status;
}

static int run_here(const ag_cli_args *a, ag_config *c, const door *d) {
    int fds[AG_MAX_LISTENERS];
    const char *names[AG_MAX_LISTENERS];
    for (size_t i = 0; i < d->n; i++) {
        fds[i] = d->v[i].fd;
        names[i] = d->v[i].name;
    }
    return ag_cli_serve_run(a, c, fds, names, d->n, false);
}

int ag_cli_serve(const ag_cli_args *a) {
    ag_config *c;
    door d = {.n = 0};
    int status = ag_cli_serve_config(a, &c, &(ag_err){0});
    if (status)
        return status;
    take_notes(c);
    status = open_door(c, &d);
    if (status) {
        ag_config_free(&c);
        return status;
    }
    if (c->supervise) {
        status = supervise(a, c, &d);
        ag_config_free(&c);
    } else {
        status = run_here(a, c, &d);
    }
    close_door(&d);
    return status;
}

/* Started by the supervisor: the sockets are there already, under fixed numbers. */
int ag_cli_serve_child(const ag_cli_args *a) {
    int fds[AG_MAX_LISTENERS];
    size_t n = a->listening.n;
    ag_config *c;
    if (n == 0 || n > AG_MAX_LISTENERS)
        return ag_cli_usage("serve-child: only the supervisor of 'autoglm serve' starts this");
    int status = ag_cli_serve_config(a, &c, &(ag_err){0});
    if (status)
        return status;
    take_notes(c);
    for (size_t i = 0; i < n; i++)
        fds[i] = AG_PROCESS_FIRST_FD + (int)i;
    return ag_cli_serve_run(a, c, fds, a->listening.v, n, true);
}
