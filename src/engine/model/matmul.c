#include "model/matmul.h"

/* A chunk should take about this many multiply-adds: some 5-20 µs, far above the cost of taking it
 * and small enough that the last one is not waited for long. */
#define CHUNK_WORK 400000.0
/* At most this many chunks a thread and matrix, so that panels stay together. */
#define CHUNKS_PER_THREAD 8

static void run_chunk(void *ctx, int chunk, int worker) {
    (void)worker;
    const ag_matmul_group *g = ctx;
    int i = 0;
    while (chunk >= g->first_chunk[i + 1])
        i++;
    const ag_matmul_item *it = &g->item[i];
    const ag_matrix *w = it->w;
    int panel0 = (chunk - g->first_chunk[i]) * g->chunk_panels[i];
    int panel1 = panel0 + g->chunk_panels[i];
    bool is_f32 = w->ops->act == AG_ACT_F32;
    w->ops->run(&(ag_matmul_args){
        .w = w->panels,
        .rows = w->rows,
        .cols = w->cols,
        .panel0 = panel0,
        .panel1 = panel1 < w->n_panels ? panel1 : w->n_panels,
        .act = is_f32 ? (const void *)g->x : g->x8,
        .act_stride = is_f32 ? g->x_stride * sizeof(float) : g->x8_stride,
        .n_tok = g->n_rows,
        .out = it->out,
        .out_stride = it->out_stride,
        .bias = w->bias,
    });
}

void ag_matmul_run(ag_pool *pool, ag_matmul_group *g) {
    int threads = ag_pool_threads(pool);
    g->first_chunk[0] = 0;
    for (int i = 0; i < g->n; i++) {
        const ag_matrix *w = g->item[i].w;
        double panel_work = (double)w->ops->panel * w->cols * g->n_rows;
        int panels = (int)(CHUNK_WORK / panel_work) + 1;
        int least = (w->n_panels + threads * CHUNKS_PER_THREAD - 1) / (threads * CHUNKS_PER_THREAD);
        if (panels < least)
            panels = least;
        int even = (w->n_panels + threads - 1) / threads; /* every thread gets a share */
        if (panels > even)
            panels = even;
        g->chunk_panels[i] = panels;
        g->first_chunk[i + 1] = g->first_chunk[i] + (w->n_panels + panels - 1) / panels;
    }
    ag_pool_run(pool, g->first_chunk[g->n], run_chunk, g);
}
