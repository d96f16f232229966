/* The compute pool: one operation at a time, split into chunks that idle threads take in order,
 * fewer at a time towards the end.
 *
 * The calling thread works too, so a pool of n threads has n - 1 workers. A worker that lost its
 * core holds up nobody: chunks it has not taken are done by the others, and only those it has
 * taken are waited for, while its thread is brought to the core of who waits. Waiting spins briefly
 * and then sleeps, because on a small machine other threads need the same cores.
 *
 * Results must not depend on which thread runs which chunk, nor on how many there are. */
#ifndef AG_PAR_POOL_H
#define AG_PAR_POOL_H

#include "base/numa.h"

typedef struct ag_pool ag_pool;

/* Do chunk `chunk` of the operation. `worker` is 0 .. threads-1 and names the scratch it may use.
 */
typedef void (*ag_chunk_fn)(void *ctx, int chunk, int worker);

#define AG_POOL_MAX_THREADS 256

/* Start n_threads - 1 workers (1 <= n_threads <= AG_POOL_MAX_THREADS). AG_E_NOMEM. */
ag_code ag_pool_new(int n_threads, ag_pool **out, ag_err *err) AG_MUST_USE;
/* Stop and join the workers. Accepts NULL. */
void ag_pool_free(ag_pool **p);
int ag_pool_threads(const ag_pool *p);
/* Bind the workers to the plan's nodes; the thread that will call ag_pool_run() is thread 0 of the
 * plan and binds itself. */
void ag_pool_pin(ag_pool *p, const ag_numa_plan *plan);

/* Run chunks 0 .. n_chunks-1 and return when all are done. Chunks are handed out in order. Only one
 * thread at a time may call this on a pool. */
void ag_pool_run(ag_pool *p, int n_chunks, ag_chunk_fn fn, void *ctx);
/* The same for chunks of which some may take much longer: they are taken one by one. */
void ag_pool_run_uneven(ag_pool *p, int n_chunks, ag_chunk_fn fn, void *ctx);
/* The same by the calling thread alone: what is less work than waking another. */
static inline void ag_pool_run_alone(int n_chunks, ag_chunk_fn fn, void *ctx) {
    for (int i = 0; i < n_chunks; i++)
        fn(ctx, i, 0);
}

#endif
