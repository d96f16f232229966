/* Watching what goes through the matrices: the sums are right, and do not depend on threads; no
 * more rows than it takes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/engine.h"
#include "engine/support.h"

#define N_IDS 40

static const ag_model *model_of(ag_engine *e) { return &e->core.model; }

/* Watch a matrix while all tokens of `ids` go through; freed with free(). */
static double *watched(const char *model, const char *type, uint32_t threads,
                       ag_matrix *(*pick)(const ag_model *m), const int32_t *ids, double *n_rows) {
    ag_engine_opts o = test_opts(model_path(model, type));
    o.n_threads = threads;
    o.batch_tokens = threads == 1 ? 512 : 7;
    ag_engine *engine = must_open(&o);
    ag_matrix *w = pick(model_of(engine));
    double *squares = calloc((size_t)w->cols, sizeof *squares);
    ag_watch watch = {.squares = squares};
    w->watch = &watch;
    free(must_logits(engine, ids, N_IDS));
    *n_rows = watch.n_rows;
    w->watch = NULL;
    ag_engine_close(&engine);
    return squares;
}

static ag_matrix *first_q(const ag_model *m) { return &m->layers[0].q; }
static ag_matrix *last_down(const ag_model *m) { return &m->layers[m->config.n_layers - 1].down; }
static ag_matrix *some_expert(const ag_model *m) {
    for (int i = 0; i < m->config.n_layers; i++)
        if (m->layers[i].moe)
            return &m->layers[i].moe->up[1];
    fail_msg("no layer has experts");
    return NULL;
}

static void make_ids(int32_t ids[N_IDS]) {
    for (int i = 0; i < N_IDS; i++)
        ids[i] = (i * 37 + 5) % 300;
}

static void the_first_matrix_meets_normalised_embeddings(void **state) {
    (void)state;
    int32_t ids[N_IDS];
    double rows = 0;
    make_ids(ids);
    double *got = watched("tiny-llama3", "f32", 2, first_q, ids, &rows);
    ag_engine_opts o = test_opts(model_path("tiny-llama3", "f32"));
    ag_engine *engine = must_open(&o);
    const ag_model *m = model_of(engine);
    size_t e = (size_t)m->config.n_embd;
    float *x = malloc(e * sizeof *x);
    double *want = calloc(e, sizeof *want);
    for (int i = 0; i < N_IDS; i++) {
        ag_table_read(m->embd, ids[i], x);
        m->kernels->rms_norm(x, m->layers[0].attn_norm, (int)e, m->config.rms_eps, x);
        for (size_t k = 0; k < e; k++)
            want[k] += (double)x[k] * (double)x[k];
    }
    assert_true(rows == N_IDS);
    for (size_t k = 0; k < e; k++)
        assert_true(fabs(got[k] - want[k]) <= 1e-9 * want[k]);
    free(got);
    free(want);
    free(x);
    ag_engine_close(&engine);
}

static void sums_depend_neither_on_threads_nor_on_chunks(void **state) {
    (void)state;
    int32_t ids[N_IDS];
    make_ids(ids);
    ag_matrix *(*const picks[])(const ag_model *) = {first_q, last_down, some_expert};
    for (int i = 0; i < 3; i++) {
        const char *model = i < 2 ? "tiny-glm4" : "tiny-qwen3-moe", *type = i < 2 ? "q4_k" : "f32";
        double a_rows, b_rows;
        double *a = watched(model, type, 1, picks[i], ids, &a_rows);
        double *b = watched(model, type, 3, picks[i], ids, &b_rows);
        assert_true(a_rows == b_rows && a_rows > 0 && a_rows <= N_IDS);
        assert_memory_equal(a, b, 64 * sizeof *a);
        free(a);
        free(b);
    }
}

/* Keys and values of a prompt are all needed, of the rest of the last layer one row a token. */
static void the_last_layer_computes_what_is_asked_for(void **state) {
    (void)state;
    enum { N_NEW = 3 };
    static answer a;
    int32_t ids[N_IDS];
    make_ids(ids);
    ag_engine_opts o = test_opts(model_path("tiny-llama3", "q4_k"));
    o.batch_tokens = 16;
    ag_engine *engine = must_open(&o);
    const ag_model *m = model_of(engine);
    ag_layer *last = &m->layers[m->config.n_layers - 1];
    ag_matrix *watched[] = {&last->k, &last->o, &last->down};
    ag_watch watch[3] = {0};
    for (int i = 0; i < 3; i++) {
        watch[i].squares = calloc((size_t)watched[i]->cols, sizeof(double));
        watched[i]->watch = &watch[i];
    }
    ag_request_opts ask = ask_ids(ids, N_IDS, N_NEW, &a);
    must_answer(engine, &ask);
    assert_true(watch[0].n_rows == N_IDS + N_NEW - 1);
    assert_true(watch[1].n_rows == N_NEW && watch[2].n_rows == N_NEW);
    for (int i = 0; i < 3; i++) {
        watched[i]->watch = NULL;
        free(watch[i].squares);
    }
    ag_engine_close(&engine);
}

static void every_matrix_knows_its_tensor(void **state) {
    (void)state;
    ag_engine_opts o = test_opts(model_path("tiny-glm4", "q4_k"));
    ag_engine *engine = must_open(&o);
    const ag_model *m = model_of(engine);
    bool has_up = false;
    assert_true(m->n_bound > 0);
    for (size_t i = 0; i < m->n_bound; i++) {
        const ag_tensor *t;
        uint64_t row0;
        const ag_matrix *w = ag_model_matrix(m, i, &t, &row0);
        assert_int_equal(w->cols, t->dim[0]);
        assert_true(row0 + (uint64_t)w->rows <= ag_tensor_rows(t));
        has_up |= w == &m->layers[1].up && row0 == (uint64_t)w->rows; /* behind the gate */
    }
    assert_true(has_up);
    ag_engine_close(&engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_matrix_meets_normalised_embeddings),
        cmocka_unit_test(sums_depend_neither_on_threads_nor_on_chunks),
        cmocka_unit_test(every_matrix_knows_its_tensor),
        cmocka_unit_test(the_last_layer_computes_what_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
