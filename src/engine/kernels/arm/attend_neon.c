/* Attention for AArch64: see attend_loops.h. Thread: any. */
#include "kernels/arm/words_neon.h"
#include "kernels/attend_store.h"
#include "kernels/fill.h"

#include "kernels/simd/attend_loops.h"

/* Sizes and scratch stay the plain ones. */
void ag_k_attend_fill_neon(ag_kernels *k) {
    attend_serve(&k->kv[AG_KV_F32], "attend_f32_neon", attend_f32);
    attend_serve(&k->kv[AG_KV_F16], "attend_f16_neon", attend_f16);
    attend_serve(&k->kv[AG_KV_BF16], "attend_bf16_neon", attend_bf16);
    attend_serve(&k->kv[AG_KV_Q8_0], "attend_q8_0_neon", attend_q8);
    k->kv[AG_KV_F32].store_v = ag_kv_store_v_f32_neon;
    k->kv[AG_KV_F16].store_k = ag_kv_store_k_f16_neon;
    k->kv[AG_KV_F16].store_v = ag_kv_store_v_f16_neon;
    k->kv[AG_KV_BF16].store_k = ag_kv_store_k_bf16_neon;
    k->kv[AG_KV_BF16].store_v = ag_kv_store_v_bf16_neon;
    k->kv[AG_KV_Q8_0].store_k = ag_kv_store_k_q8_neon;
    k->kv[AG_KV_Q8_0].store_v = ag_kv_store_v_q8_neon;
}
