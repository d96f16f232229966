/* The HTTP room without sockets: requests are structs, the calling thread is the io thread, and
 * answers of any thread are collected. Clients may read slowly or leave. Linked instead of the real
 * room, whose parsing has its own fuzzer. */
#ifndef AG_TESTS_FUZZ_EXCHANGE_HTTP_H
#define AG_TESTS_FUZZ_EXCHANGE_HTTP_H

#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"
#include "http/http.h"

#define PIPE_HEADERS 4

struct ag_http_req {
    const char *method, *model; /* model: of the query; NULL: none */
    char path[64];
    ag_http_header headers[PIPE_HEADERS];
    size_t n_headers;
    ag_buf body;
    unsigned leaves; /* 0: it stays; 1: at once; n: after n - 1 events of a stream */
    bool slow;       /* each event fills the connection */
    _Atomic int refs;
    void *user;
    /* The answer; guarded by pipe_lock. */
    int status; /* 0: none yet */
    bool streams, complete, full, gone, over;
    unsigned n_events;
    char type[64];
    ag_buf answer;
};

static pthread_mutex_t pipe_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t pipe_more = PTHREAD_COND_INITIALIZER;

static ag_http_req *pipe_request(void) {
    ag_http_req *r = ag_calloc(AG_ROOM_TEST, 1, sizeof *r);
    AG_ASSERT(r);
    atomic_init(&r->refs, 1);
    ag_buf_init(&r->body, AG_ROOM_TEST, (size_t)1 << 20);
    ag_buf_init(&r->answer, AG_ROOM_TEST, (size_t)64 << 20);
    return r;
}

static void pipe_header(ag_http_req *r, const char *name, const char *value) {
    AG_ASSERT(r->n_headers < PIPE_HEADERS);
    r->headers[r->n_headers++] = (ag_http_header){name, value};
}

void ag_http_req_ref(ag_http_req *r) { atomic_fetch_add(&r->refs, 1); }
void ag_http_req_unref(ag_http_req *r) {
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    ag_buf_deinit(&r->body);
    ag_buf_deinit(&r->answer);
    ag_free(r);
}

const char *ag_http_method(const ag_http_req *r) { return r->method; }
const char *ag_http_path(const ag_http_req *r) { return r->path; }
const char *ag_http_query(const ag_http_req *r, const char *name) {
    return strcmp(name, "model") == 0 ? r->model : NULL;
}
const char *ag_http_get(const ag_http_req *r, const char *name) {
    for (size_t i = 0; i < r->n_headers; i++)
        if (strcasecmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}
ag_span ag_http_body(const ag_http_req *r) { return ag_buf_span(&r->body); }
ag_buf ag_http_take_body(ag_http_req *r) { /* a copy: the checks look at the body afterwards */
    ag_buf taken;
    ag_buf_init(&taken, AG_ROOM_TEST, (size_t)1 << 20);
    ag_buf_add(&taken, r->body.p, r->body.n);
    return taken;
}
bool ag_http_is_late(const ag_http_req *r) {
    (void)r;
    return false;
}
const char *ag_http_peer(const ag_http_req *r) {
    (void)r;
    return "unix";
}
void ag_http_set_user(ag_http_req *r, void *user) { r->user = user; }
void *ag_http_user(const ag_http_req *r) { return r->user; }

/* ---- the answer: any thread ------------------------------------------------------------------ */

/* With the lock held; false: there is an answer already, or nobody to hear one. */
static bool pipe_begin(ag_http_req *r, int status, const ag_http_header *headers, size_t n) {
    if (r->status || r->over)
        return false;
    r->status = status;
    for (size_t i = 0; i < n; i++) {
        for (const char *p = headers[i].value; *p; p++)
            AG_ASSERT(*p >= ' ' && *p <= '~');
        if (strcmp(headers[i].name, "content-type") == 0)
            snprintf(r->type, sizeof r->type, "%s", headers[i].value);
    }
    return true;
}

void ag_http_reply(ag_http_req *r, int status, const ag_http_header *headers, size_t n_headers,
                   ag_buf *body) {
    AG_ASSERT(!body->failed);
    pthread_mutex_lock(&pipe_lock);
    if (pipe_begin(r, status, headers, n_headers)) {
        ag_buf_add(&r->answer, body->p, body->n);
        r->complete = true;
    }
    pthread_cond_signal(&pipe_more);
    pthread_mutex_unlock(&pipe_lock);
    ag_buf_deinit(body);
}

void ag_http_stream_begin(ag_http_req *r, int status, const ag_http_header *headers,
                          size_t n_headers) {
    pthread_mutex_lock(&pipe_lock);
    r->streams |= pipe_begin(r, status, headers, n_headers);
    pthread_mutex_unlock(&pipe_lock);
}

ag_http_flow ag_http_stream_push(ag_http_req *r, ag_span bytes) {
    ag_http_flow flow = AG_HTTP_GONE;
    pthread_mutex_lock(&pipe_lock);
    AG_ASSERT(r->streams || r->gone || r->over);
    if (!r->complete && !r->gone && !r->over) {
        ag_buf_add(&r->answer, bytes.p, bytes.n);
        r->n_events++;
        r->full = r->slow;
        flow = r->slow ? AG_HTTP_FULL : AG_HTTP_MORE;
        if (r->slow || r->n_events + 1 == r->leaves)
            pthread_cond_signal(&pipe_more);
    }
    pthread_mutex_unlock(&pipe_lock);
    return flow;
}

static void pipe_complete(ag_http_req *r) {
    pthread_mutex_lock(&pipe_lock);
    r->complete = true;
    pthread_cond_signal(&pipe_more);
    pthread_mutex_unlock(&pipe_lock);
}
void ag_http_stream_end(ag_http_req *r) { pipe_complete(r); }
void ag_http_stream_abort(ag_http_req *r) { pipe_complete(r); }

/* ---- the io thread --------------------------------------------------------------------------- */

static void pipe_start(const ag_http_handler *h, ag_http_req *r) {
    size_t limit = (size_t)32 << 20;
    if (h->on_head(h->ctx, r, &limit))
        h->on_request(h->ctx, r);
    else
        AG_ASSERT(r->complete);
}

typedef enum pipe_event { PIPE_NOTHING, PIPE_DRAINED, PIPE_GONE, PIPE_END } pipe_event;

/* What is due with one request; with the lock held. */
static pipe_event pipe_due(ag_http_req *r) {
    if (r->over)
        return PIPE_NOTHING;
    if (r->complete || r->gone) {
        r->over = true;
        return PIPE_END;
    }
    if (r->leaves && r->n_events + 1 >= r->leaves) {
        r->gone = true;
        return PIPE_GONE;
    }
    if (r->full) {
        r->full = false;
        return PIPE_DRAINED;
    }
    return PIPE_NOTHING;
}

/* Everything that happens until all of them are over. */
static void pipe_run(const ag_http_handler *h, ag_http_req **v, size_t n) {
    pthread_mutex_lock(&pipe_lock);
    for (size_t n_over = 0, quiet = 0; n_over < n;) {
        if (quiet == n)
            pthread_cond_wait(&pipe_more, &pipe_lock);
        n_over = quiet = 0;
        for (size_t i = 0; i < n; i++) {
            ag_http_req *r = v[i];
            pipe_event due = pipe_due(r);
            quiet += due == PIPE_NOTHING;
            n_over += r->over;
            if (due == PIPE_NOTHING)
                continue;
            ag_http_outcome how = {r->status, r->complete, r->answer.n, 1};
            pthread_mutex_unlock(&pipe_lock);
            if (due == PIPE_DRAINED)
                h->on_drained(h->ctx, r);
            else if (due == PIPE_GONE)
                h->on_gone(h->ctx, r);
            else if (due == PIPE_END)
                h->on_end(h->ctx, r, &how);
            pthread_mutex_lock(&pipe_lock);
        }
    }
    pthread_mutex_unlock(&pipe_lock);
}

#endif
