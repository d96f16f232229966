/* The parameters of one request: neutral values, and what is refused. */
#include "sample/sampler.h"

#include "base/error.h"

ag_sampling ag_sampling_default(void) {
    return (ag_sampling){.temperature = 1,
                         .top_p = 1,
                         .typical_p = 1,
                         .repetition_penalty = 1,
                         .penalty_last_n = -1,
                         .mirostat_tau = 5,
                         .mirostat_eta = 0.1f,
                         .dry_base = 1.75f,
                         .dry_allowed_length = 2,
                         .dry_penalty_last_n = -1,
                         .xtc_threshold = 0.1f};
}

typedef struct range {
    const char *name;
    double value, low, high;
    bool above_low; /* low itself is refused */
} range;

static ag_code check_ranges(const range *r, size_t n, ag_err *err) {
    for (size_t i = 0; i < n; i++) {
        /* Written so that NaN is refused. */
        const bool ok = r[i].above_low ? r[i].value > r[i].low : r[i].value >= r[i].low;
        if (!ok || !(r[i].value <= r[i].high))
            return ag_fail(err, AG_E_ARG, "%s is %g; allowed are %s %g to %g", r[i].name,
                           r[i].value, r[i].above_low ? "above" : "from", r[i].low, r[i].high);
    }
    return AG_OK;
}

static ag_code check_bias(const ag_sampling *p, int32_t n_vocab, ag_err *err) {
    if (p->n_logit_bias > AG_SAMPLE_MAX_BIAS)
        return ag_fail(err, AG_E_LIMIT, "logit_bias has %zu entries; at most %u are allowed",
                       p->n_logit_bias, AG_SAMPLE_MAX_BIAS);
    if (p->n_logit_bias && !p->logit_bias)
        return ag_fail(err, AG_E_ARG, "logit_bias is NULL with n_logit_bias %zu", p->n_logit_bias);
    for (size_t i = 0; i < p->n_logit_bias; i++) {
        const ag_logit_bias b = p->logit_bias[i];
        if (b.id < 0 || b.id >= n_vocab)
            return ag_fail(err, AG_E_ARG, "logit_bias names token %d; allowed are 0 to %d",
                           (int)b.id, (int)n_vocab - 1);
        if (!(b.bias < INFINITY))
            return ag_fail(err, AG_E_ARG,
                           "logit_bias of token %d is %g; allowed are finite values and -infinity",
                           (int)b.id, (double)b.bias);
    }
    return AG_OK;
}

static ag_code check_forbidden(const ag_sampling *p, int32_t n_vocab, ag_err *err) {
    size_t n_ids = 0;
    if (p->n_forbidden && !p->forbidden)
        return ag_fail(err, AG_E_ARG, "forbidden is NULL with n_forbidden %zu", p->n_forbidden);
    for (size_t i = 0; i < p->n_forbidden; i++) {
        const ag_token_sequence *s = &p->forbidden[i];
        if (s->n == 0 || !s->ids)
            return ag_fail(err, AG_E_ARG, "forbidden[%zu] is empty; it must have a token", i);
        if (s->n > AG_SAMPLE_MAX_FORBIDDEN - n_ids)
            return ag_fail(err, AG_E_LIMIT,
                           "forbidden has more than %u tokens in its %zu sequences",
                           AG_SAMPLE_MAX_FORBIDDEN, p->n_forbidden);
        n_ids += s->n;
        for (size_t k = 0; k < s->n; k++)
            if (s->ids[k] < 0 || s->ids[k] >= n_vocab)
                return ag_fail(err, AG_E_ARG, "forbidden[%zu] names token %d; allowed are 0 to %d",
                               i, (int)s->ids[k], (int)n_vocab - 1);
    }
    return AG_OK;
}

static ag_code check_breakers(const ag_sampling *p, ag_err *err) {
    if (p->n_dry_breakers > AG_SAMPLE_MAX_BREAKERS)
        return ag_fail(err, AG_E_LIMIT, "dry_breakers has %zu strings; at most %u are allowed",
                       p->n_dry_breakers, AG_SAMPLE_MAX_BREAKERS);
    for (size_t i = 0; p->dry_breakers && i < p->n_dry_breakers; i++) {
        if (!p->dry_breakers[i] || !p->dry_breakers[i][0])
            return ag_fail(err, AG_E_ARG, "dry_breakers[%zu] is empty; it must have a character",
                           i);
    }
    return AG_OK;
}

ag_code ag_sampling_check(const ag_sampling *p, int32_t n_vocab, ag_err *err) {
    const range ranges[] = {
        {"temperature", p->temperature, 0, 100, false},
        {"top_k", p->top_k, 0, INT32_MAX, false},
        {"top_p", p->top_p, 0, 1, true},
        {"min_p", p->min_p, 0, 1, false},
        {"typical_p", p->typical_p, 0, 1, true},
        {"repetition_penalty", p->repetition_penalty, 0, 100, true},
        {"frequency_penalty", p->frequency_penalty, -2, 2, false},
        {"presence_penalty", p->presence_penalty, -2, 2, false},
        {"penalty_last_n", p->penalty_last_n, -1, INT32_MAX, false},
        {"mirostat_tau", p->mirostat_tau, 0, 100, false},
        {"mirostat_eta", p->mirostat_eta, 0, 1, false},
        {"dry_multiplier", p->dry_multiplier, 0, 100, false},
        {"dry_base", p->dry_base, 1, 100, false},
        {"dry_allowed_length", p->dry_allowed_length, 1, INT32_MAX, false},
        {"dry_penalty_last_n", p->dry_penalty_last_n, -1, INT32_MAX, false},
        {"xtc_probability", p->xtc_probability, 0, 1, false},
        {"xtc_threshold", p->xtc_threshold, 0, 1, false},
    };
    ag_code code = check_ranges(ranges, sizeof ranges / sizeof *ranges, err);
    if (code)
        return code;
    if (p->mirostat != 0 && p->mirostat != 2)
        return ag_fail(err, AG_E_ARG, "mirostat is %d; allowed are 0 (off) and 2",
                       (int)p->mirostat);
    code = check_bias(p, n_vocab, err);
    if (!code)
        code = check_forbidden(p, n_vocab, err);
    return code ? code : check_breakers(p, err);
}
