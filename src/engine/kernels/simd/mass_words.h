/* Private to the kernels room: kernels/mass.h W values at a time, the same operations in the same
 * order. Include after the words of an ISA. */
#ifndef AG_KERNELS_SIMD_MASS_WORDS_H
#define AG_KERNELS_SIMD_MASS_WORDS_H

#include "kernels/mass.h"

/* Masses before they are rounded to integers. Two products by powers of two raise the exponent:
 * both are exact. */
W_INLINE wf w_mass(wf d) {
    const wf magic = w_all(AG_MASS_ROUND);
    const wf t = w_add(w_mul(d, w_all(AG_MASS_LOG2E)), magic);
    const wf n = w_sub(t, magic);
    const wf r = w_sub(w_sub(d, w_mul(n, w_all(AG_MASS_LN2_HI))), w_mul(n, w_all(AG_MASS_LN2_LO)));
    const wf r2 = w_mul(r, r);
    const wf low = w_add(w_add(w_mul(r2, w_all(0.5f)), r), w_all(1.0f));
    const wf mid3 = w_add(w_mul(r, w_all(AG_MASS_C4)), w_all(AG_MASS_C3));
    const wf mid5 = w_add(w_mul(r, w_all(AG_MASS_C6)), w_all(AG_MASS_C5));
    const wf mid = w_add(mid3, w_mul(r2, mid5));
    const wf p = w_add(low, w_mul(w_mul(r2, r), mid));
    const wf mass = w_mul(w_mul(p, w_two_to(t)), w_all((float)(1ull << AG_MASS_BITS)));
    return w_if_less(w_all(AG_MASS_LOW), d, mass, w_all(0.0f));
}

#endif
