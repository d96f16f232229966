/* The serving process: its signals, its heartbeat, its end. Everything else is the server room's.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/out.h"
#include "cli/serve.h"
#include "process/supervisor.h"
#include "server/server.h"

#define TICK_MS  500
#define LEFT_MS  2000 /* after the drain's end: for errors to reach their clients */
#define ABORT_MS 500  /* the same after a second signal */
#define CLOSE_S  10   /* threads have that long to end */

typedef struct serving {
    const ag_cli_args *a;
    ag_config **configs; /* owned [n_configs]: that of the start, then those of reloads */
    size_t n_configs;
    const int *fds;
    const char *const *addresses;
    size_t n_fds;
    ag_logs *logs;
    ag_beat *beat; /* NULL: nobody watches */
    ag_sandbox sandbox;
    ag_server *server;
    pthread_t main;
    sigset_t signals;
    uint64_t began_at;
    bool listening, told_ready, stalled;
    size_t n_told; /* requests, as the supervisor has heard */
} serving;

/* What the server was started with; what a reload changes, the server room knows. */
static const ag_config *config(const serving *s) { return s->configs[0]; }

/* A model became ready, or never will: the main thread is told. From the runtime's. */
static void on_state(void *ctx, const ag_served_status *status) {
    (void)status;
    pthread_kill(((serving *)ctx)->main, SIGUSR1);
}

/* What the supervisor has told, from the thread that scrapes. */
static void scrape(void *ctx) {
    serving *s = ctx;
    for (int i = 0; i < AG_RESTART_COUNT; i++)
        ag_metric_set(ag_metrics_get(ag_server_metrics(s->server), AG_M_RESTARTS,
                                     ag_restart_name((ag_restart)i), NULL, NULL),
                      (double)ag_beat_restarts(s->beat, (ag_restart)i));
}

static void log_sandbox(const serving *s) {
    const ag_sandbox *b = &s->sandbox;
    if (!strcmp(config(s)->sandbox, "off"))
        AG_LOG(s->logs, INFO, "server", "without a sandbox, as server.sandbox says");
    if (b->landlock || b->seccomp)
        AG_LOG(s->logs, INFO, "server", "in a sandbox",
               AG_I64("autoglm.sandbox.landlock", b->landlock),
               AG_BOOL("autoglm.sandbox.seccomp", b->seccomp));
    if (b->why[0])
        AG_LOG(s->logs, WARN, "server", "not all of the sandbox is in force",
               AG_STR("event.reason", b->why));
    if (b->missing)
        AG_LOG(s->logs, WARN, "server",
               "a path is not there; what appears there can be read after a restart only",
               AG_STR("file.path", b->missing));
}

static void log_restart(const serving *s) {
    uint64_t n = 0;
    for (int i = 0; i < AG_RESTART_COUNT; i++)
        n += ag_beat_restarts(s->beat, (ag_restart)i);
    if (*ag_beat_why(s->beat))
        AG_LOG(s->logs, WARN, "server", "started again",
               AG_STR("event.reason", ag_beat_why(s->beat)), AG_U64("autoglm.restarts", n));
}

/* ---- starting
 * ------------------------------------------------------------------------------------
 */

static int start_listening(serving *s) {
    ag_err err = {0};
    if (s->listening)
        return AG_CLI_DONE;
    if (ag_server_listen(s->server, &err))
        return ag_cli_fail(&err);
    s->listening = true;
    for (size_t i = 0; i < s->n_fds; i++)
        ag_cli_note("listening on %s%s%s", strncmp(s->addresses[i], "unix:", 5) ? "http" : "",
                    strncmp(s->addresses[i], "unix:", 5) ? (config(s)->tls_cert ? "s://" : "://")
                                                         : "",
                    s->addresses[i]);
    if (!config(s)->api_key_file)
        ag_cli_note("without keys: whoever reaches this machine's own addresses may ask");
    return AG_CLI_DONE;
}

static int open_all(serving *s) {
    const ag_config *c = config(s);
    ag_err err = {0};
    ag_logs_opts logs = {.path = c->log_file,
                         .levels = c->log_level,
                         .format = !strcmp(c->log_format, "json") ? AG_LOG_JSON : AG_LOG_TEXT};
    ag_code code = ag_logs_open(&logs, &s->logs, &err);
    if (!code)
        log_sandbox(s);
    ag_server_opts o = {.config = c,
                        .fds = s->fds,
                        .n_fds = s->n_fds,
                        .logs = s->logs,
                        .on_state = on_state,
                        .ctx = s};
    if (!code)
        code = ag_server_open(&o, &s->server, &err);
    if (code)
        return ag_cli_fail(&err);
    if (s->beat) {
        log_restart(s);
        ag_metrics_on_scrape(ag_server_metrics(s->server), scrape, s);
    }
    /* In a hand-over the old server answers until this one is ready. */
    return s->beat && ag_beat_is_handover(s->beat) ? AG_CLI_DONE : start_listening(s);
}

/* A line for people. Where the log is JSON and standard output no terminal, both are often
 * collected into one, and it goes with the log's. */
static void tell_people(const char *line) {
    if (ag_cli_notes_are_taken() && !ag_cli_is_terminal(STDOUT_FILENO)) {
        ag_cli_note("%s", line);
        return;
    }
    ag_cli_out_name(ag_str(line));
    ag_cli_out("\n");
    ag_cli_out_flush();
}

static void tell_try(const serving *s, const ag_served_status *status) {
    const ag_config *c = config(s);
    const char *key = c->api_key_file ? " -H \"Authorization: Bearer $KEY\"" : "";
    const char *scheme = c->tls_cert ? "https" : "http", *address = s->addresses[0];
    char where[300], target[300], more[40] = "", line[1024];
    if (strncmp(address, "unix:", 5) == 0) {
        snprintf(where, sizeof where, "%s", address);
        snprintf(target, sizeof target, "--unix-socket %s %s://localhost", address + 5, scheme);
    } else {
        snprintf(where, sizeof where, "%s://%s/v1", scheme, address);
        snprintf(target, sizeof target, "%s://%s", scheme, address);
    }
    if (c->n_models > 1)
        snprintf(more, sizeof more, " and %zu more", c->n_models - 1);
    snprintf(line, sizeof line, "ready after %.1f s: %s serves %.200s%s",
             (double)(ag_clock_us() - s->began_at) / 1e6, where, c->models[0].name, more);
    tell_people(line);
    if (status->info.generates)
        snprintf(
            line, sizeof line,
            "try: curl -N %s/v1/chat/completions%s -H 'Content-Type: application/json' -d "
            "'{\"stream\": true, \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'",
            target, key);
    else
        snprintf(line, sizeof line,
                 "try: curl %s/v1/embeddings%s -H 'Content-Type: application/json' -d "
                 "'{\"input\": \"Hello\"}'",
                 target, key);
    tell_people(line);
}

/* After news of a model. A server that starts and whose only model cannot be loaded has nothing to
 * do. */
static int on_news(serving *s) {
    ag_served_status status;
    ag_server_status(s->server, 0, &status);
    if (!s->told_ready && config(s)->n_models == 1 && status.state == AG_SERVED_FAILED)
        return ag_cli_fail(&status.err);
    if (s->told_ready || !ag_server_is_ready(s->server))
        return AG_CLI_DONE;
    int failed = start_listening(s);
    if (failed)
        return failed;
    s->told_ready = true;
    if (s->beat)
        ag_beat_ready(s->beat);
    tell_try(s, &status);
    return AG_CLI_DONE;
}

/* ---- serving
 * -------------------------------------------------------------------------------------
 */

/* For `systemctl status`, and for the record of a server that dies. */
static void tell_status(serving *s) {
    size_t n = ag_server_n_working(s->server);
    char line[48];
    if (!s->beat || !s->told_ready || n == s->n_told)
        return;
    s->n_told = n;
    snprintf(line, sizeof line, "ready; requests: %zu", n);
    ag_beat_status(s->beat, line);
}

/* A server that hangs says so, and beats no more; the supervisor then restarts it. */
static void beat(serving *s) {
    const char *stuck = ag_server_stuck(s->server, config(s)->stall_timeout);
    if (stuck && !s->stalled) {
        AG_LOG(s->logs, ERROR, "server", stuck,
               AG_U64("autoglm.stall_timeout_ms", config(s)->stall_timeout));
        if (s->beat)
            ag_beat_stuck(s->beat, stuck);
    }
    s->stalled = stuck;
    if (s->beat && !stuck)
        ag_beat_tick(s->beat);
}

/* SIGHUP. A configuration with a mistake changes nothing. */
static void reload(serving *s) {
    ag_config *now = NULL;
    ag_err err = {0};
    if (ag_logs_reopen(s->logs, &err))
        AG_LOG(s->logs, ERROR, "server", "the log file stays as it was",
               AG_STR("error.message", err.msg));
    ag_config **grown = ag_realloc(AG_ROOM_CLI, s->configs, s->n_configs + 1, sizeof *grown);
    if (!grown) {
        AG_LOG(s->logs, ERROR, "config", "not reloaded", AG_STR("error.message", "out of memory"));
        return;
    }
    s->configs = grown;
    bool mistaken = ag_cli_serve_config(s->a, &now, &err);
    if (mistaken)
        ag_server_refuse_reload(s->server);
    if (mistaken || ag_server_reload(s->server, now, &err)) {
        AG_LOG(s->logs, ERROR, "config", "not reloaded", AG_STR("error.message", err.msg));
        ag_config_free(&now);
        return;
    }
    s->configs[s->n_configs++] = now;
}

/* The next signal, or 0 after a while. */
static int wait_signal(const serving *s, long ms) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    int signal = sigtimedwait(&s->signals, NULL, &t);
    return signal > 0 ? signal : 0;
}

static int attend(serving *s) {
    int status = on_news(s); /* with lazy models only, there is none to wait for */
    while (!status) {
        beat(s);
        tell_status(s);
        switch (wait_signal(s, TICK_MS)) {
        case SIGINT:
        case SIGTERM:
            return AG_CLI_DONE;
        case SIGHUP:
            reload(s);
            break;
        case SIGUSR1:
            status = on_news(s);
            break;
        default:
            break;
        }
    }
    return status;
}

/* ---- ending ---------------------------------------------------------------------------------- */

static bool is_idle(const serving *s) { return ag_server_n_working(s->server) == 0; }
static bool is_drained(const serving *s) { return ag_server_is_drained(s->server); }
static bool never(const serving *s) { return (void)s, false; }

/* Wait. False: it is not so before the time is over, or another signal comes. */
static bool wait_until(serving *s, uint64_t end_us, bool (*is_so)(const serving *s),
                       bool *interrupted) {
    while (!is_so(s)) {
        if (*interrupted || ag_clock_us() >= end_us)
            return false;
        int signal = wait_signal(s, 20);
        *interrupted |= signal == SIGTERM || signal == SIGINT;
        if (s->beat)
            ag_beat_tick(s->beat);
    }
    return true;
}

static uint64_t in_ms(uint64_t ms) { return ag_clock_us() + ms * 1000; }

/* Where another server has taken over, it is to have all who connect. Otherwise nobody else is
 * there: probes are answered to the end, and who brings work is told to come back. */
static void drain(serving *s) {
    const ag_config *c = config(s);
    bool interrupted = false, replaced = s->beat && ag_beat_is_replaced(s->beat);
    ag_server_drain(s->server);
    if (c->drain_delay && !replaced)
        (void)wait_until(s, in_ms(c->drain_delay), never, &interrupted);
    (replaced ? ag_server_stop_listening : ag_server_wind_down)(s->server);
    size_t n = ag_server_n_working(s->server);
    uint64_t end_us = in_ms(c->drain_timeout);
    if (n)
        ag_cli_note("ending: %zu requests get %.0f s to finish; another signal ends them now", n,
                    (double)c->drain_timeout / 1000);
    bool ended = wait_until(s, end_us, is_idle, &interrupted);
    ag_server_stop_listening(s->server);
    if (ended && wait_until(s, end_us, is_drained, &interrupted))
        return;
    ag_server_cancel_all(s->server);
    bool again = false;
    (void)wait_until(s, in_ms(interrupted ? ABORT_MS : LEFT_MS), is_drained, &again);
}

static void leave_at_once(int signal) {
    (void)signal;
    static const char said[] = "autoglm: a thread does not end; leaving without it\n";
    (void)!write(2, said, sizeof said - 1);
    _exit(AG_CLI_FAILED);
}

/* Closing waits for every thread. One that hangs must not keep the process, which nobody may be
 * left to kill. */
static void close_all(serving *s) {
    (void)sigaction(SIGALRM, &(struct sigaction){.sa_handler = leave_at_once}, NULL);
    (void)setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_sec = CLOSE_S}, NULL);
    ag_server_close(&s->server);
    ag_logs_close(&s->logs);
    ag_beat_close(&s->beat);
    for (size_t i = 0; i < s->n_configs; i++)
        ag_config_free(&s->configs[i]);
    ag_free(s->configs);
}

/* Blocked before any thread starts, so that all inherit it: this one alone takes them. */
static void take_signals(serving *s) {
    static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    sigemptyset(&s->signals);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        sigaddset(&s->signals, taken[i]);
    pthread_sigmask(SIG_BLOCK, &s->signals, NULL);
}

/* Each connection has one. What a shell gives at first is for programs that use select(). */
static void take_descriptors(void) {
    struct rlimit most;
    if (getrlimit(RLIMIT_NOFILE, &most) != 0)
        return;
    most.rlim_cur = most.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &most);
}

int ag_cli_serve_run(const ag_cli_args *a, ag_config *c, const int *fds,
                     const char *const *addresses, size_t n, bool supervised) {
    serving s = {.a = a,
                 .fds = fds,
                 .addresses = addresses,
                 .n_fds = n,
                 .main = pthread_self(),
                 .began_at = ag_clock_us()};
    ag_err err = {0};
    int status = AG_CLI_DONE;
    take_signals(&s);
    take_descriptors();
    ag_mem_return_large(); /* one book of a prompt must not be felt forever */
    s.configs = ag_calloc(AG_ROOM_CLI, 1, sizeof *s.configs);
    if (!s.configs) {
        ag_config_free(&c);
        return ag_cli_fail(&(ag_err){.code = AG_E_NOMEM, .msg = "out of memory"});
    }
    s.configs[s.n_configs++] = c;
    if (supervised && ag_beat_open(n, &s.beat, &err))
        status = ag_cli_fail(&err);
    if (!status)
        status = ag_cli_serve_sandbox(a, c, supervised, &s.sandbox);
    if (!status)
        status = open_all(&s);
    if (!status) {
        status = attend(&s);
        drain(&s);
    }
    close_all(&s);
    return status;
}
