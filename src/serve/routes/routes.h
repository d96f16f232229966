/* The HTTP API: OpenAI's routes and a server's own, JSON in and JSON out, over the HTTP room and
 * the runtime. One table (table.c) says which routes there are and who may use them.
 *
 * Threads: handlers run on the io thread; what takes long (long bodies, forms, embeddings, scores)
 * on four small pools; tokens are formatted on the engine's thread, straight into the connection's
 * queue. */
#ifndef AG_ROUTES_ROUTES_H
#define AG_ROUTES_ROUTES_H

#include "http/http.h"
#include "logs/logs.h"
#include "metrics/metrics.h"
#include "routes/keys.h"
#include "runtime/runtime.h"

typedef struct ag_routes ag_routes;

typedef struct ag_routes_opts {
    ag_runtime *runtime;
    const ag_keys *keys;         /* who may ask; NULL: everybody. See ag_routes_set_keys() */
    ag_reasoning_mode reasoning; /* where a request does not say: inline, unless set */
    const char *truncate; /* likewise: "left", "right", "middle"; NULL: long prompts are refused */
    const char *cors_origin;  /* "*" or one origin that browsers may call from; NULL: none */
    const char *const *hosts; /* [n_hosts] names that it answers to without keys, beside its own */
    size_t n_hosts;
    uint32_t timeout_ms;   /* of a request that does not say; 0: none */
    uint32_t max_queue_ms; /* likewise */
    ag_logs *logs;         /* a line for each request; NULL: none */
    ag_metrics *metrics; /* counted into, and told at GET /metrics; NULL: there is no such route */
    bool vllm_names;     /* there under vLLM's names as well */
} ag_routes_opts;

/* All that opts points to is borrowed until ag_routes_free(). AG_E_NOMEM, AG_E_IO (no thread). */
ag_code ag_routes_new(const ag_routes_opts *opts, ag_routes **out, ag_err *err) AG_MUST_USE;
/* What ag_http_open() is to be given. */
ag_http_handler ag_routes_handler(ag_routes *r);
/* Other keys from now on, if there were keys before. The old ones must live as long as the room:
 * requests may hold their tenants. Any thread. */
void ag_routes_set_keys(ag_routes *r, const ag_keys *keys);
/* Probes say that the server does not move, or does again. Any thread. */
void ag_routes_set_stuck(ag_routes *r, bool stuck);
/* From now on the server says that it is not ready, and starts nothing new. Any thread. */
void ag_routes_drain(ag_routes *r);
/* Requests that are being answered, without probes and refusals. Any thread. */
size_t ag_routes_n_working(const ag_routes *r);
/* End every generation that still runs: its client is told so, in the stream where there is one.
 * Any thread. */
void ag_routes_cancel_all(ag_routes *r);
/* Finish what the pools have in hand and end them: after ag_http_close(), before the runtime is
 * closed. */
void ag_routes_stop(ag_routes *r);
/* After the runtime was closed. Accepts NULL. */
void ag_routes_free(ag_routes **r);

#endif
