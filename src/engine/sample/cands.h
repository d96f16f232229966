/* Candidates: the tokens still in the running, always ascending by id, and the filters on them.
 *
 * A candidate's key orders it: the logit's bits made sortable, then the inverted id, so that keys
 * differ, larger is more likely and the lower id wins among equals. All selections ask for "the
 * best candidates that together hold this mass" and are answered by a radix search over the keys:
 * linear time whatever the logits are, no sort of the vocabulary, no bad input.
 *
 * Thread: engine. A scratch serves every sampler of a thread, one pick at a time.
 */
#ifndef AG_SAMPLE_CANDS_H
#define AG_SAMPLE_CANDS_H

#include "autoglm/error.h"
#include "sample/mass.h"

typedef struct ag_cand {
    uint64_t key;
    uint64_t mass; /* set by ag_cands_weigh() */
} ag_cand;

#define AG_RADIX_BITS 11

struct ag_sample_scratch {
    const ag_kernels *kernels; /* borrowed */
    int32_t n_vocab;
    float *x;             /* [n_vocab] adjusted logits */
    float *block_max;     /* [blocks] of the adjusted row */
    float *raw_block_max; /* [blocks] of the raw row */
    uint64_t *block_mass; /* [blocks] */
    int32_t *reach;  /* [n_vocab] DRY: longest repeat a token would extend; zero between uses */
    ag_cand *cands;  /* [n_vocab] */
    ag_cand *narrow; /* [n_vocab] working space of the radix search */
    size_t n_cands;
    uint64_t hist[1 << AG_RADIX_BITS];
};
typedef struct ag_sample_scratch ag_sample_scratch;

static inline uint32_t ag_sortable(float x) {
    union {
        float f;
        uint32_t u;
    } b = {x + 0.0f}; /* -0 becomes +0 */
    return b.u & 0x80000000u ? ~b.u : b.u | 0x80000000u;
}
static inline uint64_t ag_cand_key(float logit, int32_t id) {
    return (uint64_t)ag_sortable(logit) << 32 | (uint32_t)~id;
}
static inline int32_t ag_cand_id(uint64_t key) { return (int32_t) ~(uint32_t)key; }
static inline float ag_cand_logit(uint64_t key) {
    const uint32_t u = (uint32_t)(key >> 32);
    union {
        uint32_t u;
        float f;
    } b = {u & 0x80000000u ? u & 0x7fffffffu : ~u};
    return b.f;
}

/* Replace the candidates by the usable tokens whose logit is at least `floor`. */
void ag_cands_gather(ag_sample_scratch *s, const ag_row *row, float floor);
/* Set every mass relative to the most likely candidate; returns their sum (n_cands > 0). */
uint64_t ag_cands_weigh(ag_sample_scratch *s, float scale);
/* Keep the smallest set of best candidates whose masses sum to at least `target`, all if none do.
 */
void ag_cands_cut(ag_sample_scratch *s, uint64_t target);
/* Logit of the most likely candidate (n_cands > 0). */
float ag_cands_best(const ag_sample_scratch *s);
/* The candidate holding unit `at` of their summed masses, laid end to end by id. */
const ag_cand *ag_cands_at(const ag_sample_scratch *s, uint64_t at);

/* The k most likely tokens of a row become the candidates. */
void ag_cands_top_k(ag_sample_scratch *s, const ag_row *row, int32_t k);
/* The smallest set of tokens of a row with mass p becomes the candidates. */
void ag_cands_nucleus(ag_sample_scratch *s, const ag_row *row, float p);
/* The locally typical tokens of a row with mass p become the candidates. */
void ag_cands_typical_row(ag_sample_scratch *s, const ag_row *row, float p);
/* Filters on the candidates there are. Each leaves at least one. */
void ag_cands_top_p(ag_sample_scratch *s, float p);
void ag_cands_typical(ag_sample_scratch *s, const ag_row *row, float p);
void ag_cands_min_p(ag_sample_scratch *s, float ln_min_p);
/* Drop all but the least likely of those that have at least `threshold` of the mass. */
void ag_cands_xtc(ag_sample_scratch *s, float threshold);

#endif
