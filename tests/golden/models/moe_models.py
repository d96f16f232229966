"""Tiny models with experts and with latent attention, and how their tensors are stacked in GGUF files."""
import re

import numpy as np

import chat_templates as chat
from gguf_file import BOOL, F32, U32

TYPES = ("f32", "bf16", "q8_0", "q4_k")     # what is special to these models does not depend on more


def linear(name, out, inp):
    return [(name + ".weight", (out, inp), "linear")]


def mlp(p, E, F, names=("gate_proj", "up_proj", "down_proj")):
    return linear(p + names[0], F, E) + linear(p + names[1], F, E) + linear(p + names[2], E, F)


def moe_tensors(p, c):
    """The mlp of a layer with experts, in checkpoint names."""
    E, kind = c["hidden_size"], c["model_type"]
    if kind == "mixtral":
        p = p.replace("mlp.", "block_sparse_moe.")
        t = [(p + "gate.weight", (c["num_local_experts"], E), "linear")]
        for e in range(c["num_local_experts"]):
            t += mlp(f"{p}experts.{e}.", E, c["intermediate_size"], ("w1", "w3", "w2"))
        return t
    n, F = c.get("n_routed_experts") or c["num_experts"], c["moe_intermediate_size"]
    t = [(p + "gate.weight", (n, E), "linear")]
    if kind.startswith("glm4_moe"):
        t += [(p + "gate.e_score_correction_bias", (n,), "bias")]
    if c.get("n_shared_experts"):
        t += mlp(p + "shared_experts.", E, F * c["n_shared_experts"])
    for e in range(n):
        t += mlp(f"{p}experts.{e}.", E, F)
    return t


def mla_tensors(p, c):
    """Latent attention, in checkpoint names."""
    E, H, R, rq = c["hidden_size"], c["num_attention_heads"], c["kv_lora_rank"], c["q_lora_rank"]
    qk = c["qk_nope_head_dim"] + c["qk_rope_head_dim"]
    if rq:
        t = linear(p + "q_a_proj", rq, E) + [(p + "q_a_layernorm.weight", (rq,), "norm")] + linear(p + "q_b_proj", H * qk, rq)
    else:
        t = linear(p + "q_proj", H * qk, E)
    t += linear(p + "kv_a_proj_with_mqa", R + c["qk_rope_head_dim"], E) + [(p + "kv_a_layernorm.weight", (R,), "norm")]
    t += linear(p + "kv_b_proj", H * (c["qk_nope_head_dim"] + c["v_head_dim"]), R)
    return t + linear(p + "o_proj", E, H * c["v_head_dim"])


def add_models(T, base, Model, decoder_tensors):
    # gate and up of all experts in one tensor
    c = base("Qwen3MoeForCausalLM", "qwen3_moe", rope_theta=1000000.0, rms_norm_eps=1e-6, moe_intermediate_size=64,
             num_experts=8, num_experts_per_tok=3, norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[],
             attention_bias=False)
    T["tiny-qwen3-moe"] = Model(c, decoder_tensors(c, qk_norm=True), "qwen2", chat.CHATML, types=TYPES, experts="fused")
    # a tensor for every expert, as the oldest files have
    c = base("MixtralForCausalLM", "mixtral", rope_theta=1000000.0, num_local_experts=4, num_experts_per_tok=2,
             intermediate_size=64, sliding_window=None)
    T["tiny-mixtral"] = Model(c, decoder_tensors(c), "tekken", chat.LLAMA2, types=TYPES, experts="single")
    # sigmoid, groups, a shared expert, a plain first layer, a layer for further tokens that is ignored
    c = base("Glm4MoeForCausalLM", "glm4_moe", attention_bias=True, use_qk_norm=True, rope_theta=1000000.0,
             partial_rotary_factor=0.5, intermediate_size=128, moe_intermediate_size=64, n_routed_experts=8,
             num_experts_per_tok=2, n_shared_experts=1, n_group=2, topk_group=1, norm_topk_prob=True,
             routed_scaling_factor=2.5, first_k_dense_replace=1, num_nextn_predict_layers=1)
    T["tiny-glm4-moe"] = Model(c, decoder_tensors(c, bias=True, qk_norm=True), "glm4", chat.GLM4, types=TYPES)
    # latent attention with a query of low rank
    c = base("Glm4MoeLiteForCausalLM", "glm4_moe_lite", num_key_value_heads=4, rope_theta=1000000.0, q_lora_rank=128,
             kv_lora_rank=64, qk_nope_head_dim=32, qk_rope_head_dim=32, v_head_dim=64, intermediate_size=128,
             moe_intermediate_size=64, n_routed_experts=8, num_experts_per_tok=2, n_shared_experts=1, n_group=1,
             topk_group=1, norm_topk_prob=True, routed_scaling_factor=1.8, first_k_dense_replace=1,
             num_nextn_predict_layers=1)
    del c["head_dim"]
    T["tiny-glm4-moe-lite"] = Model(c, decoder_tensors(c), "glm4", chat.GLM4, types=TYPES)
    # softmax over all experts without dividing, groups by their best, YaRN with its own scale, keys of older files
    c = base("DeepseekV2ForCausalLM", "deepseek_v2", num_key_value_heads=4, rope_theta=10000.0, q_lora_rank=None,
             kv_lora_rank=256, qk_nope_head_dim=64, qk_rope_head_dim=16, v_head_dim=32, intermediate_size=128,
             moe_intermediate_size=64, n_routed_experts=12, num_experts_per_tok=3, n_shared_experts=2, n_group=3,
             topk_group=2, topk_method="group_limited_greedy", norm_topk_prob=False, routed_scaling_factor=4.0,
             first_k_dense_replace=1, rms_norm_eps=1e-6,
             rope_scaling={"rope_type": "yarn", "type": "yarn", "factor": 4.0, "mscale": 0.707, "mscale_all_dim": 0.707,
                           "original_max_position_embeddings": 32, "beta_fast": 32, "beta_slow": 1})
    del c["head_dim"]
    T["tiny-deepseek2"] = Model(c, decoder_tensors(c), "qwen2", chat.CHATML, types=TYPES, experts="old")


# ---- GGUF ----

LAYER = {"mlp.gate": "ffn_gate_inp", "mlp.experts.gate_proj": "ffn_gate_exps", "mlp.experts.up_proj": "ffn_up_exps",
         "mlp.experts.gate_up_proj": "ffn_gate_up_exps", "mlp.experts.down_proj": "ffn_down_exps",
         "mlp.shared_experts.gate_proj": "ffn_gate_shexp", "mlp.shared_experts.up_proj": "ffn_up_shexp",
         "mlp.shared_experts.down_proj": "ffn_down_shexp", "self_attn.q_a_proj": "attn_q_a",
         "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
         "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm",
         "self_attn.k_b_proj": "attn_k_b", "self_attn.v_b_proj": "attn_v_b", "self_attn.kv_b_proj": "attn_kv_b",
         "mlp.gate.e_score_correction": "exp_probs_b"}
LAYER.update({f"mlp.experts.{e}.{part}_proj": f"ffn_{part}.{e}" for e in range(4) for part in ("gate", "up", "down")})
MIXTRAL = {"w1": "gate_proj", "w3": "up_proj", "w2": "down_proj"}


def plain_name(name):
    """Checkpoint name with Mixtral's words replaced, and the bias of the choice spelt as a bias."""
    name = name.replace("e_score_correction_bias", "e_score_correction.bias").replace("block_sparse_moe.", "mlp.")
    return re.sub(r"\.(w[123])\.weight$", lambda m: f".{MIXTRAL[m[1]]}.weight", name)


def fold(m, W):
    """Checkpoint tensors -> what stands for them in a file: experts stacked, kv_b split by head and turned."""
    c, out, stacks = m.config, {}, {}
    for name, x in W.items():
        name = plain_name(name)
        e = re.fullmatch(r"(.*experts)\.(\d+)\.(\w+)_proj\.weight", name)
        if e and m.experts != "single":
            stacks.setdefault((e[1], e[3]), []).append(x)
        elif name.endswith("kv_b_proj.weight") and m.experts != "old":
            both = x.reshape(c["num_attention_heads"], c["qk_nope_head_dim"] + c["v_head_dim"], -1)
            nope = c["qk_nope_head_dim"]
            out[name.replace("kv_b", "k_b")] = np.ascontiguousarray(both[:, :nope].swapaxes(1, 2))
            out[name.replace("kv_b", "v_b")] = np.ascontiguousarray(both[:, nope:])
        else:
            out[name] = x
    for (p, part), xs in stacks.items():
        if m.experts == "fused" and part in ("gate", "up"):
            if part == "gate":
                pairs = zip(xs, stacks[p, "up"])
                out[p + ".gate_up_proj.weight"] = np.stack([np.concatenate(both) for both in pairs])
        else:
            out[f"{p}.{part}_proj.weight"] = np.stack(xs)
    return out


def unfold(m, name, T):
    """The values of checkpoint tensor `name` among the folded ones."""
    name = plain_name(name)
    e = re.fullmatch(r"(.*experts)\.(\d+)\.(\w+)_proj\.weight", name)
    if name in T:
        return T[name]
    if name.endswith("kv_b_proj.weight"):
        both = np.concatenate([T[name.replace("kv_b", "k_b")].swapaxes(1, 2), T[name.replace("kv_b", "v_b")]], 1)
        return both.reshape(-1, both.shape[-1])
    if m.experts == "fused" and e[3] in ("gate", "up"):
        return np.split(T[e[1] + ".gate_up_proj.weight"][int(e[2])], 2)[e[3] == "up"]
    return T[f"{e[1]}.{e[3]}_proj.weight"][int(e[2])]


def keys(m, key):
    """Call key(name, kind, value) for what such a model has beyond others."""
    c = m.config
    n = c.get("num_local_experts") or c.get("n_routed_experts") or c.get("num_experts")
    if n:
        key("expert_count", U32, n)
        key("expert_used_count", U32, c["num_experts_per_tok"])
    if c.get("moe_intermediate_size"):
        key("expert_feed_forward_length", U32, c["moe_intermediate_size"])
    if c.get("n_shared_experts"):
        key("expert_group_count", U32, c["n_group"])
        key("expert_group_used_count", U32, c["topk_group"])
        key("expert_shared_count", U32, c["n_shared_experts"])
        key("leading_dense_block_count", U32, c["first_k_dense_replace"])
        key("expert_weights_scale", F32, c["routed_scaling_factor"])
        key("expert_weights_norm", BOOL, c["norm_topk_prob"])
    if c["model_type"] == "glm4_moe":
        key("expert_gating_func", U32, 2)                       # the others do not say it
    if c.get("num_nextn_predict_layers"):
        key("nextn_predict_layers", U32, c["num_nextn_predict_layers"])
    if c.get("kv_lora_rank"):
        nope, rope, v, R = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"], c["kv_lora_rank"]
        if c["q_lora_rank"]:
            key("attention.q_lora_rank", U32, c["q_lora_rank"])
        key("attention.kv_lora_rank", U32, R)
        key("rope.dimension_count", U32, rope)
        if m.experts == "old":
            key("attention.key_length", U32, nope + rope)
            key("attention.value_length", U32, v)
        else:
            key("attention.key_length", U32, R + rope)          # of what is cached
            key("attention.value_length", U32, R)
            key("attention.key_length_mla", U32, nope + rope)   # of a head
            key("attention.value_length_mla", U32, v)
    scaling = c.get("rope_scaling") or {}
    if scaling.get("mscale_all_dim"):
        key("rope.scaling.yarn_log_multiplier", F32, 0.1 * scaling["mscale_all_dim"])
