#include "sample/mass.h"

#include "base/error.h"

#include <string.h>

double ag_mass_ln(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int e = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffull) | 0x3ff0000000000000ull;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e++;
    }
    /* ln m = 2 artanh(s), |s| <= 0.1716: the term after s^21 is below 2^-53. */
    const double s = (m - 1) / (m + 1), s2 = s * s;
    double sum = 0;
    for (int k = 21; k >= 1; k -= 2)
        sum = sum * s2 + 1.0 / k;
    return (double)e * AG_LN2 + 2 * s * sum;
}

static ag_f32x4 load4(const float *x) {
    ag_f32x4 v;
    memcpy(&v, x, sizeof v);
    return v;
}

void ag_row_copy(float *to, const float *from, int32_t n) {
    int32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const ag_f32x4 a = load4(from + i), b = load4(from + i + 4);
        memcpy(to + i, &a, sizeof a);
        memcpy(to + i + 4, &b, sizeof b);
    }
    for (; i < n; i++)
        to[i] = from[i];
}

/* Where x is larger x, elsewhere (also where x is NaN) m. */
static ag_f32x4 larger4(ag_f32x4 x, ag_f32x4 m) {
    const ag_i32x4 mask = x > m;
    return (ag_f32x4)((mask & (ag_i32x4)x) | (~mask & (ag_i32x4)m));
}

/* x, but at most `most` (NaN stays NaN). */
static ag_f32x4 smaller4(ag_f32x4 x, float most) {
    const ag_i32x4 mask = x > most;
    const ag_f32x4 m = {most, most, most, most};
    return (ag_f32x4)((mask & (ag_i32x4)m) | (~mask & (ag_i32x4)x));
}

ag_row ag_row_scan(const ag_kernels *k, const float *x, int32_t n, float *block_max) {
    ag_row row = {.kernels = k, .x = x, .block_max = block_max, .n = n, .best = -INFINITY};
    const int32_t whole = n / AG_ROW_BLOCK * AG_ROW_BLOCK;
    k->block_max(x, whole, block_max);
    if (whole < n) {
        float m = -INFINITY;
        for (int32_t i = whole; i < n; i++)
            m = x[i] > m ? x[i] : m;
        block_max[whole / AG_ROW_BLOCK] = m;
    }
    for (int32_t b = 0; b < ag_row_blocks(n); b++) {
        block_max[b] = ag_row_finite(block_max[b]);
        row.best = block_max[b] > row.best ? block_max[b] : row.best;
    }
    return row;
}

int32_t ag_row_argmax(const ag_row *row) {
    int32_t b = 0;
    while (row->block_max[b] < row->best)
        b++;
    int32_t id = b * AG_ROW_BLOCK;
    while (!(row->x[id] >= row->best)) /* a NaN is not */
        id++;
    return id;
}

uint64_t ag_row_mass(const ag_row *row, float scale, uint64_t *block_mass) {
    uint64_t total = 0;
    for (int32_t b = 0; b < ag_row_blocks(row->n); b++) {
        const int32_t n_block = ag_row_block_n(row, b);
        uint64_t sum = 0;
        if ((row->block_max[b] - row->best) * scale <= AG_MASS_LOW) {
            /* every mass of the block rounds to 0 */
        } else if (n_block == AG_ROW_BLOCK && row->best < FLT_MAX) {
            sum = row->kernels->block_mass(row->x + (size_t)b * AG_ROW_BLOCK, row->best, scale);
        } else {
            for (int32_t i = 0; i < n_block; i++)
                sum += ag_row_mass_of(row, scale, b * AG_ROW_BLOCK + i);
        }
        if (block_mass)
            block_mass[b] = sum;
        total += sum;
    }
    return total;
}

/* Four terms mass * d. A distance too far to weigh, perhaps infinite or NaN, becomes a finite one,
 * whose mass is 0 as well. */
static ag_f64x2 moments4(ag_f32x4 d, ag_f64x2 *high) {
    const ag_f32x4 low = {AG_MASS_LOW, AG_MASS_LOW, AG_MASS_LOW, AG_MASS_LOW};
    ag_u64x2 biased[2];
    ag_mass4(d, biased);
    d = larger4(d, low);
    const ag_f64x2 d01 = {(double)d[0], (double)d[1]}, d23 = {(double)d[2], (double)d[3]};
    *high = ((ag_f64x2)biased[1] - 0x1p52) * d23;
    return ((ag_f64x2)biased[0] - 0x1p52) * d01;
}

double ag_row_moment(const ag_row *row) {
    const ag_f32x4 nothing = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    double sum = 0;
    for (int32_t b = 0; b < ag_row_blocks(row->n); b++) {
        if (row->block_max[b] - row->best <= AG_MASS_LOW)
            continue;
        const int32_t n_block = ag_row_block_n(row, b);
        for (int32_t i = 0; i < n_block; i += 4) {
            const float *x = row->x + (size_t)b * AG_ROW_BLOCK + i;
            ag_f32x4 v = nothing;
            if (i + 4 <= n_block)
                v = load4(x);
            else
                memcpy(&v, x, (size_t)(n_block - i) * sizeof *x);
            v = smaller4(v, FLT_MAX) - row->best;
            ag_f64x2 high;
            const ag_f64x2 first = moments4(v, &high);
            sum = (((sum + first[0]) + first[1]) + high[0]) + high[1];
        }
    }
    return sum;
}

int32_t ag_row_token_at(const ag_row *row, float scale, const uint64_t *block_mass, uint64_t at) {
    int32_t b = 0;
    for (; at >= block_mass[b]; b++)
        at -= block_mass[b];
    for (int32_t i = 0; i < ag_row_block_n(row, b); i++) {
        const uint64_t mass = ag_row_mass_of(row, scale, b * AG_ROW_BLOCK + i);
        if (at < mass)
            return b * AG_ROW_BLOCK + i;
        at -= mass;
    }
    AG_NEVER(); /* `at` lies inside the block, whose masses sum to block_mass[b] */
}
