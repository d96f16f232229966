/* The keys of latent attention. Newer files give the sizes of what is cached as those of heads, and
 * a head's own under _mla; older ones give a head's own. */
#include <stdio.h>

#include "model/config.h"

#define MOST_RANK 65536

/* The number of the key under _mla, or else under its plain name. */
static ag_code head_size(const ag_source *src, const ag_arch *a, const char *key, int *out,
                         ag_err *err) {
    char full[128], mla[64];
    snprintf(mla, sizeof mla, "%s_mla", key);
    snprintf(full, sizeof full, "%s.%s", a->name, mla);
    return ag_arch_key_size(src, a, ag_source_find(src, full) ? mla : key, true, 4096, out, err);
}

ag_code ag_mla_config_read(const ag_source *src, ag_model_config *c, ag_err *err) {
    const ag_arch *a = c->arch;
    ag_mla_config *m = &c->mla;
    int key = 0;
    uint32_t q_rank = 0;
    ag_code code;
    if ((code = ag_arch_key_size(src, a, "attention.kv_lora_rank", true, 4096, &m->rank, err)) ||
        (code = ag_arch_key_size(src, a, "rope.dimension_count", true, 4096, &m->rope, err)) ||
        (code = ag_arch_key_u32(src, a, "attention.q_lora_rank", false, &q_rank, err)) ||
        (code = head_size(src, a, "attention.key_length", &key, err)) ||
        (code = head_size(src, a, "attention.value_length", &m->value, err)))
        return code;
    m->nope = key - m->rope;
    if (m->nope < 1 || q_rank > MOST_RANK)
        return ag_fail(err, AG_E_FORMAT,
                       "%s: a key of %d with %d numbers that rotate, or a query rank of %u, cannot "
                       "be",
                       ag_source_path(src), key, m->rope, q_rank);
    if (m->rank % 32 || m->rope % 16 || m->nope % 32)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "%s: latent attention of rank %d with keys of %d + %d: the kernels need "
                       "multiples of 32, 32 and 16",
                       ag_source_path(src), m->rank, m->nope, m->rope);
    m->q_rank = (int)q_rank;
    c->n_kv_heads = 1;
    c->d_head = m->rank + m->rope;
    return AG_OK;
}

ag_code ag_yarn_log_multiplier(const ag_source *src, const ag_arch *a, float *out, ag_err *err) {
    *out = 0;
    return ag_arch_key_f32(src, a, "rope.scaling.yarn_log_multiplier", false, out, err);
}
