/* Quantised matmuls for AVX-512 with VNNI: panels of 16 rows, packed as for plain AVX-512. */
#define V_ALONE     8
#define V_DIRECT(f) V_ALONE /* one tile, unpacked once */
#include "kernels/x86/dot_words.h"

#include "kernels/fill.h"
#include "kernels/ref/matmul.h"
#include "kernels/simd/matmul_quant.h"

AG_QFORMAT_MAP(AG_QUANT_RUN)

void ag_k_matmul_fill_vnni(ag_kernels *k) {
#define PUT(id, name, ...)                                                                         \
    ag_k_matmul_put(k, AG_T_##id, "matmul_" #name "_vnni", V_ROWS, matmul_##name);
    AG_QFORMAT_MAP(PUT)
}
