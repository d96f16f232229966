/* What the files of the room share. Private to it. */
#ifndef AG_RUNTIME_PARTS_H
#define AG_RUNTIME_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/memory.h"
#include "runtime/runtime.h"

struct ag_served {
    ag_runtime *rt;
    const ag_served_decl *decl;
    _Atomic uint64_t done_bytes, total_bytes;
    /* Guarded by the runtime's lock. */
    ag_served_state state;
    bool wanted; /* to be loaded */
    size_t n_leases;
    uint64_t used_at;            /* a lease was taken or given back, or it became READY; µs */
    bool was_used;               /* since it is READY */
    uint64_t began_at, ended_at; /* of loading, µs */
    uint64_t ready_s;
    uint64_t n_unloads[AG_UNLOAD_COUNT];
    ag_err err;          /* why it FAILED, or cannot be loaded now */
    ag_engine *engine;   /* set before READY; closed by the loader only, without leases */
    ag_engine_info info; /* of engine, as the next two */
    ag_sampling sampling;
    ag_answer_format format;
    ag_engine_needs needs; /* zero: not known */
    bool measured;         /* the needs are those of now; the loader's */
};

struct ag_runtime {
    ag_runtime_opts opts;
    ag_served *served; /* owned [opts.n_models] */
    ag_executor *executor;
    pthread_t loader;
    _Atomic bool closing;
    pthread_mutex_t lock; /* guards draining and what ag_served says */
    pthread_cond_t work;  /* there is something for the loader; its clock is monotonic */
    bool draining;
};

/* loader.c: the thread, with an ag_runtime. */
void *ag_runtime_load_models(void *rt);
/* The lock is held. */
void ag_served_get_status(const ag_served *s, ag_served_status *out);

#endif
