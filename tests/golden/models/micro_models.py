"""The smallest model that runs, and variants of it with one odd thing each: for tests of hostile files."""
import gguf_file as gf
import tiny_models as tm
from gguf_file import ARR, BOOL, F32, I32, STR, U32
from gguf_types import quantize


def micro():
    """(keys, tensors): 24 tokens, one layer, a tensor of nearly every type."""
    E, V, F, H, K = 32, 24, 32, 2, 1
    d = E // H
    text = ["<unk>", "<s>", "</s>", "\u2581", "a", "b", "c", "d", "e", "\u2581a", "ab", "abc", "de", "\u2581de"]
    tokens = text + [f"<0x{b:02X}>" for b in range(0x61, 0x61 + V - len(text))]
    types = [2, 3, 3] + [1] * (len(text) - 3) + [6] * (V - len(text))
    keys = [("general.architecture", STR, "llama"), ("general.name", STR, "micro"), ("llama.block_count", U32, 1),
            ("llama.context_length", U32, 64), ("llama.embedding_length", U32, E),
            ("llama.feed_forward_length", U32, F), ("llama.attention.head_count", U32, H),
            ("llama.attention.head_count_kv", U32, K), ("llama.rope.freq_base", F32, 10000.0),
            ("llama.rope.dimension_count", U32, d), ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
            ("tokenizer.ggml.model", STR, "llama"), ("tokenizer.ggml.tokens", (ARR, STR), tokens),
            ("tokenizer.ggml.token_type", (ARR, I32), types),
            ("tokenizer.ggml.scores", (ARR, F32), [-float(i) for i in range(V)]),
            ("tokenizer.ggml.bos_token_id", U32, 1), ("tokenizer.ggml.eos_token_id", U32, 2),
            ("tokenizer.ggml.unknown_token_id", U32, 0), ("tokenizer.ggml.add_bos_token", BOOL, True),
            ("tokenizer.chat_template", STR, "{% for m in messages %}{{ m.content }}{% endfor %}")]
    shapes = {"token_embd": ("Q8_0", (V, E)), "blk.0.attn_norm": ("F32", (E,)), "blk.0.attn_q": ("Q4_0", (E, E)),
              "blk.0.attn_k": ("Q8_0", (K * d, E)), "blk.0.attn_v": ("Q5_1", (K * d, E)),
              "blk.0.attn_output": ("Q4_1", (E, E)), "blk.0.ffn_norm": ("F32", (E,)), "blk.0.ffn_gate": ("Q5_0", (F, E)),
              "blk.0.ffn_up": ("BF16", (F, E)), "blk.0.ffn_down": ("F16", (E, F)), "output_norm": ("F32", (E,))}
    tensors = []
    for name, (t, shape) in shapes.items():
        x = tm.random_tensor("micro/" + name, shape, "norm" if "norm" in name else "linear", False, True)
        tensors.append((name + ".weight", t, shape, quantize(t, x.reshape(-1, shape[-1])).tobytes()))
    return keys, tensors


def micro_chat(tokenizer):
    """(keys, tensors): micro() with all bytes, a published vocabulary's control tokens and room for a conversation."""
    keys, tensors = micro()
    V, E = len(next(v for k, _, v in tokenizer if k == "tokenizer.ggml.tokens")), 32
    changed = {"general.name": (STR, "micro-chat"), "llama.context_length": (U32, 512)}
    keys = [(k, *changed.get(k, (t, v))) for k, t, v in keys if not k.startswith("tokenizer.")]
    x = tm.random_tensor("micro-chat/token_embd", (V, E), "embed", False, True)
    return keys + tokenizer, [("token_embd.weight", "Q8_0", (V, E), quantize("Q8_0", x).tobytes())] + tensors[1:]


def micro_latent():
    """(keys, tensors): the tokens of micro() before a layer of latent attention and experts."""
    E, H, R, rope, nope, v, n, F = 32, 2, 32, 16, 32, 16, 4, 32
    keys, tensors = micro()
    a = "deepseek2."
    mine = [("general.architecture", STR, "deepseek2"), ("general.name", STR, "micro-latent"), (a + "block_count", U32, 1),
            (a + "context_length", U32, 64), (a + "embedding_length", U32, E), (a + "feed_forward_length", U32, F),
            (a + "attention.head_count", U32, H), (a + "attention.head_count_kv", U32, 1),
            (a + "attention.kv_lora_rank", U32, R), (a + "attention.key_length", U32, R + rope),
            (a + "attention.value_length", U32, R), (a + "attention.key_length_mla", U32, nope + rope),
            (a + "attention.value_length_mla", U32, v), (a + "rope.dimension_count", U32, rope),
            (a + "rope.freq_base", F32, 10000.0), (a + "attention.layer_norm_rms_epsilon", F32, 1e-5),
            (a + "expert_count", U32, n), (a + "expert_used_count", U32, 2), (a + "expert_feed_forward_length", U32, F),
            (a + "expert_shared_count", U32, 1), (a + "expert_group_count", U32, 2), (a + "expert_group_used_count", U32, 1),
            (a + "expert_weights_scale", F32, 1.5), (a + "expert_weights_norm", BOOL, True)]
    shapes = {"attn_norm": ("F32", (E,)), "attn_q": ("Q4_0", (H * (nope + rope), E)), "attn_kv_a_mqa": ("Q8_0", (R + rope, E)),
              "attn_kv_a_norm": ("F32", (R,)), "attn_k_b": ("Q8_0", (H, R, nope)), "attn_v_b": ("F16", (H, v, R)),
              "attn_output": ("Q4_1", (E, H * v)), "ffn_norm": ("F32", (E,)), "ffn_gate_inp": ("F32", (n, E)),
              "exp_probs_b": ("F32", (n,)), "ffn_gate_exps": ("Q4_0", (n, F, E)), "ffn_up_exps": ("Q4_0", (n, F, E)),
              "ffn_down_exps": ("Q5_0", (n, E, F)), "ffn_gate_shexp": ("Q4_0", (F, E)), "ffn_up_shexp": ("BF16", (F, E)),
              "ffn_down_shexp": ("Q8_0", (E, F))}
    kept = [t for t in tensors if not t[0].startswith("blk.")]
    for name, (t, shape) in shapes.items():
        x = tm.random_tensor("micro-latent/" + name, shape, "norm" if "norm" in name else "linear", False, True)
        suffix = ".bias" if name == "exp_probs_b" else ".weight"
        kept.append(("blk.0." + name + suffix, t, shape, quantize(t, x.reshape(-1, shape[-1])).tobytes()))
    return mine + [k for k in keys if k[0].startswith("tokenizer.")], kept


def micro_bert():
    """(keys, tensors): an encoder of one layer, with WordPiece."""
    E, V, F, P = 32, 24, 64, 32
    text = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + [("\u2581" if i < 10 else "") + "abcdefghij"[i % 10] for i in range(20)]
    keys = [("general.architecture", STR, "bert"), ("general.name", STR, "micro-bert"), ("bert.block_count", U32, 1),
            ("bert.context_length", U32, P), ("bert.embedding_length", U32, E), ("bert.feed_forward_length", U32, F),
            ("bert.attention.head_count", U32, 2), ("bert.attention.layer_norm_epsilon", F32, 1e-12),
            ("bert.attention.causal", BOOL, False), ("bert.pooling_type", U32, 1),
            ("tokenizer.ggml.model", STR, "bert"), ("tokenizer.ggml.tokens", (ARR, STR), text),
            ("tokenizer.ggml.token_type", (ARR, I32), [3] * 4 + [1] * (V - 4)),
            ("tokenizer.ggml.cls_token_id", U32, 2), ("tokenizer.ggml.seperator_token_id", U32, 3)]
    both = {"blk.0.attn_q": ("Q8_0", (E, E)), "blk.0.attn_k": ("Q4_0", (E, E)), "blk.0.attn_v": ("F16", (E, E)),
            "blk.0.attn_output": ("Q5_1", (E, E)), "blk.0.attn_output_norm": ("F32", (E,)),
            "blk.0.ffn_up": ("BF16", (F, E)), "blk.0.ffn_down": ("Q4_1", (E, F)), "blk.0.layer_output_norm": ("F32", (E,)),
            "token_embd_norm": ("F32", (E,))}
    shapes = {"token_embd.weight": ("Q8_0", (V, E)), "position_embd.weight": ("F16", (P, E)),
              "token_types.weight": ("F32", (2, E))}
    for name, (t, shape) in both.items():
        shapes[name + ".weight"] = (t, shape)
        shapes[name + ".bias"] = ("F32", shape[:1])
    tensors = []
    for name, (t, shape) in shapes.items():
        kind = "bias" if name.endswith("bias") else "norm" if "norm" in name else "linear"
        x = tm.random_tensor("micro-bert/" + name, shape, kind, False, False)
        tensors.append((name, t, shape, quantize(t, x.reshape(-1, shape[-1])).tobytes()))
    return keys, tensors


NAN, INF = float("nan"), float("inf")
# (file name, key, kind or None to drop the key, value). "bad-" must be refused; "any-" may also be borne.
CHANGES = [
    ("bad-no-architecture", "general.architecture", None, None),
    ("bad-architecture-kind", "general.architecture", U32, 3),
    ("bad-unknown-architecture", "general.architecture", STR, "llamba"),
    ("bad-zero-heads", "llama.attention.head_count", U32, 0),
    ("bad-no-blocks", "llama.block_count", U32, 0),
    ("bad-many-blocks", "llama.block_count", U32, 0xFFFFFFFF),
    ("bad-zero-width", "llama.embedding_length", U32, 0),
    ("bad-odd-width", "llama.embedding_length", U32, 33),
    ("bad-zero-context", "llama.context_length", U32, 0),
    ("any-huge-context", "llama.context_length", U32, 0xFFFFFFFF),
    ("bad-uneven-heads", "llama.attention.head_count_kv", U32, 3),
    ("any-heads-array", "llama.attention.head_count_kv", (ARR, U32), [1]),
    ("any-empty-heads-array", "llama.attention.head_count_kv", (ARR, U32), []),
    ("bad-nan-epsilon", "llama.attention.layer_norm_rms_epsilon", F32, NAN),
    ("bad-infinite-base", "llama.rope.freq_base", F32, INF),
    ("bad-zero-base", "llama.rope.freq_base", F32, 0.0),
    ("bad-odd-rotation", "llama.rope.dimension_count", U32, 7),
    ("bad-wide-rotation", "llama.rope.dimension_count", U32, 64),
    ("bad-unknown-scaling", "llama.rope.scaling.type", STR, "ntk"),
    ("any-linear-without-factor", "llama.rope.scaling.type", STR, "linear"),
    ("any-yarn-without-anything", "llama.rope.scaling.type", STR, "yarn"),
    ("any-zero-window", "llama.attention.sliding_window", U32, 0),
    ("any-window-of-one", "llama.attention.sliding_window", U32, 1),
    ("any-huge-window", "llama.attention.sliding_window", U32, 0xFFFFFFFF),
    ("any-pattern-of-ones", "llama.attention.sliding_window_pattern", (ARR, BOOL), [True]),
    ("any-pattern-of-strings", "llama.attention.sliding_window_pattern", (ARR, STR), ["a"]),
    ("any-pattern-zero", "llama.attention.sliding_window_pattern", U32, 0),
    ("bad-no-tokenizer", "tokenizer.ggml.model", None, None),
    ("bad-unknown-tokenizer", "tokenizer.ggml.model", STR, "rwkv"),
    ("bad-byte-pairs-without-merges", "tokenizer.ggml.model", STR, "gpt2"),
    ("bad-few-tokens", "tokenizer.ggml.tokens", (ARR, STR), ["a", "b"]),
    ("bad-empty-token-list", "tokenizer.ggml.tokens", (ARR, STR), []),
    ("any-equal-tokens", "tokenizer.ggml.tokens", (ARR, STR), ["a"] * 24),
    ("any-empty-tokens", "tokenizer.ggml.tokens", (ARR, STR), [""] * 24),
    ("bad-number-tokens", "tokenizer.ggml.tokens", (ARR, U32), list(range(24))),
    ("any-not-utf8-tokens", "tokenizer.ggml.tokens", (ARR, STR), [bytes([200 + i]) for i in range(24)]),
    ("any-few-scores", "tokenizer.ggml.scores", (ARR, F32), [0.0]),
    ("any-nan-scores", "tokenizer.ggml.scores", (ARR, F32), [NAN] * 24),
    ("any-few-types", "tokenizer.ggml.token_type", (ARR, I32), [1]),
    ("any-odd-types", "tokenizer.ggml.token_type", (ARR, I32), [-7, 99] * 12),
    ("any-far-bos", "tokenizer.ggml.bos_token_id", U32, 0xFFFFFFFF),
    ("any-far-eos", "tokenizer.ggml.eos_token_id", U32, 1 << 31),
    ("any-far-unknown", "tokenizer.ggml.unknown_token_id", U32, 1000),
    ("any-broken-template", "tokenizer.chat_template", STR, "{% for m in"),
    ("any-endless-template", "tokenizer.chat_template", STR,
     "{% for i in range(999999999) %}{% for j in range(999999999) %}x{% endfor %}{% endfor %}"),
    ("bad-alignment-zero", "general.alignment", U32, 0),
    ("bad-alignment-odd", "general.alignment", U32, 12),
    ("bad-alignment-huge", "general.alignment", U32, 1 << 31),
]
LATENT_CHANGES = [
    ("bad-latent-no-rank", "deepseek2.attention.kv_lora_rank", None, None),
    ("bad-latent-rank", "deepseek2.attention.kv_lora_rank", U32, 64),
    ("bad-latent-huge-rank", "deepseek2.attention.kv_lora_rank", U32, 0xFFFFFFFF),
    ("bad-latent-query-rank", "deepseek2.attention.q_lora_rank", U32, 32),
    ("bad-latent-huge-query-rank", "deepseek2.attention.q_lora_rank", U32, 0xFFFFFFFF),
    ("bad-latent-all-rotates", "deepseek2.rope.dimension_count", U32, 48),
    ("bad-latent-odd-rotation", "deepseek2.rope.dimension_count", U32, 8),
    ("bad-latent-no-rotation", "deepseek2.rope.dimension_count", None, None),
    ("bad-latent-huge-key", "deepseek2.attention.key_length_mla", U32, 0xFFFFFFFF),
    ("bad-latent-zero-value", "deepseek2.attention.value_length_mla", U32, 0),
    ("any-latent-yarn", "deepseek2.rope.scaling.yarn_log_multiplier", F32, NAN),
    ("bad-experts-none", "deepseek2.expert_count", None, None),
    ("bad-experts-more", "deepseek2.expert_count", U32, 8),
    ("bad-experts-huge", "deepseek2.expert_count", U32, 0xFFFFFFFF),
    ("bad-experts-use-none", "deepseek2.expert_used_count", U32, 0),
    ("bad-experts-use-more", "deepseek2.expert_used_count", U32, 5),
    ("bad-experts-use-more-than-groups-have", "deepseek2.expert_used_count", U32, 3),
    ("bad-experts-uneven-groups", "deepseek2.expert_group_count", U32, 3),
    ("any-experts-zero-groups", "deepseek2.expert_group_used_count", U32, 0),
    ("bad-experts-more-groups-used", "deepseek2.expert_group_used_count", U32, 3),
    ("bad-experts-width", "deepseek2.expert_feed_forward_length", U32, 64),
    ("bad-experts-shared", "deepseek2.expert_shared_count", U32, 2),
    ("bad-experts-shared-huge", "deepseek2.expert_shared_count", U32, 0xFFFFFFFF),
    ("bad-experts-unknown-gating", "deepseek2.expert_gating_func", U32, 9),
    ("any-experts-softmax", "deepseek2.expert_gating_func", U32, 1),
    ("bad-experts-nan-scale", "deepseek2.expert_weights_scale", F32, NAN),
    ("any-experts-zero-scale", "deepseek2.expert_weights_scale", F32, 0.0),
]


def change_keys(model, changes):
    """File name -> bytes: the model with one key at a time changed."""
    keys, tensors = model
    at = {k: i for i, (k, _, _) in enumerate(keys)}
    out = {}
    for name, key, kind, value in changes:
        changed = [k for k in keys if k[0] != key]
        if kind is not None:
            changed.insert(at.get(key, len(changed)), (key, kind, value))
        out[name] = gf.encode(changed, tensors)
    return out


def odd_files():
    """File name -> bytes."""
    keys, tensors = micro()
    out = change_keys((keys, tensors), CHANGES)
    out.update(change_keys(micro_latent(), LATENT_CHANGES))
    q = next(i for i, t in enumerate(tensors) if t[0] == "blk.0.attn_q.weight")
    name, kind, shape, blob = tensors[q]
    wrong = tensors[:q] + [(name, kind, (shape[0] // 2, shape[1] * 2), blob)] + tensors[q + 1:]
    out["bad-shape"] = gf.encode(keys, wrong)
    out["bad-missing-tensor"] = gf.encode(keys, tensors[:-1])
    out["any-twice-the-tensor"] = gf.encode(keys, tensors + tensors[-1:])
    out["any-twice-the-key"] = gf.encode(keys + keys[2:3], tensors)
    out["bad-no-tensors"] = gf.encode(keys, [])
    return out
