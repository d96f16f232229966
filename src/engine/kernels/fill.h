/* Private to the kernels room: the fill functions from which table.c builds a table.
 *
 * Each family has one function an ISA. table.c calls them from the plain tier upwards and each
 * overwrites the slots it serves better, so a slot without a fast version keeps the plain one. A
 * fill function only stores pointers and names: it runs no instruction of its ISA. */
#ifndef AG_KERNELS_FILL_H
#define AG_KERNELS_FILL_H

#include "kernels/kernels.h"

void ag_k_matmul_fill_ref(ag_kernels *k);
void ag_k_matmul_fill_avx2(ag_kernels *k);
void ag_k_matmul_fill_avx512(ag_kernels *k);
void ag_k_matmul_fill_vnni(ag_kernels *k);
void ag_k_matmul_fill_amx(ag_kernels *k);
void ag_k_bf16_fill_amx(ag_kernels *k);
void ag_k_matmul_fill_neon(ag_kernels *k);
void ag_k_matmul_fill_dotprod(ag_kernels *k);
void ag_k_matmul_fill_i8mm(ag_kernels *k);

void ag_k_attend_fill_ref(ag_kernels *k);
void ag_k_attend_fill_avx2(ag_kernels *k);
void ag_k_attend_fill_avx512(ag_kernels *k);
void ag_k_attend_fill_neon(ag_kernels *k);

void ag_k_vector_fill_ref(ag_kernels *k);
void ag_k_vector_fill_avx2(ag_kernels *k);
void ag_k_vector_fill_avx512(ag_kernels *k);
void ag_k_vector_fill_neon(ag_kernels *k);

#endif
