/* autoglm imatrix: on a text, how large the numbers are that each column of each matrix meets. */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/input.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "cli/windows.h"
#include "load/imatrix.h"

/* Logits are wanted for their matrix's sake only; so many rows of them are held at a time. */
#define ROWS 64

typedef struct measure {
    const ag_cli_args *a;
    ag_cli_side model;
    ag_cli_windows windows;
    ag_imatrix *im;
    ag_watch *watches; /* owned: one for each matrix of the model */
    float *logits;     /* owned [ROWS, n_vocab] */
} measure;

/* Is this matrix the first of its slice of a tensor? Others of one slice (q, k
 * and v in one tensor) meet the same numbers. A matrix that was turned on its side has other
 * columns. */
static bool counts(const ag_matrix *w, const ag_tensor *t, uint64_t row0) {
    return row0 % t->dim[1] == 0 && (uint64_t)w->cols == t->dim[0];
}

static ag_code add_entry(ag_imatrix *im, const ag_tensor *t, ag_err *err) {
    ag_imatrix_entry *e;
    if (ag_imatrix_find(im, t->name))
        return AG_OK;
    return ag_imatrix_add(im, t->name, (size_t)t->dim[0], (size_t)(t->dim[2] * t->dim[3]), &e, err);
}

/* Entries first, because adding one may move the others. */
static ag_code watch_all(measure *m, ag_err *err) {
    const ag_model *model = &m->model.engine->core.model;
    const ag_tensor *t;
    uint64_t row0;
    ag_code code = ag_imatrix_new(&m->im, err);
    m->watches = ag_calloc(AG_ROOM_CLI, model->n_bound, sizeof *m->watches);
    m->logits = ag_calloc(AG_ROOM_CLI, ROWS * (size_t)model->config.n_vocab, sizeof *m->logits);
    if (!code && (!m->watches || !m->logits))
        code = ag_fail(err, AG_E_NOMEM, "out of memory for %zu matrices", model->n_bound);
    for (size_t i = 0; i < model->n_bound && !code; i++) {
        const ag_matrix *w = ag_model_matrix(model, i, &t, &row0);
        if (counts(w, t, row0))
            code = add_entry(m->im, t, err);
    }
    for (size_t i = 0; i < model->n_bound && !code; i++) {
        ag_matrix *w = ag_model_matrix(model, i, &t, &row0);
        if (!counts(w, t, row0))
            continue;
        const ag_imatrix_entry *e = ag_imatrix_find(m->im, t->name);
        m->watches[i].squares = e->squares + (size_t)(row0 / t->dim[1]) * e->cols;
        w->watch = &m->watches[i];
    }
    return code;
}

/* How many rows each slice met. */
static void take_counts(measure *m) {
    const ag_model *model = &m->model.engine->core.model;
    const ag_tensor *t;
    uint64_t row0;
    for (size_t i = 0; i < model->n_bound; i++) {
        ag_matrix *w = ag_model_matrix(model, i, &t, &row0);
        w->watch = NULL;
        if (counts(w, t, row0))
            ag_imatrix_find(m->im, t->name)->counts[row0 / t->dim[1]] = m->watches[i].n_rows;
    }
}

static ag_code run_windows(measure *m, ag_err *err) {
    ag_cli_windows *w = &m->windows;
    uint64_t told_at = ag_clock_us(), began_at = told_at;
    ag_code code = AG_OK;
    for (size_t i = 0; i < w->n && !code; i++) {
        ag_cli_windows_take(w, m->model.engine, i);
        code = ag_cli_side_begin(&m->model, w->size, err);
        if (code)
            break;
        for (uint32_t at = 0, n; at < w->size; at += n) {
            n = w->size - at < ROWS ? w->size - at : ROWS;
            ag_cli_side_step(&m->model, w->window + at, n, m->logits);
        }
        uint64_t now = ag_clock_us();
        if (!m->a->quiet && now - told_at > 5000000u && i + 1 < w->n) {
            told_at = now;
            ag_cli_note("window %zu of %zu, %.0f s left", i + 1, w->n,
                        (double)(now - began_at) / 1e6 / (double)(i + 1) * (double)(w->n - i - 1));
        }
    }
    m->im->n_windows = (uint32_t)w->n;
    m->im->window = w->size;
    return code;
}

/* The text's name without its folders. */
static ag_span text_name(const ag_cli_args *a) {
    const char *path = a->n_pos ? "argument" : a->file ? a->file : "standard input";
    const char *slash = strrchr(path, '/');
    return ag_str(slash ? slash + 1 : path);
}

static void report(const measure *m) {
    size_t silent = 0;
    for (size_t i = 0; i < m->im->n; i++)
        for (size_t k = 0; k < m->im->entries[i].slices; k++)
            silent += m->im->entries[i].counts[k] <= 0;
    if (m->a->json)
        ag_cli_out_json(json_pack(
            "{s:o, s:I, s:I, s:I, s:I}", "out", ag_cli_json_text(ag_str(m->a->out)), "matrices",
            (json_int_t)m->im->n, "windows", (json_int_t)m->windows.n, "context",
            (json_int_t)m->windows.size, "silent_experts", (json_int_t)silent));
    else {
        ag_cli_out_name(ag_str(m->a->out));
        ag_cli_out(": %zu matrices, measured on %zu windows of %u tokens\n", m->im->n, m->windows.n,
                   m->windows.size);
    }
    if (silent)
        ag_cli_note("%zu experts were never chosen, so nothing is known of them; more text helps",
                    silent);
}

int ag_cli_imatrix(const ag_cli_args *a) {
    measure m = {.a = a, .windows.size = a->ctx ? a->ctx : AG_CLI_USUAL_WINDOW};
    ag_err err = {0};
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_CLI, AG_MAX_TEXT_BYTES);
    int status = a->out ? ag_cli_text(a, "text", &text)
                        : ag_cli_usage("imatrix: where to? --out FILE is missing");
    if (!status)
        status = ag_cli_side_open(a, m.windows.size, ROWS, &m.model);
    if (status)
        goto out;
    ag_code code =
        ag_cli_windows_cut(&m.windows, m.model.engine, ag_buf_span(&text), a->windows, &err);
    if (!code)
        code = watch_all(&m, &err);
    if (!code)
        code = run_windows(&m, &err);
    if (!code) {
        take_counts(&m);
        code = ag_imatrix_write(m.im, a->out, text_name(a), &err);
    }
    if (code)
        status = ag_cli_fail(&err);
    else
        report(&m);
out:
    ag_cli_side_close(&m.model);
    ag_cli_windows_deinit(&m.windows);
    ag_imatrix_free(&m.im);
    ag_free(m.watches);
    ag_free(m.logits);
    ag_buf_deinit(&text);
    return status;
}
