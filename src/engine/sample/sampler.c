#include "sample/sampler.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "sample/forbidden.h"

#include <string.h>

struct ag_sampler {
    ag_sampling p;              /* logit_bias points to `bias` */
    ag_logit_bias *bias;        /* owned */
    ag_sample_scratch *scratch; /* of the pick that is being made */
    ag_history history;
    ag_dry dry; /* window 0: off */
    ag_forbidden forbidden;
    uint64_t n_answer; /* tokens accepted */
    ag_rng rng;
    float inv_temperature;
    float ln_min_p;
    double mu;       /* mirostat: surprise allowed, bits */
    double surprise; /* mirostat: of the last pick; negative: none waits for accept() */
    int32_t picked;  /* the token it belongs to */
    int32_t n_vocab;
    ag_token_logprob top[AG_SAMPLE_MAX_TOP];
};

/* ---- life ---- */

ag_code ag_sample_scratch_new(const ag_kernels *k, int32_t n_vocab, ag_sample_scratch **out,
                              ag_err *err) {
    *out = NULL;
    if (n_vocab < 1 || n_vocab > (int32_t)AG_MAX_VOCAB)
        return ag_fail(err, AG_E_ARG, "a vocabulary of %d tokens; allowed are 1 to %u",
                       (int)n_vocab, AG_MAX_VOCAB);
    const size_t n = (size_t)n_vocab, n_blocks = (size_t)ag_row_blocks(n_vocab);
    ag_sample_scratch *s = ag_calloc(AG_ROOM_SAMPLE, 1, sizeof *s);
    if (s) {
        s->kernels = k;
        s->n_vocab = n_vocab;
        s->x = ag_calloc(AG_ROOM_SAMPLE, n, sizeof *s->x);
        s->block_max = ag_calloc(AG_ROOM_SAMPLE, n_blocks, sizeof *s->block_max);
        s->raw_block_max = ag_calloc(AG_ROOM_SAMPLE, n_blocks, sizeof *s->raw_block_max);
        s->block_mass = ag_calloc(AG_ROOM_SAMPLE, n_blocks, sizeof *s->block_mass);
        s->reach = ag_calloc(AG_ROOM_SAMPLE, n, sizeof *s->reach);
        s->cands = ag_calloc(AG_ROOM_SAMPLE, n, sizeof *s->cands);
        s->narrow = ag_calloc(AG_ROOM_SAMPLE, n, sizeof *s->narrow);
    }
    if (!s || !s->x || !s->block_max || !s->raw_block_max || !s->block_mass || !s->reach ||
        !s->cands || !s->narrow) {
        ag_sample_scratch_free(&s);
        return ag_fail(err, AG_E_NOMEM, "no memory to sample from %d tokens", (int)n_vocab);
    }
    *out = s;
    return AG_OK;
}

void ag_sample_scratch_free(ag_sample_scratch **s) {
    if (!*s)
        return;
    ag_free((*s)->x);
    ag_free((*s)->block_max);
    ag_free((*s)->raw_block_max);
    ag_free((*s)->block_mass);
    ag_free((*s)->reach);
    ag_free((*s)->cands);
    ag_free((*s)->narrow);
    ag_free(*s);
    *s = NULL;
}

/* Tokens a window of `last_n` (-1: all) looks back at. */
static size_t window_of(int32_t last_n, size_t n_context) {
    return last_n >= 0 && (size_t)last_n < n_context ? (size_t)last_n : n_context;
}

/* How far back forbidden sequences and DRY look. */
static size_t look_back(const ag_sampler *s) {
    const size_t n = s->forbidden.n ? s->forbidden.longest - 1 : 0;
    return n > s->dry.window ? n : s->dry.window;
}

static ag_code init_history(ag_sampler *s, const ag_sampler_opts *opts, ag_err *err) {
    const ag_sampling *p = &s->p;
    if (p->dry_multiplier > 0)
        s->dry = (ag_dry){.multiplier = p->dry_multiplier,
                          .base = p->dry_base,
                          .allowed = (size_t)p->dry_allowed_length,
                          .window = window_of(p->dry_penalty_last_n, opts->n_context),
                          .breakers = opts->breakers};
    const bool repetition = p->repetition_penalty != 1 && p->penalty_last_n != 0;
    const ag_history_opts history = {
        .n_vocab = s->n_vocab,
        .n_context = opts->n_context,
        .window = repetition ? window_of(p->penalty_last_n, opts->n_context) : 0,
        .look_back = look_back(s),
        .counts = repetition || p->frequency_penalty != 0 || p->presence_penalty != 0};
    ag_code code = ag_history_init(&s->history, &history, err);
    if (code || !s->dry.window)
        return code;
    s->dry.match = ag_calloc(AG_ROOM_SAMPLE, s->dry.window, sizeof *s->dry.match);
    return s->dry.match
               ? AG_OK
               : ag_fail(err, AG_E_NOMEM, "no memory for DRY over %zu tokens", s->dry.window);
}

static ag_code init(ag_sampler *s, const ag_sampler_opts *opts, ag_err *err) {
    const ag_sampling *p = &s->p;
    s->n_vocab = opts->n_vocab;
    ag_rng_init(&s->rng, p->has_seed ? p->seed : ag_random_seed());
    const float inverse = 1 / p->temperature; /* infinite for 0, which is greedy, and denormals */
    s->inv_temperature = ag_row_finite(inverse);
    s->ln_min_p = p->min_p > 0 ? (float)ag_mass_ln((double)p->min_p) : -INFINITY;
    s->mu = 2 * (double)p->mirostat_tau;
    s->surprise = -1;
    s->p.dry_breakers = NULL; /* the caller's; not needed here */
    s->p.logit_bias = NULL;
    s->p.forbidden = NULL;
    if (p->n_logit_bias) {
        const size_t bytes = p->n_logit_bias * sizeof *s->bias;
        s->bias = ag_alloc(AG_ROOM_SAMPLE, bytes);
        if (!s->bias)
            return ag_fail(err, AG_E_NOMEM, "no memory for logit_bias");
        memcpy(s->bias, opts->sampling->logit_bias, bytes);
    }
    ag_code code = ag_forbidden_init(&s->forbidden, opts->sampling->forbidden, p->n_forbidden, err);
    return code ? code : init_history(s, opts, err);
}

ag_code ag_sampler_new(const ag_sampler_opts *opts, ag_sampler **out, ag_err *err) {
    *out = NULL;
    AG_ASSERT(opts->n_vocab > 0);
    if (opts->n_context < 1 || opts->n_context > AG_MAX_CONTEXT)
        return ag_fail(err, AG_E_ARG, "a context of %zu tokens; allowed are 1 to %u",
                       opts->n_context, AG_MAX_CONTEXT);
    ag_code code = ag_sampling_check(opts->sampling, opts->n_vocab, err);
    if (code)
        return code;
    ag_sampler *s = ag_calloc(AG_ROOM_SAMPLE, 1, sizeof *s);
    if (!s)
        return ag_fail(err, AG_E_NOMEM, "no memory for a sampler");
    s->p = *opts->sampling;
    code = init(s, opts, err);
    if (code)
        ag_sampler_free(&s);
    *out = s;
    return code;
}

void ag_sampler_free(ag_sampler **s) {
    if (!*s)
        return;
    ag_free((*s)->bias);
    ag_history_deinit(&(*s)->history);
    ag_forbidden_deinit(&(*s)->forbidden);
    ag_free((*s)->dry.match);
    ag_free(*s);
    *s = NULL;
}

/* ---- history ---- */

void ag_sampler_prompt(ag_sampler *s, const int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++)
        ag_history_push(&s->history, ids[i], false);
}

void ag_sampler_accept(ag_sampler *s, int32_t id) {
    ag_history_push(&s->history, id, true);
    s->n_answer++;
    if (s->surprise >= 0 && id == s->picked)
        s->mu -= (double)s->p.mirostat_eta * (s->surprise - (double)s->p.mirostat_tau);
    s->surprise = -1;
}

/* ---- adjusting the logits ---- */

static void penalise(const ag_sampler *s, float *x) {
    const ag_sampling *p = &s->p;
    for (size_t i = 0; i < s->history.n_tallies; i++) {
        const ag_tally t = s->history.tallies[i];
        if (t.seen)
            x[t.id] =
                x[t.id] > 0 ? x[t.id] / p->repetition_penalty : x[t.id] * p->repetition_penalty;
        if (t.answer)
            x[t.id] -= (float)t.answer * p->frequency_penalty + p->presence_penalty;
    }
}

/* Copy the logits of allowed tokens, -infinity in place of the others. */
static void copy_allowed(float *to, const float *from, const uint64_t *allowed, int32_t n) {
    for (int32_t at = 0; at < n; at += 64) {
        const int32_t n_here = n - at < 64 ? n - at : 64;
        const uint64_t word = allowed[at >> 6];
        if (word == UINT64_MAX && n_here == 64) {
            ag_row_copy(to + at, from + at, 64);
            continue;
        }
        for (int32_t i = 0; i < n_here; i++)
            to[at + i] = -INFINITY;
        for (uint64_t left = word; left; left &= left - 1) {
            const int32_t id = at + __builtin_ctzll(left);
            if (id < n)
                to[id] = from[id];
        }
    }
}

/* The row after bias, penalties and what is forbidden or not allowed: the caller's logits when none
 * applies, otherwise a changed copy. */
static const float *adjust(ag_sampler *s, const ag_pick *pick) {
    if (!s->bias && !s->history.n_tallies && !s->dry.window && !s->forbidden.n &&
        !pick->n_forbidden && !pick->allowed)
        return pick->logits;
    float *x = s->scratch->x;
    if (pick->allowed)
        copy_allowed(x, pick->logits, pick->allowed, s->n_vocab);
    else
        ag_row_copy(x, pick->logits, s->n_vocab);
    for (size_t i = 0; i < s->p.n_logit_bias; i++)
        x[s->bias[i].id] += s->bias[i].bias;
    penalise(s, x);
    if (s->dry.window)
        ag_dry_apply(&s->dry, &s->history, s->scratch, x);
    ag_forbidden_apply(&s->forbidden, &s->history, s->n_answer, x);
    for (size_t i = 0; i < pick->n_forbidden; i++) {
        if (pick->forbidden[i] >= 0 && pick->forbidden[i] < s->n_vocab)
            x[pick->forbidden[i]] = -INFINITY;
    }
    return x;
}

/* ---- choosing ---- */

/* Uniform in [0, total): the high half of a 128-bit product. */
static uint64_t draw(ag_sampler *s, uint64_t total) {
    __extension__ const unsigned __int128 r = (unsigned __int128)ag_rng_u64(&s->rng) * total;
    return (uint64_t)(r >> 64);
}

static int32_t draw_row(ag_sampler *s, const ag_row *row) {
    uint64_t *block_mass = s->scratch->block_mass;
    const uint64_t total = ag_row_mass(row, s->inv_temperature, block_mass);
    return ag_row_token_at(row, s->inv_temperature, block_mass, draw(s, total));
}

static int32_t draw_cand(ag_sampler *s) {
    const uint64_t total = ag_cands_weigh(s->scratch, s->inv_temperature);
    return ag_cand_id(ag_cands_at(s->scratch, draw(s, total))->key);
}

/* Mirostat 2.0: drop what is more surprising than mu, draw from the rest. A surprise above mu bits
 * is a mass below total / 2^mu. */
static int32_t draw_mirostat(ag_sampler *s, const ag_row *row) {
    ag_sample_scratch *scratch = s->scratch;
    const float scale = s->inv_temperature;
    const double whole = (double)(1ull << AG_MASS_BITS);
    const double part = s->mu > 0 ? (double)ag_mass((float)(-s->mu * AG_LN2)) / whole : 1;
    double least = (double)ag_row_mass(row, scale, NULL) * part;
    /* The best always stays (and its equals), and what has no mass never does. */
    least = least < 1 ? 1 : least < whole ? least : whole;
    /* One nat more than needed, so that no rounding of the floor loses a token. */
    const double floor = (double)row->best + (ag_mass_ln(least / whole) - 1) / (double)scale;
    ag_cands_gather(scratch, row, floor > -(double)FLT_MAX ? (float)floor : -INFINITY);
    ag_cands_weigh(scratch, scale);
    uint64_t total = 0;
    for (size_t i = 0; i < scratch->n_cands; i++) {
        ag_cand *c = &scratch->cands[i];
        c->mass = (double)c->mass >= least ? c->mass : 0;
        total += c->mass;
    }
    const ag_cand *c = ag_cands_at(scratch, draw(s, total));
    s->picked = ag_cand_id(c->key);
    s->surprise = (ag_mass_ln((double)total) - ag_mass_ln((double)c->mass)) / AG_LN2;
    return s->picked;
}

static int32_t draw_filtered(ag_sampler *s, const ag_row *row) {
    const ag_sampling *p = &s->p;
    ag_sample_scratch *scratch = s->scratch;
    bool typical = p->typical_p < 1, top_p = p->top_p < 1; /* still to be done */
    if (p->top_k > 0 && p->top_k < row->n) {
        ag_cands_top_k(scratch, row, p->top_k);
    } else if (typical) {
        ag_cands_typical_row(scratch, row, p->typical_p);
        typical = false;
    } else if (top_p) {
        ag_cands_nucleus(scratch, row, p->top_p);
        top_p = false;
    } else {
        ag_cands_gather(scratch, row, row->best + s->ln_min_p);
    }
    if (typical)
        ag_cands_typical(scratch, row, p->typical_p);
    if (top_p)
        ag_cands_top_p(scratch, p->top_p);
    if (p->min_p > 0)
        ag_cands_min_p(scratch, s->ln_min_p);
    if (p->xtc_probability > 0 && ag_rng_f64(&s->rng) < (double)p->xtc_probability)
        ag_cands_xtc(scratch, p->xtc_threshold);
    return draw_cand(s);
}

static int32_t choose(ag_sampler *s, const ag_row *row) {
    const ag_sampling *p = &s->p;
    if (p->temperature == 0)
        return ag_row_argmax(row);
    if (p->mirostat)
        return draw_mirostat(s, row);
    const bool top_k = p->top_k > 0 && p->top_k < row->n;
    if (top_k || p->top_p < 1 || p->typical_p < 1 || p->min_p > 0 || p->xtc_probability > 0)
        return draw_filtered(s, row);
    return draw_row(s, row);
}

/* ---- log-probabilities ---- */

/* The n most likely of the raw row, in order. */
static void report_top(ag_sampler *s, const ag_row *raw, double ln_total, int32_t n,
                       ag_sample *out) {
    ag_sample_scratch *scratch = s->scratch;
    ag_cands_top_k(scratch, raw, n);
    uint64_t keys[AG_SAMPLE_MAX_TOP];
    size_t n_keys = 0;
    for (size_t i = 0; i < scratch->n_cands; i++) {
        size_t at = n_keys++;
        for (; at > 0 && keys[at - 1] < scratch->cands[i].key; at--)
            keys[at] = keys[at - 1];
        keys[at] = scratch->cands[i].key;
    }
    for (size_t i = 0; i < n_keys; i++) {
        const double d = (double)ag_cand_logit(keys[i]) - (double)raw->best;
        s->top[i] = (ag_token_logprob){ag_cand_id(keys[i]), (float)(d - ln_total)};
    }
    out->top = s->top;
    out->n_top = n_keys;
}

static void report(ag_sampler *s, const ag_row *raw, int32_t n_top, ag_sample *out) {
    /* ln of the sum of exp(logit - best) */
    const double ln_total = ag_mass_ln((double)ag_row_mass(raw, 1, NULL)) - AG_MASS_BITS * AG_LN2;
    const double d = (double)ag_row_finite(raw->x[out->id]) - (double)raw->best;
    out->logprob = (float)(d - ln_total);
    if (n_top > 0)
        report_top(s, raw, ln_total, n_top, out);
}

ag_code ag_sampler_pick(ag_sampler *s, const ag_pick *pick, ag_sample *out, ag_err *err) {
    AG_ASSERT(pick->top_logprobs >= -1 && pick->top_logprobs <= AG_SAMPLE_MAX_TOP);
    AG_ASSERT(pick->scratch && s->n_vocab <= pick->scratch->n_vocab);
    s->scratch = pick->scratch;
    const ag_kernels *kernels = s->scratch->kernels;
    *out = (ag_sample){.logprob = NAN};
    s->surprise = -1;
    ag_row raw = ag_row_scan(kernels, pick->logits, s->n_vocab, s->scratch->raw_block_max);
    if (!ag_row_usable(&raw))
        return ag_fail(err, AG_E_INTERNAL, "the model gave no usable logit for any of %d tokens",
                       (int)s->n_vocab);
    ag_row row = raw;
    const float *x = adjust(s, pick);
    if (x != pick->logits) {
        row = ag_row_scan(kernels, x, s->n_vocab, s->scratch->block_max);
        if (!ag_row_usable(&row))
            return ag_fail(err, AG_E_ARG,
                           "no token is left to choose: logit_bias, forbidden words, stop tokens "
                           "before min_tokens and the answer's form exclude all");
    }
    out->id = choose(s, &row);
    if (pick->top_logprobs >= 0)
        report(s, &raw, pick->top_logprobs, out);
    return AG_OK;
}
