/* Health, readiness, version, metrics: for whoever watches the server. */
#include "autoglm/version.h"
#include "base/json_out.h"
#include "routes/exchange.h"

/* {"status": word} with 200, or 503 when it is not fine. */
static void answer(ag_exchange *x, bool fine, const char *word) {
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_ROUTES, 1024);
    ag_json_open(&out, '{');
    ag_json_key(&out, "status");
    ag_json_str(&out, word);
    ag_json_close(&out, '}');
    ag_exchange_json(x, fine ? 200 : 503, &out);
}

/* Is there a model that was to be loaded at the start and will not be? */
static bool has_failed(ag_runtime *rt) {
    ag_served_status s;
    for (size_t i = 0; i < ag_runtime_n(rt); i++) {
        ag_runtime_status(rt, i, &s);
        if (s.state == AG_SERVED_FAILED && !ag_served_has_started(&s))
            return true;
    }
    return false;
}

/* Why it is not ready; NULL: it is. */
static const char *obstacle(const ag_exchange *x, const char *loading) {
    const ag_routes *r = x->routes;
    if (atomic_load(&r->draining))
        return "draining";
    if (atomic_load(&r->stuck))
        return "stuck";
    if (ag_runtime_is_ready(r->opts.runtime))
        return NULL;
    return has_failed(r->opts.runtime) ? "failed" : loading;
}

/* The io thread answers, and steps of engines end. */
void ag_route_live(ag_exchange *x) {
    bool moves = !atomic_load(&x->routes->stuck);
    answer(x, moves, moves ? "live" : "stuck");
}

/* Is there a model whose line has room? One that is not loaded counts as such. */
static bool has_room(ag_runtime *rt) {
    for (size_t i = 0; i < ag_runtime_n(rt); i++) {
        ag_engine_stats stats;
        if (!ag_runtime_stats(rt, i, &stats) || stats.retry_after_s <= 0)
            return true;
    }
    return false;
}

/* Balancers should look elsewhere while all that comes would be refused. */
void ag_route_ready(ag_exchange *x) {
    const char *why = obstacle(x, "not ready");
    if (!why && !has_room(x->routes->opts.runtime))
        why = "full";
    answer(x, !why, why ? why : "ready");
}

/* As other servers have it: 503 while models load, then 200. */
void ag_route_health(ag_exchange *x) {
    const char *why = obstacle(x, "loading");
    answer(x, !why, why ? why : "ok");
}

/* Where every model stands, without its name: probes need no key. */
void ag_route_startup(ag_exchange *x) {
    ag_runtime *rt = x->routes->opts.runtime;
    uint64_t done = 0, total = 0;
    size_t n_ready = 0, n_failed = 0, n_started = 0, n_busy = 0, n = ag_runtime_n(rt);
    const char *phase = "waiting"; /* of the model that is being loaded: one after another */
    double shares = 0, eta = -1;
    for (size_t i = 0; i < n; i++) {
        ag_served_status s;
        ag_runtime_status(rt, i, &s);
        bool has_started = ag_served_has_started(&s);
        if (s.state == AG_SERVED_LOADING || s.state == AG_SERVED_WARMING) {
            phase = ag_served_state_name(s.state);
            eta = ag_served_eta_s(&s);
        }
        n_busy += !has_started && s.state != AG_SERVED_FAILED;
        shares += has_started ? 1 : ag_served_share(&s);
        done += s.done_bytes;
        total += s.total_bytes;
        n_ready += s.state == AG_SERVED_READY;
        n_failed += s.state == AG_SERVED_FAILED;
        n_started += has_started;
    }
    bool started = n_started == n && n_failed == 0;
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_ROUTES, 4096);
    ag_json_open(&out, '{');
    ag_json_key(&out, "status");
    ag_json_str(&out, started ? "started" : n_failed ? "failed" : "starting");
    ag_json_key(&out, "phase");
    ag_json_str(&out, started ? "ready" : n_busy ? phase : "failed");
    ag_json_key(&out, "percent");
    ag_json_f32(&out, (float)(int)(shares / (double)n * 1000) / 10);
    ag_json_key(&out, "eta_s"); /* of the last one that is loaded, when the others are done */
    if (n_busy == 1 && eta >= 0)
        ag_json_f32(&out, (float)eta);
    else
        ag_json_null(&out);
    ag_json_key(&out, "models");
    ag_json_u64(&out, n);
    ag_json_key(&out, "ready");
    ag_json_u64(&out, n_ready);
    ag_json_key(&out, "failed");
    ag_json_u64(&out, n_failed);
    ag_json_key(&out, "bytes_loaded");
    ag_json_u64(&out, done);
    ag_json_key(&out, "bytes_total");
    ag_json_u64(&out, total);
    ag_json_close(&out, '}');
    ag_exchange_json(x, started ? 200 : 503, &out);
}

void ag_route_version(ag_exchange *x) {
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_ROUTES, 1024);
    ag_json_open(&out, '{');
    ag_json_key(&out, "version");
    ag_json_str(&out, ag_version());
    ag_json_close(&out, '}');
    ag_exchange_json(x, 200, &out);
}

void ag_route_metrics(ag_exchange *x) {
    const ag_routes_opts *o = &x->routes->opts;
    ag_problem p;
    ag_buf out;
    if (!o->metrics) {
        ag_problem_set(&p, 404, "invalid_request_error", "not_found", NULL,
                       "this server keeps no metrics");
        ag_exchange_problem(x, &p);
        return;
    }
    ag_metrics_format format = {.openmetrics =
                                    ag_metrics_wants_openmetrics(ag_http_get(x->http, "accept")),
                                .vllm_names = o->vllm_names};
    ag_buf_init(&out, AG_ROOM_ROUTES, (size_t)64 << 20);
    ag_metrics_write(o->metrics, format, &out);
    ag_exchange_text(x, 200, ag_metrics_content_type(format), &out);
}
