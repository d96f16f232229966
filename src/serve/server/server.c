#include "server/server.h"

#include "autoglm/version.h"
#include "base/mem.h"
#include "base/system.h"
#include "server/parts.h"

static ag_reasoning_mode reasoning_of(const char *word) {
    return word[0] == 's'   ? AG_REASONING_SPLIT
           : word[0] == 'h' ? AG_REASONING_HIDDEN
                            : AG_REASONING_INLINE;
}

/* Keys are added at the end; those of before stay, since requests may still hold their tenants. */
static ag_code read_keys(ag_server *s, const char *path, ag_err *err) {
    ag_keys *keys;
    ag_code code = ag_keys_read(path, &keys, err);
    if (code)
        return code;
    ag_keys **grown = ag_realloc(AG_ROOM_ROUTES, s->keys, s->n_keys + 1, sizeof *grown);
    if (!grown) {
        ag_keys_free(&keys);
        return ag_fail(err, AG_E_NOMEM, "out of memory for %s", path);
    }
    s->keys = grown;
    s->keys[s->n_keys++] = keys;
    return AG_OK;
}

/* Of all models together. */
static uint64_t budget_of(const ag_config *c) {
    return c->memory_bytes ? c->memory_bytes
                           : (uint64_t)((double)ag_system_memory() * c->memory_fraction);
}

static ag_code open_runtime(ag_server *s, ag_err *err) {
    ag_runtime_opts o = {.models = s->decls,
                         .n_models = s->n_models,
                         .n_threads = ag_server_u32(s->opts.config->threads),
                         .budget_bytes = s->n_models > 1 ? budget_of(s->opts.config)
                                                         : s->opts.config->memory_bytes,
                         .log = ag_logs_logger(s->opts.logs, AG_LOG_DEBUG),
                         .on_state = s->opts.on_state,
                         .ctx = s->opts.ctx};
    return ag_runtime_open(&o, &s->runtime, err);
}

static ag_code open_routes(ag_server *s, ag_err *err) {
    const ag_config *c = s->opts.config;
    ag_routes_opts o = {.runtime = s->runtime,
                        .keys = s->n_keys ? s->keys[0] : NULL,
                        .reasoning = reasoning_of(c->reasoning),
                        .truncate = c->truncate_prompt,
                        .cors_origin = c->cors_origin,
                        .hosts = c->hosts.v,
                        .n_hosts = c->hosts.n,
                        .timeout_ms = ag_server_u32(c->request_timeout),
                        .max_queue_ms = ag_server_u32(c->max_queue_time),
                        .logs = s->opts.logs,
                        .metrics = c->metrics ? s->metrics : NULL,
                        .vllm_names = c->metrics_vllm_names};
    return ag_routes_new(&o, &s->routes, err);
}

ag_code ag_server_listen(ag_server *s, ag_err *err) {
    const ag_config *c = s->opts.config;
    ag_http_tls tls = {.cert_file = c->tls_cert, .key_file = c->tls_key};
    ag_http_opts o = {.fds = s->opts.fds,
                      .n_fds = s->opts.n_fds,
                      .tls = c->tls_cert ? &tls : NULL,
                      .handler = ag_routes_handler(s->routes),
                      .head_bytes = c->head_bytes,
                      .body_bytes = c->body_bytes,
                      .max_headers = ag_server_u32(c->max_headers),
                      .max_connections = ag_server_u32(c->max_connections),
                      .max_per_address = ag_server_u32(c->max_per_address),
                      .head_timeout_ms = ag_server_u32(c->head_timeout),
                      .body_timeout_ms = ag_server_u32(c->body_timeout),
                      .idle_timeout_ms = ag_server_u32(c->idle_timeout),
                      .send_timeout_ms = ag_server_u32(c->send_timeout)};
    ag_http *http;
    ag_code code = ag_http_open(&o, &http, err);
    atomic_store(&s->http, http);
    return code;
}

static void set(ag_server *s, ag_family family, const char *label, double value) {
    ag_metric_set(ag_metrics_get(s->metrics, family, label, NULL, NULL), value);
}

/* Gauges of what no other room tells. */
static void scrape(void *server) {
    ag_server *s = server;
    ag_http *http = atomic_load(&s->http);
    set(s, AG_M_HTTP_CONNECTIONS, NULL, http ? (double)ag_http_n_connections(http) : 0);
    set(s, AG_M_HTTP_TURNED_AWAY, NULL, http ? (double)ag_http_n_turned_away(http) : 0);
    set(s, AG_M_MEMORY_BUDGET, NULL, (double)budget_of(s->opts.config));
    for (int room = 0; room < AG_ROOM_COUNT; room++)
        set(s, AG_M_MEMORY, ag_room_name((ag_room)room), (double)ag_mem_bytes((ag_room)room));
    set(s, AG_M_BUILD, ag_version(), 1);
}

static ag_code open_metrics(ag_server *s, ag_err *err) {
    ag_code code = ag_metrics_new(&s->metrics, err);
    if (code)
        return code;
    ag_metrics_on_scrape(s->metrics, scrape, s);
    ag_metrics_on_scrape(s->metrics, ag_metrics_scrape_process, s->metrics);
    return AG_OK;
}

ag_code ag_server_open(const ag_server_opts *opts, ag_server **out, ag_err *err) {
    *out = NULL;
    ag_server *s = ag_calloc(AG_ROOM_RUNTIME, 1, sizeof *s);
    if (!s)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the server");
    const ag_config *c = opts->config;
    s->opts = *opts;
    s->config = c;
    ag_code code = c->api_key_file ? read_keys(s, c->api_key_file, err) : AG_OK;
    if (code || (code = ag_server_declare(s, err)) || (code = open_metrics(s, err)) ||
        (code = open_runtime(s, err)) || (code = open_routes(s, err)))
        ag_server_close(&s);
    *out = s;
    return code;
}

void ag_server_close(ag_server **sp) {
    ag_server *s = *sp;
    if (!s)
        return;
    *sp = NULL;
    ag_http *http = atomic_load(&s->http);
    ag_http_close(&http);
    if (s->routes)
        ag_routes_stop(s->routes);
    ag_runtime_close(&s->runtime);
    ag_routes_free(&s->routes);
    for (size_t i = 0; i < s->n_keys; i++)
        ag_keys_free(&s->keys[i]);
    ag_free(s->keys);
    ag_server_undeclare(s);
    ag_metrics_free(&s->metrics);
    ag_free(s);
}

void ag_server_status(ag_server *s, size_t i, ag_served_status *out) {
    ag_runtime_status(s->runtime, i, out);
}

ag_metrics *ag_server_metrics(ag_server *s) { return s->metrics; }

bool ag_server_is_ready(ag_server *s) { return ag_runtime_is_ready(s->runtime); }

static bool engines_move(ag_server *s, uint64_t stall_ms) {
    for (size_t i = 0; i < s->n_models; i++) {
        ag_engine_stats e;
        if (ag_runtime_stats(s->runtime, i, &e) && e.step_age_us > stall_ms * 1000)
            return false;
    }
    return true;
}

const char *ag_server_stuck(ag_server *s, uint64_t stall_ms) {
    const char *what = NULL;
    if (!engines_move(s, stall_ms))
        what = "a step of the engine does not end";
    else if (s->http && !ag_http_moves(s->http, stall_ms))
        what = "the thread that serves connections hangs";
    ag_routes_set_stuck(s->routes, what != NULL);
    return what;
}

/* ---- another configuration --------------------------------------------------------------------
 */

static void log_difference(void *logs, const char *key, const char *was, const char *now,
                           bool hot) {
    AG_LOG((ag_logs *)logs, INFO, "config", hot ? "changed" : "changed, in force after a restart",
           AG_STR("autoglm.key", key), AG_STR("autoglm.was", was), AG_STR("autoglm.now", now));
}

static void count_reload(ag_server *s, const char *outcome) {
    ag_metric_add(ag_metrics_get(s->metrics, AG_M_RELOADS, outcome, NULL, NULL), 1);
}

void ag_server_refuse_reload(ag_server *s) { count_reload(s, "refused"); }

ag_code ag_server_reload(ag_server *s, const ag_config *now, ag_err *err) {
    const ag_config *was = s->config;
    ag_code code = AG_OK;
    if (!s->n_keys != !now->api_key_file)
        code = ag_fail(err, AG_E_ARG,
                       "server.api_key_file: whether keys are needed changes by a restart only");
    else if (s->n_keys)
        code = read_keys(s, now->api_key_file, err);
    if (code) {
        count_reload(s, "refused");
        return code;
    }
    if (s->n_keys)
        ag_routes_set_keys(s->routes, s->keys[s->n_keys - 1]);
    ag_config_diff(was, now, log_difference, s->opts.logs);
    AG_LOG(s->opts.logs, INFO, "config", "reloaded");
    code = ag_logs_set_levels(s->opts.logs, now->log_level, err);
    AG_ASSERT(!code); /* the configuration's loader has checked them */
    s->config = now;
    count_reload(s, "applied");
    return AG_OK;
}

/* ---- ending -----------------------------------------------------------------------------------
 */

void ag_server_drain(ag_server *s) { ag_routes_drain(s->routes); }

void ag_server_wind_down(ag_server *s) {
    if (s->http)
        ag_http_wind_down(s->http);
}

void ag_server_stop_listening(ag_server *s) {
    if (s->http)
        ag_http_drain(s->http);
}

bool ag_server_is_drained(const ag_server *s) { return !s->http || ag_http_is_drained(s->http); }
size_t ag_server_n_working(const ag_server *s) { return ag_routes_n_working(s->routes); }

void ag_server_cancel_all(ag_server *s) {
    ag_runtime_drain(s->runtime);
    ag_routes_cancel_all(s->routes);
}
