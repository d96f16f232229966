/* Private to the kernels room: the vector kernels written in the words of an ISA, W elements at a
 * time and equal to kernels/ref/vector.c bit for bit. The last n % W elements go through masked
 * loads and stores, so nothing past the end is touched. Include after the words and
 * w_sum_squares, once. */
#ifndef AG_KERNELS_SIMD_VECTOR_LOOPS_H
#define AG_KERNELS_SIMD_VECTOR_LOOPS_H

#include "kernels/kernels.h"
#include "kernels/simd/exp_words.h"
#include "kernels/simd/mass_words.h"

static void rms_norm(const float *x, const float *w, int n, float eps, float *y) {
    const wf by = w_all((float)(1.0 / sqrt(w_sum_squares(x, n) / n + (double)eps)));
    int i = 0;
    for (; i + W <= n; i += W)
        w_store(y + i, w_mul(w_mul(w_load(x + i), by), w_load(w + i)));
    if (i < n)
        w_store_n(y + i, w_mul(w_mul(w_load_n(x + i, n - i), by), w_load_n(w + i, n - i)), n - i);
}

/* In the order that the plain version states; beside an encoder's matmuls it costs nothing. */
static double sum_values(const float *x, int n) {
    double sum[16] = {0};
    for (int i = 0; i < n; i++)
        sum[i % 16] += (double)x[i];
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            sum[j] += sum[j + half];
    return sum[0];
}

static void layer_norm(const float *x, const float *w, const float *b, int n, float eps, float *y) {
    const wf mean = w_all((float)(sum_values(x, n) / n));
    int i = 0;
    for (; i + W <= n; i += W)
        w_store(y + i, w_sub(w_load(x + i), mean));
    if (i < n)
        w_store_n(y + i, w_sub(w_load_n(x + i, n - i), mean), n - i);
    const wf by = w_all((float)(1.0 / sqrt(w_sum_squares(y, n) / n + (double)eps)));
    for (i = 0; i + W <= n; i += W)
        w_store(y + i, w_add(w_mul(w_mul(w_load(y + i), by), w_load(w + i)), w_load(b + i)));
    if (i < n)
        w_store_n(y + i,
                  w_add(w_mul(w_mul(w_load_n(y + i, n - i), by), w_load_n(w + i, n - i)),
                        w_load_n(b + i, n - i)),
                  n - i);
}

static void add(float *x, const float *y, int n) {
    int i = 0;
    for (; i + W <= n; i += W)
        w_store(x + i, w_add(w_load(x + i), w_load(y + i)));
    if (i < n)
        w_store_n(x + i, w_add(w_load_n(x + i, n - i), w_load_n(y + i, n - i)), n - i);
}

static void scale(float *x, float by, int n) {
    const wf all = w_all(by);
    int i = 0;
    for (; i + W <= n; i += W)
        w_store(x + i, w_mul(w_load(x + i), all));
    if (i < n)
        w_store_n(x + i, w_mul(w_load_n(x + i, n - i), all), n - i);
}

static void swiglu(const float *gate, const float *up, int n, float *y) {
    int i = 0;
    for (; i + W <= n; i += W)
        w_store(y + i, w_mul(w_silu(w_load(gate + i)), w_load(up + i)));
    if (i < n)
        w_store_n(y + i, w_mul(w_silu(w_load_n(gate + i, n - i)), w_load_n(up + i, n - i)), n - i);
}

static void geglu(const float *gate, const float *up, int n, float *y) {
    int i = 0;
    for (; i + W <= n; i += W)
        w_store(y + i, w_mul(w_gelu_tanh(w_load(gate + i)), w_load(up + i)));
    if (i < n)
        w_store_n(y + i, w_mul(w_gelu_tanh(w_load_n(gate + i, n - i)), w_load_n(up + i, n - i)),
                  n - i);
}

static void gelu_erf(const float *x, int n, float *y) {
    int i = 0;
    for (; i + W <= n; i += W)
        w_store(y + i, w_gelu_erf(w_load(x + i)));
    if (i < n)
        w_store_n(y + i, w_gelu_erf(w_load_n(x + i, n - i)), n - i);
}

static void softcap(float *x, float cap, int n) {
    const wf c = w_all(cap), inv = w_all(1.0f / cap);
    int i = 0;
    for (; i + W <= n; i += W)
        w_store(x + i, w_mul(c, w_tanh(w_mul(w_load(x + i), inv))));
    if (i < n)
        w_store_n(x + i, w_mul(c, w_tanh(w_mul(w_load_n(x + i, n - i), inv))), n - i);
}

/* a c - b s in the even lanes and b c + a s in the odd ones, each product rounded. */
static void rope_pairs(float *x, int n_heads, int d, int rot, const float *cos, const float *sin) {
    for (int h = 0; h < n_heads; h++, x += d) {
        int f = 0;
        for (; f + W / 2 <= rot / 2; f += W / 2) {
            wf v = w_load(x + 2 * f);
            wf vc = w_mul(v, w_load_twice(cos + f));
            w_store(x + 2 * f, w_sub_add(vc, w_mul(w_swap(v), w_load_twice(sin + f))));
        }
        for (; f < rot / 2; f++) {
            float a = x[2 * f], b = x[2 * f + 1];
            x[2 * f] = a * cos[f] - b * sin[f];
            x[2 * f + 1] = b * cos[f] + a * sin[f];
        }
    }
}

static void rope_half(float *x, int n_heads, int d, int rot, const float *cos, const float *sin) {
    const int half = rot / 2;
    for (int h = 0; h < n_heads; h++, x += d) {
        int f = 0;
        for (; f + W <= half; f += W) {
            wf c = w_load(cos + f), s = w_load(sin + f);
            wf a = w_load(x + f), b = w_load(x + half + f);
            w_store(x + f, w_sub(w_mul(a, c), w_mul(b, s)));
            w_store(x + half + f, w_add(w_mul(b, c), w_mul(a, s)));
        }
        for (; f < half; f++) {
            float a = x[f], b = x[half + f];
            x[f] = a * cos[f] - b * sin[f];
            x[half + f] = b * cos[f] + a * sin[f];
        }
    }
}

static void block_max(const float *x, int n, float *max) {
    for (int at = 0; at < n; at += AG_ROW_BLOCK) {
        wf tops = w_all(-INFINITY);
        for (int i = at; i < at + AG_ROW_BLOCK; i += W)
            tops = w_max(w_load(x + i), tops); /* NaN first gives the second */
        *max++ = w_top(tops);
    }
}

static uint64_t block_mass(const float *x, float best, float scale) {
    ws sum = ws_zero();
    for (int i = 0; i < AG_ROW_BLOCK; i += W)
        sum = ws_add(sum, w_mass(w_mul(w_sub(w_load(x + i), w_all(best)), w_all(scale))));
    return ws_total(sum);
}

/* The kernels above into their slots. */
static void vector_serve(ag_kernels *k) {
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

#endif
