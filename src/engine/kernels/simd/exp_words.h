/* Private to the kernels room: kernels/exp.h W values at a time, the same operations in the same
 * order. Include after the words of an ISA. */
#ifndef AG_KERNELS_SIMD_EXP_WORDS_H
#define AG_KERNELS_SIMD_EXP_WORDS_H

#include "kernels/exp.h"

W_INLINE wf w_exp_neg(wf x) {
    const wf min = w_all(AG_EXP_MIN), magic = w_all(AG_EXP_ROUND), one = w_all(1.0f);
    wf c = w_max(min, x); /* a NaN in x comes through: it is the second operand */
    wf t = w_fma(c, w_all(AG_EXP_LOG2E), magic);
    wf n = w_sub(t, magic);
    wf r = w_fnma(n, w_all(AG_EXP_LN2_HI), c);
    r = w_fnma(n, w_all(AG_EXP_LN2_LO), r);
    wf p = w_fma(w_all(AG_EXP_C6), r, w_all(AG_EXP_C5));
    p = w_fma(p, r, w_all(AG_EXP_C4));
    p = w_fma(p, r, w_all(AG_EXP_C3));
    p = w_fma(p, r, w_all(AG_EXP_C2));
    p = w_fma(p, r, one);
    p = w_fma(p, r, one);
    return w_if_less(x, min, w_all(0.0f), w_mul(p, w_two_to(t)));
}

W_INLINE wf w_tanh(wf x) {
    const wf one = w_all(1.0f);
    wf u = w_abs(x), z = w_mul(u, u);
    wf p = w_fma(w_all(AG_TANH_C11), z, w_all(AG_TANH_C9));
    p = w_fma(p, z, w_all(AG_TANH_C7));
    p = w_fma(p, z, w_all(AG_TANH_C5));
    p = w_fma(p, z, w_all(AG_TANH_C3));
    wf small = w_fma(p, w_mul(z, u), u);
    wf e = w_exp_neg(w_mul(w_all(-2.0f), u));
    wf large = w_div(w_sub(one, e), w_add(one, e));
    wf y = w_if_less(u, w_all(AG_TANH_SMALL), small, large);
    return w_or(w_sign(x), w_abs(y));
}

W_INLINE wf w_sigmoid(wf x) {
    const wf one = w_all(1.0f);
    wf e = w_exp_neg(w_or(w_all(-0.0f), x));
    return w_div(w_if_less(x, w_all(0.0f), e, one), w_add(one, e));
}

W_INLINE wf w_silu(wf x) { return w_mul(x, w_sigmoid(x)); }

W_INLINE wf w_gelu_tanh(wf x) {
    wf bx = w_mul(w_all(AG_GELU_B), x), ax = w_mul(w_all(AG_GELU_A), x);
    return w_mul(x, w_sigmoid(w_mul(ax, w_fma(bx, x, w_all(1.0f)))));
}

W_INLINE wf w_gelu_erf(wf x) {
    const wf one = w_all(1.0f);
    wf u = w_mul(w_abs(x), w_all(AG_SQRT_HALF));
    wf t = w_div(one, w_fma(w_all(AG_ERFC_P), u, one));
    wf p = w_fma(w_all(AG_ERFC_C9), t, w_all(AG_ERFC_C8));
    p = w_fma(p, t, w_all(AG_ERFC_C7));
    p = w_fma(p, t, w_all(AG_ERFC_C6));
    p = w_fma(p, t, w_all(AG_ERFC_C5));
    p = w_fma(p, t, w_all(AG_ERFC_C4));
    p = w_fma(p, t, w_all(AG_ERFC_C3));
    p = w_fma(p, t, w_all(AG_ERFC_C2));
    p = w_fma(p, t, w_all(AG_ERFC_C1));
    wf tail = w_mul(w_mul(p, t), w_exp_neg(w_sub(w_all(0.0f), w_mul(u, u))));
    return w_mul(x, w_if_less(x, w_all(0.0f), tail, w_sub(one, tail)));
}

#endif
