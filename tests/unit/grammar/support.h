/* What the tests of grammars share: a vocabulary of words and all bytes, and ways to ask a grammar
 * about texts. */
#ifndef AG_TESTS_GRAMMAR_SUPPORT_H
#define AG_TESTS_GRAMMAR_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "grammar/grammar.h"
#include "unit/test.h"

/* Ids: 0 to 255 the bytes, then these, then two control tokens and one user-defined. */
static const char *const words[] = {"the",   " the",   "hello",  " world", "world", "true", "false",
                                    "null",  "{\"",    "\":",    "\": \"", "\",",   "\"}",  "}}",
                                    "},",    "[[",     "]]",     "],[",    "123",   "12",   "0.5",
                                    "-1",    "\",\"",  "ab",     "abc",    "aaaa",  "é",    "日本",
                                    "日",    "🙂",   "\n  ",   "    ",   "name",  "{}",   "[]",
                                    ": ",    ", ",     "\"a\"",  "2024-",  "-01",   "T12:", "\\n",
                                    "\\u00", "e\"",    "\"\"",   "cat",    "cats",  "dog",  "yes",
                                    "no",    "1,",     ",1",     "x\"",    "((",    "))",   "()",
                                    "+1",    "<tool>", "</tool>"};
#define N_WORDS   ((int32_t)(sizeof words / sizeof *words))
#define T_CONTROL (256 + N_WORDS)     /* <|end|> */
#define T_TOOL    (256 + N_WORDS + 1) /* <|tool|> */
#define T_USER    (256 + N_WORDS + 2) /* <user> , matched by its bytes as well */
#define N_VOCAB   (256 + N_WORDS + 3)

#define BYTES4(n)     (n), (n) + 1, (n) + 2, (n) + 3
#define BYTES16(n)    BYTES4(n), BYTES4((n) + 4), BYTES4((n) + 8), BYTES4((n) + 12)
#define BYTES_FROM(n) BYTES16(n), BYTES16((n) + 16), BYTES16((n) + 32), BYTES16((n) + 48)

static inline ag_span vocab_bytes(const void *ctx, int32_t id) {
    (void)ctx;
    static const uint8_t bytes[256] = {BYTES_FROM(0), BYTES_FROM(64), BYTES_FROM(128),
                                       BYTES_FROM(192)};
    if (id < 256)
        return ag_span_of(&bytes[id], 1);
    if (id < 256 + N_WORDS)
        return ag_str(words[id - 256]);
    return id == T_USER ? ag_str("<user>") : (ag_span){0};
}

static inline int32_t vocab_find(const void *ctx, ag_span text) {
    (void)ctx;
    return ag_span_is(text, "<|end|>")    ? T_CONTROL
           : ag_span_is(text, "<|tool|>") ? T_TOOL
           : ag_span_is(text, "<user>")   ? T_USER
                                          : -1;
}

static ag_gvocab *vocab;

static inline int make_vocab(void **state) {
    (void)state;
    ag_gvocab_source source = {.n_tokens = N_VOCAB, .bytes = vocab_bytes, .find = vocab_find};
    ag_err err = {0};
    assert_int_equal(ag_gvocab_new(&source, &vocab, &err), AG_OK);
    return 0;
}

static inline int free_vocab(void **state) {
    (void)state;
    ag_gvocab_free(&vocab);
    return 0;
}

static inline ag_grammar *compile(ag_structure_kind kind, const char *text) {
    ag_structure s = {kind, text, text ? strlen(text) : 0};
    ag_grammar *g = NULL;
    ag_err err = {0};
    if (ag_grammar_compile(vocab, &s, &g, &err))
        fail_msg("%s\n%s", err.msg, text);
    return g;
}

/* The message of a grammar that must not compile. */
static inline const char *why_not(ag_structure_kind kind, const char *text) {
    static ag_err err;
    ag_structure s = {kind, text, strlen(text)};
    ag_grammar *g = NULL;
    err = (ag_err){0};
    if (ag_grammar_compile(vocab, &s, &g, &err) == AG_OK)
        fail_msg("this should be refused: %s", text);
    assert_null(g);
    assert_int_equal(err.code, AG_E_GRAMMAR);
    return err.msg;
}

static inline ag_match *start(ag_grammar *g) {
    ag_match *m = NULL;
    ag_err err = {0};
    assert_int_equal(ag_match_new(g, &m, &err), AG_OK);
    return m;
}

static inline bool is_allowed(const uint64_t *bits, int32_t id) {
    return bits[id >> 6] >> (id & 63) & 1;
}

/* Is the text, byte by byte, one of the grammar? */
static inline bool takes(ag_grammar *g, const char *text) {
    ag_match *m = start(g);
    bool ok = true;
    for (const char *p = text; *p && ok; p++)
        ok = ag_match_accept(m, (uint8_t)*p, NULL) == AG_OK;
    ok = ok && ag_match_is_accepting(m);
    ag_match_free(&m);
    return ok;
}

/* Every bit of the mask is what accepting the token says. */
static inline void check_mask(ag_match *m, uint64_t *bits) {
    ag_err err = {0};
    if (ag_match_mask(m, bits, &err))
        fail_msg("%s", err.msg);
    for (int32_t id = 0; id < N_VOCAB; id++) {
        bool accepted = ag_match_accept(m, id, NULL) == AG_OK;
        if (accepted)
            ag_match_rollback(m, 1);
        if (accepted != is_allowed(bits, id)) {
            ag_span s = vocab_bytes(NULL, id);
            fail_msg("token %d \"%.*s\": %s, but the mask says otherwise", id, AG_SPAN(s),
                     accepted ? "accepted" : "refused");
        }
    }
}

/* Walk at random for up to n tokens, then to the end by what is allowed; checks every mask on the
 * way. The text goes to `out`; false when no end came within 4 * n tokens. */
static inline bool walk_at_random(ag_grammar *g, ag_rng *rng, int n, ag_buf *out) {
    uint64_t bits[(N_VOCAB + 63) / 64];
    ag_match *m = start(g);
    bool ended = false;
    for (int i = 0; i < 4 * n && !ended; i++) {
        check_mask(m, bits);
        int32_t allowed[N_VOCAB], n_allowed = 0;
        for (int32_t id = 0; id < N_VOCAB; id++)
            if (is_allowed(bits, id))
                allowed[n_allowed++] = id;
        ended = ag_match_is_accepting(m) && (n_allowed == 0 || i >= n || ag_rng_u64(rng) % 4 == 0);
        assert_true(ended || n_allowed > 0);
        if (ended)
            break;
        int32_t id = allowed[ag_rng_u64(rng) % (uint64_t)n_allowed];
        assert_int_equal(ag_match_accept(m, id, NULL), AG_OK);
        ag_span s = vocab_bytes(NULL, id);
        ag_buf_add(out, s.p, s.n);
    }
    ag_match_free(&m);
    return ended;
}

/* Split a text of the grammar into tokens at random: each must be allowed where it comes. */
static inline void check_never_masked(ag_grammar *g, const char *text, ag_rng *rng) {
    uint64_t bits[(N_VOCAB + 63) / 64];
    ag_match *m = start(g);
    ag_span left = ag_str(text);
    while (left.n > 0) {
        int32_t fits[N_VOCAB], n = 0;
        for (int32_t id = 0; id < N_VOCAB; id++) {
            ag_span s = vocab_bytes(NULL, id);
            if (s.n > 0 && ag_span_starts(left, s))
                fits[n++] = id;
        }
        int32_t id = fits[ag_rng_u64(rng) % (uint64_t)n];
        ag_err err = {0};
        assert_int_equal(ag_match_mask(m, bits, &err), AG_OK);
        if (!is_allowed(bits, id))
            fail_msg("masked out at \"%.*s\" of %s", AG_SPAN(left), text);
        assert_int_equal(ag_match_accept(m, id, &err), AG_OK);
        size_t used = vocab_bytes(NULL, id).n;
        left = ag_span_sub(left, used, left.n);
    }
    if (!ag_match_is_accepting(m))
        fail_msg("not the end: %s", text);
    ag_match_free(&m);
}

#endif
