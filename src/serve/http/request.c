#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "http/server.h"

/* ---- life --------------------------------------------------------------------------------------
 */

void ag_http_req_ref(ag_http_req *r) { atomic_fetch_add(&r->refs, 1); }

void ag_http_req_unref(ag_http_req *r) {
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    ag_http_mail_unref(r->mail);
    ag_http_queue_deinit(&r->queue);
    ag_arena_deinit(&r->arena);
    ag_free(r);
}

/* The request line is there. libmicrohttpd hands out the target as it was sent only here. */
void *ag_http_req_begin(void *ctx, const char *uri, struct MHD_Connection *mhd) {
    ag_http *h = ctx;
    h->n_calls++;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    ag_http_conn *c = info ? info->socket_context : NULL;
    ag_http_req *r = c ? ag_calloc(AG_ROOM_HTTP, 1, sizeof *r) : NULL;
    if (!r)
        return NULL;
    size_t n = strlen(uri);
    ag_arena_init(&r->arena, AG_ROOM_HTTP, 16 * h->o.head_bytes + 4096);
    char *copy = ag_arena_strndup(&r->arena, uri, n);
    if (!copy) {
        ag_arena_deinit(&r->arena);
        ag_free(r);
        return NULL;
    }
    r->raw_target = ag_span_of(copy, n);
    atomic_init(&r->refs, 1);
    r->h = h;
    r->conn = c;
    r->mail = h->mail;
    atomic_fetch_add(&h->mail->refs, 1);
    ag_http_queue_init(&r->queue, h->o.stream_low, h->o.stream_high, AG_MAX_STREAM_QUEUE);
    r->target.path = "/";
    /* Its bytes came together with the connection, or (pipelined) with the request before. */
    if (c->phase == AG_PHASE_NEW || c->phase == AG_PHASE_IDLE || c->phase == AG_PHASE_LEFT)
        ag_http_conn_phase(c, AG_PHASE_HEAD);
    r->began_us = c->head_us;
    c->req = r;
    return r;
}

/* ---- answering ---------------------------------------------------------------------------------
 */

void ag_http_req_refuse(ag_http_req *r, int status, const char *reason) {
    const ag_http_handler *on = &r->h->o.handler;
    ag_http_header headers[AG_HTTP_REFUSAL_HEADERS + 1];
    ag_http_refusal what = {.req = r->seen ? r : NULL,
                            .method = r->method,
                            .peer = r->conn->peer,
                            .status = status,
                            .reason = reason};
    ag_buf body;
    ag_buf_init(&body, AG_ROOM_HTTP, 4096);
    size_t n = on->on_refuse(on->ctx, &what, headers, &body);
    headers[n++] = (ag_http_header){"Connection", "close"};
    ag_http_reply(r, status, headers, n, &body);
    ag_buf_deinit(&body);
}

/* Put the answer on its way if there is one; otherwise wait for it, unless `must`. */
static enum MHD_Result answer(ag_http_req *r, bool must) {
    pthread_mutex_lock(&r->mail->mu);
    struct MHD_Response *response = r->cut ? NULL : r->answer;
    if (response)
        r->answer = NULL;
    r->waiting = !response && !r->cut && !must;
    bool wait = r->waiting;
    int status = r->status;
    pthread_mutex_unlock(&r->mail->mu);
    if (wait) {
        MHD_suspend_connection(r->conn->mhd);
        ag_http_conn_phase(r->conn, AG_PHASE_WAIT);
        if (r->conn->hung)
            ag_http_req_hung(r);
        return MHD_YES;
    }
    if (!response)
        return MHD_NO;
    if (atomic_load(&r->h->draining) || atomic_load(&r->h->winding_down))
        (void)MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result ok = MHD_queue_response(r->conn->mhd, (unsigned)status, response);
    MHD_destroy_response(response);
    if (ok == MHD_YES)
        r->sent_status = status;
    ag_http_conn_phase(r->conn, AG_PHASE_SEND);
    return ok;
}

void ag_http_req_hung(ag_http_req *r) {
    pthread_mutex_lock(&r->mail->mu);
    bool complete = r->complete;
    pthread_mutex_unlock(&r->mail->mu);
    if (!complete)
        ag_http_req_gone(r);
}

void ag_http_req_gone(ag_http_req *r) {
    ag_http *h = r->h;
    if (r->seen && !r->told_gone) {
        r->told_gone = true;
        if (h->o.handler.on_gone)
            h->o.handler.on_gone(h->o.handler.ctx, r);
    }
    ag_http_stream_abort(r);
}

/* ---- head --------------------------------------------------------------------------------------
 */

typedef struct walk {
    ag_http_fields fields;
    ag_http_fault fault;
} walk;

static enum MHD_Result add_field(void *ctx, enum MHD_ValueKind kind, const char *name,
                                 size_t n_name, const char *value, size_t n_value) {
    walk *w = ctx;
    (void)kind;
    w->fault = ag_http_fields_add(&w->fields, ag_span_of(name, n_name), ag_span_of(value, n_value));
    return w->fault.status ? MHD_NO : MHD_YES;
}

static ag_http_fault check_head(ag_http_req *r, const char *version, ag_http_fields *out) {
    walk w = {.fields = {.max = r->h->o.max_headers, .http10 = strcmp(version, "HTTP/1.0") == 0}};
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    r->http10 = w.fields.http10;
    if (r->raw_target.n > r->h->o.head_bytes / 2)
        return (ag_http_fault){414, "The request target is too long."};
    if (info && info->header_size > r->h->o.head_bytes)
        return (ag_http_fault){431, "The request's head is too large."};
    if (!w.fields.http10 && strcmp(version, "HTTP/1.1") != 0)
        return (ag_http_fault){505, "This server speaks HTTP/1.1."};
    if (!ag_http_is_token(ag_str(r->method)))
        return (ag_http_fault){400, "The method has a character that is not allowed."};
    ag_http_fault f = ag_http_target_parse(&r->target, &r->arena, r->raw_target);
    if (f.status)
        return f;
    (void)MHD_get_connection_values_n(r->conn->mhd, MHD_HEADER_KIND, add_field, &w);
    *out = w.fields;
    return w.fault.status ? w.fault : ag_http_fields_end(&w.fields);
}

static enum MHD_Result head_complete(ag_http_req *r, const char *method, const char *version) {
    ag_http *h = r->h;
    ag_http_fields fields = {0};
    r->started = true;
    r->method = method;
    r->body_limit = h->o.body_bytes;
    ag_http_conn_phase(r->conn, AG_PHASE_BODY);
    ag_http_fault f = check_head(r, version, &fields);
    if (f.status) {
        ag_http_req_refuse(r, f.status, f.reason);
        return answer(r, true);
    }
    r->seen = true;
    atomic_fetch_add(&h->n_active, 1);
    if (!h->o.handler.on_head(h->o.handler.ctx, r, &r->body_limit))
        return answer(r, true);
    if (fields.length > r->body_limit) {
        ag_http_req_refuse(r, 413, "The request's body is too large.");
        return answer(r, true);
    }
    ag_buf_init(&r->body, AG_ROOM_HTTP, r->body_limit);
    return MHD_YES;
}

/* ---- body --------------------------------------------------------------------------------------
 */

static void count_body(ag_http_req *r, size_t n) {
    r->h->bodies_bytes -= r->body_bytes;
    r->h->bodies_bytes += n;
    r->body_bytes = n;
}

static void drop_body(ag_http_req *r) {
    count_body(r, 0);
    ag_buf_deinit(&r->body);
}

/* libmicrohttpd cannot answer in the middle of a body, so one that may not be kept is swallowed to
 * its end, up to once more what was allowed. */
static enum MHD_Result receive(ag_http_req *r, const char *data, size_t n) {
    ag_http *h = r->h;
    ag_http_conn_phase(r->conn, AG_PHASE_BODY);
    if (!r->body_fault) {
        if (n > r->body_limit - r->body.n)
            r->body_fault = 413;
        else if (n > h->o.bodies_bytes - h->bodies_bytes || !ag_buf_add(&r->body, data, n))
            r->body_fault = 503;
        else
            count_body(r, r->body.n);
    }
    if (!r->body_fault)
        return MHD_YES;
    drop_body(r);
    r->swallowed += n;
    return r->swallowed > r->body_limit + (1u << 20) ? MHD_NO : MHD_YES;
}

static enum MHD_Result body_complete(ag_http_req *r) {
    ag_http *h = r->h;
    ag_http_conn_phase(r->conn, AG_PHASE_WAIT);
    r->handed = true;
    if (r->body_fault == 413)
        ag_http_req_refuse(r, 413, "The request's body is too large.");
    else if (r->body_fault)
        ag_http_req_refuse(r, 503, "The server has no memory for more request bodies now.");
    else
        h->o.handler.on_request(h->o.handler.ctx, r);
    return answer(r, false);
}

enum MHD_Result ag_http_req_access(void *ctx, struct MHD_Connection *mhd, const char *url,
                                   const char *method, const char *version, const char *data,
                                   size_t *data_bytes, void **req) {
    ag_http_req *r = *req;
    (void)mhd, (void)url;
    ((ag_http *)ctx)->n_calls++;
    if (!r)
        return MHD_NO; /* out of memory */
    if (!r->started)
        return head_complete(r, method, version);
    if (*data_bytes > 0) {
        size_t n = *data_bytes;
        *data_bytes = 0;
        return receive(r, data, n);
    }
    return r->handed ? answer(r, false) : body_complete(r);
}

/* ---- end ---------------------------------------------------------------------------------------
 */

/* A connection that libmicrohttpd 0.9.75 closes where it asks for the next piece of an answer is
 * taken down when it looks at the connection again. Nothing makes it, as long as an older one is
 * there: but those with a time limit of their own are all looked at by each run. */
static void take_down(ag_http *h, struct MHD_Connection *mhd) {
    (void)MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, 1u);
    h->closing = true;
}

void ag_http_req_completed(void *ctx, struct MHD_Connection *mhd, void **req,
                           enum MHD_RequestTerminationCode how) {
    ag_http *h = ctx;
    ag_http_req *r = *req;
    h->n_calls++;
    *req = NULL;
    if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK || (r && r->closes))
        take_down(h, mhd);
    if (!r)
        return;
    pthread_mutex_lock(&r->mail->mu);
    struct MHD_Response *unused = r->answer;
    r->answer = NULL;
    r->ended = true;
    bool cut = r->cut;
    pthread_mutex_unlock(&r->mail->mu);
    if (unused)
        MHD_destroy_response(unused);
    if (r->seen) {
        ag_http_outcome outcome = {
            .status = r->sent_status,
            .complete = how == MHD_REQUEST_TERMINATED_COMPLETED_OK && r->sent_status && !cut,
            .duration_us = ag_clock_us() - r->began_us,
        };
        outcome.sent_bytes =
            r->sent_bytes +
            (outcome.complete && strcmp(r->method, "HEAD") != 0 ? r->whole_bytes : 0);
        if (!outcome.complete && !r->told_gone && h->o.handler.on_gone) {
            r->told_gone = true;
            h->o.handler.on_gone(h->o.handler.ctx, r);
        }
        if (h->o.handler.on_end)
            h->o.handler.on_end(h->o.handler.ctx, r, &outcome);
        atomic_fetch_sub(&h->n_active, 1);
    }
    drop_body(r);
    r->conn->req = NULL;
    ag_http_conn_phase(r->conn, AG_PHASE_IDLE);
    r->conn = NULL;
    ag_http_req_unref(r);
}

/* ---- what handlers ask -------------------------------------------------------------------------
 */

const char *ag_http_method(const ag_http_req *r) { return r->method; }
const char *ag_http_path(const ag_http_req *r) { return r->target.path; }
bool ag_http_is_late(const ag_http_req *r) { return r->conn->late; }
const char *ag_http_peer(const ag_http_req *r) { return r->conn->peer; }
ag_span ag_http_body(const ag_http_req *r) { return ag_buf_span(&r->body); }

ag_buf ag_http_take_body(ag_http_req *r) {
    ag_buf taken = r->body;
    ag_buf_init(&r->body, taken.tag, taken.cap);
    return taken;
}

void ag_http_set_user(ag_http_req *r, void *user) { r->user = user; }
void *ag_http_user(const ag_http_req *r) { return r->user; }

const char *ag_http_query(const ag_http_req *r, const char *name) {
    for (size_t i = 0; i < r->target.n_query; i++)
        if (strcmp(r->target.query[i].name, name) == 0)
            return r->target.query[i].value;
    return NULL;
}

const char *ag_http_get(const ag_http_req *r, const char *name) {
    return MHD_lookup_connection_value(r->conn->mhd, MHD_HEADER_KIND, name);
}
