#include "model/matmul.h"

/* A chunk should take about this many multiply-adds: some 5-20 µs, far above the cost of taking it
 * and small enough that the last one is not waited for long. */
#define CHUNK_WORK 400000.0
/* At most this many chunks a thread and matrix, so that panels stay together. */
#define CHUNKS_PER_THREAD 32

/* Fewer multiply-adds are done by the calling thread alone: they take 2 to 4 us, and waking another
 * thread takes as long. */
#define ALONE_WORK 150000.0

typedef struct operation {
    const ag_matmul_job *jobs;
    int n;
} operation;

/* The job that a chunk belongs to: the last one that begins at or before it. */
static const ag_matmul_job *job_of(const operation *op, int chunk) {
    int lo = 0, hi = op->n;
    while (hi - lo > 1) {
        int mid = (lo + hi) / 2;
        if (op->jobs[mid].first_chunk <= chunk)
            lo = mid;
        else
            hi = mid;
    }
    return &op->jobs[lo];
}

static void run_chunk(void *ctx, int chunk, int worker) {
    (void)worker;
    const ag_matmul_job *j = job_of(ctx, chunk);
    const ag_matrix *w = j->w;
    int panel0 = (chunk - j->first_chunk) * j->chunk_panels;
    int panel1 = panel0 + j->chunk_panels;
    const void *const act[] = {[AG_ACT_F32] = j->x, [AG_ACT_Q8] = j->x8, [AG_ACT_BF16] = j->x16};
    const size_t stride[] = {[AG_ACT_F32] = j->x_stride * sizeof(float),
                             [AG_ACT_Q8] = j->x8_stride,
                             [AG_ACT_BF16] = j->x16_stride};
    w->ops->run(&(ag_matmul_args){
        .w = w->panels,
        .rows = w->rows,
        .cols = w->cols,
        .panel0 = panel0,
        .panel1 = panel1 < w->n_panels ? panel1 : w->n_panels,
        .act = act[w->ops->act],
        .act_stride = stride[w->ops->act],
        .n_tok = j->n_rows,
        .out = j->out,
        .out_stride = j->out_stride,
        .bias = w->bias,
    });
}

static int panels_of_chunk(const ag_matmul_job *j, int threads) {
    const ag_matrix *w = j->w;
    double panel_work = (double)w->ops->panel * w->cols * j->n_rows;
    int panels = (int)(CHUNK_WORK / panel_work) + 1;
    int least = (w->n_panels + threads * CHUNKS_PER_THREAD - 1) / (threads * CHUNKS_PER_THREAD);
    if (panels < least)
        panels = least;
    int even = (w->n_panels + threads - 1) / threads; /* every thread gets a share */
    if (panels > even)
        panels = even;
    return panels > 1 ? panels + panels % 2 : 1; /* kernels take many rows through two at a time */
}

/* In the order of the rows, so that sums do not depend on threads. */
static void watch(const ag_matmul_job *j) {
    ag_watch *to = j->w->watch;
    for (int row = 0; row < j->n_rows; row++) {
        const float *x = j->x + (size_t)row * j->x_stride;
        for (int i = 0; i < j->w->cols; i++)
            to->squares[i] += (double)x[i] * (double)x[i];
    }
    to->n_rows += j->n_rows;
}

void ag_matmul_run(ag_pool *pool, ag_matmul_job *jobs, int n) {
    int threads = ag_pool_threads(pool), chunks = 0;
    double work = 0;
    for (int i = 0; i < n; i++) {
        work += (double)jobs[i].w->rows * jobs[i].w->cols * jobs[i].n_rows;
        if (jobs[i].w->watch)
            watch(&jobs[i]);
        jobs[i].chunk_panels = panels_of_chunk(&jobs[i], threads);
        jobs[i].first_chunk = chunks;
        chunks += (jobs[i].w->n_panels + jobs[i].chunk_panels - 1) / jobs[i].chunk_panels;
    }
    operation op = {jobs, n};
    if (work >= ALONE_WORK)
        ag_pool_run(pool, chunks, run_chunk, &op);
    else
        ag_pool_run_alone(chunks, run_chunk, &op);
}
