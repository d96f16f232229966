/* Attention with AVX-512: see attend_loops.h. Thread: any. */
#include "kernels/fill.h"
#include "kernels/x86/words_avx512.h"

#include "kernels/simd/attend_loops.h"

/* Sizes and scratch stay the plain ones, the writers those of AVX2. */
void ag_k_attend_fill_avx512(ag_kernels *k) {
    attend_serve(&k->kv[AG_KV_F32], "attend_f32_avx512", attend_f32);
    attend_serve(&k->kv[AG_KV_F16], "attend_f16_avx512", attend_f16);
    attend_serve(&k->kv[AG_KV_BF16], "attend_bf16_avx512", attend_bf16);
    attend_serve(&k->kv[AG_KV_Q8_0], "attend_q8_0_avx512", attend_q8);
}
