/* How an operation is published.
 *
 * `ticket` holds an epoch (high half) and the next chunk (low half). Chunks are taken by a
 * compare-and-swap on the whole word, so a slow worker cannot take one of an operation it has not
 * read: between operations the ticket is CLOSED under a new epoch before the operation's fields
 * change, and a worker's swap fails if anything changed since it read the ticket.
 *
 *   caller                                  worker
 *   ticket = (e+1, CLOSED)                  t = ticket; read fn, ctx, n, parts
 *   write fn, ctx, n, parts                 swap t → t+k, else start again
 *   ticket = (e+2, 0); wake sleepers        fn(ctx, chunk) for k chunks; n_done += k
 *   take chunks too; wait n_done == n
 *
 * k shrinks with what is left (guided self-scheduling, Polychronopoulos and Kuck 1987). Swap and
 * addition wait until all that the chunk wrote has left the core, while otherwise the next chunk
 * would run meanwhile; and who takes neighbouring chunks finds asked-for weights in its own cache.
 */
#include "par/pool.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "par/seat.h"

#define CLOSED UINT32_MAX
/* A thread takes this part of an even share of what is left: threads end together, and not much is
 * held up by one that loses its core. */
#define SHARE_PARTS 4
/* About 20 µs: longer than the gap between two operations of a step, shorter than a time slice. */
#define SPINS 2000
/* How long a chunk of another's is waited for before it is asked whether that thread runs at all:
 * far less than a time slice, some milliseconds. */
#define PATIENCE_NS 200000

typedef struct worker {
    ag_pool *pool;
    pthread_t thread;
    int index;
} worker;

struct ag_pool {
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic uint32_t n_done; /* chunks finished; also the caller's futex */
    _Alignas(64) _Atomic uint32_t wake;   /* the workers' futex; changes to wake them */
    _Atomic uint32_t sleepers;            /* workers in or near their futex */
    _Atomic uint32_t caller_sleeps;
    _Alignas(64) _Atomic(ag_chunk_fn) fn; /* fields of the operation */
    _Atomic(void *) ctx;
    _Atomic uint32_t n_chunks;
    _Atomic uint32_t parts; /* 1 / parts of what is left is taken at once */
    _Atomic bool stop;
    _Atomic bool watched; /* somebody watches those in a chunk: see wait_watching() */
    size_t bytes;         /* of this object */
    int n_workers;        /* started */
    int n_seats;          /* of the caller and the workers, started or not */
    ag_seat *seats;       /* of the caller, then of workers; behind them */
    worker workers[];
};

/* False when `timeout` (NULL: none) has passed. */
static bool futex_wait(_Atomic uint32_t *word, uint32_t seen, const struct timespec *timeout) {
    return syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_PRIVATE, seen, timeout, NULL, 0) == 0 ||
           errno != ETIMEDOUT;
}

static void futex_wake(_Atomic uint32_t *word, int n) {
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static void pause_cpu(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Take and run some chunks; false when there are none left. */
static bool run_some(ag_pool *p, int index) {
    uint64_t t = atomic_load_explicit(&p->ticket, memory_order_acquire);
    for (;;) {
        uint32_t chunk = (uint32_t)t;
        uint32_t n = atomic_load_explicit(&p->n_chunks, memory_order_acquire);
        ag_chunk_fn fn = atomic_load_explicit(&p->fn, memory_order_acquire);
        void *ctx = atomic_load_explicit(&p->ctx, memory_order_acquire);
        if (chunk == CLOSED || chunk >= n)
            return false;
        uint32_t k = (n - chunk) / atomic_load_explicit(&p->parts, memory_order_acquire);
        k = k ? k : 1;
        if (atomic_compare_exchange_weak(&p->ticket, &t, t + k)) {
            ag_seat *seat = &p->seats[index];
            atomic_store_explicit(&seat->cpu, sched_getcpu(), memory_order_relaxed);
            atomic_store_explicit(&seat->working, true, memory_order_relaxed);
            for (uint32_t i = 0; i < k; i++)
                fn(ctx, (int)(chunk + i), index);
            atomic_store_explicit(&seat->working, false, memory_order_relaxed);
            uint32_t done = atomic_fetch_add(&p->n_done, k) + k;
            if (done == n && atomic_load(&p->caller_sleeps))
                futex_wake(&p->n_done, 1);
            return true;
        }
    }
}

static bool has_work(ag_pool *p) {
    uint64_t t = atomic_load(&p->ticket);
    return (uint32_t)t != CLOSED && (uint32_t)t < atomic_load(&p->n_chunks);
}

/* Sleep until *word is not `seen`. One of those who sleep while others are in their chunks watches
 * them. */
static void wait_watching(ag_pool *p, _Atomic uint32_t *word, uint32_t seen) {
    static const struct timespec patience = {.tv_nsec = PATIENCE_NS};
    if (atomic_exchange(&p->watched, true)) {
        futex_wait(word, seen, NULL);
        return;
    }
    ag_seat_note(p->seats, p->n_seats);
    if (!futex_wait(word, seen, &patience))
        ag_seat_bring_lost(p->seats, p->n_seats, PATIENCE_NS);
    atomic_store(&p->watched, false);
}

static void wait_for_work(ag_pool *p, int index) {
    for (int i = 0; i < SPINS; i++) {
        if (has_work(p) || atomic_load_explicit(&p->stop, memory_order_relaxed))
            return;
        pause_cpu();
    }
    atomic_fetch_add(&p->sleepers, 1);
    uint32_t seen = atomic_load(&p->wake);
    if (!has_work(p) && !atomic_load(&p->stop)) {
        if (atomic_load(&p->n_done) < atomic_load(&p->n_chunks))
            wait_watching(p, &p->wake, seen);
        else
            futex_wait(&p->wake, seen, NULL);
        ag_seat_go_apart(p->seats, p->n_seats, index);
    }
    atomic_fetch_sub(&p->sleepers, 1);
}

static void *worker_main(void *arg) {
    worker *w = arg;
    ag_pool *p = w->pool;
    char name[16];
    snprintf(name, sizeof name, "ag-cpu-%d", w->index);
    pthread_setname_np(pthread_self(), name);
    ag_seat_take(&p->seats[w->index]);
    ag_alloc_guard_begin("a compute worker"); /* workers never allocate */
    while (!atomic_load_explicit(&p->stop, memory_order_acquire)) {
        if (!run_some(p, w->index))
            wait_for_work(p, w->index);
    }
    return NULL;
}

static void wake_workers(ag_pool *p) {
    if (atomic_load(&p->sleepers) == 0)
        return;
    atomic_fetch_add(&p->wake, 1);
    futex_wake(&p->wake, INT_MAX);
}

ag_code ag_pool_new(int n_threads, ag_pool **out, ag_err *err) {
    *out = NULL;
    if (n_threads < 1 || n_threads > AG_POOL_MAX_THREADS)
        return ag_fail(err, AG_E_ARG, "%d threads asked for; expected 1 to %d", n_threads,
                       AG_POOL_MAX_THREADS);
    size_t n = (size_t)n_threads;
    size_t seats_at = ag_round_up(sizeof(ag_pool) + (n - 1) * sizeof(worker), 64);
    size_t bytes = seats_at + n * sizeof(ag_seat);
    ag_pool *p = ag_alloc_pages(AG_ROOM_CORE, bytes); /* page-aligned, zeroed */
    if (!p)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the compute pool");
    p->bytes = bytes;
    p->n_seats = n_threads;
    p->seats = (ag_seat *)((char *)p + seats_at);
    atomic_store(&p->ticket, (uint64_t)CLOSED);
    for (int i = 0; i < n_threads - 1; i++) {
        worker *w = &p->workers[i];
        *w = (worker){.pool = p, .index = i + 1};
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            ag_pool_free(&p);
            return ag_fail(err, AG_E_NOMEM, "cannot start compute thread %d of %d", i + 2,
                           n_threads);
        }
        p->n_workers++;
    }
    *out = p;
    return AG_OK;
}

void ag_pool_free(ag_pool **pp) {
    ag_pool *p = *pp;
    if (!p)
        return;
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->wake, 1);
    futex_wake(&p->wake, INT_MAX);
    for (int i = 0; i < p->n_workers; i++)
        pthread_join(p->workers[i].thread, NULL);
    ag_free_pages(AG_ROOM_CORE, p, p->bytes);
    *pp = NULL;
}

int ag_pool_threads(const ag_pool *p) { return p->n_workers + 1; }

void ag_pool_pin(ag_pool *p, const ag_numa_plan *plan) {
    for (int i = 0; i < p->n_workers; i++)
        ag_numa_pin(plan, p->workers[i].thread, p->workers[i].index, p->n_workers + 1);
}

static void wait_for_done(ag_pool *p, uint32_t n) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&p->n_done, memory_order_acquire) == n)
            return;
        pause_cpu();
    }
    atomic_store(&p->caller_sleeps, 1);
    for (;;) {
        uint32_t seen = atomic_load(&p->n_done);
        if (seen == n)
            break;
        wait_watching(p, &p->n_done, seen);
    }
    atomic_store(&p->caller_sleeps, 0);
}

static void run(ag_pool *p, int n_chunks, uint32_t parts, ag_chunk_fn fn, void *ctx) {
    if (n_chunks <= 1 || p->n_workers == 0) {
        ag_pool_run_alone(n_chunks, fn, ctx);
        return;
    }
    ag_seat_take(&p->seats[0]);
    uint64_t epoch = (atomic_load(&p->ticket) >> 32) + 1;
    atomic_store(&p->ticket, epoch << 32 | CLOSED);
    atomic_store(&p->n_done, 0);
    atomic_store(&p->fn, fn);
    atomic_store(&p->ctx, ctx);
    atomic_store(&p->n_chunks, (uint32_t)n_chunks);
    atomic_store(&p->parts, parts);
    atomic_store(&p->ticket, (epoch + 1) << 32);
    wake_workers(p);
    while (run_some(p, 0))
        ;
    wait_for_done(p, (uint32_t)n_chunks);
}

void ag_pool_run(ag_pool *p, int n_chunks, ag_chunk_fn fn, void *ctx) {
    run(p, n_chunks, SHARE_PARTS * (uint32_t)p->n_seats, fn, ctx);
}

void ag_pool_run_uneven(ag_pool *p, int n_chunks, ag_chunk_fn fn, void *ctx) {
    run(p, n_chunks, UINT32_MAX, fn, ctx);
}
