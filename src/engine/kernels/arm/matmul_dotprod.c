/* Quantised matmuls for AArch64 with dotprod: panels of 8 rows, packed as for plain NEON. Weights
 * below 8 bits are not negative, so they are signed bytes too. */
#include "kernels/arm/dot_words.h"

#include "kernels/fill.h"
#include "kernels/ref/matmul.h"
#include "kernels/simd/matmul_quant.h"

AG_QFORMAT_MAP(AG_QUANT_RUN)

void ag_k_matmul_fill_dotprod(ag_kernels *k) {
#define PUT(id, name, ...)                                                                         \
    ag_k_matmul_put(k, AG_T_##id, "matmul_" #name "_dotprod", V_ROWS, matmul_##name);
    AG_QFORMAT_MAP(PUT)
}
