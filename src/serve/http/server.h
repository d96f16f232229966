/* The room's own structs. libmicrohttpd runs inside our loop: it owns sockets, TLS and parsing; we
 * own acceptance, time limits, the watch for clients that left, and answers that come from
 * elsewhere.
 *
 * A connection's phase decides which time limit runs; each phase has its list, oldest first, so the
 * next deadline is at a head:
 *
 *   NEW, IDLE ─byte─▶ HEAD ─on_access─▶ BODY ─all there─▶ WAIT ─answer─▶ SEND ─on_completed─▶ IDLE
 *                                                          ▲  nothing queued │ bytes
 *                                                          └─────────────────┘  (a stream)
 *
 * Of a client that has shut down its side only what lies in the socket can come: LEFT, for a
 * moment, stands in for IDLE, HEAD and BODY, since libmicrohttpd does not always notice. In WAIT
 * the connection is suspended: libmicrohttpd neither reads nor writes it.
 *
 * Invariants: 1. a connection is in exactly one list; 2. one that is suspended has a request with
 * `waiting` set; 3. connections are freed inside MHD_run() only, never between epoll_wait() and it.
 */
#ifndef AG_HTTP_SERVER_H
#define AG_HTTP_SERVER_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "http/check.h"
#include "http/http.h"
#include "http/queue.h"
#include "http/tls.h"

typedef enum ag_http_watch_kind {
    AG_WATCH_LISTEN,
    AG_WATCH_MAIL,
    AG_WATCH_MHD,
    AG_WATCH_CONN
} ag_http_watch_kind;

/* What an epoll event points to. */
typedef struct ag_http_watch {
    ag_http_watch_kind kind;
    int fd;
} ag_http_watch;

typedef enum ag_http_phase {
    AG_PHASE_NEW, /* nothing came yet; the head's limit runs */
    AG_PHASE_IDLE,
    AG_PHASE_HEAD,
    AG_PHASE_BODY,
    AG_PHASE_SEND,
    AG_PHASE_LEFT, /* NEW, IDLE, HEAD or BODY of a client that has shut down its side */
    AG_PHASE_WAIT, /* no time limit: whoever answers has one */
    AG_PHASE_COUNT
} ag_http_phase;

typedef struct ag_http_conn ag_http_conn;
struct ag_http_conn {
    ag_http_watch watch; /* first: epoll events point here */
    ag_http *h;
    struct MHD_Connection *mhd;
    ag_http_req *req; /* being read, handled or answered; NULL between */
    ag_http_conn *prev, *next;
    ag_http_phase phase;
    uint64_t since_us;   /* when the phase began or last made progress */
    uint64_t head_us;    /* first byte of the head */
    bool hung;           /* the client has shut down its side */
    bool late;           /* accepted while winding down */
    uint8_t address[16]; /* IPv6 or mapped; zero: a unix socket */
    char peer[INET6_ADDRSTRLEN];
};

/* Where other threads leave news for the io thread. Outlives the server as long as requests are
 * held. */
typedef struct ag_http_mail {
    atomic_uint refs;
    int wake;           /* eventfd */
    pthread_t io;       /* which needs no waking */
    pthread_mutex_t mu; /* guards what follows, and of every request the part that says so */
    ag_http_req *first, *last;
} ag_http_mail;

struct ag_http_req {
    atomic_uint refs;
    ag_http_mail *mail; /* holds a reference */

    /* The io thread's. */
    ag_http *h;
    ag_http_conn *conn; /* NULL once ended */
    ag_arena arena;
    ag_span raw_target;
    ag_http_target target;
    const char *method;
    ag_buf body;
    size_t body_limit;
    size_t body_bytes; /* counted in bodies_bytes */
    uint64_t began_us;
    uint64_t sent_bytes;
    int sent_status; /* of the answer on its way; 0: none yet */
    bool started;    /* on_access was here */
    bool seen;       /* on_head was */
    bool handed;     /* on_request was */
    bool told_gone;  /* on_gone was */
    bool http10;     /* a stream of it ends with the connection */
    bool closes;     /* and that is what comes now */
    int body_fault;  /* the body is swallowed, then answered by this */
    size_t swallowed;
    void *user;

    /* Guarded by mail->mu. */
    ag_http_req *next;           /* in the mail */
    bool posted;                 /* is in the mail */
    bool waiting;                /* suspended: an answer, bytes, the end or a cut resumes it */
    bool answered;               /* an answer was given */
    bool complete;               /* the queue holds all that will come */
    bool cut;                    /* the connection is to be broken */
    bool ended;                  /* nothing is taken any more */
    struct MHD_Response *answer; /* until it is on its way; owned */
    int status;
    size_t whole_bytes; /* body of an answer that needs no queue */
    ag_http_queue queue;
};

struct ag_http {
    ag_http_opts o; /* defaults filled in */
    struct MHD_Daemon *mhd;
    ag_http_tls_state *tls; /* NULL: plain */
    ag_http_mail *mail;
    ag_http_watch *listen; /* [o.n_fds] */
    ag_http_watch mail_watch, mhd_watch;
    int epoll;
    pthread_t thread;
    atomic_size_t n_active, n_connections;
    _Atomic uint64_t n_turned_away;
    atomic_bool winding_down, draining, drained, stopping;
    _Atomic uint64_t n_turns;          /* of the loop */
    uint64_t asked_turns, asked_at_us; /* ag_http_moves()'s caller's */
    /* The io thread's. */
    struct {
        ag_http_conn *first, *last;
    } lists[AG_PHASE_COUNT];
    uint64_t limit_us[AG_PHASE_COUNT]; /* UINT64_MAX: none */
    size_t bodies_bytes;
    uint64_t n_calls;      /* from libmicrohttpd */
    uint32_t n_idle_runs;  /* MHD_run() in a row that called nothing */
    bool closing;          /* it has closed a connection that is not taken down yet */
    bool listening;        /* the listening sockets are watched */
    uint64_t accept_at_us; /* full, or out of descriptors: no earlier than this; 0: now */
};

/* ---- conn.c: connections and their time limits (io thread) -------------------------------------
 */
void ag_http_conn_accept(ag_http *h, int listen_fd);
void ag_http_conn_notify(void *h, struct MHD_Connection *c, void **conn,
                         enum MHD_ConnectionNotificationCode what);
/* Enter a phase, or note its progress. */
void ag_http_conn_phase(ag_http_conn *c, ag_http_phase phase);
void ag_http_conn_event(ag_http_conn *c, uint32_t events);
/* Break it: libmicrohttpd sees the end of the stream and ends the request. */
void ag_http_conn_cut(ag_http_conn *c);
void ag_http_conn_expire(ag_http *h);
/* Milliseconds until the next deadline, -1: none. */
int ag_http_conn_next_ms(const ag_http *h);
/* Close what waits between requests. */
void ag_http_conn_close_idle(ag_http *h);
/* Draining: accept nothing more, close what waits between requests, and soon what is silent. */
void ag_http_conn_drain(ag_http *h);
/* Watch the listening sockets, or not. */
void ag_http_conn_listen(ag_http *h, bool on);

/* ---- request.c: libmicrohttpd's callbacks (io thread) ------------------------------------------
 */
void *ag_http_req_begin(void *h, const char *uri, struct MHD_Connection *c);
enum MHD_Result ag_http_req_access(void *h, struct MHD_Connection *c, const char *url,
                                   const char *method, const char *version, const char *data,
                                   size_t *data_bytes, void **req);
void ag_http_req_completed(void *h, struct MHD_Connection *c, void **req,
                           enum MHD_RequestTerminationCode how);
/* The client left, or is to be cut: on_gone once, then the end through libmicrohttpd. */
void ag_http_req_gone(ag_http_req *r);
/* The client has shut down its side: gone, unless all of the answer is on its way. */
void ag_http_req_hung(ag_http_req *r);
/* Answer with on_refuse's body and close the connection. */
void ag_http_req_refuse(ag_http_req *r, int status, const char *reason);

/* ---- answer.c ----------------------------------------------------------------------------------
 */
/* *out is unchanged on failure. AG_E_NOMEM, AG_E_IO. */
ag_code ag_http_mail_new(ag_http_mail **out, ag_err *err) AG_MUST_USE;
void ag_http_mail_unref(ag_http_mail *m);
bool ag_http_mail_any(ag_http_mail *m);
/* Io thread: resume or cut those that have news. */
void ag_http_mail_deliver(ag_http_mail *m);
/* Io thread: body of a streamed answer (MHD_ContentReaderCallback). */
ssize_t ag_http_answer_read(void *req, uint64_t pos, char *out, size_t room);

#endif
