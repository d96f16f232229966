"""Tiny random models of every served architecture: configurations, weights, and how they become GGUF.

A model is described as a Hugging Face checkpoint would be (config.json fields, tensor names and shapes), because the
reference implementation reads that; `to_gguf` says how names, row orders and keys correspond to those of a GGUF file.
A tensor's values depend only on the seed and on its name, so the files are the same bytes everywhere.
"""
import math
import re
import zlib
from dataclasses import dataclass, field

import numpy as np

import chat_templates as chat
import bert_models
import moe_models
from gguf_file import ARR, BOOL, F32, STR, U32

SEED = 7


@dataclass
class Model:
    config: dict
    tensors: list                 # (name, shape, kind)
    tokenizer: str                # tokenizers/NAME.json
    template: str | None
    extra_keys: list = field(default_factory=list)   # GGUF keys beyond those that the config implies
    types: tuple = ()             # of files that are made; empty: all
    experts: str = "stacked"      # layout in the file (moe_models.py)


# ---- tensor tables ----

def head_size(c):
    return c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]


def linear(name, out, inp, bias=False):
    t = [(name + ".weight", (out, inp), "linear")]
    return t + [(name + ".bias", (out,), "bias")] if bias else t


def attention_tensors(p, c, bias=False, qk_norm=False):
    E, d = c["hidden_size"], head_size(c)
    H, K = c["num_attention_heads"], c["num_key_value_heads"]
    if c["model_type"] == "phi3":
        return linear(p + "qkv_proj", (H + 2 * K) * d, E) + linear(p + "o_proj", E, H * d)
    t = linear(p + "q_proj", H * d, E, bias) + linear(p + "k_proj", K * d, E, bias)
    t += linear(p + "v_proj", K * d, E, bias) + linear(p + "o_proj", E, H * d)
    if qk_norm == "wide":
        t += [(p + "q_norm.weight", (H * d,), "norm"), (p + "k_norm.weight", (K * d,), "norm")]
    elif qk_norm:
        t += [(p + "q_norm.weight", (d,), "norm"), (p + "k_norm.weight", (d,), "norm")]
    return t


def mlp_tensors(p, E, F, fused=False):
    if fused:
        return linear(p + "gate_up_proj", 2 * F, E) + linear(p + "down_proj", E, F)
    return linear(p + "gate_proj", F, E) + linear(p + "up_proj", F, E) + linear(p + "down_proj", E, F)


# the norms of a layer in checkpoint order; "post_attention_layernorm" means different things
NORMS = {"default": ("input_layernorm", "post_attention_layernorm"),
         "glm4": ("input_layernorm", "post_self_attn_layernorm", "post_attention_layernorm", "post_mlp_layernorm"),
         "olmo2": ("post_attention_layernorm", "post_feedforward_layernorm"),
         "olmo3": ("post_attention_layernorm", "post_feedforward_layernorm"),
         "gemma3_text": ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                         "post_feedforward_layernorm")}


def is_moe(c, layer):
    return "num_experts_per_tok" in c and layer >= c.get("first_k_dense_replace", 0)


def decoder_tensors(c, bias=False, qk_norm=False, head=True):
    E, V, kind = c["hidden_size"], c["vocab_size"], c["model_type"]
    t = [("model.embed_tokens.weight", (V, E), "embed")]
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        t += [(p + n + ".weight", (E,), "norm") for n in NORMS.get(kind, NORMS["default"])]
        mla, moe = "kv_lora_rank" in c, is_moe(c, i)
        t += moe_models.mla_tensors(p + "self_attn.", c) if mla else attention_tensors(p + "self_attn.", c, bias, qk_norm)
        t += moe_models.moe_tensors(p + "mlp.", c) if moe else mlp_tensors(p + "mlp.", E, c["intermediate_size"], kind in ("glm", "glm4", "phi3"))
    t += [("model.norm.weight", (E,), "norm")]
    if head:
        t += [("lm_head.weight", (V, E), "head")]
    return t


# ---- the models ----

def base(arch, model_type, **kw):
    c = dict(architectures=[arch], model_type=model_type, hidden_size=256, intermediate_size=256, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, head_dim=64, hidden_act="silu", vocab_size=384,
             max_position_embeddings=4096, rms_norm_eps=1e-5, tie_word_embeddings=False, torch_dtype="bfloat16",
             use_cache=True)
    c.update(kw)
    return c


def glm_models(T):
    c = base("GlmForCausalLM", "glm", attention_bias=True, rope_theta=10000.0, partial_rotary_factor=0.5,
             rms_norm_eps=1.5625e-07)
    T["tiny-glm"] = Model(c, decoder_tensors(c, bias=True), "glm4", chat.GLM4)
    c = base("Glm4ForCausalLM", "glm4", attention_bias=True, rope_theta=10000.0, partial_rotary_factor=0.5)
    T["tiny-glm4"] = Model(c, decoder_tensors(c, bias=True), "glm4", chat.GLM4)


def llama_models(T):
    c = base("LlamaForCausalLM", "llama", hidden_size=128, num_attention_heads=4, num_key_value_heads=4, head_dim=32,
             vocab_size=512, rope_theta=10000.0, torch_dtype="float16")
    T["tiny-llama2"] = Model(c, decoder_tensors(c), "llama2", chat.LLAMA2)
    c = base("LlamaForCausalLM", "llama", tie_word_embeddings=True, rope_theta=500000.0, max_position_embeddings=131072,
             rope_scaling={"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                           "original_max_position_embeddings": 64, "rope_type": "llama3"})
    T["tiny-llama3"] = Model(c, decoder_tensors(c, head=False), "llama3", chat.LLAMA3)
    c = base("LlamaForCausalLM", "llama", hidden_size=192, num_attention_heads=3, num_key_value_heads=1,
             intermediate_size=512, tie_word_embeddings=True, rope_theta=100000.0)
    del c["head_dim"]
    T["tiny-smollm2"] = Model(c, decoder_tensors(c, head=False), "smollm", chat.CHATML)
    c = base("MistralForCausalLM", "mistral", sliding_window=8, rope_theta=10000.0, num_key_value_heads=1)
    T["tiny-mistral"] = Model(c, decoder_tensors(c), "tekken", chat.LLAMA2,
                              [("llama.attention.sliding_window", U32, 8)])


def qwen_models(T):
    c = base("Qwen2ForCausalLM", "qwen2", tie_word_embeddings=True, rope_theta=1000000.0, rms_norm_eps=1e-6,
             use_sliding_window=False, sliding_window=32768, max_window_layers=2)
    del c["head_dim"]
    t = decoder_tensors(c, head=False)
    t += [(n[:-7] + ".bias", s[:1], "bias") for n, s, _ in t if n[:-7].endswith(("q_proj", "k_proj", "v_proj"))]
    T["tiny-qwen2"] = Model(c, t, "qwen2", chat.CHATML)
    c = base("Qwen3ForCausalLM", "qwen3", num_attention_heads=8, num_key_value_heads=2, head_dim=64, hidden_size=192,
             tie_word_embeddings=True, rope_theta=1000000.0, rms_norm_eps=1e-6, attention_bias=False)
    T["tiny-qwen3"] = Model(c, decoder_tensors(c, qk_norm=True, head=False), "qwen2", chat.CHATML)
    c = dict(c, rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
             num_attention_heads=4, num_key_value_heads=1)
    T["tiny-qwen3-yarn"] = Model(c, decoder_tensors(c, qk_norm=True, head=False), "qwen2", chat.CHATML)


def gemma_models(T):
    # of every six layers only the last sees everything
    c = base("Gemma3ForCausalLM", "gemma3_text", hidden_size=128, num_hidden_layers=6, num_attention_heads=2,
             num_key_value_heads=1, query_pre_attn_scalar=64, rope_theta=1000000.0, rope_local_base_freq=10000.0,
             sliding_window=8, tie_word_embeddings=True, rms_norm_eps=1e-6, hidden_activation="gelu_pytorch_tanh",
             vocab_size=512, attn_logit_softcapping=None, final_logit_softcapping=None)
    del c["hidden_act"]
    T["tiny-gemma3"] = Model(c, decoder_tensors(c, qk_norm=True, head=False), "gemma", chat.GEMMA)
    # its own scale of scores, linear rope on the full layers only, and a shorter pattern of layers
    c = dict(c, hidden_size=256, num_hidden_layers=2, num_attention_heads=4, query_pre_attn_scalar=128,
             layer_types=["sliding_attention", "full_attention"], rope_scaling={"rope_type": "linear", "factor": 8.0})
    T["tiny-gemma3-scaled"] = Model(c, decoder_tensors(c, qk_norm=True, head=False), "gemma", chat.GEMMA,
                                    [("gemma3.attention.sliding_window_pattern", U32, 2),
                                     ("gemma3.attention.scale", F32, 128 ** -0.5)])


def phi_models(T):
    # Phi-3 mini 4k: a window; Phi-4 mini: LongRoPE, of whose two sets every prompt here needs the long one
    c = base("Phi3ForCausalLM", "phi3", hidden_size=128, num_attention_heads=4, num_key_value_heads=4,
             vocab_size=512, rope_theta=10000.0, sliding_window=8, original_max_position_embeddings=4096)
    del c["head_dim"]
    T["tiny-phi3"] = Model(c, decoder_tensors(c), "llama2", chat.CHATML)
    half = 24
    c = base("Phi3ForCausalLM", "phi3", rope_theta=10000.0, sliding_window=None, tie_word_embeddings=True,
             original_max_position_embeddings=16, max_position_embeddings=32, partial_rotary_factor=0.75,
             rope_scaling={"type": "longrope", "short_factor": [1.0 + i / 16 for i in range(half)],
                           "long_factor": [1.0 + i * i / 8 for i in range(half)]})
    del c["head_dim"]
    T["tiny-phi4-mini"] = Model(c, decoder_tensors(c, head=False), "qwen2", chat.CHATML)


def granite_models(T):
    c = base("GraniteForCausalLM", "granite", tie_word_embeddings=True, rope_theta=10000.0, embedding_multiplier=6.0,
             residual_multiplier=0.75, attention_multiplier=0.0625, logits_scaling=2.0)
    del c["head_dim"]
    T["tiny-granite"] = Model(c, decoder_tensors(c, head=False), "smollm", chat.CHATML)


def olmo_models(T):
    c = base("Olmo2ForCausalLM", "olmo2", rope_theta=500000.0, num_key_value_heads=4)
    del c["head_dim"]
    T["tiny-olmo2"] = Model(c, decoder_tensors(c, qk_norm="wide"), "qwen2", chat.CHATML)
    # OLMo 3: sliding layers, which the scaling of the others leaves alone
    kinds = ["sliding_attention"] * 3 + ["full_attention"]
    yarn = {"rope_type": "yarn", "rope_theta": 500000.0, "factor": 4.0, "original_max_position_embeddings": 32}
    c = dict(c, architectures=["Olmo3ForCausalLM"], model_type="olmo3", hidden_size=128, num_attention_heads=2,
             num_key_value_heads=1, num_hidden_layers=4, sliding_window=8, layer_types=kinds,
             rope_parameters={"full_attention": yarn,
                              "sliding_attention": {"rope_type": "default", "rope_theta": 500000.0}})
    T["tiny-olmo3"] = Model(c, decoder_tensors(c, qk_norm="wide"), "qwen2", chat.CHATML,
                            [("olmo2.attention.sliding_window", U32, 8),
                             ("olmo2.attention.sliding_window_pattern", (ARR, BOOL), [True, True, True, False])])


def table():
    T = {}
    for add in (glm_models, llama_models, qwen_models, gemma_models, phi_models, granite_models, olmo_models):
        add(T)
    moe_models.add_models(T, base, Model, decoder_tensors)
    bert_models.add_models(T, Model, linear)
    return T


# ---- weights ----

def bf16_round(x):
    u = x.view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def random_tensor(name, shape, kind, gemma, tied):
    """RandomState's stream is frozen by NumPy's compatibility promise.

    The scales keep the residual stream from being dominated by the input token, whose repetition would otherwise win
    every greedy step of a tied model.
    """
    rng = np.random.RandomState((zlib.crc32(name.encode()) ^ (SEED * 2654435761)) & 0xFFFFFFFF)
    x = rng.standard_normal(shape)
    if kind == "norm":
        x = 0.2 * x if gemma else 1.0 + 0.2 * x          # Gemma stores weight - 1
        if gemma and "post_" in name:
            x += 3.0
    elif kind == "bias":
        x *= 0.3
    elif kind == "embed":
        x *= 1 / 16 if gemma else 0.15 if tied else 0.5
    elif kind == "head":
        x *= 3.0 / math.sqrt(shape[1])
    else:
        x *= 1.6 / math.sqrt(math.prod(shape[1:]))
    return x.astype(np.float32)


def weights(name, m):
    """Checkpoint name -> float32 array whose values the checkpoint's dtype holds exactly."""
    c, W = m.config, {}
    for tensor, shape, kind in m.tensors:
        x = random_tensor(name + "/" + tensor, shape, kind, c["model_type"] == "gemma3_text", c["tie_word_embeddings"])
        W[tensor] = bf16_round(x) if c["torch_dtype"] == "bfloat16" else x.astype(np.float16).astype(np.float32)
    return W


# ---- checkpoint -> GGUF ----

GGUF_ARCH = {"glm": "chatglm", "glm4": "glm4", "llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3",
             "gemma3_text": "gemma3", "phi3": "phi3", "granite": "granite", "olmo2": "olmo2", "olmo3": "olmo2",
             "qwen3_moe": "qwen3moe", "mixtral": "llama", "glm4_moe": "glm4moe", "glm4_moe_lite": "deepseek2",
             "deepseek_v2": "deepseek2"}
GLOBAL = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
LAYER = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down",
         "mlp.gate_up_proj": "ffn_up",                       # GLM, Phi: gate rows first, both halves in one tensor
         "self_attn.qkv_proj": "attn_qkv",                   # Phi: rows of q, k, v
         "post_self_attn_layernorm": "post_attention_norm", "post_mlp_layernorm": "post_ffw_norm",           # GLM-4
         "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",             # Gemma 3
         **moe_models.LAYER}


def half_to_pairs(w, heads):
    """Llama: checkpoints keep rotary partners D/2 apart, GGUF side by side (rows of q and k)."""
    d = w.shape[0] // heads
    return w.reshape(heads, 2, d // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def pairs_to_half(w, heads):
    d = w.shape[0] // heads
    return w.reshape(heads, d // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def tensor_map(c):
    """Function: checkpoint name -> (GGUF name, values to GGUF, values back)."""
    ga = GGUF_ARCH[c["model_type"]]

    def same(x):
        return x

    def one(name):
        stem, _, suffix = name.rpartition(".")
        to, back = same, same
        m = re.fullmatch(r"model\.layers\.(\d+)\.(.*)", stem)
        if ga == "gemma3" and stem.endswith("norm"):         # GGUF holds the factor itself
            to, back = (lambda x: x + 1), (lambda x: x - 1)
        if not m:
            return f"{GLOBAL[stem]}.{suffix}", to, back
        part = m[2]
        if ga in ("llama", "granite") and part in ("self_attn.q_proj", "self_attn.k_proj"):
            heads = c["num_attention_heads" if part == "self_attn.q_proj" else "num_key_value_heads"]
            to, back = (lambda x: half_to_pairs(x, heads)), (lambda x: pairs_to_half(x, heads))
        if part == "post_attention_layernorm":
            ours = "post_attention_norm" if ga in ("gemma3", "olmo2", "glm4moe") else "ffn_norm"
        else:
            ours = LAYER[part]
        return f"blk.{m[1]}.{ours}.{suffix}", to, back

    return one


def llama3_divisors(c):
    """Divisors of the rotary frequencies (tensor rope_freqs.weight), in double precision."""
    p, d = c["rope_scaling"], head_size(c)
    inv = c["rope_theta"] ** -(np.arange(0, d, 2, dtype=np.float64) / d)
    old, low, high = p["original_max_position_embeddings"], p["low_freq_factor"], p["high_freq_factor"]
    turns = old * inv / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / p["factor"] + smooth)).astype(np.float32)


def gguf_keys(m):
    """(key, kind, value) that describe the model, without the tokenizer."""
    c = m.config
    ga = GGUF_ARCH[c["model_type"]]
    keys = [("general.architecture", STR, ga), ("general.type", STR, "model")]

    def key(k, kind, v):
        keys.append((f"{ga}.{k}", kind, v))

    key("block_count", U32, c["num_hidden_layers"] + c.get("num_nextn_predict_layers", 0))
    key("context_length", U32, c["max_position_embeddings"])
    key("embedding_length", U32, c["hidden_size"])
    key("feed_forward_length", U32, c["intermediate_size"])
    key("attention.head_count", U32, c["num_attention_heads"])
    key("attention.head_count_kv", U32, 1 if ga == "deepseek2" and m.experts != "old" else c["num_key_value_heads"])
    key("rope.freq_base", F32, c["rope_theta"])
    if ga == "gemma3":
        key("rope.freq_base_swa", F32, c["rope_local_base_freq"])
        key("attention.sliding_window", U32, c["sliding_window"])
    scaling = c.get("rope_scaling") or c.get("rope_parameters", {}).get("full_attention") or {}
    if ga == "granite":
        key("attention.scale", F32, c["attention_multiplier"])
        key("embedding_scale", F32, c["embedding_multiplier"])
        key("residual_scale", F32, c["residual_multiplier"])
        key("logit_scale", F32, c["logits_scaling"])
    if ga == "phi3":
        key("attention.sliding_window", U32, c["sliding_window"] or 0)
        key("rope.scaling.original_context_length", U32, c["original_max_position_embeddings"])
    if scaling.get("type") == "longrope":
        old, longer = c["original_max_position_embeddings"], c["max_position_embeddings"]
        key("rope.scaling.type", STR, "longrope")
        key("rope.scaling.attn_factor", F32, math.sqrt(1 + math.log(longer / old) / math.log(old)))
    if scaling.get("rope_type") in ("yarn", "linear"):
        key("rope.scaling.type", STR, scaling["rope_type"])
        key("rope.scaling.factor", F32, scaling["factor"])
    if scaling.get("rope_type") == "yarn":
        key("rope.scaling.original_context_length", U32, scaling["original_max_position_embeddings"])
    key("attention.layer_norm_rms_epsilon", F32, c["rms_norm_eps"])
    moe_models.keys(m, key)
    if c.get("head_dim"):
        key("attention.key_length", U32, head_size(c))
        key("attention.value_length", U32, head_size(c))
    if ga in ("chatglm", "glm4", "llama", "phi3", "granite", "glm4moe"):
        key("rope.dimension_count", U32, int(head_size(c) * c.get("partial_rotary_factor", 1.0)))
    return keys + m.extra_keys


def to_gguf(m, W):
    """(keys, GGUF name -> float32 array)."""
    if m.config["model_type"] == "bert":
        return bert_models.keys(m.config), {bert_models.ours(name): x for name, x in W.items()}
    one = tensor_map(m.config)
    T = {}
    for name, x in moe_models.fold(m, W).items():
        ours, to, _ = one(name)
        T[ours] = to(x)
    if m.config.get("num_nextn_predict_layers"):             # a block that serves other purposes, in part
        T[f"blk.{m.config['num_hidden_layers']}.nextn.enorm.weight"] = np.ones(m.config["hidden_size"], np.float32)
    scaling = m.config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "llama3":
        T["rope_freqs.weight"] = llama3_divisors(m.config)
    if scaling.get("type") == "longrope":
        for which in ("short", "long"):
            T[f"rope_factors_{which}.weight"] = np.array(scaling[which + "_factor"], np.float32)
    return gguf_keys(m), T


def from_gguf(m, T):
    """Checkpoint name -> array: what the reference implementation must load to compute with the same weights."""
    if m.config["model_type"] == "bert":
        return {name: T[bert_models.ours(name)] for name, _, _ in m.tensors}
    one, folded = tensor_map(m.config), {}
    for name in moe_models.fold(m, {name: np.empty(shape, np.float32) for name, shape, _ in m.tensors}):
        ours, _, back = one(name)
        folded[name] = back(T[ours])
    return {name: np.ascontiguousarray(moe_models.unfold(m, name, folded)) for name, _, _ in m.tensors}
