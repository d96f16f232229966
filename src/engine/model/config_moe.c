/* The keys of experts. */
#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "model/config.h"

/* GGUF's numbers of expert_gating_func; 3 is a softmax over the chosen ones, which is what dividing
 * by their sum gives. */
enum { FILE_SOFTMAX = 1, FILE_SIGMOID = 2, FILE_SOFTMAX_CHOSEN = 3 };

/* Files of latent-attention models written before the key existed do not say how they route; those
 * with a sigmoid are the ones whose choice has a bias. */
static bool has_choice_bias(const ag_source *src, const ag_model_config *c) {
    char name[64];
    for (int i = 0; i < c->n_layers; i++) {
        snprintf(name, sizeof name, "blk.%d.exp_probs_b.bias", i);
        if (ag_source_find_tensor(src, name))
            return true;
    }
    return false;
}

static ag_code read_weighing(const ag_source *src, ag_model_config *c, ag_err *err) {
    const ag_arch *a = c->arch;
    ag_moe_config *m = &c->moe;
    uint32_t func =
        a->gating == AG_GATE_SIGMOID || has_choice_bias(src, c) ? FILE_SIGMOID : FILE_SOFTMAX;
    char name[128];
    snprintf(name, sizeof name, "%s.expert_weights_norm", a->name);
    m->normalise = a->normalises_experts;
    m->scale = 1.0f;
    ag_code code;
    if ((code = ag_arch_key_u32(src, a, "expert_gating_func", false, &func, err)) ||
        (code = ag_source_opt_bool(src, name, &m->normalise, err)) ||
        (code = ag_arch_key_f32(src, a, "expert_weights_scale", false, &m->scale, err)))
        return code;
    if (m->scale == 0.0f) /* some converters write 0 for none */
        m->scale = 1.0f;
    if (func < FILE_SOFTMAX || func > FILE_SOFTMAX_CHOSEN)
        return ag_fail(err, AG_E_UNSUPPORTED, "%s: expert_gating_func %u is not supported",
                       ag_source_path(src), func);
    if (!isfinite(m->scale))
        return ag_fail(err, AG_E_FORMAT, "%s: expert_weights_scale is %g", ag_source_path(src),
                       (double)m->scale);
    m->gating = func == FILE_SIGMOID ? AG_GATE_SIGMOID : AG_GATE_SOFTMAX;
    m->normalise |= func == FILE_SOFTMAX_CHOSEN;
    return AG_OK;
}

ag_code ag_moe_config_read(const ag_source *src, ag_model_config *c, ag_err *err) {
    const ag_arch *a = c->arch;
    ag_moe_config *m = &c->moe;
    uint32_t n_experts = 0, n_shared = 0, n_groups = 1, n_groups_used = 1;
    ag_code code;
    if ((code = ag_arch_key_u32(src, a, "expert_count", false, &n_experts, err)))
        return code;
    if (n_experts == 0)
        return AG_OK;
    m->n_ff = c->n_ff; /* Mixtral has no key of its own for it */
    if ((code = ag_arch_key_size(src, a, "expert_used_count", true, AG_MAX_EXPERTS, &m->n_used,
                                 err)) ||
        (code = ag_arch_key_size(src, a, "expert_feed_forward_length", false, 1 << 22, &m->n_ff,
                                 err)) ||
        (code = ag_arch_key_u32(src, a, "expert_group_count", false, &n_groups, err)) ||
        (code = ag_arch_key_u32(src, a, "expert_group_used_count", false, &n_groups_used, err)) ||
        (code = ag_arch_key_u32(src, a, "expert_shared_count", false, &n_shared, err)) ||
        (code = read_weighing(src, c, err)))
        return code;
    n_groups += n_groups == 0; /* 0 says the same as 1: no groups */
    n_groups_used += n_groups_used == 0;
    if (n_experts > AG_MAX_EXPERTS || m->n_used > AG_MAX_EXPERTS_USED || n_experts % n_groups ||
        n_groups_used > n_groups || (uint32_t)m->n_used > n_experts / n_groups * n_groups_used)
        return ag_fail(err, AG_E_FORMAT,
                       "%s: a row cannot use %d of %u experts, from %u of %u groups",
                       ag_source_path(src), m->n_used, n_experts, n_groups_used, n_groups);
    if ((uint64_t)n_shared * (uint64_t)m->n_ff > 1 << 22)
        return ag_fail(err, AG_E_FORMAT, "%s: %u shared experts of %d are too many",
                       ag_source_path(src), n_shared, m->n_ff);
    m->n_experts = (int)n_experts;
    m->n_groups = (int)n_groups;
    m->n_groups_used = (int)n_groups_used;
    m->n_ff_shared = (int)n_shared * m->n_ff;
    return AG_OK;
}
