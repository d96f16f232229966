/* Private to the kernels room: what the plain matmul files share with the fast ones. */
#ifndef AG_KERNELS_REF_MATMUL_H
#define AG_KERNELS_REF_MATMUL_H

#include "kernels/kernels.h"

/* quantize_q8's special cases, as bits of the largest magnitude. */
#define AG_Q8_ZERO_BELOW 0x0d800000u /* 2^-100 */
#define AG_Q8_NOT_FINITE 0x7f800000u
#define AG_Q8_NAN        0x7fc00000u

void ag_k_quantize_q8_ref(const float *x, int n, void *act);
void ag_k_quantize_q8_avx2(const float *x, int n, void *act);
void ag_k_quantize_q8_avx512(const float *x, int n, void *act);
void ag_k_quantize_q8_neon(const float *x, int n, void *act);
/* float32 that are bfloat16: n, and zeros up to a multiple of 32. */
void ag_k_round_bf16_ref(const float *x, int n, void *act);

/* Sizes and packing of panels of 8 and of 16 rows; .pack is NULL for types not decoded. */
typedef struct ag_packer {
    size_t (*panel_bytes)(int cols);
    void (*pack)(const void *src, int rows, int cols, void *panel);
} ag_packer;
extern const ag_packer ag_k_pack_8[AG_T_LIMIT];
extern const ag_packer ag_k_pack_16[AG_T_LIMIT];

/* Put one matmul into a table. */
static inline void ag_k_matmul_put(ag_kernels *k, ag_type type, const char *name, int panel,
                                   void (*run)(const ag_matmul_args *)) {
    const ag_packer *p = panel == 16 ? &ag_k_pack_16[type] : &ag_k_pack_8[type];
    const ag_act act = type == AG_T_BF16                      ? AG_ACT_BF16
                       : type == AG_T_F32 || type == AG_T_F16 ? AG_ACT_F32
                                                              : AG_ACT_Q8;
    k->matmul[type] = (ag_matmul_ops){name, panel, act, p->panel_bytes, p->pack, run};
}

#endif
