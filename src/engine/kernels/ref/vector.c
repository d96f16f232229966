/* Vector kernels in plain C: the definition that the other tiers equal bit for bit.
 *
 * Where the order of additions could show (the norms) it is stated; everything else is one value at
 * a time, with each rounding where the source puts it. Thread: any. */
#include "kernels/exp.h"
#include "kernels/fill.h"
#include "kernels/mass.h"
#include "kernels/ref/clones.h"

static double halve(double sum[16]) {
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            sum[j] += sum[j + half];
    return sum[0];
}

/* Sixteen double sums, sum j over the elements i = j mod 16 in order, then halved: j + (j + 8),
 * + 4, + 2, + 1. A square of a float is exact in double, so each step rounds once. */
static double sum_squares(const float *x, int n) {
    double sum[16] = {0};
    for (int i = 0; i < n; i++)
        sum[i % 16] += (double)x[i] * (double)x[i];
    return halve(sum);
}

static void rms_norm(const float *x, const float *w, int n, float eps, float *y) {
    float by = (float)(1.0 / sqrt(sum_squares(x, n) / n + (double)eps));
    for (int i = 0; i < n; i++)
        y[i] = x[i] * by * w[i];
}

/* The mean is summed in the same order and rounded to float32, and so are the differences. */
static void layer_norm(const float *x, const float *w, const float *b, int n, float eps, float *y) {
    double sum[16] = {0};
    for (int i = 0; i < n; i++)
        sum[i % 16] += (double)x[i];
    float mean = (float)(halve(sum) / n);
    for (int i = 0; i < n; i++)
        y[i] = x[i] - mean;
    float by = (float)(1.0 / sqrt(sum_squares(y, n) / n + (double)eps));
    for (int i = 0; i < n; i++)
        y[i] = y[i] * by * w[i] + b[i];
}

static void add(float *x, const float *y, int n) {
    for (int i = 0; i < n; i++)
        x[i] += y[i];
}

static void scale(float *x, float by, int n) {
    for (int i = 0; i < n; i++)
        x[i] *= by;
}

AG_CLONES static void swiglu(const float *gate, const float *up, int n, float *y) {
    for (int i = 0; i < n; i++)
        y[i] = ag_silu(gate[i]) * up[i];
}

AG_CLONES static void geglu(const float *gate, const float *up, int n, float *y) {
    for (int i = 0; i < n; i++)
        y[i] = ag_gelu_tanh(gate[i]) * up[i];
}

AG_CLONES static void gelu_erf(const float *x, int n, float *y) {
    for (int i = 0; i < n; i++)
        y[i] = ag_gelu_erf(x[i]);
}

AG_CLONES static void softcap(float *x, float cap, int n) {
    float inv = 1.0f / cap;
    for (int i = 0; i < n; i++)
        x[i] = cap * ag_tanh(x[i] * inv);
}

static void rope_pairs(float *x, int n_heads, int d, int rot, const float *cos, const float *sin) {
    for (int h = 0; h < n_heads; h++, x += d)
        for (int f = 0; f < rot / 2; f++) {
            float a = x[2 * f], b = x[2 * f + 1];
            x[2 * f] = a * cos[f] - b * sin[f];
            x[2 * f + 1] = b * cos[f] + a * sin[f];
        }
}

static void rope_half(float *x, int n_heads, int d, int rot, const float *cos, const float *sin) {
    for (int h = 0; h < n_heads; h++, x += d)
        for (int f = 0; f < rot / 2; f++) {
            float a = x[f], b = x[f + rot / 2];
            x[f] = a * cos[f] - b * sin[f];
            x[f + rot / 2] = b * cos[f] + a * sin[f];
        }
}

static void block_max(const float *x, int n, float *max) {
    for (int at = 0; at < n; at += AG_ROW_BLOCK, max++) {
        *max = -INFINITY;
        for (int i = at; i < at + AG_ROW_BLOCK; i++)
            *max = x[i] > *max ? x[i] : *max;
    }
}

static uint64_t block_mass(const float *x, float best, float scale) {
    ag_u64x2 sum = {0}, biased[2];
    for (int i = 0; i < AG_ROW_BLOCK; i += 4) {
        const ag_f32x4 four = {x[i], x[i + 1], x[i + 2], x[i + 3]};
        ag_mass4((four - best) * scale, biased);
        sum += biased[0] + biased[1];
    }
    return sum[0] + sum[1] - AG_ROW_BLOCK * AG_MASS_BIAS;
}

void ag_k_vector_fill_ref(ag_kernels *k) {
    k->rms_norm = rms_norm;
    k->layer_norm = layer_norm;
    k->add = add;
    k->scale = scale;
    k->swiglu = swiglu;
    k->geglu = geglu;
    k->gelu_erf = gelu_erf;
    k->softcap = softcap;
    k->rope_pairs = rope_pairs;
    k->rope_half = rope_half;
    k->block_max = block_max;
    k->block_mass = block_mass;
}
