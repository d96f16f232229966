#include "cli/score.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

ag_code ag_cli_scores_init(ag_cli_scores *s, size_t n, bool compares, ag_err *err) {
    *s = (ag_cli_scores){.room = n, .compares = compares};
    s->v = ag_calloc(AG_ROOM_CLI, n, sizeof *s->v);
    return s->v ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory for %zu scores", n);
}

void ag_cli_scores_deinit(ag_cli_scores *s) {
    ag_free(s->v);
    *s = (ag_cli_scores){0};
}

/* ---- one row --------------------------------------------------------------------------------- */

/* log of the sum of exponentials, and which is the largest. */
static double log_sum(const float *x, int n, int *top) {
    *top = 0;
    for (int i = 1; i < n; i++)
        *top = x[i] > x[*top] ? i : *top;
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)expf(x[i] - x[*top]);
    return (double)x[*top] + log(sum);
}

/* Sum of q (log q - log p), q being the other's prediction. */
static double divergence(const float *x, double x_sum, const float *other, double other_sum,
                         int n) {
    double kl = 0;
    for (int i = 0; i < n; i++) {
        double log_q = (double)other[i] - other_sum;
        if (log_q > -50)
            kl += (double)expf((float)log_q) * (log_q - ((double)x[i] - x_sum));
    }
    return kl > 0 ? kl : 0; /* rounding may leave less than nothing */
}

typedef struct adding {
    ag_cli_score *to;
    const float *logits, *other;
    int n_vocab;
    const int32_t *targets;
} adding;

static void score_row(void *ctx, int row, int worker) {
    (void)worker;
    const adding *a = ctx;
    const float *x = a->logits + (size_t)row * (size_t)a->n_vocab;
    ag_cli_score *s = &a->to[row];
    int top, other_top;
    double sum = log_sum(x, a->n_vocab, &top);
    *s = (ag_cli_score){.nll = sum - (double)x[a->targets[row]]};
    if (!a->other)
        return;
    const float *y = a->other + (size_t)row * (size_t)a->n_vocab;
    double other_sum = log_sum(y, a->n_vocab, &other_top);
    s->other_nll = other_sum - (double)y[a->targets[row]];
    s->kl = divergence(x, sum, y, other_sum, a->n_vocab);
    s->same_top = top == other_top;
}

void ag_cli_scores_add(ag_cli_scores *s, ag_pool *pool, const float *logits, const float *other,
                       int n_vocab, const int32_t *targets, size_t n) {
    AG_ASSERT(s->n + n <= s->room);
    adding a = {s->v + s->n, logits, s->compares ? other : NULL, n_vocab, targets};
    ag_pool_run(pool, (int)n, score_row, &a);
    s->n += n;
}

/* ---- all of them ----------------------------------------------------------------------------- */

typedef double (*field_fn)(const ag_cli_score *s);
static double nll_of(const ag_cli_score *s) { return s->nll; }
static double other_nll_of(const ag_cli_score *s) { return s->other_nll; }
static double kl_of(const ag_cli_score *s) { return s->kl; }
static double same_top_of(const ag_cli_score *s) { return s->same_top ? 1 : 0; }

static ag_cli_mean mean_of(const ag_cli_scores *s, field_fn field) {
    double sum = 0, squares = 0, n = (double)s->n;
    for (size_t i = 0; i < s->n; i++)
        sum += field(&s->v[i]);
    double mean = s->n ? sum / n : 0;
    for (size_t i = 0; i < s->n; i++) {
        double d = field(&s->v[i]) - mean;
        squares += d * d;
    }
    return (ag_cli_mean){mean, s->n > 1 ? sqrt(squares / n / (n - 1)) : 0};
}

ag_cli_mean ag_cli_scores_nll(const ag_cli_scores *s) { return mean_of(s, nll_of); }

static int compare_kl(const void *a, const void *b) {
    double x = ((const ag_cli_score *)a)->kl, y = ((const ag_cli_score *)b)->kl;
    return (x > y) - (x < y);
}

ag_cli_divergence ag_cli_scores_divergence(ag_cli_scores *s) {
    ag_cli_divergence d = {.nll = mean_of(s, other_nll_of),
                           .kl = mean_of(s, kl_of),
                           .same_top = mean_of(s, same_top_of)};
    qsort(s->v, s->n, sizeof *s->v, compare_kl); /* means do not depend on the order any more */
    d.median = s->n % 2 ? s->v[s->n / 2].kl : (s->v[s->n / 2 - 1].kl + s->v[s->n / 2].kl) / 2;
    d.p99 = s->v[(s->n - 1) * 99 / 100].kl;
    d.max = s->v[s->n - 1].kl;
    return d;
}
