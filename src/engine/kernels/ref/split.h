/* Private to the kernels room: one file block of a quantised type as plain numbers. */
#ifndef AG_KERNELS_REF_SPLIT_H
#define AG_KERNELS_REF_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/types.h"

/* Every quantised type is w = (d * sc) * (u - offset) [+ m, or - (dmin * mn)], with a table entry
 * in place of u - offset for IQ4_NL, IQ4_XS and MXFP4. */
typedef struct ag_split {
    uint8_t u[256]; /* the integers; Q8_0: the bits of an int8 */
    uint16_t d, m;  /* f16 (MXFP4: e); m is dmin for K types, 0 where the type has no minimum */
    uint8_t sc[16]; /* 8 scales of 32 (IQ4_XS as int8), or 16 of 16 (Q3_K, Q6_K as int8; Q2_K) */
    uint8_t mn[16]; /* Q4_K, Q5_K: 8 of 32; Q2_K: 16 of 16 */
} ag_split;

/* Read one block of `type`. */
void ag_split_block(ag_type type, const void *block, ag_split *out);

#endif
