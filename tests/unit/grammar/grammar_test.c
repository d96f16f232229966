#include "unit/grammar/support.h"

#include <pthread.h>

#include "base/fault.h"

#define SCHEMA                                                                                     \
    "{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\","          \
    "\"minimum\":-3,\"maximum\":40,\"multipleOf\":2},\"b\":{\"type\":\"string\",\"pattern\":"      \
    "\"^x+\",\"maxLength\":4},\"c\":{\"$ref\":\"#/$defs/n\"}},\"additionalProperties\":"           \
    "{\"enum\":[1,\"z\"]}}},\"allOf\":[{\"$ref\":\"#/$defs/n\"},{\"required\":[\"a\"]}]}"

#define GRAMMAR "root ::= \"(\" root? \")\" | %json{\"type\":\"null\"}"

static const ag_structure structures[] = {
    {AG_STRUCTURE_JSON_OBJECT, NULL, 0},
    {AG_STRUCTURE_JSON_SCHEMA, SCHEMA, sizeof SCHEMA - 1},
    {AG_STRUCTURE_REGEX, "[a-z]{2,9}(x|y)*", 16},
    {AG_STRUCTURE_CHOICE, "[\"yes\",\"no\"]", 12},
    {AG_STRUCTURE_GRAMMAR, GRAMMAR, sizeof GRAMMAR - 1},
};

static ag_code use(ag_gcache *c, const ag_structure *s, ag_err *err) {
    ag_grammar *g = NULL;
    ag_match *m = NULL;
    uint64_t bits[(N_VOCAB + 63) / 64];
    ag_code code = ag_gcache_get(c, s, &g, err);
    if (!code)
        code = ag_match_new(g, &m, err);
    for (int i = 0; i < 6 && !code; i++) {
        code = ag_match_mask(m, bits, err);
        for (int32_t id = 0; id < N_VOCAB && !code; id++)
            if (is_allowed(bits, id)) {
                code = ag_match_accept(m, id, err);
                break;
            }
    }
    ag_match_free(&m);
    ag_grammar_unref(g);
    return code;
}

/* Each allocation fails in turn: the request gets its error, nothing leaks, and the next one works.
 */
static void no_memory_is_an_error_of_the_request(void **state) {
    (void)state;
    ag_gvocab_source source = {.n_tokens = N_VOCAB, .bytes = vocab_bytes, .find = vocab_find};
    size_t before = ag_mem_bytes(AG_ROOM_GRAMMAR);
    for (size_t i = 0; i < sizeof structures / sizeof *structures; i++) {
        for (long n = 1;; n++) {
            ag_gcache *c = NULL;
            ag_err err = {0};
            ag_fault_arm(AG_FAULT_ALLOC, n, false);
            ag_code code = ag_gcache_new(&source, &c, &err);
            if (!code)
                code = use(c, &structures[i], &err);
            bool fired = ag_fault_fired(AG_FAULT_ALLOC);
            ag_fault_arm(AG_FAULT_ALLOC, 0, false);
            if (code && code != AG_E_NOMEM)
                fail_msg("allocation %ld of kind %zu: %s", n, i, err.msg);
            if (c)
                if (use(c, &structures[i], &err))
                    fail_msg("after allocation %ld of kind %zu failed: %s", n, i, err.msg);
            ag_gcache_free(&c);
            assert_int_equal(ag_mem_bytes(AG_ROOM_GRAMMAR), before);
            if (!fired)
                break;
        }
    }
}

static void equal_texts_share_a_grammar(void **state) {
    (void)state;
    ag_gvocab_source source = {.n_tokens = N_VOCAB, .bytes = vocab_bytes, .find = vocab_find};
    ag_gcache *c = NULL;
    ag_grammar *a = NULL, *b = NULL;
    assert_int_equal(ag_gcache_new(&source, &c, NULL), AG_OK);
    assert_int_equal(ag_gcache_get(c, &structures[2], &a, NULL), AG_OK);
    assert_int_equal(ag_gcache_get(c, &structures[2], &b, NULL), AG_OK);
    assert_ptr_equal(a, b);
    ag_grammar_unref(b);
    assert_int_equal(ag_gcache_get(c, &structures[3], &b, NULL), AG_OK);
    assert_ptr_not_equal(a, b);
    ag_grammar_unref(b);
    /* Many others push it out; who holds it keeps it. */
    for (int i = 0; i < 200; i++) {
        char text[32];
        ag_structure s = {AG_STRUCTURE_REGEX, text,
                          (size_t)snprintf(text, sizeof text, "a{%d}", i)};
        assert_int_equal(ag_gcache_get(c, &s, &b, NULL), AG_OK);
        ag_grammar_unref(b);
    }
    assert_int_equal(ag_gcache_get(c, &structures[2], &b, NULL), AG_OK);
    assert_ptr_not_equal(a, b);
    assert_true(takes(a, "abx") && takes(b, "abx"));
    ag_grammar_unref(a);
    ag_grammar_unref(b);
    ag_gcache_free(&c);
}

static void *use_all(void *cache) {
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof structures / sizeof *structures; i++)
            if (use(cache, &structures[i], NULL))
                return cache;
    return NULL;
}

static void any_number_of_threads_may_use_a_cache(void **state) {
    (void)state;
    ag_gvocab_source source = {.n_tokens = N_VOCAB, .bytes = vocab_bytes, .find = vocab_find};
    ag_gcache *c = NULL;
    pthread_t threads[4];
    assert_int_equal(ag_gcache_new(&source, &c, NULL), AG_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_all, c), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    ag_gcache_free(&c);
}

/* Long counted strings: a place far from the end has the mask of another, those near it their own.
 */
static void long_repetitions_have_exact_masks(void **state) {
    (void)state;
    uint64_t bits[(N_VOCAB + 63) / 64];
    static const char *const patterns[] = {"[a-z ]{0,60}", "x[a-z ]{40,60}y", "(ab|c){50}",
                                           "\\([^)]{30,70}\\)"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        ag_grammar *g = compile(AG_STRUCTURE_REGEX, patterns[i]);
        ag_match *m = start(g);
        ag_rng rng;
        ag_rng_init(&rng, i);
        for (int step = 0; step < 80 && !ag_match_is_complete(m); step++) {
            check_mask(m, bits);
            int32_t id;
            do
                id = (int32_t)(ag_rng_u64(&rng) % 128);
            while (!is_allowed(bits, id));
            assert_int_equal(ag_match_accept(m, id, NULL), AG_OK);
        }
        assert_true(ag_match_is_complete(m));
        ag_match_free(&m);
        ag_grammar_unref(g);
    }
}

static ag_span four_letters(const void *ctx, int32_t id) {
    static char text[4];
    (void)ctx;
    for (int i = 0; i < 4; i++, id /= 12)
        text[i] = (char)('a' + id % 12);
    return ag_span_of(text, 4);
}

/* A pattern whose followed text needs ever more memory; different ones by n. */
static ag_code explode(ag_gcache *c, int n, ag_match **m, ag_err *err) {
    static char pattern[400];
    ag_structure s = {AG_STRUCTURE_REGEX, pattern, 0};
    for (char letter = 'a'; letter <= 'f'; letter++)
        s.len += (size_t)snprintf(pattern + s.len, sizeof pattern - s.len, "%s[a-y]*%c[a-y]{%d}",
                                  letter > 'a' ? "|" : "", letter, 4000 + n);
    ag_grammar *g = NULL;
    ag_code code = ag_gcache_get(c, &s, &g, err);
    if (!code)
        code = ag_match_new(g, m, err);
    ag_grammar_unref(g);
    for (int i = 0; i < 1000 && !code; i++)
        code = ag_match_accept(*m, (i * 7919) % 20000, err);
    return code;
}

static void what_is_kept_and_what_is_used_have_bounds(void **state) {
    (void)state;
    enum { N = 24, KEPT_MIB = 64, LIVE_MIB = 256 };
    ag_gvocab_source source = {.n_tokens = 20000, .bytes = four_letters, .find = vocab_find};
    ag_gcache *c = NULL;
    ag_match *m[N] = {0};
    ag_err err = {0};
    ag_grammar *g = NULL;
    size_t before = ag_mem_bytes(AG_ROOM_GRAMMAR), kept = 0;
    assert_int_equal(ag_gcache_new(&source, &c, &err), AG_OK);
    for (int i = 0; i < 3; i++) { /* one after the other */
        (void)!explode(c, i, &m[0], &err);
        ag_match_free(&m[0]);
        kept = (ag_mem_bytes(AG_ROOM_GRAMMAR) - before) >> 20;
        assert_true(kept < KEPT_MIB + 16);
    }
    assert_true(kept > 8); /* the last are there still */
    int n = 0;
    ag_code code = AG_OK;
    for (; n < N && code != AG_E_AGAIN; n++) { /* together */
        code = explode(c, 100 + n, &m[n], &err);
        assert_true((ag_mem_bytes(AG_ROOM_GRAMMAR) - before) >> 20 < LIVE_MIB + 64 + 16);
    }
    assert_int_equal(code, AG_E_AGAIN);
    assert_non_null(strstr(err.msg, "try again when some have ended"));
    assert_int_equal(ag_gcache_get(c, &structures[2], &g, &err), AG_E_AGAIN);
    for (int i = 0; i < N; i++)
        ag_match_free(&m[i]);
    assert_true((ag_mem_bytes(AG_ROOM_GRAMMAR) - before) >> 20 < KEPT_MIB + 16);
    assert_int_equal(ag_gcache_get(c, &structures[2], &g, &err), AG_OK);
    ag_grammar_unref(g);
    ag_gcache_free(&c);
    assert_int_equal(ag_mem_bytes(AG_ROOM_GRAMMAR), before);
}

/* What needs ever more memory ends in an error of its own, and the grammar goes on to serve. */
static void what_explodes_is_stopped(void **state) {
    (void)state;
    ag_gvocab_source source = {.n_tokens = 20000, .bytes = four_letters, .find = vocab_find};
    ag_gvocab *many = NULL;
    ag_grammar *g = NULL;
    ag_err err = {0};
    static uint64_t bits[20000 / 64 + 1];
    static const char pattern[] = "[a-y]*a[a-y]{9000}|[a-y]*b[a-y]{9000}|[a-y]*c[a-y]{9000}|"
                                  "[a-y]*d[a-y]{9000}|[a-y]*e[a-y]{9000}|[a-y]*f[a-y]{9000}";
    ag_structure s = {AG_STRUCTURE_REGEX, pattern, sizeof pattern - 1};
    assert_int_equal(ag_gvocab_new(&source, &many, &err), AG_OK);
    if (ag_grammar_compile(many, &s, &g, &err))
        fail_msg("%s", err.msg);
    ag_match *m = start(g), *fresh = start(g);
    ag_code code = AG_OK;
    for (int i = 0; i < 3000 && !code; i++)
        code = ag_match_accept(m, (i * 7919) % 20000, &err);
    assert_int_equal(code, AG_E_GRAMMAR);
    assert_non_null(strstr(err.msg, "too ambiguous"));
    assert_int_equal(ag_match_mask(fresh, bits, &err), AG_OK);
    assert_true(ag_grammar_bytes(g) < (size_t)100 << 20);
    ag_match_free(&fresh);
    ag_match_free(&m);
    ag_grammar_unref(g);
    ag_gvocab_free(&many);
}

/* A vocabulary without some bytes can come to a place where nothing fits. */
static ag_span letters_only(const void *ctx, int32_t id) {
    (void)ctx;
    static const char letters[] = "abcdefgh";
    return ag_span_of(&letters[id], 1);
}

static void a_vocabulary_without_the_bytes_says_so(void **state) {
    (void)state;
    ag_gvocab_source source = {.n_tokens = 8, .bytes = letters_only, .find = vocab_find};
    ag_gvocab *few = NULL;
    ag_grammar *g = NULL;
    ag_err err = {0};
    uint64_t bits[1];
    ag_structure s = {AG_STRUCTURE_REGEX, "ab1", 3};
    assert_int_equal(ag_gvocab_new(&source, &few, &err), AG_OK);
    assert_int_equal(ag_grammar_compile(few, &s, &g, &err), AG_OK);
    ag_match *m = start(g);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ag_match_mask(m, bits, &err), AG_OK);
        assert_int_equal(bits[0], 1u << i);
        assert_int_equal(ag_match_accept(m, i, &err), AG_OK);
    }
    assert_int_equal(ag_match_mask(m, bits, &err), AG_E_GRAMMAR);
    assert_non_null(strstr(err.msg, "the vocabulary has no token"));
    ag_match_free(&m);
    ag_grammar_unref(g);
    ag_gvocab_free(&few);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_is_an_error_of_the_request),
        cmocka_unit_test(equal_texts_share_a_grammar),
        cmocka_unit_test(any_number_of_threads_may_use_a_cache),
        cmocka_unit_test(long_repetitions_have_exact_masks),
        cmocka_unit_test(what_is_kept_and_what_is_used_have_bounds),
        cmocka_unit_test(what_explodes_is_stopped),
        cmocka_unit_test(a_vocabulary_without_the_bytes_says_so),
    };
    return cmocka_run_group_tests(tests, make_vocab, free_vocab);
}
