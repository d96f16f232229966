/* Matmuls for AVX2: panels of 8 rows. The templates hold the loops, isa_avx2.h the instructions. */
#include "kernels/x86/isa_avx2.h"

#include "kernels/fill.h"
#include "kernels/ref/matmul.h"
#include "kernels/simd/matmul_quant.h"

#include "kernels/simd/matmul_float.h"

#include "kernels/simd/matmul_bf16.h"

AG_QFORMAT_MAP(AG_QUANT_RUN)
AG_FLOAT_RUN(F32, f32)
AG_FLOAT_RUN(F16, f16)
AG_BF16_RUN

void ag_k_matmul_fill_avx2(ag_kernels *k) {
#define PUT(id, name, ...)                                                                         \
    ag_k_matmul_put(k, AG_T_##id, "matmul_" #name "_avx2", V_ROWS, matmul_##name);
    AG_QFORMAT_MAP(PUT)
    PUT(F32, f32)
    PUT(F16, f16)
    PUT(BF16, bf16)
    k->quantize_q8 = ag_k_quantize_q8_avx2;
}
