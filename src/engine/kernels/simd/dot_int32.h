/* The words of dot products that add to an int32 at once, as far as they are the same on every ISA
 * that has such; after its vectors (isa_*.h). Nothing can overflow, nothing needs centring on the
 * way. */
#ifndef AG_KERNELS_SIMD_DOT_INT32_H
#define AG_KERNELS_SIMD_DOT_INT32_H

typedef vi vdot;
enum { DOT_CENTRES_5 = 0, V_PANELS = 2 };

V_INLINE vdot dot_zero(void) { return v_zero(); }
V_INLINE vdot dot_centre5(const ag_q8_block *x) {
    (void)x;
    return v_zero();
}
V_INLINE vi dot_end(vdot acc) { return acc; }
V_INLINE vi signed_end(vdot acc) { return acc; }

#endif
