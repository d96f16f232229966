/* From the HTTP room's events to the table's handlers: who asks, whether they may, and the list of
 * what is being answered. */
#include "routes/routes.h"

#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/random.h"
#include "routes/browser.h"
#include "routes/exchange.h"
#include "routes/task.h"
#include "routes/watch.h"

#define QUICK_THREADS   1
#define SLOW_THREADS    8
#define MAX_WAITING     512
#define MAX_LOGGED_PATH 200
#define ARENA_BYTES     ((size_t)256 << 20) /* lists of a request: ids, stop words, a mask */

/* ---- the request's identity ------------------------------------------------------------------ */

static bool is_sane_id(const char *id) {
    size_t n = strlen(id);
    for (size_t i = 0; i < n; i++)
        if (!((id[i] >= '0' && id[i] <= '9') || ((id[i] | 32) >= 'a' && (id[i] | 32) <= 'z') ||
              strchr("-_.:", id[i])))
            return false;
    return n > 0 && n <= 128;
}

/* One that repeats nowhere. */
static uint64_t make_id(ag_routes *r, char id[AG_REQUEST_ID_TEXT]) {
    uint64_t n = atomic_fetch_add(&r->n_ids, 1);
    snprintf(id, AG_REQUEST_ID_TEXT, "%016llx%06llx", (unsigned long long)r->id_seed,
             (unsigned long long)n);
    return r->id_seed + n;
}

/* The client's own, where it can stand in a header and a log. */
static void take_id(ag_exchange *x) {
    const char *given = ag_http_get(x->http, "x-request-id");
    x->serial = make_id(x->routes, x->id);
    if (given && is_sane_id(given))
        snprintf(x->id, sizeof x->id, "%s", given);
}

/* W3C Trace Context: VERSION(2)-TRACE(32)-SPAN(16)-FLAGS(2) in small hexadecimal digits. Version ff
 * and ids of zeros alone are invalid, and what is invalid is as if it were not there. */
static bool is_traceparent(const char *s) {
    static const char form[] = "hh-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh";
    if (strlen(s) != sizeof form - 1)
        return false;
    for (size_t i = 0; s[i]; i++)
        if (form[i] == 'h' ? !strchr("0123456789abcdef", s[i]) : s[i] != '-')
            return false;
    return strncmp(s, "ff", 2) != 0 && strspn(s + 3, "0") < 32 && strspn(s + 36, "0") < 16;
}

static void take_traceparent(ag_exchange *x) {
    const char *given = ag_http_get(x->http, "traceparent");
    if (given && is_traceparent(given))
        x->record.traceparent = ag_arena_strndup(&x->arena, given, 55);
}

/* Headers are the HTTP room's for as long as a handler runs; a pool's thread looks later. */
static void take_timeout(ag_exchange *x) {
    const char *given = ag_http_get(x->http, "x-request-timeout-ms");
    if (given)
        x->timeout = ag_arena_strndup(&x->arena, given, strlen(given));
}

/* ---- who may --------------------------------------------------------------------------------- */

static bool check_key(ag_exchange *x, ag_problem *p) {
    const ag_keys *keys = atomic_load(&x->routes->keys);
    x->tenant = "";
    if (!keys)
        return true;
    const char *given = ag_http_get(x->http, "authorization");
    if (!given || strncasecmp(given, "bearer ", 7) != 0)
        return ag_problem_set(p, 401, "authentication_error", "missing_api_key", NULL,
                              "an API key is needed: send the header 'Authorization: Bearer KEY'");
    given += 7;
    while (*given == ' ')
        given++;
    const ag_tenant *tenant = ag_keys_find(keys, ag_str(given));
    if (!tenant)
        return ag_problem_set(p, 401, "authentication_error", "invalid_api_key", NULL,
                              "the API key is not valid");
    x->tenant = tenant->name;
    x->weight = tenant->weight;
    return true;
}

static bool check(ag_exchange *x, const char *verb, const char *path, ag_problem *p) {
    x->route = ag_route_find(verb, path, x->arg, sizeof x->arg, x->allow, sizeof x->allow);
    if (x->route)
        x->allow[0] = 0;
    /* What exists is nobody's business without a key, but for the probes. */
    bool open = x->route && x->route->permission == AG_MAY_PROBE;
    x->tenant = "";
    if (!ag_browser_check_host(x, p) || (!open && (!check_key(x, p) || !ag_browser_check(x, p)))) {
        x->allow[0] = 0;
        return false;
    }
    if (x->allow[0])
        return ag_problem_set(p, 405, "invalid_request_error", "method_not_allowed", NULL,
                              "%.100s takes %s, not %.16s", path, x->allow, verb);
    if (x->route && !open && ag_http_is_late(x->http)) {
        ag_problem_set(p, 503, "server_error", ag_code_name(AG_E_CLOSED), NULL,
                       "the server is shutting down");
        p->retry_s = 1;
        return false;
    }
    const char *coding = ag_http_get(x->http, "content-encoding");
    if (x->route && coding && strcasecmp(coding, "identity") != 0)
        return ag_problem_set(p, 415, "invalid_request_error", "unsupported_encoding", NULL,
                              "bodies are taken as they are, not with Content-Encoding %.40s",
                              coding);
    if (!x->route)
        return ag_problem_set(p, 404, "invalid_request_error", "not_found", NULL,
                              "there is no route %.16s %.200s", verb, path);
    return true;
}

/* ---- the HTTP room's events, all on the io thread -------------------------------------------- */

static ag_exchange *new_exchange(ag_routes *r, ag_http_req *req) {
    ag_exchange *x = ag_calloc(AG_ROOM_ROUTES, 1, sizeof *x);
    if (!x)
        return NULL;
    x->routes = r;
    x->http = req;
    ag_http_req_ref(req);
    atomic_store(&x->refs, 1);
    ag_arena_init(&x->arena, AG_ROOM_ROUTES, ARENA_BYTES);
    ag_buf_init(&x->ignored, AG_ROOM_ROUTES, 1024);
    take_id(x);
    take_traceparent(x);
    take_timeout(x);
    pthread_mutex_lock(&r->lock);
    x->next = r->exchanges;
    if (x->next)
        x->next->prev = x;
    r->exchanges = x;
    pthread_mutex_unlock(&r->lock);
    ag_http_set_user(req, x);
    return x;
}

static bool on_head(void *ctx, ag_http_req *req, size_t *body_limit) {
    ag_routes *r = ctx;
    ag_problem p;
    ag_exchange *x = new_exchange(r, req);
    if (!x) {
        ag_buf none;
        ag_buf_init(&none, AG_ROOM_ROUTES, 1);
        ag_http_reply(req, 503, NULL, 0, &none);
        return false;
    }
    ag_route_record *record = &x->record;
    const char *peer = ag_http_peer(req);
    record->id = x->id;
    record->method = ag_arena_strndup(&x->arena, ag_http_method(req), strlen(ag_http_method(req)));
    record->peer = ag_arena_strndup(&x->arena, peer, strlen(peer));
    record->route = record->model = record->tenant = "";
    if (ag_browser_preflight(x))
        return false;
    bool fine = check(x, ag_http_method(req), ag_http_path(req), &p);
    record->tenant = x->tenant;
    if (x->route)
        record->route = x->route->path;
    else
        record->path = ag_arena_strndup(&x->arena, ag_http_path(req),
                                        strnlen(ag_http_path(req), MAX_LOGGED_PATH));
    if (!fine) {
        ag_exchange_problem(x, &p);
        return false;
    }
    if (x->route->body_bytes < *body_limit)
        *body_limit = x->route->body_bytes;
    x->works = x->route->permission != AG_MAY_PROBE;
    atomic_fetch_add(&r->n_working, x->works);
    return true;
}

static void on_request(void *ctx, ag_http_req *req) {
    (void)ctx;
    ag_exchange *x = ag_http_user(req);
    x->route->handle(x);
}

/* What generates for it, with a reference; NULL: nothing, or not yet. */
static ag_task *take_task(ag_exchange *x, bool gone) {
    pthread_mutex_lock(&x->routes->lock);
    ag_task *t = x->task;
    if (t)
        atomic_fetch_add(&t->refs, 1);
    x->gone |= gone;
    pthread_mutex_unlock(&x->routes->lock);
    return t;
}

static void on_gone(void *ctx, ag_http_req *req) {
    (void)ctx;
    ag_exchange *x = ag_http_user(req);
    ag_task *t = x ? take_task(x, true) : NULL;
    if (t) {
        ag_task_cancel(t, AG_CANCEL_LEFT);
        ag_task_unref(t);
    }
}

static void on_drained(void *ctx, ag_http_req *req) {
    (void)ctx;
    ag_exchange *x = ag_http_user(req);
    ag_task *t = x ? take_task(x, false) : NULL;
    if (t) {
        ag_task_drained(t);
        ag_task_unref(t);
    }
}

static void on_end(void *ctx, ag_http_req *req, const ag_http_outcome *how) {
    ag_routes *r = ctx;
    ag_exchange *x = ag_http_user(req);
    if (!x)
        return;
    pthread_mutex_lock(&r->lock);
    if (x->next)
        x->next->prev = x->prev;
    if (x->prev)
        x->prev->next = x->next;
    else
        r->exchanges = x->next;
    ag_task *t = x->task;
    x->task = NULL;
    x->ended = true;
    pthread_mutex_unlock(&r->lock);
    x->record.how = *how;
    atomic_fetch_sub(&r->n_working, x->works);
    if (t)
        ag_task_unref(t);
    ag_exchange_unref(x);
}

static const char *refusal_code(int status) {
    return status == 413   ? "body_too_large"
           : status == 408 ? "request_timeout"
           : status == 503 ? "overloaded"
                           : "bad_request";
}

/* The HTTP room's own refusals, in the same shape. One that no exchange was made for ends here. */
static size_t on_refuse(void *ctx, const ag_http_refusal *what,
                        ag_http_header headers[AG_HTTP_REFUSAL_HEADERS], ag_buf *body) {
    ag_routes *r = ctx;
    ag_problem p;
    ag_exchange *x = what->req ? ag_http_user(what->req) : NULL;
    ag_problem_set(&p, what->status, what->status < 500 ? "invalid_request_error" : "server_error",
                   refusal_code(what->status), NULL, "%s",
                   what->reason ? what->reason : "the request is not valid HTTP");
    ag_problem_json(&p, body);
    if (x) {
        x->record.error = p.code;
    } else {
        make_id(r, r->refusal_id);
        ag_watch_refusal(r, r->refusal_id, p.code, what);
    }
    size_t n = 0;
    headers[n++] = (ag_http_header){"content-type", "application/json"};
    headers[n++] = (ag_http_header){"x-request-id", x ? x->id : r->refusal_id};
    if (p.retry_s > 0) { /* which is a second here */
        headers[n++] = (ag_http_header){"retry-after", "1"};
        headers[n++] = (ag_http_header){"retry-after-ms", "1000"};
        headers[n++] = (ag_http_header){"x-should-retry", "true"};
    }
    return n + ag_browser_headers(r, headers + n);
}

static void on_warn(void *ctx, const char *line) {
    const ag_routes *r = ctx;
    ag_logs_put(r->opts.logs, AG_LOG_WARN, "http", line, NULL, 0);
}

ag_http_handler ag_routes_handler(ag_routes *r) {
    return (ag_http_handler){.ctx = r,
                             .on_head = on_head,
                             .on_request = on_request,
                             .on_gone = on_gone,
                             .on_drained = on_drained,
                             .on_end = on_end,
                             .on_refuse = on_refuse,
                             .on_warn = on_warn};
}

/* ---- life ------------------------------------------------------------------------------------ */

ag_code ag_routes_new(const ag_routes_opts *opts, ag_routes **out, ag_err *err) {
    *out = NULL;
    ag_routes *r = ag_calloc(AG_ROOM_ROUTES, 1, sizeof *r);
    if (!r)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the routes");
    r->opts = *opts;
    atomic_store(&r->keys, opts->keys);
    r->id_seed = ag_random_seed();
    if (gethostname(r->host_name, sizeof r->host_name - 1))
        r->host_name[0] = 0;
    pthread_mutex_init(&r->lock, NULL);
    ag_code code = ag_work_new("ag-quick", QUICK_THREADS, MAX_WAITING, &r->quick, err);
    if (!code)
        code = ag_work_new("ag-forms", 1, MAX_WAITING, &r->forms, err);
    if (!code)
        code = ag_work_new("ag-score", 1, MAX_WAITING, &r->score, err);
    if (!code)
        code = ag_work_new("ag-slow", SLOW_THREADS, MAX_WAITING, &r->slow, err);
    if (code)
        ag_routes_free(&r);
    else if (opts->metrics)
        ag_metrics_on_scrape(opts->metrics, ag_watch_scrape, r);
    *out = r;
    return code;
}

void ag_routes_set_keys(ag_routes *r, const ag_keys *keys) {
    if (r->opts.keys && keys)
        atomic_store(&r->keys, keys);
}

void ag_routes_set_stuck(ag_routes *r, bool stuck) { atomic_store(&r->stuck, stuck); }

size_t ag_routes_n_working(const ag_routes *r) { return atomic_load(&r->n_working); }

void ag_routes_drain(ag_routes *r) { atomic_store(&r->draining, true); }

/* A generation that nobody has cancelled, with a reference; NULL: there is none. */
static ag_task *take_running(ag_routes *r) {
    pthread_mutex_lock(&r->lock);
    ag_exchange *x = r->exchanges;
    while (x && !(x->task && !atomic_load(&x->task->cancelled)))
        x = x->next;
    ag_task *t = x ? x->task : NULL;
    if (t)
        atomic_fetch_add(&t->refs, 1);
    pthread_mutex_unlock(&r->lock);
    return t;
}

void ag_routes_cancel_all(ag_routes *r) {
    atomic_store(&r->stopping, true); /* those that begin now see it */
    for (ag_task *t; (t = take_running(r)); ag_task_unref(t))
        ag_task_cancel(t, AG_CANCEL_SHUTDOWN);
}

void ag_routes_stop(ag_routes *r) {
    atomic_store(&r->stopping, true);
    ag_work_free(&r->quick);
    ag_work_free(&r->forms);
    ag_work_free(&r->score);
    ag_work_free(&r->slow);
}

void ag_routes_free(ag_routes **pr) {
    ag_routes *r = *pr;
    if (!r)
        return;
    ag_routes_stop(r);
    pthread_mutex_destroy(&r->lock);
    ag_free(r);
    *pr = NULL;
}
