/* What the fuzzers of grammars do with a text: compile it, follow what it compiled to, and hold
 * both to their bounds. */
#ifndef AG_TESTS_FUZZ_GRAMMAR_SHARED_H
#define AG_TESTS_FUZZ_GRAMMAR_SHARED_H

#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "grammar/grammar.h"

static const char *const fuzz_words[] = {"the",  "{\"",  "\":",  "\",\"", "}}",   "]]",
                                         "123",  "true", "null", "ab",    "aaaa", "é",
                                         "日本", "\\u",  "  ",   "\"}",   "[1,",  "-0"};
#define FUZZ_WORDS   (int32_t)(sizeof fuzz_words / sizeof *fuzz_words)
#define FUZZ_VOCAB   (257 + FUZZ_WORDS) /* all bytes, the words, a control token */
#define FUZZ_SECONDS 20u                /* sanitizers on a busy machine are slow */

static char fuzz_bytes[256];

static ag_span fuzz_token(const void *ctx, int32_t id) {
    (void)ctx;
    if (id < 256) {
        fuzz_bytes[id] = (char)id;
        return ag_span_of(&fuzz_bytes[id], 1);
    }
    return id < 256 + FUZZ_WORDS ? ag_str(fuzz_words[id - 256]) : (ag_span){0};
}

static int32_t fuzz_find(const void *ctx, ag_span text) {
    (void)ctx;
    return ag_span_is(text, "<|end|>") ? FUZZ_VOCAB - 1 : -1;
}

/* Made once; a fuzzer's process ends without giving it back. */
static const ag_gvocab *fuzz_vocab(void) {
    static ag_gvocab *v;
    ag_gvocab_source source = {.n_tokens = FUZZ_VOCAB, .bytes = fuzz_token, .find = fuzz_find};
    if (!v)
        AG_ASSERT(ag_gvocab_new(&source, &v, NULL) == AG_OK);
    return v;
}

/* Take tokens that the mask allows: each is accepted, and as every byte is a token there is always
 * one until the end. */
static void fuzz_follow(ag_grammar *g, uint64_t choice) {
    ag_match *m = NULL;
    uint64_t bits[(FUZZ_VOCAB + 63) / 64];
    AG_ASSERT(ag_match_new(g, &m, NULL) == AG_OK);
    for (int step = 0; step < 24 && !ag_match_is_complete(m); step++) {
        ag_err err = {0};
        if (ag_match_mask(m, bits, &err)) {
            AG_ASSERT(err.code == AG_E_GRAMMAR && strstr(err.msg, "too ambiguous"));
            break;
        }
        int32_t allowed[FUZZ_VOCAB], n = 0;
        for (int32_t id = 0; id < FUZZ_VOCAB; id++)
            if (bits[id >> 6] >> (id & 63) & 1)
                allowed[n++] = id;
        AG_ASSERT(n > 0);
        choice = ag_mix64(choice + 1, 0xa0761d6478bd642full);
        ag_code code = ag_match_accept(m, allowed[choice % (uint64_t)n], &err);
        AG_ASSERT(code == AG_OK || strstr(err.msg, "too ambiguous"));
        if (code)
            break;
        if (step % 8 == 7)
            ag_match_rollback(m, 3);
    }
    ag_match_free(&m);
}

static void fuzz_structure(ag_structure_kind kind, const char *text, size_t n) {
    ag_structure s = {kind, text, n};
    ag_grammar *g = NULL;
    ag_err err = {0};
    const ag_gvocab *vocab = fuzz_vocab();
    size_t before = ag_mem_bytes(AG_ROOM_GRAMMAR);
    uint64_t began = ag_clock_us();
    ag_code code = ag_grammar_compile(vocab, &s, &g, &err);
    AG_ASSERT(code == err.code && (code == AG_OK) == (g != NULL));
    AG_ASSERT(code == AG_OK || code == AG_E_GRAMMAR);
    AG_ASSERT(ag_utf8_is_valid(ag_str(err.msg)));
    if (g)
        fuzz_follow(g, ag_hash64(text, n, 0));
    AG_ASSERT(ag_mem_bytes(AG_ROOM_GRAMMAR) - before < AG_MAX_GRAMMAR_STATES_BYTES +
                                                           AG_MAX_GRAMMAR_MASKS_BYTES +
                                                           AG_MAX_GRAMMAR_NODES * 64u);
    AG_ASSERT(ag_clock_us() - began < FUZZ_SECONDS * 1000000u);
    ag_grammar_unref(g);
    AG_ASSERT(ag_mem_bytes(AG_ROOM_GRAMMAR) == before);
}

#endif
