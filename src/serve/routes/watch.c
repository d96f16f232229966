#include "routes/watch.h"

#include <stdio.h>
#include <string.h>

#define SECONDS(us) ((double)(us) / 1e6)

typedef enum outcome { SUCCEEDED, FAILED, ABORTED, REJECTED, N_OUTCOMES } outcome;
static const char *const outcomes[N_OUTCOMES] = {"succeeded", "failed", "aborted", "rejected"};

/* Does the request compute, as opposed to looking around? */
static bool is_inference(const ag_exchange *x) {
    return x->route && x->route->permission == AG_MAY_INFER;
}

static const char *model_of(const ag_exchange *x) {
    return x->record.model[0] ? x->record.model : "unknown";
}

static ag_metric *get(const ag_exchange *x, ag_family family, const char *second) {
    return ag_metrics_get(x->routes->opts.metrics, family, model_of(x), second, NULL);
}

void ag_watch_begin(ag_exchange *x) {
    if (x->routes->opts.metrics && is_inference(x))
        ag_metric_add(get(x, AG_M_REQUESTS_STARTED, NULL), 1);
}

ag_metric *ag_watch_gaps(ag_exchange *x) {
    return x->routes->opts.metrics ? get(x, AG_M_ITL, NULL) : NULL;
}

/* ---- the end --------------------------------------------------------------------------------- */

static outcome outcome_of(const ag_route_record *r) {
    if (r->error && strcmp(r->error, "cancelled") == 0)
        return ABORTED;
    if (r->error)
        return r->how.status == 503 || (r->how.status >= 400 && r->how.status < 500) ? REJECTED
                                                                                     : FAILED;
    return r->how.complete ? SUCCEEDED : ABORTED;
}

static void count_answer(const ag_exchange *x) {
    const ag_route_record *r = &x->record;
    ag_metric_add(get(x, AG_M_REQUEST_SUCCESS, r->finish ? r->finish : "stop"), 1);
    ag_metric_observe(get(x, AG_M_E2E, NULL), SECONDS(r->how.duration_us));
    ag_metric_observe(get(x, AG_M_REQUEST_PROMPT, NULL), r->n_prompt);
    ag_metric_observe(get(x, AG_M_REQUEST_GENERATION, NULL), r->n_generated);
    if (r->n_choices)
        ag_metric_observe(get(x, AG_M_REQUEST_N, NULL), r->n_choices);
    if (r->max_tokens)
        ag_metric_observe(get(x, AG_M_REQUEST_MAX, NULL), r->max_tokens);
    if (r->n_generated == 0)
        return; /* embeddings have no first token */
    ag_metric_observe(get(x, AG_M_TTFT, NULL), SECONDS(r->queue_us + r->prefill_us));
    ag_metric_observe(get(x, AG_M_QUEUE_TIME, NULL), SECONDS(r->queue_us));
    ag_metric_observe(get(x, AG_M_PREFILL_TIME, NULL), SECONDS(r->prefill_us));
    ag_metric_observe(get(x, AG_M_DECODE_TIME, NULL), SECONDS(r->decode_us));
    ag_metric_observe(get(x, AG_M_INFERENCE, NULL), SECONDS(r->prefill_us + r->decode_us));
}

static void count_inference(ag_exchange *x) {
    const ag_route_record *r = &x->record;
    outcome how = outcome_of(r);
    if (!r->model[0]) /* refused before its model was known: it starts and ends here */
        ag_watch_begin(x);
    ag_metric_add(get(x, AG_M_REQUESTS_FINISHED, outcomes[how]), 1);
    /* What was computed is counted, whether or not the client stayed to hear it. */
    ag_metric_add(get(x, AG_M_PROMPT_TOKENS, NULL), r->n_prompt);
    ag_metric_add(get(x, AG_M_CACHED_TOKENS, NULL), r->n_cached);
    ag_metric_add(get(x, AG_M_GENERATION_TOKENS, NULL), r->n_generated);
    if (how == REJECTED)
        ag_metric_add(get(x, AG_M_REJECTED, r->error), 1);
    if (how == SUCCEEDED)
        count_answer(x);
}

static void count_http(const ag_exchange *x) {
    ag_metrics *m = x->routes->opts.metrics;
    const char *route = x->route ? x->route->path : "none";
    char code[12];
    snprintf(code, sizeof code, "%d", x->record.how.status);
    ag_metric_add(ag_metrics_get(m, AG_M_HTTP_REQUESTS, route, code, NULL), 1);
    ag_metric_observe(ag_metrics_get(m, AG_M_HTTP_DURATION, route, NULL, NULL),
                      SECONDS(x->record.how.duration_us));
    ag_metric_add(ag_metrics_get(m, AG_M_HTTP_SENT, NULL, NULL, NULL), x->record.how.sent_bytes);
}

/* One line a request; of probes only where somebody debugs. Trace ids are the parts of a
 * traceparent: 00-TRACE(32)-SPAN(16)-FLAGS. */
static void log_request(const ag_exchange *x) {
    const ag_route_record *r = &x->record;
    bool probe = x->route && x->route->permission == AG_MAY_PROBE;
    ag_log_level level = probe ? AG_LOG_DEBUG : AG_LOG_INFO;
    char trace[33] = "", span[17] = "";
    if (r->traceparent) {
        memcpy(trace, r->traceparent + 3, 32);
        memcpy(span, r->traceparent + 36, 16);
    }
    const ag_fact facts[] = {
        AG_STR("http.request.id", r->id),
        AG_STR("http.request.method", r->method),
        AG_STR("http.route", r->route[0] ? r->route : NULL),
        AG_STR("url.path", r->path),
        AG_I64("http.response.status_code", r->how.status),
        AG_U64("http.response.body.bytes", r->how.sent_bytes),
        AG_U64("event.duration", r->how.duration_us * 1000),
        AG_STR("client.address", r->peer),
        AG_STR("user.name", r->tenant[0] ? r->tenant : NULL),
        AG_STR("trace.id", r->traceparent ? trace : NULL),
        AG_STR("span.id", r->traceparent ? span : NULL),
        AG_STR("error.code", r->error),
        AG_STR("gen_ai.request.model", r->model[0] ? r->model : NULL),
        AG_STR("gen_ai.response.finish_reason", r->finish),
        AG_U64("gen_ai.usage.input_tokens", r->n_prompt),
        AG_U64("gen_ai.usage.cached_tokens", r->n_cached),
        AG_U64("gen_ai.usage.output_tokens", r->n_generated),
        AG_U64("autoglm.queue_us", r->queue_us),
        AG_U64("autoglm.prefill_us", r->prefill_us),
        AG_U64("autoglm.decode_us", r->decode_us),
    };
    size_t n = sizeof facts / sizeof *facts;
    if (!is_inference(x))
        n -= 6; /* the last ones are about tokens */
    ag_logs_put(x->routes->opts.logs, level, "http", "request", facts, n);
}

void ag_watch_end(ag_exchange *x) {
    if (x->routes->opts.metrics) {
        count_http(x);
        if (is_inference(x))
            count_inference(x);
    }
    log_request(x);
}

void ag_watch_refusal(const ag_routes *r, const char *id, const char *code,
                      const ag_http_refusal *what) {
    char status[12];
    snprintf(status, sizeof status, "%d", what->status);
    if (r->opts.metrics)
        ag_metric_add(ag_metrics_get(r->opts.metrics, AG_M_HTTP_REQUESTS, "none", status, NULL), 1);
    const ag_fact facts[] = {
        AG_STR("http.request.id", id),
        AG_STR("http.request.method", what->method),
        AG_I64("http.response.status_code", what->status),
        AG_STR("client.address", what->peer),
        AG_STR("error.code", code),
        AG_STR("error.message", what->reason),
    };
    ag_logs_put(r->opts.logs, AG_LOG_INFO, "http", "request", facts, sizeof facts / sizeof *facts);
}

/* ---- scraping -------------------------------------------------------------------------------- */

static void set(ag_metrics *m, ag_family family, const char *model, const char *second, double v) {
    ag_metric_set(ag_metrics_get(m, family, model, second, NULL), v);
}

static void scrape_engine(ag_metrics *m, const char *model, const ag_engine_stats *s) {
    set(m, AG_M_RUNNING, model, NULL, s->running);
    set(m, AG_M_WAITING, model, NULL, s->waiting);
    set(m, AG_M_PAUSED, model, NULL, s->paused);
    set(m, AG_M_KV_USAGE, model, NULL,
        s->kv_blocks ? (double)s->kv_blocks_used / (double)s->kv_blocks : 0);
    set(m, AG_M_KV_BLOCKS, model, "total", (double)s->kv_blocks);
    set(m, AG_M_KV_BLOCKS, model, "used", (double)s->kv_blocks_used);
    set(m, AG_M_KV_BLOCKS, model, "cached", (double)s->kv_blocks_cached);
    set(m, AG_M_QUEUE_WAIT, model, NULL, s->queue_wait_s);
    set(m, AG_M_PREFIX_QUERIES, model, NULL, (double)s->n_prefix_queried);
    set(m, AG_M_PREFIX_HITS, model, NULL, (double)s->n_prefix_found);
    set(m, AG_M_PREEMPTIONS, model, NULL, (double)s->n_preempted);
    ag_metric_set_buckets(ag_metrics_get(m, AG_M_STEP_ROWS, model, NULL, NULL), s->n_steps_of,
                          AG_STEP_SIZES, (double)s->n_rows);
    set(m, AG_M_STEP_SECONDS, model, NULL, SECONDS(s->n_step_us));
    set(m, AG_M_SPEC_DRAFTED, model, NULL, (double)s->n_drafted);
    set(m, AG_M_SPEC_ACCEPTED, model, NULL, (double)s->n_drafts_true);
    char tokens[12], blocks[24];
    snprintf(tokens, sizeof tokens, "%u", s->kv_block_tokens);
    snprintf(blocks, sizeof blocks, "%llu", (unsigned long long)s->kv_blocks);
    ag_metrics_tell(m, AG_M_KV_INFO, model, s->kv_blocks ? tokens : NULL, blocks);
}

static void scrape_ledger(ag_metrics *m, const char *model) {
    double flying = ag_metric_value(ag_metrics_get(m, AG_M_REQUESTS_STARTED, model, NULL, NULL));
    for (int i = 0; i < N_OUTCOMES; i++)
        flying -=
            ag_metric_value(ag_metrics_get(m, AG_M_REQUESTS_FINISHED, model, outcomes[i], NULL));
    set(m, AG_M_REQUESTS_IN_FLIGHT, model, NULL, flying > 0 ? flying : 0);
}

static void scrape_model(ag_metrics *m, ag_runtime *rt, size_t i) {
    ag_served_status status;
    const ag_served_status *s = &status;
    ag_runtime_status(rt, i, &status);
    const char *model = s->decl->name;
    for (int state = AG_SERVED_ABSENT; state <= AG_SERVED_FAILED; state++)
        set(m, AG_M_MODEL_STATE, model, ag_served_state_name((ag_served_state)state),
            state == (int)s->state);
    set(m, AG_M_MODEL_LOAD, model, NULL, SECONDS(s->elapsed_us));
    set(m, AG_M_MODEL_BYTES, model, "weights", (double)s->info.weight_bytes);
    set(m, AG_M_MODEL_BYTES, model, "kv", (double)s->info.kv_bytes);
    set(m, AG_M_MODEL_BYTES, model, "scratch", (double)s->info.scratch_bytes);
    for (int why = 0; why < AG_UNLOAD_COUNT; why++)
        set(m, AG_M_MODEL_UNLOADS, model, ag_unload_name((ag_unload)why),
            (double)s->n_unloads[why]);
    ag_engine_stats stats;
    if (!ag_runtime_stats(rt, i, &stats))
        stats = (ag_engine_stats){0}; /* counters begin anew with the next engine */
    scrape_engine(m, model, &stats);
    scrape_ledger(m, model);
}

void ag_watch_scrape(void *routes) {
    const ag_routes_opts *o = &((ag_routes *)routes)->opts;
    for (size_t i = 0; i < ag_runtime_n(o->runtime); i++)
        scrape_model(o->metrics, o->runtime, i);
    set(o->metrics, AG_M_LOG_DROPPED, NULL, NULL, o->logs ? (double)ag_logs_dropped(o->logs) : 0);
}
