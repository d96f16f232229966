#include "routes/exchange.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "routes/browser.h"
#include "routes/task.h"
#include "routes/watch.h"

#define MAX_HEADERS  16
#define MAX_DEFERRED ((size_t)256 << 20) /* of bodies that wait to be read, whoever sent them */
#define INLINE_BYTES ((size_t)16 << 10)  /* a longer body is read by a pool */

typedef struct headers {
    ag_http_header v[MAX_HEADERS];
    size_t n;
} headers;

static void add(headers *h, const char *name, const char *value) {
    AG_ASSERT(h->n < MAX_HEADERS);
    h->v[h->n++] = (ag_http_header){name, value};
}

/* What every answer says. */
static void add_common(headers *h, ag_exchange *x, const char *type) {
    const char *ignored = x->ignored.n ? ag_buf_cstr(&x->ignored) : NULL;
    add(h, "content-type", type);
    add(h, "x-request-id", x->id);
    if (x->record.traceparent)
        add(h, "traceparent", x->record.traceparent);
    if (ignored)
        add(h, "x-ignored-params", ignored);
    if (x->note[0])
        add(h, "x-prompt-truncated", x->note);
    AG_ASSERT(h->n + AG_BROWSER_HEADERS <= MAX_HEADERS);
    h->n += ag_browser_headers(x->routes, &h->v[h->n]);
}

void ag_exchange_ref(ag_exchange *x) { atomic_fetch_add(&x->refs, 1); }

void ag_exchange_unref(ag_exchange *x) {
    if (atomic_fetch_sub(&x->refs, 1) != 1)
        return;
    ag_watch_end(x);
    ag_http_req_unref(x->http);
    json_decref(x->body);
    ag_buf_deinit(&x->ignored);
    ag_buf_deinit(&x->taken);
    ag_arena_deinit(&x->arena);
    ag_free(x);
}

/* ---- answers --------------------------------------------------------------------------------- */

void ag_exchange_text(ag_exchange *x, int status, const char *type, ag_buf *text) {
    headers h = {0};
    add_common(&h, x, type);
    ag_http_reply(x->http, status, h.v, h.n, text);
}

void ag_exchange_json(ag_exchange *x, int status, ag_buf *json) {
    ag_err err = {0};
    if (ag_buf_check(json, "the answer", &err) == AG_OK) {
        ag_exchange_text(x, status, "application/json", json);
        return;
    }
    ag_buf_deinit(json);
    ag_problem p;
    ag_problem_set(&p, 503, "server_error", ag_code_name(err.code), NULL, "%s", err.msg);
    p.retry_s = err.code == AG_E_NOMEM ? p.retry_s : 0; /* it would be too long again */
    ag_exchange_problem(x, &p);
}

void ag_exchange_problem(ag_exchange *x, const ag_problem *p) {
    char seconds[24], ms[24];
    headers h = {0};
    ag_buf body;
    x->record.error = p->code;
    ag_buf_init(&body, AG_ROOM_ROUTES, 8192);
    ag_problem_json(p, &body);
    add_common(&h, x, "application/json");
    if (x->allow[0])
        add(&h, "allow", x->allow);
    if (p->status == 401)
        add(&h, "www-authenticate", "Bearer");
    if (p->retry_s > 0) {
        snprintf(seconds, sizeof seconds, "%.0f", ceil(p->retry_s));
        snprintf(ms, sizeof ms, "%.0f", ceil(p->retry_s * 1000));
        add(&h, "retry-after", seconds);
        add(&h, "retry-after-ms", ms);
        add(&h, "x-should-retry", "true");
    } else if (p->status >= 500) {
        add(&h, "x-should-retry", "false");
    }
    ag_http_reply(x->http, p->status, h.v, h.n, &body);
    ag_buf_deinit(&body);
}

void ag_exchange_stream(ag_exchange *x) {
    headers h = {0};
    add_common(&h, x, "text/event-stream; charset=utf-8");
    add(&h, "cache-control", "no-cache");
    add(&h, "x-accel-buffering", "no"); /* a proxy that collects would undo the stream */
    ag_http_stream_begin(x->http, 200, h.v, h.n);
}

/* ---- what many handlers begin with ----------------------------------------------------------- */

typedef struct deferred {
    ag_exchange *x;
    void (*fn)(ag_exchange *x);
} deferred;

bool ag_exchange_is_over(ag_exchange *x) {
    pthread_mutex_lock(&x->routes->lock);
    bool over = x->gone || x->ended || x->cancelled;
    pthread_mutex_unlock(&x->routes->lock);
    return over || atomic_load(&x->routes->stopping);
}

bool ag_exchange_time(const ag_exchange *x, uint32_t *ms, ag_problem *p) {
    const char *text = x->timeout;
    *ms = x->routes->opts.timeout_ms;
    if (!text)
        return true;
    bool number = *text && strspn(text, "0123456789") == strlen(text);
    unsigned long v = number ? strtoul(text, NULL, 10) : 0; /* at most ULONG_MAX */
    if (v == 0)
        return ag_problem_bad(p, NULL,
                              "the header X-Request-Timeout-Ms must be a whole number of "
                              "milliseconds above 0");
    if (!*ms || v < *ms)
        *ms = v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
    return true;
}

static void refuse_for_now(ag_exchange *x, const char *why) {
    ag_problem p;
    ag_problem_set(&p, 503, "server_error", "overloaded", NULL, "%s", why);
    p.retry_s = 2;
    ag_exchange_problem(x, &p);
}

static void tell_cancelled(ag_exchange *x) {
    ag_problem p;
    ag_problem_of(&p, &(ag_err){AG_E_CANCELLED, "the request was cancelled by its owner"}, NULL);
    ag_exchange_problem(x, &p);
}

static void run_deferred(void *ctx) {
    deferred *d = ctx; /* the arena's */
    ag_exchange *x = d->x;
    atomic_fetch_sub(&x->routes->deferred_bytes, x->text.n);
    if (!ag_exchange_is_over(x))
        d->fn(x);
    else if (atomic_load(&x->routes->stopping))
        refuse_for_now(x, "the server is shutting down");
    else
        tell_cancelled(x);
    ag_exchange_unref(x);
}

void ag_exchange_defer(ag_exchange *x, void (*fn)(ag_exchange *x)) {
    x->text = ag_http_body(x->http);
    if (x->text.n <= INLINE_BYTES) {
        fn(x);
        return;
    }
    size_t n = x->text.n, waiting = atomic_fetch_add(&x->routes->deferred_bytes, n);
    deferred *d = ag_arena_get(&x->arena, sizeof *d);
    if (d && waiting + n <= MAX_DEFERRED) {
        x->taken = ag_http_take_body(x->http); /* it may have to outlive the request */
        x->deferred = true;
        *d = (deferred){x, fn};
        ag_exchange_ref(x);
        if (ag_work_push(x->routes->quick, run_deferred, d))
            return;
        ag_exchange_unref(x);
    }
    atomic_fetch_sub(&x->routes->deferred_bytes, n);
    refuse_for_now(x, "too many long requests are waiting to be read");
}

bool ag_exchange_parse(ag_exchange *x, ag_problem *p) {
    bool fine = ag_body_parse(x->text, &x->body, p);
    ag_buf_deinit(&x->taken);
    x->text = (ag_span){0};
    return fine;
}

bool ag_exchange_read(ag_exchange *x, const ag_field *fields, void *target) {
    ag_problem p;
    if (ag_exchange_parse(x, &p) &&
        ag_fields_read(fields, x->body, NULL, target, &x->arena, &x->ignored, &p))
        return true;
    ag_exchange_problem(x, &p);
    return false;
}

/* When a model that is being loaded may answer, as far as one can tell. */
static double ready_in_s(ag_runtime *rt, size_t i) {
    ag_served_status s;
    ag_runtime_status(rt, i, &s);
    double eta = ag_served_eta_s(&s);
    return eta < 1 ? 2 : eta < 60 ? eta + 1 : 60;
}

bool ag_exchange_model(ag_exchange *x, const char *name, ag_served **out) {
    ag_err err = {0};
    ag_problem p;
    ag_runtime *rt = x->routes->opts.runtime;
    size_t i = name && *name ? ag_runtime_find(rt, name) : 0;
    ag_code code = ag_runtime_acquire(rt, name, out, &err);
    if (!code) {
        x->record.model = ag_served_name(*out);
        ag_watch_begin(x);
        return true;
    }
    if (i == SIZE_MAX)
        ag_problem_set(&p, 404, "invalid_request_error", "model_not_found", "model", "%s", err.msg);
    else if (code == AG_E_AGAIN)
        ag_problem_set(&p, 503, "server_error", "model_not_ready", "model", "%s", err.msg);
    else if (code == AG_E_CLOSED)
        ag_problem_set(&p, 503, "server_error", ag_code_name(code), NULL, "%s", err.msg);
    else /* it could not be loaded: nothing that the client can mend, whatever it was */
        ag_problem_set(&p, 503, "server_error",
                       code == AG_E_BUDGET ? ag_code_name(code) : "model_failed", "model", "%s",
                       err.msg);
    p.retry_s = code == AG_E_AGAIN ? ready_in_s(rt, i) : code == AG_E_CLOSED ? 1 : 0;
    ag_exchange_problem(x, &p);
    return false;
}
