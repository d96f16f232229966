/* Answers, which any thread may give. They are left with the request under the mail's mutex; when
 * the io thread waits for them the request goes into the mail, and the first one in wakes it: one
 * write to the eventfd for a batch, none when the io thread itself answers. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "http/server.h"

enum {
    WHOLE_BYTES = 16 << 10, /* larger bodies go through the queue, whose progress is seen */
    BLOCK_BYTES = 16 << 10,
};

/* ---- the mail ----------------------------------------------------------------------------------
 */

ag_code ag_http_mail_new(ag_http_mail **out, ag_err *err) {
    ag_http_mail *m = ag_calloc(AG_ROOM_HTTP, 1, sizeof *m);
    if (!m)
        return ag_fail(err, AG_E_NOMEM, "starting the HTTP server: out of memory");
    atomic_init(&m->refs, 1);
    pthread_mutex_init(&m->mu, NULL);
    m->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (m->wake < 0) {
        int error = errno;
        ag_http_mail_unref(m);
        return ag_fail(err, AG_E_IO, "starting the HTTP server: eventfd: %s", strerror(error));
    }
    *out = m;
    return AG_OK;
}

void ag_http_mail_unref(ag_http_mail *m) {
    if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
        return;
    if (m->wake >= 0)
        close(m->wake);
    pthread_mutex_destroy(&m->mu);
    ag_free(m);
}

/* With the mutex held. */
static void post(ag_http_req *r) {
    ag_http_mail *m = r->mail;
    if (r->posted || r->ended || !(r->waiting || r->cut))
        return;
    ag_http_req_ref(r);
    r->posted = true;
    r->next = NULL;
    bool first = !m->first;
    *(first ? &m->first : &m->last->next) = r;
    m->last = r;
    if (first && !pthread_equal(pthread_self(), m->io))
        (void)!write(m->wake, &(uint64_t){1}, sizeof(uint64_t));
}

bool ag_http_mail_any(ag_http_mail *m) {
    pthread_mutex_lock(&m->mu);
    bool any = m->first;
    pthread_mutex_unlock(&m->mu);
    return any;
}

void ag_http_mail_deliver(ag_http_mail *m) {
    for (;;) {
        pthread_mutex_lock(&m->mu);
        ag_http_req *r = m->first;
        bool resume = false, cut = false;
        if (r) {
            m->first = r->next;
            r->posted = false;
            resume = r->waiting;
            r->waiting = false;
            cut = r->cut;
        }
        pthread_mutex_unlock(&m->mu);
        if (!r)
            return;
        if (r->conn && cut)
            ag_http_conn_cut(r->conn);
        if (r->conn && resume)
            MHD_resume_connection(r->conn->mhd);
        ag_http_req_unref(r);
    }
}

/* ---- giving an answer --------------------------------------------------------------------------
 */

static void free_bytes(void *p) { ag_free(p); }
static void drop_reader(void *req) { ag_http_req_unref(req); }

/* Headers that libmicrohttpd refuses (a line break inside) are our own callers' mistake: left out.
 */
static void add_headers(struct MHD_Response *response, const ag_http_header *headers, size_t n) {
    bool server = false;
    for (size_t i = 0; i < n; i++) {
        server = server || strcasecmp(headers[i].name, "Server") == 0;
        (void)MHD_add_response_header(response, headers[i].name, headers[i].value);
    }
    if (!server)
        (void)MHD_add_response_header(response, "Server", "autoglm");
}

/* A response whose body comes from the request's queue. */
static struct MHD_Response *reading(ag_http_req *r, uint64_t bytes) {
    ag_http_req_ref(r);
    struct MHD_Response *response =
        MHD_create_response_from_callback(bytes, BLOCK_BYTES, ag_http_answer_read, r, drop_reader);
    if (!response)
        ag_http_req_unref(r);
    return response;
}

/* Leave the answer with the request; the first one counts. NULL: out of memory, cut. `body` goes
 * into the queue; NULL: the response has its own `whole_bytes`. */
static void give(ag_http_req *r, int status, struct MHD_Response *response, ag_buf *body,
                 size_t whole_bytes, bool complete) {
    pthread_mutex_lock(&r->mail->mu);
    bool taken = !r->answered && !r->ended && !r->cut;
    if (taken) {
        r->answered = true;
        r->status = status;
        r->answer = response;
        r->complete = complete;
        r->cut = !response;
        r->whole_bytes = whole_bytes;
        if (body)
            ag_http_queue_adopt(&r->queue, body);
        post(r);
    }
    pthread_mutex_unlock(&r->mail->mu);
    if (!taken && response)
        MHD_destroy_response(response);
}

void ag_http_reply(ag_http_req *r, int status, const ag_http_header *headers, size_t n_headers,
                   ag_buf *body) {
    struct MHD_Response *response;
    size_t n = body ? body->n : 0;
    bool whole = n <= WHOLE_BYTES;
    if (body && body->failed) {
        response = NULL;
    } else if (whole && n == 0) {
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else if (whole) {
        response = MHD_create_response_from_buffer_with_free_callback(n, body->p, free_bytes);
        if (response)
            ag_buf_init(body, body->tag, body->cap);
    } else {
        response = reading(r, n);
    }
    if (response)
        add_headers(response, headers, n_headers);
    give(r, status, response, whole ? NULL : body, whole ? n : 0, true);
    if (body)
        ag_buf_deinit(body);
}

void ag_http_stream_begin(ag_http_req *r, int status, const ag_http_header *headers,
                          size_t n_headers) {
    struct MHD_Response *response = reading(r, MHD_SIZE_UNKNOWN);
    if (response)
        add_headers(response, headers, n_headers);
    give(r, status, response, NULL, 0, false);
}

/* ---- a stream ----------------------------------------------------------------------------------
 */

ag_http_flow ag_http_stream_push(ag_http_req *r, ag_span bytes) {
    ag_http_flow flow = AG_HTTP_GONE;
    pthread_mutex_lock(&r->mail->mu);
    if (!r->ended && !r->cut && !r->complete) {
        if (ag_http_queue_push(&r->queue, bytes))
            flow = r->queue.full ? AG_HTTP_FULL : AG_HTTP_MORE;
        else
            r->cut = true;
        post(r);
    }
    pthread_mutex_unlock(&r->mail->mu);
    return flow;
}

void ag_http_stream_end(ag_http_req *r) {
    pthread_mutex_lock(&r->mail->mu);
    if (!r->complete) {
        r->complete = true;
        post(r);
    }
    pthread_mutex_unlock(&r->mail->mu);
}

void ag_http_stream_abort(ag_http_req *r) {
    pthread_mutex_lock(&r->mail->mu);
    if (!r->cut) {
        r->cut = true;
        post(r);
    }
    pthread_mutex_unlock(&r->mail->mu);
}

ssize_t ag_http_answer_read(void *req, uint64_t pos, char *out, size_t room) {
    ag_http_req *r = req;
    bool drained = false;
    size_t n = 0;
    (void)pos;
    r->h->n_calls++;
    pthread_mutex_lock(&r->mail->mu);
    bool cut = r->cut, end = false;
    if (!cut) {
        n = ag_http_queue_pop(&r->queue, out, room, &drained);
        end = n == 0 && r->complete;
        r->waiting = n == 0 && !end;
    }
    pthread_mutex_unlock(&r->mail->mu);
    if (cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    r->closes = end && r->http10;
    if (end)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0) {
        MHD_suspend_connection(r->conn->mhd);
        ag_http_conn_phase(r->conn, AG_PHASE_WAIT);
        if (r->conn->hung)
            ag_http_req_hung(r);
        return 0;
    }
    r->sent_bytes += n;
    ag_http_conn_phase(r->conn, AG_PHASE_SEND);
    if (drained && r->h->o.handler.on_drained)
        r->h->o.handler.on_drained(r->h->o.handler.ctx, r);
    return (ssize_t)n;
}
