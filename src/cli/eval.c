/* autoglm eval: how well a model predicts a text, by the method that figures of the field are made
 * with: windows of the context's length, each begun with BOS where the model wants it, and only the
 * second half scored, so that every scored token has at least half a window before it.
 * Logits are held a few rows at a time. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/input.h"
#include "cli/out.h"
#include "cli/score.h"
#include "cli/windows.h"

#define TELL_EVERY 5000000u /* microseconds */

typedef struct eval {
    const ag_cli_args *a;
    ag_cli_side model, other;     /* the other only with --against */
    float *logits, *other_logits; /* owned [AG_CLI_EVAL_ROWS, n_vocab] */
    ag_cli_windows windows;
    ag_cli_scores scores;
    uint64_t began_at, told_at;
} eval;

static int vocab_of(const ag_cli_side *s) { return s->engine->core.model.config.n_vocab; }

/* The other model as it is in its file: options that change weights are for the first one. */
static int open_other(eval *e) {
    if (!e->a->against)
        return AG_CLI_DONE;
    ag_cli_args *other = ag_alloc(AG_ROOM_CLI, sizeof *other);
    ag_err err = {0};
    if (!other) {
        ag_fail(&err, AG_E_NOMEM, "out of memory");
        return ag_cli_fail(&err);
    }
    *other = *e->a;
    other->model = e->a->against;
    other->dtype = other->quantize = NULL;
    int status = ag_cli_side_open(other, e->windows.size, AG_CLI_EVAL_ROWS, &e->other);
    ag_free(other);
    if (status || vocab_of(&e->model) == vocab_of(&e->other))
        return status;
    ag_fail(&err, AG_E_ARG,
            "the vocabularies differ: %d tokens and %d; only models with the same tokens can be "
            "compared",
            vocab_of(&e->model), vocab_of(&e->other));
    return ag_cli_fail(&err);
}

static ag_code make_rooms(eval *e, ag_err *err) {
    size_t row = (size_t)vocab_of(&e->model) * sizeof(float);
    e->logits = ag_calloc(AG_ROOM_CLI, AG_CLI_EVAL_ROWS, row);
    e->other_logits = ag_calloc(AG_ROOM_CLI, e->other.engine ? AG_CLI_EVAL_ROWS : 0, row);
    if (!e->logits || !e->other_logits)
        return ag_fail(err, AG_E_NOMEM, "out of memory for logits");
    size_t each = e->windows.size - 1 - e->windows.size / 2;
    return ag_cli_scores_init(&e->scores, e->windows.n * each, e->other.engine != NULL, err);
}

static ag_code first_half(ag_cli_side *s, const ag_cli_windows *w, ag_err *err) {
    ag_code code = ag_cli_side_begin(s, w->size, err);
    if (!code)
        ag_cli_side_step(s, w->window, w->size / 2, NULL);
    return code;
}

static ag_code run_window(eval *e, size_t i, ag_err *err) {
    ag_cli_windows *w = &e->windows;
    ag_code code = AG_OK;
    ag_cli_windows_take(w, e->model.engine, i);
    if ((code = first_half(&e->model, w, err)) ||
        (e->other.engine && (code = first_half(&e->other, w, err))))
        return code;
    for (uint32_t n, at = w->size / 2; at + 1 < w->size; at += n) {
        n = w->size - 1 - at < AG_CLI_EVAL_ROWS ? w->size - 1 - at : AG_CLI_EVAL_ROWS;
        ag_cli_side_step(&e->model, w->window + at, n, e->logits);
        if (e->other.engine)
            ag_cli_side_step(&e->other, w->window + at, n, e->other_logits);
        ag_cli_scores_add(&e->scores, e->model.engine->core.pool, e->logits, e->other_logits,
                          vocab_of(&e->model), w->window + at + 1, n);
    }
    return AG_OK;
}

static void tell(eval *e, size_t done) {
    uint64_t now = ag_clock_us();
    ag_cli_mean m = ag_cli_scores_nll(&e->scores);
    if (e->a->quiet || now - e->told_at < TELL_EVERY || done == e->windows.n)
        return;
    e->told_at = now;
    ag_cli_note("window %zu of %zu, perplexity so far %.4f, %.0f s left", done, e->windows.n,
                exp(m.mean),
                (double)(now - e->began_at) / 1e6 / (double)done * (double)(e->windows.n - done));
}

/* ---- reporting ------------------------------------------------------------------------------- */

static void report_json(eval *e, double seconds) {
    ag_cli_mean nll = ag_cli_scores_nll(&e->scores);
    json_t *o = json_pack("{s:f, s:f, s:f, s:I, s:I, s:I, s:o}", "perplexity", exp(nll.mean),
                          "perplexity_error", exp(nll.mean) * nll.error, "nll", nll.mean, "context",
                          (json_int_t)e->windows.size, "windows", (json_int_t)e->windows.n,
                          "tokens", (json_int_t)e->scores.n, "seconds", ag_cli_json_num(seconds));
    if (o && e->other.engine) {
        ag_cli_divergence d = ag_cli_scores_divergence(&e->scores);
        json_object_set_new(o, "against",
                            json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "perplexity",
                                      exp(d.nll.mean), "kl_mean", d.kl.mean, "kl_error", d.kl.error,
                                      "kl_median", d.median, "kl_p99", d.p99, "kl_max", d.max,
                                      "same_top", d.same_top.mean, "same_top_error",
                                      d.same_top.error));
    }
    ag_cli_out_json(o);
}

static void report(eval *e) {
    double seconds = (double)(ag_clock_us() - e->began_at) / 1e6;
    ag_cli_mean nll = ag_cli_scores_nll(&e->scores);
    if (e->a->json) {
        report_json(e, seconds);
        return;
    }
    ag_cli_out("perplexity       %.4f +/- %.4f\n", exp(nll.mean), exp(nll.mean) * nll.error);
    if (e->other.engine) {
        ag_cli_divergence d = ag_cli_scores_divergence(&e->scores);
        ag_cli_out("of the other     %.4f +/- %.4f\n", exp(d.nll.mean),
                   exp(d.nll.mean) * d.nll.error);
        ag_cli_out("KL divergence    mean %.6f +/- %.6f, median %.6f, 99%% below %.6f, most %.6f\n",
                   d.kl.mean, d.kl.error, d.median, d.p99, d.max);
        ag_cli_out("same top token   %.3f +/- %.3f %%\n", 100 * d.same_top.mean,
                   100 * d.same_top.error);
    }
    ag_cli_out("scored           %zu tokens in %zu windows of %u, %.1f s\n", e->scores.n,
               e->windows.n, e->windows.size, seconds);
}

/* ---- the command ----------------------------------------------------------------------------- */

int ag_cli_eval(const ag_cli_args *a) {
    eval e = {.a = a, .windows.size = a->ctx ? a->ctx : AG_CLI_USUAL_WINDOW};
    ag_err err = {0};
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_CLI, AG_MAX_TEXT_BYTES);
    int status = e.windows.size < 4 ? ag_cli_usage("eval: --ctx is at least 4") : AG_CLI_DONE;
    if (!status)
        status = ag_cli_text(a, "text", &text);
    if (!status)
        status = ag_cli_side_open(a, e.windows.size, AG_CLI_EVAL_ROWS, &e.model);
    if (!status)
        status = open_other(&e);
    if (status)
        goto out;
    ag_code code =
        ag_cli_windows_cut(&e.windows, e.model.engine, ag_buf_span(&text), a->windows, &err);
    if (!code)
        code = make_rooms(&e, &err);
    e.began_at = e.told_at = ag_clock_us();
    for (size_t i = 0; i < e.windows.n && !code; i++) {
        code = run_window(&e, i, &err);
        if (!code)
            tell(&e, i + 1);
    }
    if (code)
        status = ag_cli_fail(&err);
    else
        report(&e);
out:
    ag_cli_scores_deinit(&e.scores);
    ag_cli_windows_deinit(&e.windows);
    ag_free(e.logits);
    ag_free(e.other_logits);
    ag_cli_side_close(&e.other);
    ag_cli_side_close(&e.model);
    ag_buf_deinit(&text);
    return status;
}
