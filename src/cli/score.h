/* What logits say about the tokens that really came: log-likelihoods, and how far one model's
 * predictions are from another's. Sums run in the order of the text, so figures do not depend on
 * threads. */
#ifndef AG_CLI_SCORE_H
#define AG_CLI_SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "par/pool.h"

/* Rows of logits that are held at a time. */
#define AG_CLI_EVAL_ROWS 64

/* One scored token. */
typedef struct ag_cli_score {
    double nll;       /* minus the log-probability that the model gave it */
    double other_nll; /* that the other model gave it */
    double kl;        /* of the model's prediction from the other's, in nats */
    bool same_top;    /* both think the same token most likely */
} ag_cli_score;

typedef struct ag_cli_scores {
    ag_cli_score *v; /* owned [room] */
    size_t n, room;
    bool compares;
} ag_cli_scores;

typedef struct ag_cli_mean {
    double mean, error; /* standard error of the mean */
} ag_cli_mean;

typedef struct ag_cli_divergence {
    ag_cli_mean nll; /* of the other model */
    ag_cli_mean kl, same_top;
    double median, p99, max; /* of kl */
} ag_cli_divergence;

/* Room for n tokens. AG_E_NOMEM. */
ag_code ag_cli_scores_init(ag_cli_scores *s, size_t n, bool compares, ag_err *err) AG_MUST_USE;
void ag_cli_scores_deinit(ag_cli_scores *s);
/* Score targets[n] by logits[n, n_vocab] and, when comparing, by other[n, n_vocab], on all threads.
 */
void ag_cli_scores_add(ag_cli_scores *s, ag_pool *pool, const float *logits, const float *other,
                       int n_vocab, const int32_t *targets, size_t n);
ag_cli_mean ag_cli_scores_nll(const ag_cli_scores *s);
/* The end of a comparison with at least one score; it sorts them. */
ag_cli_divergence ag_cli_scores_divergence(ag_cli_scores *s);

#endif
