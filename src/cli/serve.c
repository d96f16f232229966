/* autoglm serve: one model over HTTP. This file puts the rooms of the server together and says how
 * it goes; everything else is theirs. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/engine.h"
#include "cli/input.h"
#include "cli/listen.h"
#include "cli/out.h"
#include "routes/routes.h"

#define LEFT_MS 2000 /* after the drain's end: for errors to reach their clients */

typedef struct serve {
    const ag_cli_args *a;
    pthread_t main;
    ag_buf template_text;
    char name[256];
    ag_served_decl decl;
    ag_keys *keys;
    ag_logs *logs;
    ag_metrics *metrics;
    ag_cli_listener listener;
    ag_runtime *runtime;
    ag_routes *routes;
    ag_http *http;
    uint64_t began_at;
} serve;

/* The last part of the model's path, without ".gguf". */
static void name_of_path(const char *path, char *name, size_t room) {
    ag_span s = ag_str(path);
    while (s.n > 1 && s.p[s.n - 1] == '/')
        s.n--;
    for (size_t i = s.n; i-- > 0;)
        if (s.p[i] == '/') {
            s = ag_span_sub(s, i + 1, s.n);
            break;
        }
    if (ag_span_ends(s, ag_str(".gguf")))
        s.n -= 5;
    snprintf(name, room, "%.*s", AG_SPAN(s));
}

static int declare(serve *s) {
    const ag_cli_list *names = &s->a->model_names;
    ag_cli_need need = {.sequences = s->a->max_sequences};
    int status = ag_cli_engine_opts(s->a, &need, &s->template_text, &s->decl.opts);
    if (status)
        return status;
    name_of_path(s->decl.opts.model, s->name, sizeof s->name);
    s->decl.name = names->n ? names->v[0] : s->name;
    if (names->n > 1) {
        s->decl.aliases = names->v + 1;
        s->decl.n_aliases = names->n - 1;
    }
    return AG_CLI_DONE;
}

/* The model became ready, or never will: the main thread is told. */
static void on_state(void *ctx, const ag_served_status *status) {
    (void)status;
    pthread_kill(((serve *)ctx)->main, SIGUSR1);
}

static void on_warn(void *ctx, const char *line) {
    (void)ctx;
    ag_cli_note("http: %s", line);
}

/* Who may reach it, and with which keys. */
static int open_door(serve *s) {
    const char *host = s->a->host ? s->a->host : "127.0.0.1";
    ag_err err = {0};
    bool loopback;
    if (s->a->api_key_file && ag_keys_read(s->a->api_key_file, &s->keys, &err))
        return ag_cli_fail(&err);
    if (ag_cli_is_loopback(host, &loopback, &err))
        return ag_cli_fail(&err);
    if (!loopback && !s->keys)
        return ag_cli_usage(
            "serve: without --api-key-file it listens on this machine's own address "
            "only, not on %s",
            host);
    if (ag_cli_listen(host, s->a->port, &s->listener, &err))
        return ag_cli_fail(&err);
    return AG_CLI_DONE;
}

static ag_reasoning_mode reasoning_mode(const char *word) {
    if (word && word[0] == 's')
        return AG_REASONING_SPLIT;
    return word && word[0] == 'h' ? AG_REASONING_HIDDEN : AG_REASONING_INLINE;
}

static void on_scrape(void *ctx) {
    serve *s = ctx;
    ag_metric_set(ag_metrics_get(s->metrics, AG_M_HTTP_CONNECTIONS, NULL, NULL, NULL),
                  s->http ? (double)ag_http_n_connections(s->http) : 0);
    ag_metric_set(ag_metrics_get(s->metrics, AG_M_BUILD, ag_version(), "", NULL), 1);
}

static int start(serve *s) {
    ag_err err = {0};
    ag_logs_opts logs = {.levels = s->a->verbose ? "debug" : "info",
                         .format = ag_cli_is_terminal(STDERR_FILENO) ? AG_LOG_TEXT : AG_LOG_JSON};
    ag_code code = ag_logs_open(&logs, &s->logs, &err);
    if (!code)
        code = ag_metrics_new(&s->metrics, &err);
    if (code)
        return ag_cli_fail(&err);
    ag_metrics_on_scrape(s->metrics, ag_metrics_scrape_process, s->metrics);
    ag_metrics_on_scrape(s->metrics, on_scrape, s);
    ag_logger log = ag_logs_logger(s->logs, AG_LOG_DEBUG);
    ag_runtime_opts runtime = {.models = &s->decl,
                               .n_models = 1,
                               .n_threads = s->a->threads,
                               .log = log,
                               .on_state = on_state,
                               .ctx = s};
    code = ag_runtime_open(&runtime, &s->runtime, &err);
    ag_routes_opts routes = {.runtime = s->runtime,
                             .keys = s->keys,
                             .reasoning = reasoning_mode(s->a->reasoning),
                             .cors_origin = s->a->cors_origin,
                             .logs = s->logs,
                             .metrics = s->metrics,
                             .vllm_names = true};
    if (!code)
        code = ag_routes_new(&routes, &s->routes, &err);
    if (!code) {
        ag_http_opts http = {.fds = &s->listener.fd, .n_fds = 1};
        http.handler = ag_routes_handler(s->routes);
        http.handler.on_warn = on_warn;
        code = ag_http_open(&http, &s->http, &err);
    }
    if (code)
        return ag_cli_fail(&err);
    ag_cli_note("listening on http://%s%s; loading %s", s->listener.address,
                s->keys ? "" : " without keys, for this machine only", s->decl.opts.model);
    return AG_CLI_DONE;
}

static void tell_ready(const serve *s, const ag_served_status *status) {
    const char *key = s->keys ? " -H \"Authorization: Bearer $KEY\"" : "";
    ag_cli_out("ready after %.1f s: http://%s/v1 serves ",
               (double)(ag_clock_us() - s->began_at) / 1e6, s->listener.address);
    ag_cli_out_name(ag_str(s->decl.name));
    if (status->info.generates)
        ag_cli_out("\ntry: curl -N http://%s/v1/chat/completions%s -H 'Content-Type: "
                   "application/json' -d '{\"stream\": true, \"messages\": [{\"role\": \"user\", "
                   "\"content\": \"Hello\"}]}'\n",
                   s->listener.address, key);
    else
        ag_cli_out("\ntry: curl http://%s/v1/embeddings%s -H 'Content-Type: application/json' -d "
                   "'{\"input\": \"Hello\"}'\n",
                   s->listener.address, key);
    ag_cli_out_flush();
}

/* Serve until a signal ends it; returns the exit status. */
static int attend(serve *s, const sigset_t *signals) {
    for (;;) {
        int signal = 0;
        sigwait(signals, &signal);
        if (signal != SIGUSR1)
            return AG_CLI_DONE;
        ag_served_status status;
        ag_runtime_status(s->runtime, 0, &status);
        if (status.state == AG_SERVED_FAILED)
            return ag_cli_fail(&status.err);
        if (status.state == AG_SERVED_READY)
            tell_ready(s, &status);
    }
}

/* Wait until nothing is being answered. False: time is over, or a signal came. */
static bool wait_idle(const serve *s, const sigset_t *signals, uint64_t ms, bool *interrupted) {
    uint64_t end = ag_clock_us() + ms * 1000;
    while (ag_http_n_active(s->http) > 0) {
        struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
        int signal = sigtimedwait(signals, NULL, &pause);
        *interrupted |= signal == SIGTERM || signal == SIGINT;
        if (*interrupted || ag_clock_us() >= end)
            return false;
    }
    return true;
}

static void drain(serve *s, const sigset_t *signals) {
    bool interrupted = false;
    ag_routes_drain(s->routes);
    ag_runtime_drain(s->runtime);
    ag_http_drain(s->http);
    size_t n = ag_http_n_active(s->http);
    if (n)
        ag_cli_note("ending: %zu requests get %u s to finish; another signal ends them now", n,
                    s->a->drain_seconds);
    if (wait_idle(s, signals, (uint64_t)s->a->drain_seconds * 1000, &interrupted))
        return;
    ag_routes_cancel_all(s->routes);
    if (!interrupted)
        wait_idle(s, signals, LEFT_MS, &interrupted);
}

static void close_all(serve *s) {
    ag_http_close(&s->http);
    if (s->routes)
        ag_routes_stop(s->routes);
    ag_runtime_close(&s->runtime);
    ag_routes_free(&s->routes);
    ag_keys_free(&s->keys);
    ag_metrics_free(&s->metrics);
    ag_logs_close(&s->logs);
    if (s->listener.fd >= 0)
        close(s->listener.fd);
    ag_buf_deinit(&s->template_text);
}

int ag_cli_serve(const ag_cli_args *a) {
    serve s = {.a = a, .main = pthread_self(), .listener.fd = -1, .began_at = ag_clock_us()};
    sigset_t signals;
    ag_buf_init(&s.template_text, AG_ROOM_CLI, AG_MAX_TEMPLATE_BYTES);
    /* Blocked before any thread starts, so that all inherit it: this one alone takes them. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    int status = declare(&s);
    if (!status)
        status = open_door(&s);
    if (!status)
        status = start(&s);
    if (!status) {
        status = attend(&s, &signals);
        drain(&s, &signals);
    }
    close_all(&s);
    return status;
}
