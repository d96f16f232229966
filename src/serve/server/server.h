/* The server as a whole: the HTTP room, the routes and the runtime put together as a configuration
 * says, with the log lines and the metrics of what they do.
 *
 * Who runs it (the command) gives listening sockets, a log and a configuration, and decides when it
 * drains and ends. Thread: the one that opened it, unless a function says otherwise. */
#ifndef AG_SERVER_SERVER_H
#define AG_SERVER_SERVER_H

#include "config/config.h"
#include "logs/logs.h"
#include "metrics/metrics.h"
#include "runtime/runtime.h"

typedef struct ag_server ag_server;

typedef struct ag_server_opts {
    const ag_config *config; /* borrowed until close */
    const int *fds;          /* [n_fds] listening sockets, borrowed until close */
    size_t n_fds;
    ag_logs *logs; /* borrowed */
    /* A model became READY or FAILED; from another thread. May be NULL. */
    void (*on_state)(void *ctx, const ag_served_status *status);
    void *ctx;
} ag_server_opts;

/* Models begin to load; nobody is answered yet. AG_E_ARG, AG_E_IO, AG_E_NOT_FOUND (keys, a
 * template), AG_E_NOMEM. */
ag_code ag_server_open(const ag_server_opts *opts, ag_server **out, ag_err *err) AG_MUST_USE;
/* Answer, probes at least, from now on. AG_E_IO (a certificate), AG_E_NOMEM. */
ag_code ag_server_listen(ag_server *s, ag_err *err) AG_MUST_USE;
/* Is every model that is not lazy ready? Any thread. */
bool ag_server_is_ready(ag_server *s);
/* Where the i-th model stands; i below the configuration's n_models. Any thread. */
void ag_server_status(ag_server *s, size_t i, ag_served_status *out);
/* What has not moved for longer than this: a step of an engine, or the thread that serves
 * connections. NULL: all is well. Probes say it from then on. Asked again and again, by the main
 * thread. */
const char *ag_server_stuck(ag_server *s, uint64_t stall_ms);
/* Its metrics, for what only its owner counts. Any thread. */
ag_metrics *ag_server_metrics(ag_server *s);
/* Apply what can be of another configuration, and read the keys again; what needs a restart is
 * logged and left. `now` is borrowed until close, and so stays the one before. On an error (the
 * keys) nothing has changed. */
ag_code ag_server_reload(ag_server *s, const ag_config *now, ag_err *err) AG_MUST_USE;
/* Another configuration had mistakes: it is counted as refused. */
void ag_server_refuse_reload(ag_server *s);

/* Not ready from now on; work is still taken. */
void ag_server_drain(ag_server *s);
/* Who connects from now on gets probes answered, and 503 for the rest. */
void ag_server_wind_down(ag_server *s);
/* Nobody who connects from now on is heard. */
void ag_server_stop_listening(ag_server *s);
/* Requests that are being answered, without probes and refusals. */
size_t ag_server_n_working(const ag_server *s);
/* After ag_server_stop_listening(): is no connection left on which an answer, or the request for
 * one, may be on its way? */
bool ag_server_is_drained(const ag_server *s);
/* End what still runs; its clients are told. */
void ag_server_cancel_all(ag_server *s);
/* Accepts NULL. */
void ag_server_close(ag_server **s);

#endif
