/* Private to the kernels room: AG_CLONES before a function of the plain tier compiles it twice, for
 * any machine and for those with AVX2 and FMA, and the loader takes the better one.
 *
 * Both give the same bits: fmaf is exact with or without the instruction, nothing contracts or
 * reassociates, and vectors only run independent chains side by side. It is there because a call
 * of fmaf for each product makes the plain tier, to which every other is compared, 20 times
 * slower than need be. */
#ifndef AG_KERNELS_REF_CLONES_H
#define AG_KERNELS_REF_CLONES_H

#include <stdint.h> /* __GLIBC__: the loader must know indirect functions */

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && defined(__x86_64__) &&           \
    defined(__GLIBC__) && defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define AG_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define AG_CLONES
#endif

#endif
