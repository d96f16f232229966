/* Vector kernels with AVX2: kernels/ref/vector.c eight elements at a time, equal to it bit for bit.
 * The last n % 8 elements go through masked loads and stores, so nothing past the end is touched.
 * Thread: any. */
#include "kernels/fill.h"
#include "kernels/x86/exp_avx2.h"

/* A mask for the first n of 8 elements. */
static inline __m256i first(int n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane);
}

/* Two quarters of sixteen double sums: lanes j .. j+3 of lo and j+4 .. j+7 of hi. */
static inline void add_squares(__m256 x, __m256d *lo, __m256d *hi) {
    __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(x));
    __m256d b = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
    *lo = _mm256_fmadd_pd(a, a, *lo);
    *hi = _mm256_fmadd_pd(b, b, *hi);
}

/* Sums in the order that the plain version states. A masked element adds 0 * 0 to a sum that is
 * never -0, which changes nothing. */
static double sum_squares(const float *x, int n) {
    __m256d s[4];
    for (int j = 0; j < 4; j++)
        s[j] = _mm256_setzero_pd();
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        add_squares(_mm256_loadu_ps(x + i), &s[0], &s[1]);
        add_squares(_mm256_loadu_ps(x + i + 8), &s[2], &s[3]);
    }
    if (i < n)
        add_squares(_mm256_maskload_ps(x + i, first(n - i)), &s[0], &s[1]);
    if (i + 8 < n)
        add_squares(_mm256_maskload_ps(x + i + 8, first(n - i - 8)), &s[2], &s[3]);
    __m256d four = _mm256_add_pd(_mm256_add_pd(s[0], s[2]), _mm256_add_pd(s[1], s[3]));
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

static void rms_norm(const float *x, const float *w, int n, float eps, float *y) {
    const float root = (float)(1.0 / sqrt(sum_squares(x, n) / n + (double)eps));
    const __m256 by = _mm256_set1_ps(root);
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x + i), by);
        _mm256_storeu_ps(y + i, _mm256_mul_ps(v, _mm256_loadu_ps(w + i)));
    }
    if (i < n) {
        const __m256i m = first(n - i);
        __m256 v = _mm256_mul_ps(_mm256_maskload_ps(x + i, m), by);
        _mm256_maskstore_ps(y + i, m, _mm256_mul_ps(v, _mm256_maskload_ps(w + i, m)));
    }
}

static void add(float *x, const float *y, int n) {
    int i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    if (i < n) {
        const __m256i m = first(n - i);
        __m256 sum = _mm256_add_ps(_mm256_maskload_ps(x + i, m), _mm256_maskload_ps(y + i, m));
        _mm256_maskstore_ps(x + i, m, sum);
    }
}

static void scale(float *x, float by, int n) {
    const __m256 b = _mm256_set1_ps(by);
    int i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), b));
    if (i < n) {
        const __m256i m = first(n - i);
        _mm256_maskstore_ps(x + i, m, _mm256_mul_ps(_mm256_maskload_ps(x + i, m), b));
    }
}

static void swiglu(const float *gate, const float *up, int n, float *y) {
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 g = ag_silu_avx2(_mm256_loadu_ps(gate + i));
        _mm256_storeu_ps(y + i, _mm256_mul_ps(g, _mm256_loadu_ps(up + i)));
    }
    if (i < n) {
        const __m256i m = first(n - i);
        __m256 g = ag_silu_avx2(_mm256_maskload_ps(gate + i, m));
        _mm256_maskstore_ps(y + i, m, _mm256_mul_ps(g, _mm256_maskload_ps(up + i, m)));
    }
}

static void geglu(const float *gate, const float *up, int n, float *y) {
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 g = ag_gelu_tanh_avx2(_mm256_loadu_ps(gate + i));
        _mm256_storeu_ps(y + i, _mm256_mul_ps(g, _mm256_loadu_ps(up + i)));
    }
    if (i < n) {
        const __m256i m = first(n - i);
        __m256 g = ag_gelu_tanh_avx2(_mm256_maskload_ps(gate + i, m));
        _mm256_maskstore_ps(y + i, m, _mm256_mul_ps(g, _mm256_maskload_ps(up + i, m)));
    }
}

static void softcap(float *x, float cap, int n) {
    const __m256 c = _mm256_set1_ps(cap), inv = _mm256_set1_ps(1.0f / cap);
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 t = ag_tanh_avx2(_mm256_mul_ps(_mm256_loadu_ps(x + i), inv));
        _mm256_storeu_ps(x + i, _mm256_mul_ps(c, t));
    }
    if (i < n) {
        const __m256i m = first(n - i);
        __m256 t = ag_tanh_avx2(_mm256_mul_ps(_mm256_maskload_ps(x + i, m), inv));
        _mm256_maskstore_ps(x + i, m, _mm256_mul_ps(c, t));
    }
}

/* cos and sin of four pairs are spread to c0 c0 c1 c1 ...; addsub then gives a*c - b*s in the even
 * lanes and b*c + a*s in the odd ones, each product rounded. */
static void rope_pairs(float *x, int n_heads, int d, int rot, const float *cos, const float *sin) {
    const __m256i spread = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    for (int h = 0; h < n_heads; h++, x += d) {
        int f = 0;
        for (; f + 4 <= rot / 2; f += 4) {
            __m256 c = _mm256_castps128_ps256(_mm_loadu_ps(cos + f));
            __m256 s = _mm256_castps128_ps256(_mm_loadu_ps(sin + f));
            __m256 v = _mm256_loadu_ps(x + 2 * f);
            __m256 vc = _mm256_mul_ps(v, _mm256_permutevar8x32_ps(c, spread));
            __m256 vs =
                _mm256_mul_ps(_mm256_permute_ps(v, 0xb1), _mm256_permutevar8x32_ps(s, spread));
            _mm256_storeu_ps(x + 2 * f, _mm256_addsub_ps(vc, vs));
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
        for (; f + 8 <= half; f += 8) {
            __m256 c = _mm256_loadu_ps(cos + f), s = _mm256_loadu_ps(sin + f);
            __m256 a = _mm256_loadu_ps(x + f), b = _mm256_loadu_ps(x + half + f);
            __m256 lo = _mm256_sub_ps(_mm256_mul_ps(a, c), _mm256_mul_ps(b, s));
            __m256 hi = _mm256_add_ps(_mm256_mul_ps(b, c), _mm256_mul_ps(a, s));
            _mm256_storeu_ps(x + f, lo);
            _mm256_storeu_ps(x + half + f, hi);
        }
        for (; f < half; f++) {
            float a = x[f], b = x[half + f];
            x[f] = a * cos[f] - b * sin[f];
            x[half + f] = b * cos[f] + a * sin[f];
        }
    }
}

/* The largest value first, then where it stands first: the second pass usually ends early. A NaN
 * in the first operand of max gives the second, so NaN never enters. */
static int argmax(const float *x, int n) {
    const __m256 none = _mm256_set1_ps(-INFINITY);
    __m256 most = none;
    int i = 0;
    for (; i + 8 <= n; i += 8)
        most = _mm256_max_ps(_mm256_loadu_ps(x + i), most);
    if (i < n) {
        const __m256i m = first(n - i);
        __m256 v = _mm256_blendv_ps(none, _mm256_maskload_ps(x + i, m), _mm256_castsi256_ps(m));
        most = _mm256_max_ps(v, most);
    }
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    four = _mm_max_ss(four, _mm_movehdup_ps(four));
    const __m256 want = _mm256_broadcastss_ps(four);
    for (i = 0; i + 8 <= n; i += 8) {
        __m256 same = _mm256_cmp_ps(_mm256_loadu_ps(x + i), want, _CMP_EQ_OQ);
        int bits = _mm256_movemask_ps(same);
        if (bits)
            return i + __builtin_ctz((unsigned)bits);
    }
    for (; i < n; i++)
        if (x[i] == _mm_cvtss_f32(four))
            return i;
    return 0; /* all NaN */
}

void ag_k_vector_fill_avx2(ag_kernels *k) {
    k->rms_norm = rms_norm;
    k->add = add;
    k->scale = scale;
    k->swiglu = swiglu;
    k->geglu = geglu;
    k->softcap = softcap;
    k->rope_pairs = rope_pairs;
    k->rope_half = rope_half;
    k->argmax = argmax;
}
