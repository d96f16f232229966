/* Logits to a token: one sampler per running sequence, one scratch per thread that picks.
 *
 * pick() chooses from a row of logits, accept() tells what became of it; they are apart because a
 * step may be thrown away or a token may come from elsewhere (a grammar that leaves one choice,
 * speculation). The order of work and each parameter are in autoglm/request.h; how each compares
 * with the papers and with other engines is in this room's README.
 *
 * Thread: one at a time for a sampler, and for a scratch. Nothing here allocates after
 * ag_sampler_new(). The same parameters, seed and logits give the same tokens on every machine
 * (mass.h).
 */
#ifndef AG_SAMPLE_SAMPLER_H
#define AG_SAMPLE_SAMPLER_H

#include "autoglm/request.h"
#include "sample/dry.h"

#define AG_SAMPLE_MAX_TOP       20         /* candidates reported per token */
#define AG_SAMPLE_MAX_BIAS      (1u << 18) /* entries of a request's logit_bias: a whole vocabulary */
#define AG_SAMPLE_MAX_BREAKERS  64u        /* strings of a request's dry_breakers */
#define AG_SAMPLE_MAX_FORBIDDEN (1u << 16) /* tokens of all forbidden sequences of a request */

/* AG_E_ARG or AG_E_LIMIT naming the field, its value and what is allowed; NaN is refused. */
ag_code ag_sampling_check(const ag_sampling *p, int32_t n_vocab, ag_err *err) AG_MUST_USE;

/* Working space of a pick (about 41 bytes a token of the vocabulary), for any sampler whose
 * vocabulary is at most n_vocab; k is borrowed for its life. AG_E_ARG (n_vocab), AG_E_NOMEM. */
ag_code ag_sample_scratch_new(const ag_kernels *k, int32_t n_vocab, ag_sample_scratch **out,
                              ag_err *err) AG_MUST_USE;
void ag_sample_scratch_free(ag_sample_scratch **s);

typedef struct ag_sampler ag_sampler;

typedef struct ag_sampler_opts {
    const ag_sampling *sampling; /* copied */
    int32_t n_vocab;             /* logits in a row */
    size_t n_context; /* most tokens the sequence may reach; memory is reserved for it where a
                       * penalty looks back */
    const ag_dry_breakers *breakers; /* borrowed for the sampler's life; NULL: none */
} ag_sampler_opts;

/* AG_E_ARG, AG_E_LIMIT (as ag_sampling_check; n_context), AG_E_NOMEM. */
ag_code ag_sampler_new(const ag_sampler_opts *opts, ag_sampler **out, ag_err *err) AG_MUST_USE;
void ag_sampler_free(ag_sampler **s);

/* The prompt, or the next part of it: history for the repetition penalty and DRY. */
void ag_sampler_prompt(ag_sampler *s, const int32_t *ids, size_t n);

typedef struct ag_sample {
    int32_t id;
    float logprob;               /* NAN unless asked for */
    const ag_token_logprob *top; /* [n_top] most likely first; borrowed until the next pick */
    size_t n_top;                /* fewer than asked for when fewer tokens are usable */
} ag_sample;

/* What one pick is given besides the sampler. */
typedef struct ag_pick {
    ag_sample_scratch *scratch; /* borrowed */
    const float *logits;        /* [n_vocab] borrowed, not modified; NaN never wins */
    int32_t top_logprobs;       /* -1: none; 0: the chosen token's; up to AG_SAMPLE_MAX_TOP */
    const int32_t *forbidden;   /* [n_forbidden] tokens that must not be chosen (stop tokens before
                                 * min_tokens); ids outside the vocabulary are ignored */
    size_t n_forbidden;
    const uint64_t *allowed; /* [(n_vocab + 63) / 64] only tokens whose bit id % 64 of word id / 64
                              * is set may be chosen; NULL: all */
} ag_pick;

/* Choose a token. Advances the random state, not the history. When no token can be chosen out->id
 * is 0: AG_E_INTERNAL if no logit is usable (all NaN or -infinity), AG_E_ARG if bias,
 * `forbidden` and `allowed` left none. */
ag_code ag_sampler_pick(ag_sampler *s, const ag_pick *pick, ag_sample *out,
                        ag_err *err) AG_MUST_USE;

/* The sequence goes on with this token. */
void ag_sampler_accept(ag_sampler *s, int32_t id);

#endif
