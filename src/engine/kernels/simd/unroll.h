/* Private to the kernels room: how the matmul templates are inlined and unrolled. They count on
 * every tile having its shape as constants. Without the optimiser, with sanitizers or emulation
 * (AG_SIMDE, x86/intrin.h) that only costs minutes of compiling. */
#ifndef AG_KERNELS_SIMD_UNROLL_H
#define AG_KERNELS_SIMD_UNROLL_H

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(AG_SIMDE)
#define V_INLINE     static inline __attribute__((always_inline))
#define UNROLL       _Pragma("GCC unroll 8")
#define UNROLL_TILE  _Pragma("GCC unroll 16")
#define UNROLL_STEPS _Pragma("GCC unroll 4")
#else
#define V_INLINE static inline
#define UNROLL
#define UNROLL_TILE
#define UNROLL_STEPS
#endif

#endif
