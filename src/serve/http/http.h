/* An HTTP/1.1 server that knows no JSON and no model: bytes to requests, and answers back, whole or
 * streamed.
 *
 *            head complete        body complete           reply / stream end        last byte out
 *  ─▶ on_head ───────────▶ READING ──────────▶ HANDLING ────────────────▶ SENDING ───────────▶
 * on_end │ refused (ag_http_reply)                │  client left: on_gone, then
 *        └──────────────────────────▶ SENDING     └──────────────────────────────────────────▶
 * on_end
 *
 * Threads: one io thread a server calls all handlers. ag_http_reply(), ag_http_stream_*() and
 * ag_http_req_ref/unref() may be called from any thread; the rest from a handler only. A request
 * lives until on_end has returned and every reference is gone; what is pushed to one whose client
 * left is dropped.
 *
 * Every limit of ag_http_opts is set before anything about the client is known. A request that
 * breaks one is answered by `on_refuse`'s body (400, 408, 413, 414, 417, 431, 501, 503, 505) and
 * the connection closed. A head that libmicrohttpd cannot read at all (no version, a line without
 * colon, broken chunks) gets its own short HTML answer with the right status: README.md.
 *
 * A client that has shut down its sending side counts as gone once its request waits for an answer:
 * nobody who wants one does that, and nothing else tells a closed tab from a patient reader. An
 * answer given before on_request returns still reaches it. */
#ifndef AG_HTTP_HTTP_H
#define AG_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

typedef struct ag_http ag_http;
typedef struct ag_http_req ag_http_req;

typedef struct ag_http_header {
    const char *name, *value; /* borrowed for the call that they are given to */
} ag_http_header;

/* How an exchange went, for the log and the metrics. */
typedef struct ag_http_outcome {
    int status;           /* 0: the client left before an answer began */
    bool complete;        /* the whole answer was handed to the system */
    uint64_t sent_bytes;  /* of the body */
    uint64_t duration_us; /* first byte of the head to the end */
} ag_http_outcome;

/* A request that the server itself refuses. */
typedef struct ag_http_refusal {
    ag_http_req *req;   /* if on_head saw it, and on_end will; NULL: nobody else hears of it */
    const char *method; /* NULL: not known */
    const char *peer;
    int status;
    const char *reason; /* a sentence for people */
} ag_http_refusal;

#define AG_HTTP_REFUSAL_HEADERS 8

typedef struct ag_http_handler {
    void *ctx;
    /* The head is there, the body is not. True: read the body, at most *body_limit bytes (preset to
     * ag_http_opts.body_bytes). False: refused, ag_http_reply() has been called. */
    bool (*on_head)(void *ctx, ag_http_req *req, size_t *body_limit);
    /* The request is complete. Answer now, or later from any thread. */
    void (*on_request)(void *ctx, ag_http_req *req);
    /* The client left before its answer was complete (or the server cut it: a time limit, close);
     * an answer is no longer needed. At most once. */
    void (*on_gone)(void *ctx, ag_http_req *req);
    /* What was queued of a stream fell below the low mark again (see ag_http_stream_push). */
    void (*on_drained)(void *ctx, ag_http_req *req);
    /* Once for every request that on_head saw, last. */
    void (*on_end)(void *ctx, ag_http_req *req, const ag_http_outcome *how);
    /* What a refusal says: its body is appended to `body`; returns how many headers it has, the
     * content type among them. */
    size_t (*on_refuse)(void *ctx, const ag_http_refusal *what,
                        ag_http_header headers[AG_HTTP_REFUSAL_HEADERS], ag_buf *body);
    /* One line about something that an operator should know: a certificate that could not be read
     * again. May be NULL. */
    void (*on_warn)(void *ctx, const char *line);
} ag_http_handler;

typedef struct ag_http_tls {
    const char *cert_file, *key_file; /* PEM; read again when they change on disk */
} ag_http_tls;

/* Zero means the default named beside a field. */
typedef struct ag_http_opts {
    const int *fds; /* listening sockets, borrowed (the supervisor owns them) */
    size_t n_fds;
    const ag_http_tls *tls; /* NULL: plain */
    ag_http_handler handler;
    size_t head_bytes;              /* request line and headers; 16 KiB */
    size_t body_bytes;              /* 32 MiB */
    size_t bodies_bytes;            /* of all requests being read or handled; 1 GiB, then 503 */
    uint32_t max_headers;           /* 100 */
    uint32_t max_connections;       /* 4096; then the longest idle one makes room */
    uint32_t max_per_address;       /* more are closed at once; 0: no limit of its own */
    uint32_t head_timeout_ms;       /* first byte to the whole head; 10 s */
    uint32_t body_timeout_ms;       /* a body that stops coming; 30 s */
    uint32_t idle_timeout_ms;       /* keep-alive; 75 s */
    uint32_t send_timeout_ms;       /* a reader that takes nothing; 60 s */
    size_t stream_low, stream_high; /* marks of a stream's queue; 16 KiB, 64 KiB */
} ag_http_opts;

/* Start the io thread. AG_E_ARG (which option), AG_E_IO (certificate, key), AG_E_NOMEM. */
ag_code ag_http_open(const ag_http_opts *opts, ag_http **out, ag_err *err) AG_MUST_USE;
/* Answers from now on end their connection, and idle connections close. Who connects later is taken
 * in, but late. */
void ag_http_wind_down(ag_http *h);
/* Stop accepting; answers from now on end their connection, idle connections close, and who has
 * just connected has a second to ask. */
void ag_http_drain(ag_http *h);
/* After that: has the last connection closed? Any thread. */
bool ag_http_is_drained(const ag_http *h);
/* Has the io thread been through its loop within stall_ms? Asked again and again, by one thread:
 * each question asks for the next turn. */
bool ag_http_moves(ag_http *h, uint64_t stall_ms);
/* Requests that on_head saw and on_end did not. Any thread. */
size_t ag_http_n_active(const ag_http *h);
size_t ag_http_n_connections(const ag_http *h);
/* Connections closed at once, since their address had max_per_address. */
uint64_t ag_http_n_turned_away(const ag_http *h);
/* Cut what is left (on_gone, on_end), stop the thread, free. Accepts NULL. */
void ag_http_close(ag_http **h);

/* ---- a request: handlers only, borrowed until on_end -------------------------------------------
 */

const char *ag_http_method(const ag_http_req *r); /* "GET" */
const char *ag_http_path(const ag_http_req *r);   /* decoded, without the query; starts with "/" */
/* Decoded value of a query parameter, "" when it has none, NULL when it is absent. */
const char *ag_http_query(const ag_http_req *r, const char *name);
/* Value of a header, NULL when it is absent; names in any case. One sent twice: the first. */
const char *ag_http_get(const ag_http_req *r, const char *name);
ag_span ag_http_body(const ag_http_req *r);
/* The same, once, as the caller's own: it may be read by other threads, and is gone before the
 * answer. It counts as this request's (bodies_bytes) until on_end. */
ag_buf ag_http_take_body(ag_http_req *r);
bool ag_http_is_late(const ag_http_req *r);     /* it connected after ag_http_wind_down() */
const char *ag_http_peer(const ag_http_req *r); /* "192.0.2.1", "2001:db8::1", "unix" */
/* One pointer of the handler's, NULL at first. */
void ag_http_set_user(ag_http_req *r, void *user);
void *ag_http_user(const ag_http_req *r);
/* Hold a request beyond on_end, so that late calls of other threads find it. */
void ag_http_req_ref(ag_http_req *r);
void ag_http_req_unref(ag_http_req *r);

/* ---- the answer: any thread; the first of reply and stream_begin counts ------------------------
 */

/* A whole answer. Takes the bytes of `body` (which is empty afterwards). HEAD gets no body. Out of
 * memory: the connection is cut. */
void ag_http_reply(ag_http_req *r, int status, const ag_http_header *headers, size_t n_headers,
                   ag_buf *body);
/* Begin a body of unknown length; headers as given (content-type included). */
void ag_http_stream_begin(ag_http_req *r, int status, const ag_http_header *headers,
                          size_t n_headers);
typedef enum ag_http_flow {
    AG_HTTP_MORE, /* go on */
    AG_HTTP_FULL, /* taken, but the queue is over the high mark: wait for on_drained */
    AG_HTTP_GONE, /* dropped: the client left */
} ag_http_flow;
/* Append to the body. Nothing is ever dropped of a client that is still there, but one whose queue
 * passes AG_MAX_STREAM_QUEUE, or for which there is no memory, is cut. */
ag_http_flow ag_http_stream_push(ag_http_req *r, ag_span bytes);
/* The body is complete once what was pushed is out. */
void ag_http_stream_end(ag_http_req *r);
/* Cut the connection without a proper end, so that a reader sees a broken body. */
void ag_http_stream_abort(ag_http_req *r);

#endif
