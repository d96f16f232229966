#include "sample/cands.h"

#include "base/error.h"

#include <string.h>

/* What is left of the sum of masses when `p` of it is asked for: at least one unit, so that a tiny
 * p keeps the best candidate. */
static uint64_t share(uint64_t total, float p) {
    const double want = (double)total * (double)p;
    uint64_t units = (uint64_t)want;
    units += (double)units < want;
    units = units ? units : 1;
    return units < total ? units : total;
}

void ag_cands_gather(ag_sample_scratch *s, const ag_row *row, float floor) {
    size_t n = 0;
    for (int32_t b = 0; b < ag_row_blocks(row->n); b++) {
        if (row->block_max[b] < floor)
            continue;
        const int32_t at = b * AG_ROW_BLOCK, n_block = ag_row_block_n(row, b);
        for (int32_t i = 0; i < n_block; i++) {
            const float x = row->x[at + i];
            if (x >= floor && x > -INFINITY) /* false for NaN */
                s->cands[n++].key = ag_cand_key(ag_row_finite(x), at + i);
        }
    }
    s->n_cands = n;
}

float ag_cands_best(const ag_sample_scratch *s) {
    uint64_t best = 0;
    for (size_t i = 0; i < s->n_cands; i++)
        best = s->cands[i].key > best ? s->cands[i].key : best;
    return ag_cand_logit(best);
}

uint64_t ag_cands_weigh(ag_sample_scratch *s, float scale) {
    const float best = ag_cands_best(s);
    uint64_t total = 0;
    for (size_t i = 0; i < s->n_cands; i += 4) {
        const size_t n = s->n_cands - i < 4 ? s->n_cands - i : 4;
        ag_f32x4 d = {0};
        for (size_t j = 0; j < n; j++)
            d[j] = (ag_cand_logit(s->cands[i + j].key) - best) * scale;
        ag_u64x2 biased[2];
        ag_mass4(d, biased);
        for (size_t j = 0; j < n; j++)
            total += s->cands[i + j].mass = biased[j / 2][j % 2] - AG_MASS_BIAS;
    }
    return total;
}

/* The largest key K such that candidates with keys >= K hold `target` > 0; 0 when all together do
 * not. Digit by digit from the top: add up the mass per digit, find the digit where the running sum
 * passes the target, and go on with the candidates that have it. */
static uint64_t find_cut(ag_sample_scratch *s, uint64_t target) {
    const ag_cand *from = s->cands;
    size_t n = s->n_cands;
    for (int top = 64; top > 0; top -= AG_RADIX_BITS) {
        const int shift = top > AG_RADIX_BITS ? top - AG_RADIX_BITS : 0;
        const uint64_t mask = (1u << (top - shift)) - 1;
        memset(s->hist, 0, sizeof s->hist);
        for (size_t i = 0; i < n; i++)
            s->hist[from[i].key >> shift & mask] += from[i].mass;
        uint64_t digit = mask, above = 0;
        for (; above + s->hist[digit] < target; digit--) {
            above += s->hist[digit];
            if (digit == 0)
                return 0; /* on the first digit only: later ones hold what is still wanted */
        }
        target -= above;
        size_t n_kept = 0;
        for (size_t i = 0; i < n; i++) {
            if ((from[i].key >> shift & mask) == digit)
                s->narrow[n_kept++] = from[i];
        }
        if (n_kept == 1)
            break;
        from = s->narrow;
        n = n_kept;
    }
    return s->narrow[0].key;
}

/* Keep keys >= cut. */
static void keep_above(ag_sample_scratch *s, uint64_t cut) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_cands; i++) {
        if (s->cands[i].key >= cut)
            s->cands[n++] = s->cands[i];
    }
    s->n_cands = n;
}

void ag_cands_cut(ag_sample_scratch *s, uint64_t target) {
    AG_ASSERT(target > 0);
    keep_above(s, find_cut(s, target));
}

const ag_cand *ag_cands_at(const ag_sample_scratch *s, uint64_t at) {
    for (size_t i = 0; i < s->n_cands; i++) {
        if (at < s->cands[i].mass)
            return &s->cands[i];
        at -= s->cands[i].mass;
    }
    AG_NEVER(); /* the masses sum to more than `at` */
}

/* Keep the `k` largest keys. */
static void cut_count(ag_sample_scratch *s, size_t k) {
    if (s->n_cands <= k)
        return;
    for (size_t i = 0; i < s->n_cands; i++)
        s->cands[i].mass = 1;
    ag_cands_cut(s, k);
}

/* A logit that at least k tokens reach: each of the k best blocks has one. */
static float floor_of_top(ag_sample_scratch *s, const ag_row *row, int32_t k) {
    const int32_t n_blocks = ag_row_blocks(row->n);
    if (k >= n_blocks)
        return -INFINITY;
    s->n_cands = (size_t)n_blocks;
    for (int32_t b = 0; b < n_blocks; b++)
        s->cands[b] = (ag_cand){ag_cand_key(row->block_max[b], b), 1};
    return ag_cand_logit(find_cut(s, (uint64_t)k));
}

void ag_cands_top_k(ag_sample_scratch *s, const ag_row *row, int32_t k) {
    ag_cands_gather(s, row, floor_of_top(s, row, k));
    cut_count(s, (size_t)k);
}

void ag_cands_nucleus(ag_sample_scratch *s, const ag_row *row, float p) {
    const uint64_t target = share(ag_row_mass(row, 1, NULL), p);
    /* A nucleus mostly ends a few nats below the best. Each try costs a scan; the last takes in
     * all that has mass. */
    static const float tries[] = {1.5f, 4, 8, -AG_MASS_LOW};
    uint64_t held = 0;
    for (size_t i = 0; i < sizeof tries / sizeof *tries && held < target; i++) {
        ag_cands_gather(s, row, row->best - tries[i]);
        held = ag_cands_weigh(s, 1);
    }
    ag_cands_cut(s, target);
}

void ag_cands_top_p(ag_sample_scratch *s, float p) {
    const uint64_t total = ag_cands_weigh(s, 1);
    ag_cands_cut(s, share(total, p));
}

/* Typical sampling. Entropy H = ln Z - sum(mass * d) / Z in units of the best candidate's mass. A
 * candidate's score is how far its surprise, ln Z - d, is from H; ln Z falls out, and what is left
 * is how far d is from its mean. Scores become keys, nearest first; the rest is a nucleus. */
static uint64_t score(ag_sample_scratch *s, float best, double mean, double radius) {
    uint64_t within = 0;
    for (size_t i = 0; i < s->n_cands; i++) {
        const uint64_t key = s->cands[i].key;
        const double distance = fabs((double)(ag_cand_logit(key) - best) - mean);
        s->cands[i].key = ag_cand_key((float)-distance, ag_cand_id(key));
        within += distance <= radius ? s->cands[i].mass : 0;
    }
    return within;
}

static void cut_scored(ag_sample_scratch *s, const ag_row *row, uint64_t target) {
    ag_cands_cut(s, target);
    for (size_t i = 0; i < s->n_cands; i++) {
        const int32_t id = ag_cand_id(s->cands[i].key);
        s->cands[i].key = ag_cand_key(ag_row_finite(row->x[id]), id);
    }
}

void ag_cands_typical(ag_sample_scratch *s, const ag_row *row, float p) {
    const float best = ag_cands_best(s);
    const uint64_t total = ag_cands_weigh(s, 1);
    double sum = 0; /* by id, as ag_row_moment() adds */
    for (size_t i = 0; i < s->n_cands; i++) {
        if (s->cands[i].mass)
            sum += (double)s->cands[i].mass * (double)(ag_cand_logit(s->cands[i].key) - best);
    }
    (void)score(s, best, sum / (double)total, 0);
    cut_scored(s, row, share(total, p));
}

void ag_cands_typical_row(ag_sample_scratch *s, const ag_row *row, float p) {
    const uint64_t total = ag_row_mass(row, 1, NULL), target = share(total, p);
    const double mean = ag_row_moment(row) / (double)total;
    /* As for a nucleus: take in ever less likely tokens until those nearer than `radius` to the
     * mean hold the target. Half a nat more is gathered, so that rounding loses none of them. */
    static const double radii[] = {1.5, 4, 8, INFINITY};
    uint64_t within = 0;
    for (size_t i = 0; i < sizeof radii / sizeof *radii && within < target; i++) {
        const double floor = (double)row->best + mean - radii[i] - 0.5;
        ag_cands_gather(s, row, (float)(floor - fabs(floor) * 0x1p-20));
        (void)ag_cands_weigh(s, 1);
        within = score(s, row->best, mean, radii[i]);
    }
    cut_scored(s, row, target);
}

void ag_cands_min_p(ag_sample_scratch *s, float ln_min_p) {
    /* The key of the highest id: every candidate at the floor stays. */
    const float floor = ag_cands_best(s) + ln_min_p;
    keep_above(s, (uint64_t)ag_sortable(floor) << 32);
}

void ag_cands_xtc(ag_sample_scratch *s, float threshold) {
    const double limit = (double)ag_cands_weigh(s, 1) * (double)threshold;
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < s->n_cands; i++) {
        if ((double)s->cands[i].mass >= limit && s->cands[i].key < least)
            least = s->cands[i].key;
    }
    /* Masses follow keys: all above `least` have the threshold as well. With none or one such
     * candidate nothing is dropped. */
    size_t n = 0;
    for (size_t i = 0; i < s->n_cands; i++) {
        if (s->cands[i].key <= least)
            s->cands[n++] = s->cands[i];
    }
    s->n_cands = n;
}
