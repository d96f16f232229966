/* autoglm eval: how well a model predicts a text, by the method that figures of the field are made
 * with: windows of the context's length, each begun with BOS where the model wants it, and only the
 * second half scored, so that every scored token has at least half a window before it.
 *
 * The core is used directly, a few rows of logits at a time: the scheduler has nothing to do. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/engine.h"
#include "base/clock.h"
#include "base/limits.h"
#include "cli/engine.h"
#include "cli/input.h"
#include "cli/out.h"
#include "cli/score.h"

#define USUAL_CONTEXT 512
#define TELL_EVERY    5000000u /* microseconds */

/* A model being evaluated. */
typedef struct side {
    ag_engine *engine;
    ag_kv_seq kv;
    float *logits; /* owned [AG_CLI_EVAL_ROWS, n_vocab] */
} side;

typedef struct eval {
    const ag_cli_args *a;
    side model, other; /* other.engine is NULL without --against */
    ag_ids ids;        /* of the whole text */
    int32_t *window;   /* owned [ctx] */
    uint32_t ctx;
    size_t n_windows;
    ag_cli_scores scores;
    uint64_t began_at, told_at;
} eval;

/* ---- opening --------------------------------------------------------------------------------- */

static int open_side(const eval *e, const ag_cli_args *a, side *s) {
    ag_cli_need need = {.ctx = e->ctx, .sequences = AG_CLI_EVAL_ROWS, .kv_tokens = e->ctx};
    ag_err err = {0};
    int status = ag_cli_engine_open(a, &need, &s->engine, NULL);
    if (status)
        return status;
    ag_core *core = &s->engine->core;
    ag_code code = ag_kv_seq_init(&s->kv, &core->kv, (int)e->ctx, &err);
    if (!code) {
        s->logits = ag_calloc(AG_ROOM_CLI, AG_CLI_EVAL_ROWS,
                              (size_t)core->model.config.n_vocab * sizeof(float));
        if (!s->logits)
            code = ag_fail(&err, AG_E_NOMEM, "out of memory for logits");
    }
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}

static void close_side(side *s) {
    if (s->engine)
        ag_kv_seq_deinit(&s->kv);
    ag_free(s->logits);
    ag_engine_close(&s->engine);
}

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
    int status = open_side(e, other, &e->other);
    ag_free(other);
    if (status)
        return status;
    int a = e->model.engine->core.model.config.n_vocab,
        b = e->other.engine->core.model.config.n_vocab;
    if (a == b)
        return AG_CLI_DONE;
    ag_fail(&err, AG_E_ARG,
            "the vocabularies differ: %d tokens and %d; only models with the same "
            "tokens can be compared",
            a, b);
    return ag_cli_fail(&err);
}

static ag_code cut_windows(eval *e, ag_span text, ag_err *err) {
    ag_code code =
        ag_tokenizer_encode(e->model.engine->tokenizer, text, AG_ENCODE_BOS, &e->ids, err);
    if (code)
        return code;
    e->n_windows = e->ids.n / e->ctx;
    if (e->n_windows == 0)
        return ag_fail(err, AG_E_ARG,
                       "the text has %zu tokens, but one window needs %u: give more "
                       "text or a smaller --ctx",
                       e->ids.n, e->ctx);
    if (e->a->windows && e->n_windows > e->a->windows)
        e->n_windows = e->a->windows;
    e->window = ag_calloc(AG_ROOM_CLI, e->ctx, sizeof *e->window);
    if (!e->window)
        return ag_fail(err, AG_E_NOMEM, "out of memory");
    size_t each = e->ctx - 1 - e->ctx / 2;
    return ag_cli_scores_init(&e->scores, e->n_windows * each, e->other.engine != NULL, err);
}

/* ---- running --------------------------------------------------------------------------------- */

/* Compute tokens [at, at + n) of the window; their logits if `out` is not NULL. */
static void step(side *s, const int32_t *ids, uint32_t at, uint32_t n, float *out) {
    ag_core *core = &s->engine->core;
    uint32_t most = (uint32_t)core->batch_tokens;
    for (uint32_t done = 0; done < n;) {
        uint32_t now = n - done < most ? n - done : most;
        float *to = out ? out + (size_t)done * (size_t)core->model.config.n_vocab : NULL;
        ag_step_item item = {.kv = &s->kv, .ids = ids + at + done, .n = (int)now, .all_logits = to};
        ag_core_step(core, &item, 1);
        done += now;
    }
}

static ag_code begin_window(side *s, const eval *e, ag_err *err) {
    ag_kv_seq_clear(&s->kv);
    ag_code code = ag_kv_seq_reserve(&s->kv, (int)e->ctx);
    if (code)
        return ag_fail(err, code, "a window of %u tokens does not fit in the KV cache", e->ctx);
    step(s, e->window, 0, e->ctx / 2, NULL);
    return AG_OK;
}

static ag_code run_window(eval *e, size_t i, ag_err *err) {
    const ag_tokenizer *t = e->model.engine->tokenizer;
    ag_core *core = &e->model.engine->core;
    ag_code code = AG_OK;
    memcpy(e->window, e->ids.v + i * e->ctx, e->ctx * sizeof *e->window);
    if (ag_tokenizer_adds_bos(t))
        e->window[0] = ag_tokenizer_bos(t);
    if ((code = begin_window(&e->model, e, err)) ||
        (e->other.engine && (code = begin_window(&e->other, e, err))))
        return code;
    for (uint32_t at = e->ctx / 2; at + 1 < e->ctx; at += AG_CLI_EVAL_ROWS) {
        uint32_t n = e->ctx - 1 - at < AG_CLI_EVAL_ROWS ? e->ctx - 1 - at : AG_CLI_EVAL_ROWS;
        step(&e->model, e->window, at, n, e->model.logits);
        if (e->other.engine)
            step(&e->other, e->window, at, n, e->other.logits);
        ag_cli_scores_add(&e->scores, core->pool, e->model.logits, e->other.logits,
                          core->model.config.n_vocab, e->window + at + 1, n);
    }
    return AG_OK;
}

static void tell(eval *e, size_t done) {
    uint64_t now = ag_clock_us();
    ag_cli_mean m = ag_cli_scores_nll(&e->scores);
    if (e->a->quiet || now - e->told_at < TELL_EVERY || done == e->n_windows)
        return;
    e->told_at = now;
    ag_cli_note("window %zu of %zu, perplexity so far %.4f, %.0f s left", done, e->n_windows,
                exp(m.mean),
                (double)(now - e->began_at) / 1e6 / (double)done * (double)(e->n_windows - done));
}

/* ---- reporting ------------------------------------------------------------------------------- */

static void report_json(eval *e, double seconds) {
    ag_cli_mean nll = ag_cli_scores_nll(&e->scores);
    json_t *o = json_pack("{s:f, s:f, s:f, s:I, s:I, s:I, s:o}", "perplexity", exp(nll.mean),
                          "perplexity_error", exp(nll.mean) * nll.error, "nll", nll.mean, "context",
                          (json_int_t)e->ctx, "windows", (json_int_t)e->n_windows, "tokens",
                          (json_int_t)e->scores.n, "seconds", ag_cli_json_num(seconds));
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
               e->n_windows, e->ctx, seconds);
}

/* ---- the command ----------------------------------------------------------------------------- */

int ag_cli_eval(const ag_cli_args *a) {
    eval e = {.a = a, .ctx = a->ctx ? a->ctx : USUAL_CONTEXT};
    ag_err err = {0};
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_CLI, AG_MAX_TEXT_BYTES);
    int status = e.ctx < 4 ? ag_cli_usage("eval: --ctx is at least 4") : AG_CLI_DONE;
    if (!status)
        status = ag_cli_text(a, "text", &text);
    if (!status)
        status = open_side(&e, a, &e.model);
    if (!status)
        status = open_other(&e);
    if (status)
        goto out;
    ag_code code = cut_windows(&e, ag_buf_span(&text), &err);
    e.began_at = e.told_at = ag_clock_us();
    for (size_t i = 0; i < e.n_windows && !code; i++) {
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
    ag_free(e.window);
    ag_ids_deinit(&e.ids);
    close_side(&e.other);
    close_side(&e.model);
    ag_buf_deinit(&text);
    return status;
}
