/* A tokenizer from the tokenizer.* keys of a model. Every count and id in them is hostile. */
#include "base/limits.h"
#include "base/random.h"
#include "load/source.h"
#include "text/bpe.h"
#include "text/vocab.h"

#define KEY(name)  "tokenizer.ggml." name
#define OURS(name) "autoglm.tokenizer." name /* what GGUF cannot say: docs/formats.md */

typedef struct source {
    const ag_source *g;
    const ag_value *tokens, *types, *scores, *merges; /* arrays; types, scores may be NULL */
    ag_span model, pre;
    bool by_rules; /* SPM: merges count, not scores */
} source;

/* An optional array of numbers or strings: NULL when absent. With `n` > 0 it must have n elements.
 */
static ag_code get_array(const ag_source *g, const char *key, bool strings, uint64_t n,
                         const ag_value **out, ag_err *err) {
    *out = ag_source_find(g, key);
    if (!*out)
        return AG_OK;
    const char *want = strings ? "strings" : "numbers";
    if ((*out)->kind != AG_VALUE_ARRAY || ((*out)->a.kind == AG_VALUE_STRING) != strings)
        return ag_fail(err, AG_E_FORMAT, "key %s: expected an array of %s", key, want);
    if (n > 0 && (*out)->a.n != n)
        return ag_fail(err, AG_E_FORMAT, "key %s: expected %llu elements, one a token, found %llu",
                       key, (unsigned long long)n, (unsigned long long)(*out)->a.n);
    return AG_OK;
}

static ag_code get_source(const ag_source *g, source *s, ag_err *err) {
    *s = (source){.g = g, .pre = ag_str("default")};
    ag_code code = ag_source_get_str(g, KEY("model"), &s->model, err);
    if (code == AG_OK)
        code = ag_source_opt_str(g, KEY("pre"), &s->pre, err);
    if (code == AG_OK)
        code = get_array(g, KEY("tokens"), true, 0, &s->tokens, err);
    if (code != AG_OK)
        return code;
    if (!s->tokens)
        return ag_fail(err, AG_E_NOT_FOUND,
                       "the file has no vocabulary: key " KEY("tokens") " is missing");
    uint64_t n = s->tokens->a.n;
    if (n == 0 || n > AG_MAX_VOCAB || s->tokens->a.bytes.n > UINT32_MAX - 16)
        return ag_fail(err, AG_E_LIMIT, "a vocabulary of %llu tokens in %zu bytes is not supported",
                       (unsigned long long)n, s->tokens->a.bytes.n);
    code = get_array(g, KEY("token_type"), false, n, &s->types, err);
    if (code == AG_OK)
        code = get_array(g, KEY("scores"), false, n, &s->scores, err);
    if (code == AG_OK)
        code = get_array(g, KEY("merges"), true, 0, &s->merges, err);
    if (code == AG_OK)
        code = ag_source_opt_bool(g, OURS("by_rules"), &s->by_rules, err);
    s->by_rules = s->by_rules && s->merges;
    return code;
}

/* What kind of tokenizer this is, and that its parts are there. */
static ag_code choose_kind(ag_tokenizer *t, const source *s, ag_err *err) {
    if (ag_span_is(s->model, "llama")) {
        t->kind = AG_VOCAB_SPM;
        if (!s->scores)
            return ag_fail(err, AG_E_FORMAT, "key " KEY("scores") " is missing");
        return AG_OK;
    }
    if (ag_span_is(s->model, "bert")) {
        t->kind = AG_VOCAB_WPM;
        return AG_OK;
    }
    if (!ag_span_is(s->model, "gpt2"))
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "tokenizer model \"%.*s\" is not supported; supported are gpt2 (byte-level "
                       "BPE), llama (SentencePiece BPE) and bert (WordPiece)",
                       AG_SPAN(s->model));
    t->kind = AG_VOCAB_BPE;
    if (!s->merges)
        return ag_fail(err, AG_E_FORMAT, "key " KEY("merges") " is missing");
    t->pre = ag_pre_find(s->pre);
    if (t->pre)
        return AG_OK;
    ag_buf list;
    ag_buf_init(&list, AG_ROOM_TEXT, 4096);
    ag_pre_list(&list);
    ag_code code = ag_fail(err, AG_E_UNSUPPORTED,
                           "pre-tokenizer \"%.*s\" is not supported; supported are: %.*s",
                           AG_SPAN(ag_span_sub(s->pre, 0, 60)), AG_SPAN(ag_buf_span(&list)));
    ag_buf_deinit(&list);
    return code;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* Value of "<0xE4>", or -1. */
static int byte_of_name(ag_span s) {
    static const char digits[] = "0123456789ABCDEF";
    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>' || !s.p[3] || !s.p[4])
        return -1;
    const char *high = strchr(digits, s.p[3]), *low = strchr(digits, s.p[4]);
    return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

/* Bytes that a token decodes to; out holds raw.n + 8. */
static size_t decode_token(const ag_tokenizer *t, int32_t id, bool by_rules, ag_span raw,
                           char *out) {
    uint8_t type = t->type[id];
    if (type == AG_TOKEN_UNUSED)
        return 0;
    if (type == AG_TOKEN_BYTE) {
        int byte = byte_of_name(raw);
        *out = (char)byte;
        return byte >= 0;
    }
    if (type == AG_TOKEN_NORMAL && t->kind == AG_VOCAB_BPE) {
        size_t n = ag_bytes_from_standins(raw, out);
        if (n != SIZE_MAX)
            return n;
    }
    if (t->kind == AG_VOCAB_WPM)
        return ag_wordpiece_bytes(raw, type, out);
    if (t->kind == AG_VOCAB_SPM &&
        (type == AG_TOKEN_NORMAL || (by_rules && type == AG_TOKEN_USER_DEFINED))) {
        size_t n = 0;
        for (size_t at = 0; at < raw.n; n++) {
            bool mark = raw.n - at >= 3 && memcmp(raw.p + at, "\xE2\x96\x81", 3) == 0;
            out[n] = mark ? ' ' : raw.p[at];
            at += mark ? 3 : 1;
        }
        return n;
    }
    if (raw.n)
        memcpy(out, raw.p, raw.n);
    return raw.n;
}

static uint8_t type_of(const ag_tokenizer *t, const source *s, int32_t id, ag_span raw) {
    if (!s->types) /* old files */
        return t->kind == AG_VOCAB_SPM && byte_of_name(raw) >= 0 ? AG_TOKEN_BYTE : AG_TOKEN_NORMAL;
    int64_t type = ag_value_int(s->types, (uint64_t)id);
    if (type < AG_TOKEN_NORMAL || type > AG_TOKEN_BYTE)
        return AG_TOKEN_NORMAL;
    if (type == AG_TOKEN_BYTE && t->kind != AG_VOCAB_SPM)
        return AG_TOKEN_NORMAL;
    /* Padding of the vocabulary; older converters called it user defined. */
    if (type == AG_TOKEN_USER_DEFINED && ag_span_starts(raw, ag_str("[PAD")) && raw.n > 5 &&
        raw.p[raw.n - 1] == ']') {
        size_t at = 4;
        while (raw.p[at] >= '0' && raw.p[at] <= '9')
            at++;
        if (at == raw.n - 1)
            return AG_TOKEN_UNUSED;
    }
    return (uint8_t)type;
}

static ag_code get_tokens(ag_tokenizer *t, const source *s, ag_err *err) {
    ag_span all = s->tokens->a.bytes;
    size_t n = (size_t)t->n;
    t->raw = all.p;
    t->raw_at = ag_alloc(AG_ROOM_TEXT, (n + 1) * sizeof *t->raw_at);
    t->bytes_at = ag_alloc(AG_ROOM_TEXT, (n + 1) * sizeof *t->bytes_at);
    t->bytes = ag_alloc(AG_ROOM_TEXT, all.n);
    t->type = ag_alloc(AG_ROOM_TEXT, n);
    t->reach = ag_calloc(AG_ROOM_TEXT, n, 1);
    if (!t->raw_at || !t->bytes_at || !t->bytes || !t->type || !t->reach)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a vocabulary of %zu tokens", n);
    size_t at = 0, used = 0;
    for (int32_t id = 0; id < t->n; id++) {
        ag_span raw = ag_value_next_str(s->tokens, &at);
        t->raw_at[id] = (uint32_t)(raw.p - all.p);
        t->type[id] = type_of(t, s, id, raw);
        t->bytes_at[id] = (uint32_t)used;
        used += decode_token(t, id, s->by_rules, raw, t->bytes + used);
    }
    t->raw_at[n] = (uint32_t)all.n + 8;
    t->bytes_at[n] = (uint32_t)used;
    return AG_OK;
}

/* ---- special ids ----------------------------------------------------------------------------- */

/* An id that the file names; -1 when it is absent or no token (some files write -1). */
static int32_t get_id(const ag_tokenizer *t, const ag_source *g, const char *key, int32_t missing) {
    const ag_value *v = ag_source_find(g, key);
    if (!v)
        return missing < t->n ? missing : -1;
    uint64_t id = UINT64_MAX; /* negative ones are as large */
    switch (v->kind) {
    case AG_VALUE_U8:
    case AG_VALUE_U16:
    case AG_VALUE_U32:
    case AG_VALUE_U64:
        id = v->u;
        break;
    case AG_VALUE_I8:
    case AG_VALUE_I16:
    case AG_VALUE_I32:
    case AG_VALUE_I64:
        id = (uint64_t)v->i;
        break;
    default:
        break;
    }
    return id < (uint64_t)t->n ? (int32_t)id : -1;
}

/* Characters without a token become the unknown one: text must reach no control token by it. */
static void settle_unknown(ag_tokenizer *t) {
    if (t->unk >= 0 && (t->unk == t->bos || t->unk == t->eos))
        t->unk = -1;
    if (t->unk >= 0 && t->type[t->unk] == AG_TOKEN_CONTROL)
        t->type[t->unk] = AG_TOKEN_UNKNOWN;
}

/* What is put around and before a text, and how it is normalised. */
static ag_code get_habits(ag_tokenizer *t, const source *s, ag_err *err) {
    bool spm = t->kind == AG_VOCAB_SPM, space_prefix = spm;
    ag_span metaspace = {0};
    t->adds_bos = spm || t->pre->adds_bos;
    ag_code code = ag_source_opt_bool(s->g, KEY("add_bos_token"), &t->adds_bos, err);
    if (code == AG_OK)
        code = ag_source_opt_bool(s->g, KEY("add_eos_token"), &t->adds_eos, err);
    if (code == AG_OK && spm)
        code = ag_source_opt_bool(s->g, KEY("add_space_prefix"), &space_prefix, err);
    if (code == AG_OK && space_prefix)
        code = ag_source_opt_str(s->g, OURS("metaspace"), &metaspace, err);
    t->adds_bos = t->adds_bos && t->bos >= 0;
    t->adds_eos = t->adds_eos && t->eos >= 0;
    if (space_prefix)
        t->prefix = ag_span_is(metaspace, "first")    ? AG_PREFIX_FIRST
                    : ag_span_is(metaspace, "always") ? AG_PREFIX_UNLESS_SPACE
                                                      : AG_PREFIX_ALWAYS;
    if (code != AG_OK || spm)
        return code;
    t->nfc = t->pre->nfc;
    t->ignore_merges = t->pre->ignore_merges;
    code = ag_source_opt_bool(s->g, OURS("nfc"), &t->nfc, err);
    return code == AG_OK ? ag_source_opt_bool(s->g, OURS("ignore_merges"), &t->ignore_merges, err)
                         : code;
}

static ag_code get_specials(ag_tokenizer *t, const source *s, ag_err *err) {
    bool spm = t->kind == AG_VOCAB_SPM;
    if (t->kind == AG_VOCAB_WPM) {
        ag_code code = ag_wordpiece_habits(t, s->g, err);
        settle_unknown(t);
        return code;
    }
    t->unk = get_id(t, s->g, KEY("unknown_token_id"), spm ? 0 : -1);
    t->bos = get_id(t, s->g, KEY("bos_token_id"), spm ? 1 : -1);
    t->eos = get_id(t, s->g, KEY("eos_token_id"), spm ? 2 : -1);
    settle_unknown(t);
    ag_code code = get_habits(t, s, err);
    if (code != AG_OK || s->types)
        return code;
    if (t->bos >= 0) /* without types the ids have to say it */
        t->type[t->bos] = AG_TOKEN_CONTROL;
    if (t->eos >= 0)
        t->type[t->eos] = AG_TOKEN_CONTROL;
    return AG_OK;
}

static ag_code get_added(ag_tokenizer *t, ag_err *err) {
    ag_code code = AG_OK;
    for (int32_t id = 0; id < t->n && code == AG_OK; id++) {
        bool special = ag_vocab_is_special(t, id);
        if (special || t->type[id] == AG_TOKEN_USER_DEFINED)
            code = ag_added_put(&t->added, ag_vocab_raw(t, id), id, special, err);
    }
    return code;
}

/* Added tokens that swallow the white space beside them. */
static ag_code mark_added(ag_tokenizer *t, const ag_source *g, const char *key, uint8_t strip,
                          ag_err *err) {
    const ag_value *ids;
    ag_code code = get_array(g, key, false, 0, &ids, err);
    for (uint64_t i = 0; code == AG_OK && ids && i < ids->a.n; i++) {
        int64_t id = ag_value_int(ids, i);
        if (id >= 0 && id < t->n)
            ag_added_strip(&t->added, ag_vocab_raw(t, (int32_t)id), strip);
    }
    return code;
}

static void get_stops(ag_tokenizer *t, const ag_source *g) {
    ag_vocab_add_stop(t, t->eos);
    ag_vocab_add_stop(t, get_id(t, g, KEY("eot_token_id"), -1));
    ag_vocab_add_stop(t, get_id(t, g, KEY("eom_token_id"), -1));
    const ag_value *more;
    if (get_array(g, OURS("stop_token_ids"), false, 0, &more, NULL) == AG_OK && more)
        for (uint64_t i = 0; i < more->a.n && i < AG_MAX_STOPS; i++) {
            int64_t id = ag_value_int(more, i);
            ag_vocab_add_stop(t, id >= 0 && id < t->n ? (int32_t)id : -1);
        }
    ag_vocab_add_known_stops(t);
}

/* Files have written these under two names. */
static void get_infill(ag_tokenizer *t, const ag_source *g) {
    t->infill.before =
        get_id(t, g, KEY("fim_pre_token_id"), get_id(t, g, KEY("prefix_token_id"), -1));
    t->infill.behind =
        get_id(t, g, KEY("fim_suf_token_id"), get_id(t, g, KEY("suffix_token_id"), -1));
    t->infill.middle =
        get_id(t, g, KEY("fim_mid_token_id"), get_id(t, g, KEY("middle_token_id"), -1));
    ag_vocab_find_infill(t);
}

/* ---- SPM ------------------------------------------------------------------------------------- */

/* Floats in descending order as ascending integers. */
uint32_t ag_order_of_score(float score) {
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    uint32_t ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
    uint32_t order = ~ascending;
    return order == UINT32_MAX ? order - 1 : order; /* the last value means: no pair */
}

/* Note which characters stand side by side in the token: see joins. */
static void note_joins(ag_tokenizer *t, ag_span raw) {
    const uint8_t *p = (const uint8_t *)raw.p;
    uint8_t before = 0;
    for (size_t at = 0, end; at < raw.n; at = end) {
        for (end = at + 1; end < raw.n && (p[end] & 0xC0) == 0x80;)
            end++;
        bool mark = end - at == 3 && memcmp(p + at, "\xE2\x96\x81", 3) == 0;
        uint8_t first = mark ? 0xFF : p[at];
        if (at > 0)
            t->joins[before][first / 8] |= (uint8_t)(1 << first % 8);
        before = mark ? 0xFF : p[end - 1];
    }
}

static ag_code get_spm(ag_tokenizer *t, const source *s, ag_err *err) {
    t->order = ag_alloc(AG_ROOM_TEXT, (size_t)t->n * sizeof *t->order);
    if (!t->order)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %d scores", t->n);
    for (int32_t id = 0; id < t->n; id++) {
        t->order[id] = ag_order_of_score((float)ag_value_num(s->scores, (uint64_t)id));
        ag_span raw = ag_vocab_raw(t, id);
        if (t->type[id] == AG_TOKEN_BYTE && byte_of_name(raw) >= 0)
            t->byte_id[byte_of_name(raw)] = id;
        if (t->type[id] == AG_TOKEN_NORMAL || (s->by_rules && t->type[id] == AG_TOKEN_USER_DEFINED))
            note_joins(t, raw);
    }
    return s->by_rules ? ag_bpe_rules(t, s->merges, err) : AG_OK;
}

/* What merging goes by; WordPiece needs the index only. */
static ag_code get_rules(ag_tokenizer *t, const source *s, ag_err *err) {
    if (t->kind == AG_VOCAB_BPE)
        return ag_bpe_rules(t, s->merges, err);
    return t->kind == AG_VOCAB_SPM ? get_spm(t, s, err) : AG_OK;
}

static ag_code build(ag_tokenizer *t, const source *s, ag_err *err) {
    t->n = (int32_t)s->tokens->a.n;
    t->seed = ag_random_seed();
    memset(t->byte_id, 0xFF, sizeof t->byte_id); /* -1 */
    ag_code code = choose_kind(t, s, err);
    if (code == AG_OK)
        code = get_tokens(t, s, err);
    if (code == AG_OK)
        code = ag_vocab_index(t, err);
    if (code == AG_OK)
        code = get_specials(t, s, err);
    if (code == AG_OK)
        code = get_added(t, err);
    if (code == AG_OK)
        code = mark_added(t, s->g, OURS("lstrip"), AG_STRIP_LEFT, err);
    if (code == AG_OK)
        code = mark_added(t, s->g, OURS("rstrip"), AG_STRIP_RIGHT, err);
    if (code == AG_OK)
        code = get_rules(t, s, err);
    if (code == AG_OK) {
        get_stops(t, s->g);
        get_infill(t, s->g);
    }
    return code;
}

ag_code ag_tokenizer_from_source(const ag_source *g, ag_tokenizer **out, ag_err *err) {
    source s;
    ag_code code = get_source(g, &s, err);
    if (code != AG_OK)
        return code;
    ag_tokenizer *t = ag_calloc(AG_ROOM_TEXT, 1, sizeof *t);
    if (!t)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a tokenizer");
    code = build(t, &s, err);
    if (code != AG_OK)
        ag_tokenizer_free(&t);
    else
        *out = t;
    return code;
}
