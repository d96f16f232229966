/* Which models this process serves, and which of them are loaded.
 *
 *             first use, or at start             self-test done        idle, or in another's way
 *   ABSENT ───────────────────────▶ LOADING ─▶ WARMING ─▶ READY ─▶ DRAINING ─▶ UNLOADED
 *                                    ▲  └──────────┴─▶ FAILED                      │
 *                                    └──── used again ◀──┴─────────────────────────┘
 *
 * One thread of its own, the loader, opens and closes engines. Everybody else takes leases: a model
 * is closed only when nobody holds one. Every function may be called from any thread and none waits
 * for a model, unless it says so.
 *
 * All models share one budget of memory. One that does not fit makes others leave that may be
 * unloaded and that nobody uses, the longest unused first; memory.h has the rules. */
#ifndef AG_RUNTIME_RUNTIME_H
#define AG_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autoglm/engine.h"
#include "base/log.h"
#include "text/answer/answer.h"

typedef struct ag_runtime ag_runtime;
typedef struct ag_served ag_served; /* a lease on a model that is READY */

typedef enum ag_served_state {
    AG_SERVED_ABSENT,
    AG_SERVED_LOADING,
    AG_SERVED_WARMING,
    AG_SERVED_READY,
    AG_SERVED_DRAINING,
    AG_SERVED_UNLOADED,
    AG_SERVED_FAILED,
} ag_served_state;

/* Why a model was unloaded. */
typedef enum ag_unload {
    AG_UNLOAD_IDLE,   /* nobody used it for idle_ms */
    AG_UNLOAD_MEMORY, /* another needed its memory */
    AG_UNLOAD_COUNT,
} ag_unload;

/* A model as the configuration declares it. */
typedef struct ag_served_decl {
    const char *name;
    const char *const *aliases; /* [n_aliases] other names for it */
    size_t n_aliases;
    ag_engine_opts opts; /* its progress callback and executor are the runtime's */
    bool lazy;           /* load on first use instead of at start; may be unloaded for others */
    uint32_t idle_ms;    /* unload it after so long without a lease, as others need; 0: never */
} ag_served_decl;

typedef struct ag_served_status {
    const ag_served_decl *decl;
    ag_served_state state;
    uint64_t done_bytes, total_bytes; /* while LOADING; total 0: not known yet */
    uint64_t elapsed_us;              /* since loading began, until READY or FAILED */
    uint64_t ready_s;                 /* Unix time when it became READY; 0: never */
    size_t n_leases;
    uint64_t n_unloads[AG_UNLOAD_COUNT];
    ag_engine_info info;  /* zero unless READY; strings live as long as a lease or a look */
    ag_sampling sampling; /* of such a model: what a request gets that asks for nothing */
    ag_err err; /* why, when FAILED; AG_E_AGAIN otherwise: why it could not be loaded lately */
} ag_served_status;

typedef struct ag_runtime_opts {
    const ag_served_decl *models; /* [n_models] borrowed until close, with all they point to */
    size_t n_models;
    uint32_t n_threads;    /* that compute, for all models together; 0: one per physical core */
    uint64_t budget_bytes; /* for all models together; 0: each has what its options say */
    ag_logger log;
    /* A model became READY or FAILED; from the loader thread. May be NULL. */
    void (*on_state)(void *ctx, const ag_served_status *status);
    void *ctx;
} ag_runtime_opts;

/* Check the names and start what computes for all of them, and the loader, which begins with what
 * is not lazy. AG_E_ARG (no model, a name twice), AG_E_NOMEM, AG_E_IO (no thread). */
ag_code ag_runtime_open(const ag_runtime_opts *opts, ag_runtime **out, ag_err *err) AG_MUST_USE;
/* From now on nothing is leased and nothing is loaded. */
void ag_runtime_drain(ag_runtime *rt);
/* Close all engines (what still runs gets its on_done), end the loader, free. Waits. Leases taken
 * before may be given back until it returns, but not used. Accepts NULL. */
void ag_runtime_close(ag_runtime **rt);

/* Lease a model by name or alias; NULL or "": the first declared. Asking for one that is not loaded
 * makes the loader load it, also one that FAILED ten seconds ago. AG_E_NOT_FOUND (the message lists
 * the names), AG_E_AGAIN (it is being loaded: how far; others use its memory), AG_E_CLOSED
 * (draining), or why it FAILED. */
ag_code ag_runtime_acquire(ag_runtime *rt, const char *name, ag_served **out,
                           ag_err *err) AG_MUST_USE;
/* Give a lease back, from any thread, callbacks of the engine included. Accepts NULL. */
void ag_runtime_release(ag_served **s);
ag_engine *ag_served_engine(const ag_served *s);
const char *ag_served_name(const ag_served *s); /* as declared; lives as long as the runtime */
const ag_engine_info *ag_served_info(const ag_served *s);
/* How the model writes reasoning and tool calls, found in its chat template. */
const ag_answer_format *ag_served_format(const ag_served *s);

/* Ask for a model to be loaded (again); where it stands is seen in its status. AG_E_NOT_FOUND,
 * AG_E_CLOSED. */
ag_code ag_runtime_load(ag_runtime *rt, const char *name, ag_err *err) AG_MUST_USE;

size_t ag_runtime_n(const ag_runtime *rt);
/* Where the i-th declared model stands. */
void ag_runtime_status(ag_runtime *rt, size_t i, ag_served_status *out);
/* The index of a model by name or alias, or SIZE_MAX. */
size_t ag_runtime_find(const ag_runtime *rt, const char *name);
/* The same, and a model that is READY stays so until ag_runtime_unlook(). NULL: it is not. Looking
 * is no use: the model goes on being idle. */
ag_served *ag_runtime_look(ag_runtime *rt, size_t i, ag_served_status *out);
void ag_runtime_unlook(ag_served **s); /* accepts a pointer to NULL */
/* What the engine of the i-th model counts; false: it is not READY. */
bool ag_runtime_stats(ag_runtime *rt, size_t i, ag_engine_stats *out);
/* Is it READY, or will it be when it is asked for? */
bool ag_served_has_started(const ag_served_status *s);
/* How much of it is loaded, 0 to 1; how long the rest will take, in seconds, negative: not known.
 */
double ag_served_share(const ag_served_status *s);
double ag_served_eta_s(const ag_served_status *s);
/* Have all started, and is nothing draining? */
bool ag_runtime_is_ready(ag_runtime *rt);
/* "loading" */
const char *ag_served_state_name(ag_served_state state);
/* "idle" */
const char *ag_unload_name(ag_unload why);

#endif
