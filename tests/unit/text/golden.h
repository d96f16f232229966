/* Reading tests/golden/tokenizers, and building vocabularies for tests of odd ones. */
#ifndef AG_TESTS_TEXT_GOLDEN_H
#define AG_TESTS_TEXT_GOLDEN_H

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/random.h"
#include "base/utf8.h"
#include "load/gguf.h"
#include "text/tokenizer.h"
#include "unit/test.h"

#define GOLDENS "tests/golden/tokenizers/"
#define UNUSED  __attribute__((unused))

/* ---- lines of a golden file ------------------------------------------------------------------ */

typedef struct golden_line {
    char *key, *rest; /* first word, and what stands behind it */
} golden_line;

static UNUSED ag_buf read_golden(const char *name) {
    char path[256];
    snprintf(path, sizeof path, GOLDENS "%s", name);
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 1 << 20);
    ag_err err = {0};
    if (ag_file_read(path, &b, &err) != AG_OK)
        fail_msg("%s", err.msg);
    assert_non_null(ag_buf_cstr(&b));
    return b;
}

/* The next line, cut up in place; false at the end. */
static UNUSED bool next_line(char **at, golden_line *line) {
    if (!**at)
        return false;
    char *end = strchr(*at, '\n');
    assert_non_null(end);
    *end = '\0';
    line->key = *at;
    line->rest = *at + strcspn(*at, " ");
    if (*line->rest)
        *line->rest++ = '\0';
    *at = end + 1;
    return true;
}

static UNUSED ag_span from_hex(const char *hex, ag_buf *b) {
    b->n = 0;
    for (; hex[0] && hex[1]; hex += 2) {
        const char pair[3] = {hex[0], hex[1], 0};
        ag_buf_addc(b, (char)strtol(pair, NULL, 16));
    }
    return ag_buf_span(b);
}

/* ---- tokenizers ------------------------------------------------------------------------------ */

typedef struct vocab {
    ag_source *g;
    ag_tokenizer *t;
} vocab;

static UNUSED vocab open_vocab(const char *path) {
    vocab v = {0};
    ag_err err = {0};
    if (ag_gguf_open(path, &v.g, &err) != AG_OK ||
        ag_tokenizer_from_source(v.g, &v.t, &err) != AG_OK)
        fail_msg("%s: %s", path, err.msg);
    return v;
}
static UNUSED void close_vocab(vocab *v) {
    ag_tokenizer_free(&v->t);
    ag_source_close(&v->g);
}

static UNUSED ag_ids encode(const ag_tokenizer *t, ag_span text, unsigned flags) {
    ag_ids ids = {0};
    ag_err err = {0};
    if (ag_tokenizer_encode(t, text, flags, &ids, &err) != AG_OK)
        fail_msg("%s", err.msg);
    return ids;
}

/* Text of ids, in one go. */
static UNUSED void decode(const ag_tokenizer *t, const int32_t *ids, size_t n, bool show,
                          ag_buf *out) {
    ag_detok d;
    ag_detok_init(&d, t, true, show);
    out->n = 0;
    for (size_t i = 0; i < n; i++)
        ag_detok_push(&d, ids[i], out);
    ag_detok_flush(&d, out);
}

static UNUSED void assert_ids(const ag_tokenizer *t, ag_span text, unsigned flags,
                              const int32_t *want, size_t n) {
    ag_ids got = encode(t, text, flags);
    bool equal = got.n == n && (n == 0 || memcmp(got.v, want, n * sizeof *want) == 0);
    if (!equal) {
        for (size_t i = 0; i < got.n || i < n; i++)
            print_message("%6d %6d\n", i < got.n ? got.v[i] : -1, i < n ? want[i] : -1);
        fail_msg("\"%.*s\" with flags %u: got the ids on the left, want those on the right",
                 AG_SPAN(text), flags);
    }
    ag_ids_deinit(&got);
}

typedef struct golden_case {
    ag_buf text, shown, plain; /* shown, plain: decoded with and without special tokens */
    ag_ids ids;                /* with flags AG_ENCODE_SPECIAL */
    bool any;
} golden_case;

static UNUSED void check_decoded(const ag_tokenizer *t, const golden_case *c) {
    if (!c->any)
        return;
    ag_buf got;
    ag_buf_init(&got, AG_ROOM_TEST, 1 << 20);
    decode(t, c->ids.v, c->ids.n, true, &got);
    if (!ag_span_eq(ag_buf_span(&got), ag_buf_span(&c->shown)))
        fail_msg("decoded \"%.*s\", want \"%.*s\"", AG_SPAN(got), AG_SPAN(c->shown));
    decode(t, c->ids.v, c->ids.n, false, &got);
    if (!ag_span_eq(ag_buf_span(&got), ag_buf_span(&c->plain)))
        fail_msg("decoded \"%.*s\", want \"%.*s\"", AG_SPAN(got), AG_SPAN(c->plain));
    ag_buf_deinit(&got);
}

static UNUSED size_t parse_ids(char *text, int32_t *ids, size_t room) {
    size_t n = 0;
    for (char *end; n < room; text = end) {
        ids[n] = (int32_t)strtol(text, &end, 10);
        if (end == text)
            break;
        n++;
    }
    return n;
}

/* Every case of GOLDENS/name, encoded and decoded. Returns how many there were. */
static UNUSED int check_golden(const ag_tokenizer *t, const char *name) {
    ag_buf file = read_golden(name);
    golden_case c = {0};
    ag_buf_init(&c.text, AG_ROOM_TEST, 1 << 16);
    ag_buf_init(&c.shown, AG_ROOM_TEST, 1 << 16);
    ag_buf_init(&c.plain, AG_ROOM_TEST, 1 << 16);
    static int32_t want[4096];
    golden_line line;
    int n_cases = 0;
    for (char *at = file.p; next_line(&at, &line);) {
        if (strcmp(line.key, "text") == 0) {
            check_decoded(t, &c);
            from_hex(line.rest, &c.text);
            c.shown.n = c.plain.n = 0;
            ag_utf8_repair(ag_buf_span(&c.text), &c.shown);
            ag_buf_add(&c.plain, c.shown.p, c.shown.n);
            c.any = false;
            n_cases++;
        } else if (strcmp(line.key, "ids") == 0) {
            unsigned flags = (unsigned)strtoul(line.rest, &line.rest, 10);
            size_t n = parse_ids(line.rest, want, 4096);
            assert_ids(t, ag_buf_span(&c.text), flags, want, n);
            if (flags == AG_ENCODE_SPECIAL) {
                ag_ids_deinit(&c.ids);
                c.ids = encode(t, ag_buf_span(&c.text), flags);
                c.any = true;
            }
        } else { /* what is shown is what is plain, where nothing else is said */
            from_hex(line.rest, &c.plain);
            if (strcmp(line.key, "shown") == 0)
                from_hex(line.rest, &c.shown);
        }
    }
    check_decoded(t, &c);
    ag_ids_deinit(&c.ids);
    ag_buf_deinit(&c.text);
    ag_buf_deinit(&c.shown);
    ag_buf_deinit(&c.plain);
    ag_buf_deinit(&file);
    return n_cases;
}

/* ---- GGUF files made here -------------------------------------------------------------------- */

static UNUSED void put_int(ag_buf *b, uint64_t v, size_t n) {
    for (; n > 0; n--, v >>= 8)
        ag_buf_addc(b, (char)v);
}
static UNUSED void put_str(ag_buf *b, ag_span s) {
    put_int(b, s.n, 8);
    ag_buf_add(b, s.p, s.n);
}
static UNUSED void begin_gguf(ag_buf *b) {
    ag_buf_init(b, AG_ROOM_TEST, 1 << 24);
    ag_buf_add(b, "GGUF", 4);
    put_int(b, 3, 4);
    put_int(b, 0, 8);
    put_int(b, 0, 8); /* keys, counted by put_key */
}
static UNUSED void put_key(ag_buf *b, const char *name, ag_value_kind kind) {
    char full[64];
    snprintf(full, sizeof full, "tokenizer.ggml.%s", name);
    b->p[16]++;
    put_str(b, ag_str(full));
    put_int(b, kind, 4);
}
static UNUSED void put_str_key(ag_buf *b, const char *name, const char *value) {
    put_key(b, name, AG_VALUE_STRING);
    put_str(b, ag_str(value));
}
static UNUSED void put_u32_key(ag_buf *b, const char *name, uint32_t value) {
    put_key(b, name, AG_VALUE_U32);
    put_int(b, value, 4);
}
static UNUSED void put_bool_key(ag_buf *b, const char *name, bool value) {
    put_key(b, name, AG_VALUE_BOOL);
    put_int(b, value, 1);
}
static UNUSED void put_array_key(ag_buf *b, const char *name, ag_value_kind kind, size_t n) {
    put_key(b, name, AG_VALUE_ARRAY);
    put_int(b, kind, 4);
    put_int(b, n, 8);
}
static UNUSED void put_strs_key(ag_buf *b, const char *name, const char *const *v, size_t n) {
    put_array_key(b, name, AG_VALUE_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_str(b, ag_str(v[i]));
}
static UNUSED void put_ints_key(ag_buf *b, const char *name, const int *v, size_t n) {
    put_array_key(b, name, AG_VALUE_I32, n);
    for (size_t i = 0; i < n; i++)
        put_int(b, (uint64_t)(int64_t)v[i], 4);
}
static UNUSED void put_floats_key(ag_buf *b, const char *name, const float *v, size_t n) {
    put_array_key(b, name, AG_VALUE_F32, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], 4);
        put_int(b, bits, 4);
    }
}
/* Build from the bytes; on failure v is empty and the code comes back. */
static UNUSED ag_code vocab_of(ag_buf *b, vocab *v, ag_err *err) {
    *v = (vocab){0};
    while (b->n % 32)
        ag_buf_addc(b, 0);
    ag_code code = ag_gguf_open_bytes(b->p, b->n, &v->g, err);
    if (code == AG_OK)
        code = ag_tokenizer_from_source(v->g, &v->t, err);
    if (code != AG_OK)
        ag_source_close(&v->g);
    return code;
}

#endif
