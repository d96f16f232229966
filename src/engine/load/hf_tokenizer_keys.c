/* A vocabulary as the keys of a GGUF file. Arrays are written in GGUF's encoding into the source's
 * arena: a string is its length (u64) and its bytes, numbers are little-endian. */
#include <stdio.h>

#include "load/hf_tokenizer_parts.h"

#define KEY(name)  "tokenizer.ggml." name
#define OURS(name) "autoglm.tokenizer." name
#define MARK       "\xE2\x96\x81" /* ▁ */

/* ---- single values --------------------------------------------------------------------------- */

static ag_code no_memory(ag_err *err) {
    return ag_fail(err, AG_E_NOMEM, "out of memory for the tokenizer's keys");
}

static ag_code put(ag_source *s, const char *name, ag_value value, ag_err *err) {
    size_t n = strlen(name);
    char *copy = ag_arena_strndup(&s->made, name, n);
    return copy ? ag_source_add_key(s, ag_span_of(copy, n), value, err) : no_memory(err);
}

ag_code ag_hf_put_str(ag_source *s, const char *name, ag_span value, ag_err *err) {
    char *copy = ag_arena_strndup(&s->made, value.p, value.n);
    if (!copy)
        return no_memory(err);
    return put(s, name, (ag_value){.kind = AG_VALUE_STRING, .s = {copy, value.n}}, err);
}

ag_code ag_hf_put_u32(ag_source *s, const char *name, int64_t value, ag_err *err) {
    return put(s, name, (ag_value){.kind = AG_VALUE_U32, .u = (uint64_t)value}, err);
}

ag_code ag_hf_put_f32(ag_source *s, const char *name, double value, ag_err *err) {
    return put(s, name, (ag_value){.kind = AG_VALUE_F32, .f = (double)(float)value}, err);
}

/* In 32 bits where they suffice, as other programs expect. */
ag_code ag_hf_put_i64(ag_source *s, const char *name, int64_t value, ag_err *err) {
    bool small = value >= INT32_MIN && value <= INT32_MAX;
    return put(s, name, (ag_value){.kind = small ? AG_VALUE_I32 : AG_VALUE_I64, .i = value}, err);
}

static ag_code put_bool(ag_source *s, const char *name, bool value, ag_err *err) {
    return put(s, name, (ag_value){.kind = AG_VALUE_BOOL, .u = value}, err);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

/* An array under construction: n elements in `bytes` bytes, written from p on. */
typedef struct array {
    char *p, *at, *end;
    ag_value_kind kind;
    size_t n;
} array;

static ag_code begin(array *a, ag_source *s, ag_value_kind kind, size_t n, size_t bytes,
                     ag_err *err) {
    *a = (array){.p = ag_arena_get(&s->made, bytes), .kind = kind, .n = n};
    if (!a->p)
        return no_memory(err);
    a->at = a->p;
    a->end = a->p + bytes;
    return AG_OK;
}

static void add_bytes(array *a, const void *p, size_t n) {
    AG_ASSERT(n <= (size_t)(a->end - a->at)); /* the caller added the sizes up */
    if (n)
        memcpy(a->at, p, n);
    a->at += n;
}

static void add_int(array *a, uint64_t v, size_t n) {
    uint8_t bytes[sizeof v];
    ag_put_le(bytes, v, n);
    add_bytes(a, bytes, n);
}

/* A string of up to two parts. */
static void add_str(array *a, ag_span first, ag_span second) {
    add_int(a, first.n + second.n, 8);
    add_bytes(a, first.p, first.n);
    add_bytes(a, second.p, second.n);
}

static ag_code put_array(ag_source *s, const char *name, const array *a, ag_err *err) {
    AG_ASSERT(a->at == a->end);
    ag_value v = {.kind = AG_VALUE_ARRAY};
    v.a.kind = a->kind;
    v.a.n = a->n;
    v.a.bytes = ag_span_of(a->p, (size_t)(a->end - a->p));
    return put(s, name, v, err);
}

ag_code ag_hf_put_u32s(ag_source *s, const char *name, const uint32_t *v, size_t n, ag_err *err) {
    array a;
    ag_code code = begin(&a, s, AG_VALUE_U32, n, n * 4, err);
    if (code != AG_OK)
        return code;
    for (size_t i = 0; i < n; i++)
        add_int(&a, v[i], 4);
    return put_array(s, name, &a, err);
}

ag_code ag_hf_put_strs(ag_source *s, const char *name, const ag_span *v, size_t n, ag_err *err) {
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += 8 + v[i].n;
    array a;
    ag_code code = begin(&a, s, AG_VALUE_STRING, n, bytes, err);
    if (code != AG_OK)
        return code;
    for (size_t i = 0; i < n; i++)
        add_str(&a, v[i], (ag_span){0});
    return put_array(s, name, &a, err);
}

/* ---- the vocabulary -------------------------------------------------------------------------- */

typedef struct token_text {
    ag_span first, second; /* one after the other */
    char pad[24];
} token_text;

/* What GGUF writes for a token: [PADn] for an id without one; in WordPiece ▁ marks the words' first
 * pieces, and the others lose their ##. */
static void write_token(const ag_hf_vocab *v, size_t id, token_text *out) {
    ag_span text = id < v->n ? v->tokens[id].text : (ag_span){0};
    uint8_t type = id < v->n ? v->tokens[id].type : AG_HF_HOLE;
    *out = (token_text){.first = text};
    if (type == AG_HF_HOLE) {
        int n = snprintf(out->pad, sizeof out->pad, "[PAD%zu]", id);
        out->first = ag_span_of(out->pad, (size_t)n);
    } else if (v->kind == AG_HF_WPM && type == AG_HF_NORMAL) {
        bool inner = ag_span_starts(text, ag_str("##"));
        out->first = inner ? (ag_span){0} : ag_str(MARK);
        out->second = inner ? ag_span_sub(text, 2, text.n) : text;
    }
}

static ag_code put_tokens(const ag_hf_vocab *v, size_t n, ag_source *s, ag_err *err) {
    size_t bytes = 0;
    token_text t;
    for (size_t id = 0; id < n; id++) {
        write_token(v, id, &t);
        bytes += 8 + t.first.n + t.second.n;
    }
    array a;
    ag_code code = begin(&a, s, AG_VALUE_STRING, n, bytes, err);
    for (size_t id = 0; id < n && code == AG_OK; id++) {
        write_token(v, id, &t);
        add_str(&a, t.first, t.second);
    }
    return code == AG_OK ? put_array(s, KEY("tokens"), &a, err) : code;
}

static ag_code put_types(const ag_hf_vocab *v, size_t n, ag_source *s, ag_err *err) {
    array a;
    ag_code code = begin(&a, s, AG_VALUE_I32, n, n * 4, err);
    for (size_t id = 0; id < n && code == AG_OK; id++) {
        uint8_t type = id < v->n ? v->tokens[id].type : AG_HF_HOLE;
        if (type == AG_HF_HOLE)
            type = AG_HF_UNUSED;
        else if ((int64_t)id == v->unk && v->kind == AG_HF_SPM)
            type = AG_HF_UNKNOWN;
        add_int(&a, type, 4);
    }
    return code == AG_OK ? put_array(s, KEY("token_type"), &a, err) : code;
}

static ag_code put_scores(const ag_hf_vocab *v, size_t n, ag_source *s, ag_err *err) {
    array a;
    ag_code code = begin(&a, s, AG_VALUE_F32, n, n * 4, err);
    for (size_t id = 0; id < n && code == AG_OK; id++) {
        uint8_t type = id < v->n ? v->tokens[id].type : AG_HF_HOLE;
        bool merges = type == AG_HF_NORMAL || type == AG_HF_USER_DEFINED;
        float score = merges ? v->tokens[id].score : type == AG_HF_HOLE ? -1e4f : 0.0f;
        uint32_t bits;
        memcpy(&bits, &score, sizeof bits);
        add_int(&a, bits, 4);
    }
    return code == AG_OK ? put_array(s, KEY("scores"), &a, err) : code;
}

/* Rules were checked when they were read: strings with a space, or pairs of strings without. */
static ag_code put_merges(const json_t *merges, ag_source *s, ag_err *err) {
    size_t n = json_array_size(merges), bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *rule = json_array_get(merges, i);
        bytes += 8 + (json_is_array(rule) ? json_string_length(json_array_get(rule, 0)) + 1 +
                                                json_string_length(json_array_get(rule, 1))
                                          : json_string_length(rule));
    }
    array a;
    ag_code code = begin(&a, s, AG_VALUE_STRING, n, bytes, err);
    for (size_t i = 0; i < n && code == AG_OK; i++) {
        const json_t *rule = json_array_get(merges, i);
        if (!json_is_array(rule)) {
            ag_span text = ag_span_of(json_string_value(rule), json_string_length(rule));
            add_str(&a, text, (ag_span){0});
            continue;
        }
        const json_t *l = json_array_get(rule, 0), *r = json_array_get(rule, 1);
        add_int(&a, json_string_length(l) + 1 + json_string_length(r), 8);
        add_bytes(&a, json_string_value(l), json_string_length(l));
        add_bytes(&a, " ", 1);
        add_bytes(&a, json_string_value(r), json_string_length(r));
    }
    return code == AG_OK ? put_array(s, KEY("merges"), &a, err) : code;
}

/* Ids of the tokens that `pick` chooses, when there are any. */
static ag_code put_picked(const ag_hf_vocab *v, size_t n, const char *name,
                          bool (*pick)(const ag_hf_token *), ag_source *s, ag_err *err) {
    size_t n_picked = 0;
    n = n < v->n ? n : v->n;
    for (size_t id = 0; id < n; id++)
        n_picked += pick(&v->tokens[id]);
    if (n_picked == 0)
        return AG_OK;
    array a;
    ag_code code = begin(&a, s, AG_VALUE_U32, n_picked, n_picked * 4, err);
    for (size_t id = 0; id < n && code == AG_OK; id++)
        if (pick(&v->tokens[id]))
            add_int(&a, id, 4);
    return code == AG_OK ? put_array(s, name, &a, err) : code;
}
static bool has_lstrip(const ag_hf_token *t) { return t->lstrip; }
static bool has_rstrip(const ag_hf_token *t) { return t->rstrip; }

/* ---- all ------------------------------------------------------------------------------------- */

static ag_code put_ids(const ag_hf_vocab *v, size_t n, ag_source *s, ag_err *err) {
    bool wpm = v->kind == AG_HF_WPM;
    int64_t bos = wpm && v->cls >= 0 ? v->cls : v->bos, eos = wpm && v->sep >= 0 ? v->sep : v->eos;
    int64_t sep = wpm && v->sep < 0 ? v->eos : v->sep;
    const struct {
        const char *name;
        int64_t id;
    } ids[] = {{KEY("bos_token_id"), bos},        {KEY("eos_token_id"), eos},
               {KEY("unknown_token_id"), v->unk}, {KEY("padding_token_id"), v->pad},
               {KEY("seperator_token_id"), sep},  {KEY("cls_token_id"), v->cls},
               {KEY("mask_token_id"), v->mask}};
    ag_code code = AG_OK;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0] && code == AG_OK; i++)
        if (ids[i].id >= 0 && (size_t)ids[i].id < n)
            code = ag_hf_put_u32(s, ids[i].name, ids[i].id, err);
    return code;
}

static ag_code put_habits(const ag_hf_vocab *v, ag_source *s, ag_err *err) {
    ag_code code = put_bool(s, KEY("add_bos_token"), v->adds_bos, err);
    if (code == AG_OK)
        code = put_bool(s, KEY("add_eos_token"), v->adds_eos, err);
    if (code == AG_OK && v->kind == AG_HF_SPM)
        code = put_bool(s, KEY("add_space_prefix"), v->space_prefix, err);
    if (code == AG_OK && v->kind == AG_HF_SPM && v->merges)
        code = put_bool(s, OURS("by_rules"), true, err);
    if (code == AG_OK && v->metaspace)
        code = ag_hf_put_str(s, OURS("metaspace"), ag_str(v->metaspace), err);
    if (code == AG_OK && v->kind == AG_HF_BPE)
        code = put_bool(s, OURS("ignore_merges"), v->ignore_merges, err);
    if (code == AG_OK && v->kind == AG_HF_BPE)
        code = put_bool(s, OURS("nfc"), v->nfc, err);
    if (code == AG_OK && v->kind == AG_HF_WPM)
        code = put_bool(s, KEY("normalizer.lowercase"), v->lowercase, err);
    if (code == AG_OK && v->kind == AG_HF_WPM && v->strip_accents != v->lowercase)
        code = put_bool(s, OURS("strip_accents"), v->strip_accents, err);
    if (code == AG_OK && v->kind == AG_HF_WPM && !v->cjk_spaces)
        code = put_bool(s, OURS("cjk_spaces"), false, err);
    return code;
}

/* The embedding's rows, which the vocabulary is brought to: models pad it, and some tokenizers list
 * tokens that the model has no row for (Gemma 3's image token in models without images). */
static size_t n_rows(const ag_hf_vocab *v, const ag_source *s) {
    const ag_tensor *t = ag_source_find_tensor(s, "token_embd.weight");
    return t && t->dim[1] > 0 && t->dim[1] <= 8 * v->n + ((size_t)1 << 19) ? (size_t)t->dim[1]
                                                                           : v->n;
}

static ag_code put_arrays(const ag_hf_vocab *v, size_t n, ag_source *s, ag_err *err) {
    ag_code code = put_tokens(v, n, s, err);
    if (code == AG_OK)
        code = put_types(v, n, s, err);
    if (code == AG_OK && v->kind == AG_HF_SPM)
        code = put_scores(v, n, s, err);
    if (code == AG_OK && v->merges)
        code = put_merges(v->merges, s, err);
    if (code == AG_OK)
        code = put_picked(v, n, OURS("lstrip"), has_lstrip, s, err);
    if (code == AG_OK)
        code = put_picked(v, n, OURS("rstrip"), has_rstrip, s, err);
    return code;
}

ag_code ag_hf_write_keys(const ag_hf_vocab *v, ag_source *s, ag_err *err) {
    static const char *const models[] = {"gpt2", "llama", "bert"};
    size_t n = n_rows(v, s);
    ag_code code = ag_hf_put_str(s, KEY("model"), ag_str(models[v->kind]), err);
    if (code == AG_OK)
        code = ag_hf_put_str(s, KEY("pre"), ag_str(v->pre ? v->pre : "default"), err);
    if (code == AG_OK)
        code = put_arrays(v, n, s, err);
    if (code == AG_OK)
        code = put_ids(v, n, s, err);
    return code == AG_OK ? put_habits(v, s, err) : code;
}
