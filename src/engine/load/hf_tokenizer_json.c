/* tokenizer.json: vocabulary, merges, added tokens, what is put around a text. */
#include "base/limits.h"
#include "load/hf_tokenizer_parts.h"

#define MAX_TOKEN_BYTES 65536u /* one token's text */

/* ---- the vocabulary -------------------------------------------------------------------------- */

/* {"text": id} in any order. */
static ag_code read_vocab(ag_hf_vocab *v, const json_t *vocab, ag_err *err) {
    if (!json_is_object(vocab))
        return ag_fail(err, AG_E_FORMAT, "the model has no vocabulary");
    const char *key;
    json_t *id;
    ag_code code = AG_OK;
    /* The macro wants an object that may change; here none does. */
    json_object_foreach((json_t *)(uintptr_t)vocab, key, id) {
        if (!json_is_integer(id))
            return ag_fail(err, AG_E_FORMAT, "the id of the token \"%.60s\" is no integer", key);
        ag_span text = ag_str(key);
        if (text.n > MAX_TOKEN_BYTES)
            return ag_fail(err, AG_E_LIMIT, "the token %lld has %zu bytes; up to %u are taken",
                           (long long)json_integer_value(id), text.n, MAX_TOKEN_BYTES);
        code = ag_hf_add_token(v, text, json_integer_value(id), AG_HF_NORMAL, err);
        if (code != AG_OK)
            return code;
    }
    return AG_OK;
}

static bool is_byte_name(ag_span s) {
    static const char digits[] = "0123456789ABCDEF";
    return s.n == 6 && memcmp(s.p, "<0x", 3) == 0 && s.p[5] == '>' && memchr(digits, s.p[3], 16) &&
           memchr(digits, s.p[4], 16);
}

/* With byte_fallback <0x00> to <0xFF> stand for bytes. Without all of them some characters have no
 * tokens but the unknown one, which text/ writes once for a run of them. */
static ag_code mark_bytes(ag_hf_vocab *v, const json_t *model, ag_err *err) {
    size_t n_bytes = 0;
    if (!ag_hf_flag(model, "byte_fallback", false))
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "a SentencePiece-like BPE without byte_fallback is not supported");
    for (size_t id = 0; id < v->n; id++)
        if (v->tokens[id].type == AG_HF_NORMAL && is_byte_name(v->tokens[id].text)) {
            v->tokens[id].type = AG_HF_BYTE;
            n_bytes++;
        }
    if (n_bytes < 256 && !ag_hf_flag(model, "fuse_unk", false))
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "byte_fallback with %zu of 256 byte tokens and without fuse_unk is not"
                       " supported",
                       n_bytes);
    return AG_OK;
}

/* ---- merges ---------------------------------------------------------------------------------- */

/* The parts of a rule, "left right" or ["left", "right"]. */
static bool parts_of(const json_t *rule, ag_span *left, ag_span *right) {
    if (json_is_array(rule)) {
        const json_t *l = json_array_get(rule, 0), *r = json_array_get(rule, 1);
        if (json_array_size(rule) != 2 || !json_is_string(l) || !json_is_string(r))
            return false;
        *left = ag_span_of(json_string_value(l), json_string_length(l));
        *right = ag_span_of(json_string_value(r), json_string_length(r));
        return left->n > 0 && right->n > 0;
    }
    if (!json_is_string(rule))
        return false;
    ag_span s = ag_span_of(json_string_value(rule), json_string_length(rule));
    size_t space = s.n > 0 ? ag_span_find(s, ag_str(" "), 1) : SIZE_MAX;
    if (space == SIZE_MAX || space + 1 >= s.n)
        return false;
    *left = ag_span_sub(s, 0, space);
    *right = ag_span_sub(s, space + 1, s.n);
    return true;
}

/* Check one rule and give its result the score of its rank, the first rule of a result counts. */
static ag_code check_merge(ag_hf_vocab *v, size_t rank, const json_t *rule, ag_buf *room,
                           ag_err *err) {
    ag_span l, r;
    if (!parts_of(rule, &l, &r))
        return ag_fail(err, AG_E_FORMAT, "merge rule %zu is not a pair of tokens", rank);
    room->n = 0;
    ag_buf_add(room, l.p, l.n);
    ag_buf_add(room, r.p, r.n);
    ag_code code = ag_buf_check(room, "a merge rule", err);
    if (code != AG_OK)
        return code;
    int64_t id = ag_hf_find(v, ag_buf_span(room));
    if (id < 0 || ag_hf_find(v, l) < 0 || ag_hf_find(v, r) < 0)
        return ag_fail(err, AG_E_FORMAT,
                       "merge rule %zu, \"%.*s\" and \"%.*s\", needs a token that is not in the"
                       " vocabulary",
                       rank, AG_SPAN(ag_span_sub(l, 0, 50)), AG_SPAN(ag_span_sub(r, 0, 50)));
    if (memchr(l.p, ' ', l.n) || memchr(r.p, ' ', r.n))
        return ag_fail(err, AG_E_UNSUPPORTED, "merge rule %zu joins tokens with spaces in them",
                       rank);
    if (v->tokens[id].score == 0.0f)
        v->tokens[id].score = -(float)(rank + 1);
    return AG_OK;
}

static ag_code read_merges(ag_hf_vocab *v, const json_t *model, ag_err *err) {
    v->merges = json_object_get(model, "merges");
    size_t n = json_array_size(v->merges);
    if (!json_is_array(v->merges))
        return ag_fail(err, AG_E_FORMAT, "the BPE model has no merges");
    if (n > AG_MAX_VOCAB)
        return ag_fail(err, AG_E_LIMIT, "%zu merge rules are too many; up to %u are taken", n,
                       AG_MAX_VOCAB);
    ag_buf room;
    ag_buf_init(&room, AG_ROOM_LOAD, 2 * MAX_TOKEN_BYTES);
    ag_code code = AG_OK;
    for (size_t i = 0; i < n && code == AG_OK; i++)
        code = check_merge(v, i, json_array_get(v->merges, i), &room, err);
    ag_buf_deinit(&room);
    /* What no rule makes comes last. */
    for (size_t id = 0; id < v->n; id++)
        if (v->tokens[id].type == AG_HF_NORMAL && v->tokens[id].score == 0.0f)
            v->tokens[id].score = -(float)(n + 1);
    return code;
}

/* ---- models ---------------------------------------------------------------------------------- */

/* Old files do not name the kind of their model. */
static const char *type_of(const json_t *model) {
    const char *type = json_string_value(json_object_get(model, "type"));
    if (type)
        return type;
    if (json_object_get(model, "merges"))
        return "BPE";
    if (json_object_get(model, "max_input_chars_per_word"))
        return "WordPiece";
    return json_is_array(json_object_get(model, "vocab")) ? "Unigram" : "WordLevel";
}

static bool has_text(const json_t *model, const char *key) {
    const json_t *s = json_object_get(model, key);
    return json_is_string(s) && json_string_length(s) > 0;
}

ag_code ag_hf_read_bpe(ag_hf_vocab *v, const json_t *model, ag_err *err) {
    const json_t *dropout = json_object_get(model, "dropout");
    if (json_is_number(dropout) && json_number_value(dropout) != 0.0)
        return ag_fail(err, AG_E_UNSUPPORTED, "BPE with dropout is not supported");
    if (has_text(model, "continuing_subword_prefix") || has_text(model, "end_of_word_suffix"))
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "BPE with continuing_subword_prefix or end_of_word_suffix is not supported");
    v->ignore_merges = ag_hf_flag(model, "ignore_merges", false);
    ag_code code = read_vocab(v, json_object_get(model, "vocab"), err);
    ag_span unk;
    if (code == AG_OK && ag_hf_str(model, "unk_token", &unk))
        v->unk = ag_hf_find(v, unk);
    if (code == AG_OK)
        code = read_merges(v, model, err);
    if (code == AG_OK && v->kind == AG_HF_SPM)
        code = mark_bytes(v, model, err);
    return code;
}

static ag_code read_wordpiece(ag_hf_vocab *v, const json_t *model, ag_err *err) {
    const json_t *max = json_object_get(model, "max_input_chars_per_word");
    if (max && json_integer_value(max) != 100)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "WordPiece with max_input_chars_per_word %lld is not supported, only 100",
                       (long long)json_integer_value(max));
    if (has_text(model, "continuing_subword_prefix") &&
        !ag_hf_is(model, "continuing_subword_prefix", "##"))
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "WordPiece whose continuing_subword_prefix is not ## is not supported");
    ag_code code = read_vocab(v, json_object_get(model, "vocab"), err);
    if (code != AG_OK)
        return code;
    ag_span unk = ag_str("[UNK]");
    ag_hf_str(model, "unk_token", &unk);
    v->unk = ag_hf_find(v, unk);
    if (v->unk < 0)
        return ag_fail(err, AG_E_FORMAT, "the unknown token \"%.*s\" is not in the vocabulary",
                       AG_SPAN(ag_span_sub(unk, 0, 60)));
    return AG_OK;
}

/* ---- added tokens, and what is put around a text --------------------------------------------- */

static ag_code read_added(ag_hf_vocab *v, const json_t *list, ag_err *err) {
    ag_code code = AG_OK;
    for (size_t i = 0; i < json_array_size(list) && code == AG_OK; i++) {
        const json_t *token = json_array_get(list, i), *id = json_object_get(token, "id");
        if (!json_is_integer(id))
            return ag_fail(err, AG_E_FORMAT, "added token %zu has no id", i);
        code = ag_hf_add_added(v, token, json_integer_value(id), err);
    }
    return code;
}

/* The token of {"SpecialToken": {"id": "<s>"}}, or -1. */
static int64_t special_of(const ag_hf_vocab *v, const json_t *piece) {
    ag_span text;
    const json_t *special = json_object_get(piece, "SpecialToken");
    return special && ag_hf_str(special, "id", &text) ? ag_hf_find(v, text) : -1;
}

/* TemplateProcessing: one token before the text is BOS, one behind it EOS. More than one, as GLM-4
 * has, GGUF cannot say; chat templates write those out. */
static void read_template(ag_hf_vocab *v, const json_t *single) {
    size_t n = json_array_size(single), text_at = n;
    for (size_t i = 0; i < n; i++)
        if (json_object_get(json_array_get(single, i), "Sequence"))
            text_at = i;
    if (text_at == 1) {
        v->bos = special_of(v, json_array_get(single, 0));
        v->adds_bos = v->bos >= 0;
    }
    if (text_at + 2 == n) {
        v->eos = special_of(v, json_array_get(single, n - 1));
        v->adds_eos = v->eos >= 0;
    }
}

/* BertProcessing and RobertaProcessing name the tokens: {"cls": ["[CLS]", 101], "sep": ...}. */
static void read_cls_sep(ag_hf_vocab *v, const json_t *p) {
    const json_t *cls = json_array_get(json_object_get(p, "cls"), 0);
    const json_t *sep = json_array_get(json_object_get(p, "sep"), 0);
    if (!json_is_string(cls) || !json_is_string(sep))
        return;
    v->bos = ag_hf_find(v, ag_str(json_string_value(cls)));
    v->eos = ag_hf_find(v, ag_str(json_string_value(sep)));
    v->adds_bos = v->bos >= 0;
    v->adds_eos = v->eos >= 0;
}

static void read_post_processor(ag_hf_vocab *v, const json_t *p) {
    const json_t *list = json_object_get(p, "processors");
    size_t n = ag_hf_is(p, "type", "Sequence") ? json_array_size(list) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = ag_hf_is(p, "type", "Sequence") ? json_array_get(list, i) : p;
        if (ag_hf_is(one, "type", "TemplateProcessing"))
            read_template(v, json_object_get(one, "single"));
        else if (ag_hf_is(one, "type", "BertProcessing") ||
                 ag_hf_is(one, "type", "RobertaProcessing"))
            read_cls_sep(v, one);
    }
}

static ag_code read_parts(ag_hf_vocab *v, const json_t *root, ag_err *err) {
    const json_t *model = json_object_get(root, "model");
    const char *type = type_of(model);
    bool bpe = strcmp(type, "BPE") == 0;
    if (!json_is_object(model))
        return ag_fail(err, AG_E_FORMAT, "the file has no model");
    if (!bpe && strcmp(type, "WordPiece") != 0)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "a tokenizer model of type %.40s is not supported; supported are BPE and"
                       " WordPiece (Unigram, as T5 and XLM-R have, is not)",
                       type);
    v->kind = bpe ? AG_HF_BPE : AG_HF_WPM;
    ag_code code = ag_hf_read_pre(v, root, err);
    if (code == AG_OK)
        code = bpe ? ag_hf_read_bpe(v, model, err) : read_wordpiece(v, model, err);
    if (code == AG_OK)
        code = read_added(v, json_object_get(root, "added_tokens"), err);
    if (code == AG_OK && v->kind == AG_HF_BPE && !v->pre)
        return ag_fail(err, AG_E_FORMAT, "the pre-tokenizer is missing");
    if (code == AG_OK)
        read_post_processor(v, json_object_get(root, "post_processor"));
    return code;
}

ag_code ag_hf_read_json(ag_hf_vocab *v, const json_t *root, ag_err *err) {
    ag_code code = read_parts(v, root, err);
    if (code != AG_OK)
        return ag_err_wrap(err, code, "tokenizer.json");
    /* One expression has several names, for models with different other habits. */
    if (v->kind == AG_HF_BPE && strcmp(v->pre, "llama-bpe") == 0) {
        if (ag_hf_find(v, ag_str("[gMASK]")) >= 0)
            v->pre = "glm4";
        else if (!v->ignore_merges)
            v->pre = "dbrx";
    }
    return AG_OK;
}
