"""The tiny encoder: its configuration, tensors and keys, beside the decoders of tiny_models.py."""
import re

from gguf_file import BOOL, F32, STR, U32

GLOBAL = {"embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
          "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm"}
LAYER = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
         "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
         "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}


def tensors(c, linear):
    E, F = c["hidden_size"], c["intermediate_size"]

    def norm(n):
        return [(n + ".weight", (E,), "norm"), (n + ".bias", (E,), "bias")]

    e = "embeddings."
    t = [(e + "word_embeddings.weight", (c["vocab_size"], E), "embed"),
         (e + "position_embeddings.weight", (c["max_position_embeddings"], E), "embed"),
         (e + "token_type_embeddings.weight", (2, E), "embed")] + norm(e + "LayerNorm")
    for i in range(c["num_hidden_layers"]):
        p = f"encoder.layer.{i}."
        for n in ("query", "key", "value"):
            t += linear(p + "attention.self." + n, E, E, True)
        t += linear(p + "attention.output.dense", E, E, True) + norm(p + "attention.output.LayerNorm")
        t += linear(p + "intermediate.dense", F, E, True) + linear(p + "output.dense", E, F, True)
        t += norm(p + "output.LayerNorm")
    return t


def add_models(T, Model, linear):
    c = dict(architectures=["BertModel"], model_type="bert", hidden_size=128, intermediate_size=256, num_hidden_layers=2,
             num_attention_heads=4, hidden_act="gelu", vocab_size=384, max_position_embeddings=128, type_vocab_size=2,
             layer_norm_eps=1e-12, pad_token_id=0, torch_dtype="bfloat16", tie_word_embeddings=False)
    T["tiny-bert"] = Model(c, tensors(c, linear), "bert", None)


def ours(name):
    """Checkpoint name -> GGUF name."""
    stem, _, suffix = name.rpartition(".")
    m = re.fullmatch(r"encoder\.layer\.(\d+)\.(.*)", stem)
    return f"blk.{m[1]}.{LAYER[m[2]]}.{suffix}" if m else f"{GLOBAL[stem]}.{suffix}"


def keys(c):
    """(key, kind, value) that describe the model, without the tokenizer. Pooling is left to the default."""
    return [("general.architecture", STR, "bert"), ("general.type", STR, "model"),
            ("bert.block_count", U32, c["num_hidden_layers"]), ("bert.context_length", U32, c["max_position_embeddings"]),
            ("bert.embedding_length", U32, c["hidden_size"]), ("bert.feed_forward_length", U32, c["intermediate_size"]),
            ("bert.attention.head_count", U32, c["num_attention_heads"]),
            ("bert.attention.layer_norm_epsilon", F32, c["layer_norm_eps"]), ("bert.attention.causal", BOOL, False)]
