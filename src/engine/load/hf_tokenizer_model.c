/* tokenizer.model: a SentencePiece model, which is a protobuf message. Only the few fields that say
 * how to tokenise are read; the reader is small and checks every length.
 *
 *   ModelProto       1 pieces* { 1 text, 2 score f32, 3 type }   2 trainer_spec   3 normalizer_spec
 *   TrainerSpec      3 model_type (1 unigram, 2 BPE)   35 byte_fallback   40-43 unk, bos, eos, pad
 * id 24 treat_whitespace_as_suffix NormalizerSpec   2 precompiled_charsmap   3 add_dummy_prefix   4
 * remove_extra_whitespaces 5 escape_whitespaces Types of pieces are GGUF's numbers. */
#include "base/cursor.h"
#include "base/limits.h"
#include "load/hf_tokenizer_parts.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

typedef struct field {
    uint64_t number;
    uint64_t value; /* VARINT, 32, 64 */
    ag_span bytes;  /* BYTES */
    unsigned wire;
} field;

static uint64_t read_varint(ag_cursor *c) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = ag_cursor_u8(c);
        v |= (uint64_t)(b & 0x7F) << shift;
        if (!(b & 0x80))
            return v;
    }
    ag_cursor_take(c, SIZE_MAX); /* more than ten bytes: no varint */
    return 0;
}

/* The next field; false at the end or at something that is no field (c has failed then). */
static bool next_field(ag_cursor *c, field *f) {
    if (c->failed || c->at == c->n)
        return false;
    uint64_t tag = read_varint(c);
    *f = (field){.number = tag >> 3, .wire = tag & 7};
    switch (f->wire) {
    case WIRE_VARINT:
        f->value = read_varint(c);
        break;
    case WIRE_64:
        f->value = ag_cursor_u64(c);
        break;
    case WIRE_32:
        f->value = ag_cursor_u32(c);
        break;
    case WIRE_BYTES: {
        uint64_t n = read_varint(c);
        const uint8_t *p = ag_cursor_take(c, n <= SIZE_MAX ? (size_t)n : SIZE_MAX);
        f->bytes = ag_span_of(p, p ? (size_t)n : 0);
        break;
    }
    default:
        ag_cursor_take(c, SIZE_MAX);
    }
    return !c->failed;
}

static bool is_bytes(const field *f, uint64_t number) {
    return f->number == number && f->wire == WIRE_BYTES;
}
static bool is_number(const field *f, uint64_t number) {
    return f->number == number && f->wire == WIRE_VARINT;
}

typedef struct model {
    uint64_t type;
    bool byte_fallback, suffix;
    bool prefix, squeeze, escape; /* of the normalizer */
    size_t charsmap_bytes;
    int64_t unk, bos, eos, pad;
    size_t n_bytes; /* byte pieces */
} model;

static ag_code torn(const ag_cursor *c, const char *where, ag_err *err) {
    return ag_fail(
        err, AG_E_FORMAT,
        "no SentencePiece model (tiktoken's files of this name are not supported): %s is broken at"
        " byte %zu",
        where, c->fail_at);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

/* GGUF writes what is matched in raw text with real spaces. False out of memory. */
static bool with_spaces(ag_arena *made, ag_span *text) {
    size_t mark = ag_span_find(*text, ag_str("\xE2\x96\x81"), 0);
    if (mark == SIZE_MAX)
        return true;
    char *out = ag_arena_get(made, text->n);
    size_t n = 0;
    for (size_t at = 0; out && at < text->n; n++) {
        bool is_mark = at == mark;
        out[n] = is_mark ? ' ' : text->p[at];
        at += is_mark ? 3 : 1;
        if (is_mark)
            mark = ag_span_find(*text, ag_str("\xE2\x96\x81"), at);
    }
    *text = ag_span_of(out, n);
    return out != NULL;
}

static ag_code read_piece(ag_hf_vocab *v, model *m, ag_span bytes, ag_err *err) {
    ag_cursor c = ag_cursor_of(bytes.p, bytes.n);
    ag_span text = {0};
    float score = 0.0f;
    uint64_t type = AG_HF_NORMAL;
    size_t id = v->n;
    for (field f; next_field(&c, &f);) {
        uint32_t bits = (uint32_t)f.value;
        if (is_bytes(&f, 1))
            text = f.bytes;
        else if (f.number == 2 && f.wire == WIRE_32)
            memcpy(&score, &bits, sizeof score);
        else if (is_number(&f, 3))
            type = f.value;
    }
    if (c.failed)
        return torn(&c, "a piece", err);
    if (type == AG_HF_USER_DEFINED && !with_spaces(v->made, &text))
        return ag_fail(err, AG_E_NOMEM, "out of memory for a piece");
    if (type < AG_HF_NORMAL || type > AG_HF_BYTE)
        return ag_fail(err, AG_E_FORMAT, "piece %zu has the type %llu, which does not exist", id,
                       (unsigned long long)type);
    ag_code code = ag_hf_add_token(v, text, (int64_t)id, (uint8_t)type, err);
    if (code != AG_OK)
        return code;
    v->tokens[id].score = score;
    m->n_bytes += type == AG_HF_BYTE;
    return AG_OK;
}

/* ---- the specs ------------------------------------------------------------------------------- */

static ag_code read_trainer(model *m, ag_span bytes, ag_err *err) {
    ag_cursor c = ag_cursor_of(bytes.p, bytes.n);
    for (field f; next_field(&c, &f);) {
        int64_t id = (int32_t)f.value; /* negative ones are written in ten bytes */
        if (is_number(&f, 3))
            m->type = f.value;
        else if (is_number(&f, 24))
            m->suffix = f.value != 0;
        else if (is_number(&f, 35))
            m->byte_fallback = f.value != 0;
        else if (is_number(&f, 40))
            m->unk = id;
        else if (is_number(&f, 41))
            m->bos = id;
        else if (is_number(&f, 42))
            m->eos = id;
        else if (is_number(&f, 43))
            m->pad = id;
    }
    return c.failed ? torn(&c, "the trainer's description", err) : AG_OK;
}

static ag_code read_normalizer(model *m, ag_span bytes, ag_err *err) {
    ag_cursor c = ag_cursor_of(bytes.p, bytes.n);
    for (field f; next_field(&c, &f);) {
        if (is_bytes(&f, 2))
            m->charsmap_bytes = f.bytes.n;
        else if (is_number(&f, 3))
            m->prefix = f.value != 0;
        else if (is_number(&f, 4))
            m->squeeze = f.value != 0;
        else if (is_number(&f, 5))
            m->escape = f.value != 0;
    }
    return c.failed ? torn(&c, "the normalizer's description", err) : AG_OK;
}

static ag_code check(const model *m, ag_err *err) {
    if (m->type != 2)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "SentencePiece models of type %llu (1 is unigram, as T5 has) are not"
                       " supported, only 2 (BPE)",
                       (unsigned long long)m->type);
    if (m->charsmap_bytes > 0)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "the SentencePiece model normalises text by a table of %zu bytes, which is"
                       " not supported",
                       m->charsmap_bytes);
    if (m->suffix || m->squeeze || !m->escape)
        return ag_fail(err, AG_E_UNSUPPORTED, "the SentencePiece model %s, which is not supported",
                       m->suffix    ? "puts spaces behind words"
                       : m->squeeze ? "removes extra spaces"
                                    : "does not escape spaces");
    return AG_OK;
}

/* An id of the trainer's, if it is a token. */
static int64_t id_of(const ag_hf_vocab *v, int64_t id) {
    return id >= 0 && (size_t)id < v->n ? id : -1;
}

static ag_code read_all(ag_hf_vocab *v, ag_span bytes, ag_err *err) {
    model m = {.type = 1, .unk = 0, .bos = 1, .eos = 2, .pad = -1}; /* the format's defaults */
    m.prefix = m.squeeze = m.escape = true;
    ag_cursor c = ag_cursor_of(bytes.p, bytes.n);
    ag_code code = AG_OK;
    for (field f; code == AG_OK && next_field(&c, &f);) {
        if (is_bytes(&f, 1))
            code = read_piece(v, &m, f.bytes, err);
        else if (is_bytes(&f, 2))
            code = read_trainer(&m, f.bytes, err);
        else if (is_bytes(&f, 3))
            code = read_normalizer(&m, f.bytes, err);
    }
    if (code == AG_OK && c.failed)
        code = torn(&c, "the file", err);
    if (code == AG_OK && v->n == 0)
        code = ag_fail(err, AG_E_FORMAT, "no SentencePiece model: it has no pieces");
    if (code == AG_OK)
        code = check(&m, err);
    v->space_prefix = m.prefix;
    v->unk = id_of(v, m.unk);
    v->bos = id_of(v, m.bos);
    v->eos = id_of(v, m.eos);
    v->pad = id_of(v, m.pad);
    v->adds_bos = v->bos >= 0; /* as the reference does; the configuration may differ */
    return code;
}

ag_code ag_hf_read_model(ag_hf_vocab *v, ag_span bytes, ag_err *err) {
    v->kind = AG_HF_SPM;
    v->pre = "default";
    ag_code code = read_all(v, bytes, err);
    return code == AG_OK ? code : ag_err_wrap(err, code, "tokenizer.model");
}
