/* Private to load/: the steps that turn a Hugging Face folder into a source. */
#ifndef AG_LOAD_HF_PARTS_H
#define AG_LOAD_HF_PARTS_H

#include "load/json.h"
#include "load/safetensors.h"
#include "load/source_parts.h"

/* ---- classes and names (hf_names.c) ---------------------------------------------------------- */

/* How a tensor of a checkpoint becomes one of GGUF's. */
typedef enum ag_hf_how {
    AG_HF_SAME,   /* as it lies */
    AG_HF_WHOLE,  /* as it lies; the row names it with its ending */
    AG_HF_Q,      /* query rows (weight and bias): in the order that the class's rotation wants */
    AG_HF_K,      /* key rows: the same with the number of kv heads */
    AG_HF_NORM,   /* + 1 for Gemma, else as it lies */
    AG_HF_EXPERT, /* one expert of a stack; '*' in the pattern is its number */
    AG_HF_KV_B,   /* per head: keys (transposed) to attn_k_b, values to attn_v_b */
} ag_hf_how;

typedef struct ag_hf_name {
    const char *from; /* inside its layer, or whole, without ending; NULL ends a list */
    const char *to;   /* inside blk.N., or whole */
    ag_hf_how how;
} ag_hf_name;

typedef enum ag_hf_trait {                        /* what sets a class apart; flags */
                           AG_HF_PAIRS = 1,       /* rows of q, k: halves become adjacent pairs */
                           AG_HF_PLUS_ONE = 2,    /* norms are stored minus one */
                           AG_HF_ROT_KEY = 4,     /* write rope.dimension_count */
                           AG_HF_WINDOW = 8,      /* sliding_window holds for all layers */
                           AG_HF_WINDOW_KEY = 16, /* write it even when there is none (0) */
                           AG_HF_MLA = 32,        /* latent attention */
                           AG_HF_SIGMOID = 64, /* experts are weighed by a sigmoid, not a softmax */
                           AG_HF_ROUTED = 4096, /* groups, shared experts, dense layers first */
                           AG_HF_BERT = 128,    /* an encoder */
                           AG_HF_GEMMA = 256,   /* two rotations, a pattern of layers */
                           AG_HF_QWEN = 512,    /* use_sliding_window, max_window_layers */
                           AG_HF_SCALES = 1024, /* Granite's multipliers */
                           AG_HF_LAYERS = 2048, /* layer_types says which layers slide */
} ag_hf_trait;

typedef struct ag_hf_class {
    const char *name;  /* in config.json "architectures" */
    const char *type;  /* in config.json "model_type", for files without the former */
    const char *arch;  /* general.architecture */
    unsigned traits;   /* ag_hf_trait */
    double partial;    /* partial_rotary_factor when the file has none */
    int d_head;        /* head_dim when the file has none; 0: hidden size / heads */
    const char *act;   /* the only activation that the class is run with */
    const char *layer; /* before the number of a layer: "layers." */
    const ag_hf_name
        *ends; /* outside the layers, as the groups without the modules around them ("model.") */
    const ag_hf_name *groups[6]; /* inside a layer; NULL ends */
} ag_hf_class;

/* The row of a class, by "architectures" or else by "model_type" (either may be NULL). */
const ag_hf_class *ag_hf_class_find(const char *name, const char *type);
/* "LlamaForCausalLM, ...": for messages. */
ag_code ag_hf_class_list(ag_buf *out, ag_err *err) AG_MUST_USE;

/* A name of a checkpoint, taken apart. */
typedef struct ag_hf_place {
    const ag_hf_name *row; /* NULL: the class has no such tensor */
    int64_t layer;         /* -1 outside layers */
    int64_t expert;        /* -1 when not one of a stack */
    ag_span stem;          /* the name without its ending */
    ag_span ending;        /* "weight", "bias", "qweight", ...; whole rows have none */
} ag_hf_place;
ag_hf_place ag_hf_place_of(const ag_hf_class *c, ag_span name);
/* Buffers, heads and towers that generating text never reads. */
bool ag_hf_is_unneeded(ag_span name);

/* ---- the folder being opened ----------------------------------------------------------------- */

typedef struct ag_hf_sizes {
    uint32_t layers, nextn; /* nextn more layers predict further tokens */
    uint32_t embd, heads, kv_heads, d_head, rot;
    uint32_t experts;
    uint32_t qk_nope, v_head; /* latent attention */
    bool sections;            /* rotation by axes: q and k rows are ordered for it */
} ag_hf_sizes;

typedef struct ag_hf_quant { /* quantization_config */
    enum { AG_HFQ_NONE, AG_HFQ_GPTQ, AG_HFQ_AWQ, AG_HFQ_PACKED, AG_HFQ_FP8 } method;
    uint32_t bits;     /* GPTQ, AWQ */
    uint32_t group;    /* columns that share a scale; 0: the whole row */
    bool zero_is_kept; /* GPTQ v2: zeros are not stored minus one */
    uint32_t block[2]; /* FP8: rows and columns that share a scale */
} ag_hf_quant;

typedef struct ag_hf {
    ag_source *s;
    const char *folder;
    json_t *root; /* owned: config.json */
    json_t *text; /* borrowed: its text_config, or itself */
    const ag_hf_class *cls;
    ag_hf_sizes sizes;
    ag_hf_quant quant;
    ag_st_table st;
    ag_err *err;
} ag_hf;

/* hf_config.c: config.json → keys, sizes and class. AG_E_UNSUPPORTED (class, activation, scaling:
 * the message lists what is supported), AG_E_FORMAT, AG_E_NOMEM. */
ag_code ag_hf_config_read(ag_hf *h) AG_MUST_USE;
/* hf_rope.c: rotation keys, and the tensors of scalings that are given as one. */
ag_code ag_hf_rope_read(ag_hf *h) AG_MUST_USE;
/* hf_weights.c: every tensor of h->st → tensors of h->s, all of them accounted for. */
ag_code ag_hf_weights_read(ag_hf *h) AG_MUST_USE;

/* ---- keys (hf_keys.c): the first error sticks in `code`, later calls do nothing ---------------
 */

typedef struct ag_hf_keys {
    ag_hf *h;
    const json_t *from; /* where numbers are looked up */
    ag_code code;
} ag_hf_keys;

/* Numbers of config.json. An absent or null one is `otherwise` (or, for need, AG_E_FORMAT). */
uint32_t ag_hf_cfg_need_u32(ag_hf_keys *k, const char *name);
uint32_t ag_hf_cfg_u32(ag_hf_keys *k, const char *name, uint32_t otherwise);
double ag_hf_cfg_num(ag_hf_keys *k, const char *name, double otherwise);
bool ag_hf_cfg_bool(ag_hf_keys *k, const char *name, bool otherwise);
/* NULL when absent or null. */
const char *ag_hf_cfg_str(ag_hf_keys *k, const char *name);
const json_t *ag_hf_cfg_list(ag_hf_keys *k, const char *name);
bool ag_hf_cfg_has(const ag_hf_keys *k, const char *name);

/* Add the key ARCH.name (copied). */
void ag_hf_key_u32(ag_hf_keys *k, const char *name, uint32_t v);
void ag_hf_key_f32(ag_hf_keys *k, const char *name, double v);
void ag_hf_key_bool(ag_hf_keys *k, const char *name, bool v);
void ag_hf_key_str(ag_hf_keys *k, const char *name, const char *v);
/* n values of a scalar kind in GGUF's encoding, copied. */
void ag_hf_key_array(ag_hf_keys *k, const char *name, ag_value_kind kind, const void *p, size_t n);
/* A general key: `name` is the whole name. */
void ag_hf_key_general(ag_hf_keys *k, const char *name, const char *v);
void ag_hf_key_plain_u32(ag_hf_keys *k, const char *name, uint32_t v);

/* ---- tensors ----------------------------------------------------------------------------------
 */

/* A plain tensor of a checkpoint as one of GGUF's: dimensions turned around. The name is left
 * empty. AG_E_UNSUPPORTED (dtype), AG_E_FORMAT (shape). */
ag_code ag_hf_plain(const ag_st_tensor *x, const char *path, ag_tensor *t, ag_err *err) AG_MUST_USE;
/* hf_quant.c: quantization_config. AG_E_UNSUPPORTED lists the supported methods. */
ag_code ag_hf_quant_config(ag_hf *h) AG_MUST_USE;
/* The weight of a module, plain or quantised, from all of its parts, which are marked used.
 * `ending` is that of the part found first. AG_E_FORMAT (a part is missing or of wrong shape). */
ag_code ag_hf_weight(ag_hf *h, ag_span stem, ag_span ending, ag_tensor *t) AG_MUST_USE;
/* Its quantised forms: GPTQ, AWQ, compressed-tensors, FP8. */
ag_code ag_hf_quant_weight(ag_hf *h, ag_span stem, ag_span ending, ag_tensor *t) AG_MUST_USE;

/* Views (view_*.c). `base` and what it points to live as long as the source; states are made in
 * `arena`. All leave the name alone. AG_E_FORMAT (shape), AG_E_NOMEM. */

typedef struct ag_view_order { /* out row h * d + p is base row h * d_base + order(p) */
    enum { AG_ORDER_PAIRS, AG_ORDER_HALVES, AG_ORDER_SLICE } how;
    uint32_t heads;
    uint32_t d, d_base;
    uint32_t rot;  /* HALVES: so many leading rows are reordered */
    uint32_t from; /* SLICE: rows [from, from + d) of a head */
} ag_view_order;
/* Rows (of a vector: elements) in another order. */
ag_code ag_view_rows(ag_arena *arena, const ag_tensor *base, ag_view_order order, ag_tensor *out,
                     ag_err *err) AG_MUST_USE;
/* Every value plus one, in F32. */
ag_code ag_view_plus_one(ag_arena *arena, const ag_tensor *base, ag_tensor *out,
                         ag_err *err) AG_MUST_USE;
/* n matrices of one type and shape as the third dimension. `parts` is kept. */
ag_code ag_view_stack(ag_arena *arena, const ag_tensor *const *parts, size_t n, ag_tensor *out,
                      ag_err *err) AG_MUST_USE;
/* Rows [0, d) of each head of base [heads * d_base rows, cols], transposed: out is
 * [heads, cols, d] in NumPy's order. */
ag_code ag_view_transposed(ag_arena *arena, const ag_tensor *base, uint32_t heads, uint32_t d,
                           uint32_t d_base, ag_tensor *out, ag_err *err) AG_MUST_USE;

/* ---- the tokenizer ----------------------------------------------------------------------------
 */

/* hf_tokenizer.c: read the tokenizer of `folder` and add it to s as the keys that GGUF uses:
 * tokenizer.ggml.* and tokenizer.chat_template, and a few of our own (hf_tokenizer.h) for what GGUF
 * has no key for. When the tensor token_embd.weight is there already, the vocabulary gets an entry
 * for each of its rows. Values lie in s->made. AG_E_NOT_FOUND (the folder holds no tokenizer),
 * AG_E_FORMAT (the message names the file and the place), AG_E_UNSUPPORTED (a kind of tokenizer or
 * a pre-tokenizer that is not known; quoted), AG_E_LIMIT, AG_E_IO, AG_E_NOMEM. */
ag_code ag_hf_tokenizer_read(ag_source *s, const char *folder, ag_err *err) AG_MUST_USE;

#endif
