/* Private to the kernels room: the sum of squares of vector_loops.h, the same for AVX2 and AVX-512.
 * Include after the words. */
#ifndef AG_KERNELS_X86_SQUARES_H
#define AG_KERNELS_X86_SQUARES_H

/* Four double sums of the halves of eight elements: lanes j .. j+3 and j+4 .. j+7. */
W_INLINE void add_squares(__m256 x, __m256d *lo, __m256d *hi) {
    __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(x));
    __m256d b = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
    *lo = _mm256_fmadd_pd(a, a, *lo);
    *hi = _mm256_fmadd_pd(b, b, *hi);
}

/* Sums in the order that the plain version states, on every ISA in four registers of doubles: the
 * loop waits for memory and conversions. A missing element adds 0 * 0 to a sum that is never -0. */
W_INLINE double w_sum_squares(const float *x, int n) {
    __m256d s[4];
    for (int j = 0; j < 4; j++)
        s[j] = _mm256_setzero_pd();
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        add_squares(_mm256_loadu_ps(x + i), &s[0], &s[1]);
        add_squares(_mm256_loadu_ps(x + i + 8), &s[2], &s[3]);
    }
    float rest[16] = {0};
    for (int j = 0; i + j < n; j++)
        rest[j] = x[i + j];
    add_squares(_mm256_loadu_ps(rest), &s[0], &s[1]);
    add_squares(_mm256_loadu_ps(rest + 8), &s[2], &s[3]);
    __m256d four = _mm256_add_pd(_mm256_add_pd(s[0], s[2]), _mm256_add_pd(s[1], s[3]));
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

#endif
