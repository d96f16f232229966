/* One request and its answer, from the head to the last byte. Private to routes/.
 *
 * The io thread makes it and drops its reference in on_end; a generation or a pool's job holds
 * another one as long as it may answer. */
#ifndef AG_ROUTES_EXCHANGE_H
#define AG_ROUTES_EXCHANGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "routes/fields.h"
#include "routes/problem.h"
#include "routes/routes.h"
#include "routes/table.h"
#include "routes/work.h"

#define AG_REQUEST_ID_TEXT 132

struct ag_task;
typedef struct ag_exchange ag_exchange;

/* One answered request, for the log and the metrics. Strings live as long as the exchange. */
typedef struct ag_route_record {
    const char *id, *method, *peer, *tenant;
    const char *route;       /* the table's pattern; "" when no route matched */
    const char *path;        /* where no route matched, its beginning; NULL */
    const char *model;       /* "": none was involved */
    const char *traceparent; /* as it came; NULL: none */
    const char *error;       /* the code that was answered; NULL: none */
    const char *finish;      /* of the first choice; NULL: none */
    ag_http_outcome how;
    bool stream;
    uint32_t n_choices, max_tokens;           /* as asked for; 0: embeddings; not said */
    uint32_t n_prompt, n_cached, n_generated; /* tokens, of all choices */
    uint64_t queue_us, prefill_us, decode_us; /* of the first choice */
} ag_route_record;

struct ag_exchange {
    ag_routes *routes;
    ag_http_req *http;     /* referenced */
    const ag_route *route; /* NULL: none matched */
    char id[AG_REQUEST_ID_TEXT];
    uint64_t serial;     /* unlike any other request's of this process, and of most others */
    char arg[256];       /* what {} of the route's pattern stands for */
    char allow[64];      /* of a 405 */
    const char *timeout; /* X-Request-Timeout-Ms; NULL: absent */
    char note[96];       /* of a cut prompt: X-Prompt-Truncated; "": nothing was cut */
    const char *tenant;  /* lives as long as the keys */
    float weight;        /* that tenant's */
    _Atomic int refs;
    ag_arena arena;
    ag_span text;   /* the body's bytes: the HTTP room's, or those of `taken` */
    bool deferred;  /* it is read by a pool's thread */
    ag_buf taken;   /* a long body, for that */
    json_t *body;   /* owned; NULL: none read, or of no use any more */
    ag_buf ignored; /* X-Ignored-Params */
    bool gone,
        ended; /* the client left; on_end came; guarded by the server's lock, as what follows */
    bool cancelled;           /* by its owner */
    bool works;               /* counted in n_working; io thread */
    struct ag_task *task;     /* referenced until on_end; NULL: nothing is generated */
    ag_exchange *next, *prev; /* all of a server's; guarded by its lock */
    ag_route_record record;
};

struct ag_routes {
    ag_routes_opts opts;
    _Atomic(const ag_keys *) keys; /* those in force */
    ag_work *quick;                /* reading of long bodies */
    ag_work *forms;                /* short requests that ask for a form */
    ag_work *score;                /* log-probabilities of prompts, one at a time */
    ag_work *slow;                 /* embeddings: each waits for the engine */
    _Atomic size_t n_working;      /* exchanges that are more than a probe or a refusal */
    _Atomic bool draining;
    _Atomic bool stuck;    /* its owner says that something does not move */
    _Atomic bool stopping; /* pools drop what they have not begun */
    _Atomic size_t deferred_bytes;
    char host_name[256]; /* of this machine; "": not known */
    uint64_t id_seed;
    _Atomic uint64_t n_ids;
    char refusal_id[AG_REQUEST_ID_TEXT]; /* of the last refusal without an exchange; io thread */
    pthread_mutex_t lock;                /* guards exchanges */
    ag_exchange *exchanges;
};

void ag_exchange_ref(ag_exchange *x);
void ag_exchange_unref(ag_exchange *x);

/* ---- answers: any thread, the first one counts ----------------------------------------------- */

/* Is nobody waiting for the answer any more: the client left, its owner or the server ends it? */
bool ag_exchange_is_over(ag_exchange *x);
/* How long it may take, by its header or the server's rule, whichever is shorter; 0: no limit.
 * False: *p. */
bool ag_exchange_time(const ag_exchange *x, uint32_t *ms, ag_problem *p);
/* A whole answer; takes the bytes of `json`. A buffer that failed becomes a 500 or 503. */
void ag_exchange_json(ag_exchange *x, int status, ag_buf *json);
void ag_exchange_text(ag_exchange *x, int status, const char *type, ag_buf *text);
void ag_exchange_problem(ag_exchange *x, const ag_problem *p);
/* The head of a stream of events. */
void ag_exchange_stream(ag_exchange *x);

/* Have fn(x) read the body: at once when it is short, else on a pool's thread, so that nobody waits
 * for it. On the io thread. */
void ag_exchange_defer(ag_exchange *x, void (*fn)(ag_exchange *x));
/* Parse the body, once; its bytes are given back. */
bool ag_exchange_parse(ag_exchange *x, ag_problem *p);
/* The same, and read it by a table; false: answered already. */
bool ag_exchange_read(ag_exchange *x, const ag_field *fields, void *target);
/* Lease a model; false: answered already. */
bool ag_exchange_model(ag_exchange *x, const char *name, ag_served **out);

#endif
