#include <curl/curl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loadtest/body.h"
#include "loadtest/sse.h"

#define MAX_CLIENTS 10000u
#define MAX_URL     2048

typedef struct client {
    struct run *run;
    CURL *easy; /* owned */
    ag_buf body;
    ag_load_answer answer;
    bool busy, counts;
    double due_at, sent_at, first_at, last_at; /* seconds since the run began */
    double worst_gap;
} client;

typedef struct run {
    const ag_load_opts *o;
    ag_load_result *r;
    CURLM *multi;
    struct curl_slist *headers;
    client *clients; /* [n_clients] */
    uint32_t n_clients, n_busy;
    uint64_t began_us, n_sent, n_done, n_all; /* n_all: 0 when only time ends the run */
    double next_at;                           /* open loop: when the next request is due */
    double counted_from;                      /* first counted request; < 0: none yet */
    ag_rng words, arrivals;
    bool stopped, no_memory;
} run;

bool ag_load_streams(const ag_load_opts *o) { return !o->whole && o->api != AG_LOAD_EMBEDDINGS; }

static double now(const run *r) { return (double)(ag_clock_us() - r->began_us) * 1e-6; }

static void put(run *r, ag_load_series *s, double v) {
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 1024;
        double *grown = ag_realloc(AG_ROOM_CLI, s->v, room, sizeof *grown);
        if (!grown) {
            r->no_memory = true;
            return;
        }
        s->v = grown;
        s->room = room;
    }
    s->v[s->n++] = v;
}

/* Content that arrived in one piece came at one time: its events share it. */
static size_t on_bytes(char *p, size_t size, size_t n, void *user) {
    client *c = user;
    run *r = c->run;
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        c->answer.streamed = false;
    size_t events = ag_load_answer_push(&c->answer, ag_span_of(p, size * n));
    if (!events)
        return size * n;
    double at = now(r);
    if (!c->first_at) {
        c->first_at = at;
        events--;
    }
    for (; events && c->counts; events--) {
        double gap = at - c->last_at;
        put(r, &r->r->itl, gap > 0 && c->last_at ? gap : 0);
        c->worst_gap = fmax(c->worst_gap, c->last_at ? gap : 0);
        c->last_at = at;
    }
    c->last_at = at;
    return size * n;
}

static bool may_start(const run *r) {
    if (r->stopped || (r->n_all && r->n_sent >= r->n_all))
        return false;
    return !r->o->duration_s || now(r) < r->o->duration_s;
}

static void start(run *r, client *c, double due_at) {
    ag_load_body(r->o, r->n_sent, &r->words, &c->body);
    ag_load_answer_begin(&c->answer, ag_load_streams(r->o));
    c->counts = r->n_sent >= r->o->warmup;
    c->busy = true;
    c->first_at = c->last_at = c->worst_gap = 0;
    c->sent_at = now(r);
    c->due_at = due_at < 0 ? c->sent_at : due_at;
    if (c->counts && r->counted_from < 0)
        r->counted_from = c->due_at;
    r->n_sent++;
    r->n_busy++;
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->body.p);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE, (long)c->body.n);
    curl_multi_add_handle(r->multi, c->easy);
}

static client *idle_client(run *r) {
    for (uint32_t i = 0; i < r->n_clients; i++)
        if (!r->clients[i].busy)
            return &r->clients[i];
    return NULL;
}

/* Exponential gaps make arrivals a Poisson process. */
static void start_due(run *r) {
    while (may_start(r)) {
        client *c = idle_client(r);
        if (!c || (r->o->rate > 0 && r->next_at > now(r)))
            return;
        start(r, c, r->o->rate > 0 ? r->next_at : -1);
        if (r->o->rate > 0)
            r->next_at += -log(1 - ag_rng_f64(&r->arrivals)) / r->o->rate;
    }
}

static void note_failure(run *r, const client *c, const char *why, long status) {
    ag_load_result *out = r->r;
    if (status == 429 || status == 503)
        out->refused++;
    else
        out->failed++;
    if (!out->first_error[0])
        snprintf(out->first_error, sizeof out->first_error, "%s",
                 why                  ? why
                 : c->answer.error[0] ? c->answer.error
                                      : "unknown");
}

static void note_success(run *r, const client *c, double at) {
    const ag_load_opts *o = r->o;
    ag_load_result *out = r->r;
    const ag_load_answer *a = &c->answer;
    double first = c->first_at ? c->first_at : at, ttft = first - c->due_at, e2e = at - c->due_at;
    out->succeeded++;
    out->prompt_tokens += a->prompt_tokens;
    out->cached_tokens += a->cached_tokens;
    out->generated_tokens += a->generated_tokens;
    put(r, &out->e2e, e2e);
    put(r, &out->ended_at, at);
    if (a->streamed) /* of a whole answer nobody knows when its first token was there */
        put(r, &out->ttft, ttft);
    if (a->streamed && a->generated_tokens > 1)
        put(r, &out->tpot, (e2e - ttft) / (double)(a->generated_tokens - 1));
    out->met += (!o->slo_ttft_ms || ttft * 1e3 <= o->slo_ttft_ms) &&
                (!o->slo_itl_ms || c->worst_gap * 1e3 <= o->slo_itl_ms);
}

static void finish(run *r, client *c, CURLcode code) {
    long status = 0;
    double at = now(r);
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(r->multi, c->easy);
    c->busy = false;
    r->n_busy--;
    r->n_done++;
    if (code == CURLE_OK)
        ag_load_answer_end(&c->answer, (int)status);
    if (c->counts) {
        r->r->sent++;
        r->r->wall_s = at - r->counted_from;
        if (code != CURLE_OK || c->answer.failed)
            note_failure(r, c, code ? curl_easy_strerror(code) : NULL, status);
        else
            note_success(r, c, at);
    }
    if (r->o->on_progress && !r->o->on_progress(r->o->progress_ctx, r->n_done, r->n_all))
        r->stopped = true;
}

/* How long the network may be waited for: until the next request is due, at most 100 ms. */
static int patience_ms(run *r) {
    bool waits = r->o->rate > 0 && may_start(r) && idle_client(r);
    double left = waits ? r->next_at - now(r) : 0.1;
    return left <= 0 ? 0 : left > 0.1 ? 100 : (int)(left * 1e3) + 1;
}

static void loop(run *r) {
    while (!r->no_memory) {
        int running, left;
        start_due(r);
        if (!r->n_busy && !may_start(r))
            return;
        curl_multi_perform(r->multi, &running);
        CURLMsg *m;
        bool any = false;
        while ((m = curl_multi_info_read(r->multi, &left))) {
            client *c;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
            finish(r, c, m->data.result);
            any = true;
        }
        if (!any)
            curl_multi_poll(r->multi, NULL, 0, patience_ms(r), NULL);
    }
}

/* ---- setting up ---------------------------------------------------------------------------------
 */

static bool open_client(run *r, client *c, const char *url) {
    c->run = r;
    ag_buf_init(&c->body, AG_ROOM_CLI, (size_t)64 << 20);
    c->easy = curl_easy_init();
    if (!c->easy)
        return false;
    curl_easy_setopt(c->easy, CURLOPT_URL, url);
    curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, r->headers);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    double timeout = r->o->timeout_s > 0 ? r->o->timeout_s : 600;
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)(timeout * 1e3));
    return true;
}

static bool add_header(run *r, const char *line) {
    struct curl_slist *grown = curl_slist_append(r->headers, line);
    r->headers = grown ? grown : r->headers;
    return grown != NULL;
}

static bool add_headers(run *r) {
    char line[1100];
    if (!add_header(r, "Content-Type: application/json") || !add_header(r, "Expect:"))
        return false;
    if (!r->o->api_key)
        return true;
    snprintf(line, sizeof line, "Authorization: Bearer %s", r->o->api_key);
    return add_header(r, line);
}

static ag_code open_run(run *r, ag_err *err) {
    char url[MAX_URL];
    const char *base = r->o->base_url;
    size_t n = strlen(base);
    while (n && base[n - 1] == '/')
        n--;
    if (n + 64 > sizeof url)
        return ag_fail(err, AG_E_ARG, "the address is too long");
    snprintf(url, sizeof url, "%.*s/%s", (int)n, base, ag_load_path(r->o->api));
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ag_fail(err, AG_E_UNSUPPORTED, "libcurl does not start");
    r->multi = curl_multi_init();
    r->clients = ag_calloc(AG_ROOM_CLI, r->n_clients, sizeof *r->clients);
    bool ok = r->multi && r->clients && add_headers(r);
    for (uint32_t i = 0; i < r->n_clients && ok; i++)
        ok = open_client(r, &r->clients[i], url);
    return ok ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory for %u clients", r->n_clients);
}

static void close_run(run *r) {
    for (uint32_t i = 0; i < r->n_clients && r->clients; i++) {
        if (r->clients[i].easy) {
            curl_multi_remove_handle(r->multi, r->clients[i].easy);
            curl_easy_cleanup(r->clients[i].easy);
        }
        ag_buf_deinit(&r->clients[i].body);
        ag_load_answer_deinit(&r->clients[i].answer);
    }
    ag_free(r->clients);
    curl_slist_free_all(r->headers);
    if (r->multi)
        curl_multi_cleanup(r->multi);
}

static ag_code check(const ag_load_opts *o, ag_err *err) {
    if (!o->base_url || !o->model)
        return ag_fail(err, AG_E_ARG, "an address and a model are needed");
    if (o->clients > MAX_CLIENTS)
        return ag_fail(err, AG_E_ARG, "at most %u clients", MAX_CLIENTS);
    if (o->api_key && (strlen(o->api_key) > 1024 || strpbrk(o->api_key, "\r\n")))
        return ag_fail(err, AG_E_ARG, "the key is too long or has a line end");
    if (!(o->rate >= 0 && o->rate <= 1e6) || !(o->duration_s >= 0))
        return ag_fail(err, AG_E_ARG, "rate and duration cannot be negative");
    if ((o->slo_ttft_ms || o->slo_itl_ms) && !ag_load_streams(o))
        return ag_fail(err, AG_E_ARG, "objectives for tokens need answers that are streamed");
    return AG_OK;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void sort(ag_load_series *s) {
    if (s->n)
        qsort(s->v, s->n, sizeof *s->v, by_size);
}

ag_code ag_load_run(const ag_load_opts *o, ag_load_result *out, ag_err *err) {
    *out = (ag_load_result){0};
    ag_code code = check(o, err);
    if (code)
        return code;
    run r = {.o = o,
             .r = out,
             .n_clients = o->clients ? o->clients : 8,
             .n_all = o->requests || o->duration_s > 0 ? o->requests : 64,
             .counted_from = -1,
             .began_us = ag_clock_us()};
    if (r.n_all)
        r.n_all += o->warmup;
    ag_rng_init(&r.words, o->seed);
    ag_rng_init(&r.arrivals, o->seed + 1);
    code = open_run(&r, err);
    if (!code) {
        r.began_us = ag_clock_us();
        loop(&r);
    }
    close_run(&r);
    if (!code && r.no_memory)
        code = ag_fail(err, AG_E_NOMEM, "out of memory for the measurements");
    sort(&out->ttft), sort(&out->itl), sort(&out->tpot), sort(&out->e2e), sort(&out->ended_at);
    if (code)
        ag_load_result_deinit(out);
    return code;
}

void ag_load_result_deinit(ag_load_result *r) {
    ag_free(r->ttft.v);
    ag_free(r->itl.v);
    ag_free(r->tpot.v);
    ag_free(r->e2e.v);
    ag_free(r->ended_at.v);
    *r = (ag_load_result){0};
}
