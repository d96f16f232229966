/* Attention with AVX2: see attend_loops.h. Thread: any. */
#include "kernels/attend_store.h"
#include "kernels/fill.h"
#include "kernels/x86/words_avx2.h"

#include "kernels/simd/attend_loops.h"

/* Sizes and scratch stay the plain ones. The wider tiers keep these writers. */
void ag_k_attend_fill_avx2(ag_kernels *k) {
    attend_serve(&k->kv[AG_KV_F32], "attend_f32_avx2", attend_f32);
    attend_serve(&k->kv[AG_KV_F16], "attend_f16_avx2", attend_f16);
    attend_serve(&k->kv[AG_KV_BF16], "attend_bf16_avx2", attend_bf16);
    attend_serve(&k->kv[AG_KV_Q8_0], "attend_q8_0_avx2", attend_q8);
    k->kv[AG_KV_F32].store_v = ag_kv_store_v_f32_avx2;
    k->kv[AG_KV_F16].store_k = ag_kv_store_k_f16_avx2;
    k->kv[AG_KV_F16].store_v = ag_kv_store_v_f16_avx2;
    k->kv[AG_KV_BF16].store_k = ag_kv_store_k_bf16_avx2;
    k->kv[AG_KV_BF16].store_v = ag_kv_store_v_bf16_avx2;
    k->kv[AG_KV_Q8_0].store_k = ag_kv_store_k_q8_avx2;
    k->kv[AG_KV_Q8_0].store_v = ag_kv_store_v_q8_avx2;
}
