/* Tokenizers of Hugging Face folders: the ids are those of the reference and of the GGUF file, from
 * tokenizer.json, tokenizer.model and vocab.txt. */
#include "load/hf_parts.h"
#include "load/hf_tokenizer.h"
#include "text/vocab.h"
#include "unit/text/golden.h"

static const char *const kinds[] = {"llama3", "qwen2", "glm4", "llama2", "gemma", "bert"};
#define N_KINDS (sizeof kinds / sizeof kinds[0])

static ag_source *empty_source(void) {
    ag_source *s = NULL;
    assert_int_equal(ag_source_new(NULL, "test", &s, NULL), AG_OK);
    return s;
}

static vocab open_folder(const char *kind) {
    char path[128];
    snprintf(path, sizeof path, GOLDENS "%s", kind);
    vocab v = {.g = empty_source()};
    ag_err err = {0};
    if (ag_hf_tokenizer_read(v.g, path, &err) != AG_OK ||
        ag_tokenizer_from_source(v.g, &v.t, &err) != AG_OK)
        fail_msg("%s: %s", path, err.msg);
    return v;
}

static vocab open_files(const ag_hf_tokenizer_files *files) {
    vocab v = {.g = empty_source()};
    ag_err err = {0};
    if (ag_hf_tokenizer_parse(v.g, files, &err) != AG_OK ||
        ag_tokenizer_from_source(v.g, &v.t, &err) != AG_OK)
        fail_msg("%s", err.msg);
    return v;
}

static void open_gguf(const char *kind, vocab *v) {
    char path[128];
    snprintf(path, sizeof path, GOLDENS "%s.gguf", kind);
    *v = open_vocab(path);
}

static void folders_agree_with_the_reference(void **state) {
    (void)state;
    for (size_t i = 0; i < N_KINDS; i++) {
        vocab v = open_folder(kinds[i]);
        char name[64];
        snprintf(name, sizeof name, "%s.txt", kinds[i]);
        assert_true(check_golden(v.t, name) > 100);
        close_vocab(&v);
    }
}

/* Metaspace, and a control token that swallows the white space around it. */
static void a_prefix_at_the_start_only_agrees_with_the_reference(void **state) {
    (void)state;
    vocab v = open_folder("metaspace");
    assert_true(check_golden(v.t, "metaspace.txt") > 100);
    close_vocab(&v);
}

static void assert_same_value(const vocab *a, const vocab *b, const char *key) {
    const ag_value *x = ag_source_find(a->g, key), *y = ag_source_find(b->g, key);
    if (!x || !y)
        fail_msg("%s is missing in the %s", key, x ? "GGUF file" : "folder");
    assert_int_equal(x->kind, y->kind);
    if (x->kind == AG_VALUE_STRING) {
        assert_true(ag_span_eq(x->s, y->s));
    } else if (x->kind == AG_VALUE_ARRAY) {
        assert_int_equal(x->a.kind, y->a.kind);
        assert_int_equal(x->a.n, y->a.n);
        assert_true(ag_span_eq(x->a.bytes, y->a.bytes));
    } else {
        assert_int_equal(x->u, y->u);
    }
}

/* But for the vocabulary's size, which is a matter of the model. */
static void keys_are_those_of_the_gguf_file(void **state) {
    (void)state;
    static const char *const keys[] = {"tokenizer.ggml.model", "tokenizer.ggml.pre",
                                       "tokenizer.ggml.merges", "tokenizer.ggml.add_bos_token"};
    for (size_t i = 0; i < 3; i++) {
        vocab a = open_folder(kinds[i]), b;
        open_gguf(kinds[i], &b);
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
            assert_same_value(&a, &b, keys[k]);
        for (int32_t id = 0; id < ag_tokenizer_n(a.t); id++) {
            if (ag_tokenizer_type(b.t, id) == AG_TOKEN_UNUSED)
                continue;
            assert_int_equal(ag_tokenizer_type(a.t, id), ag_tokenizer_type(b.t, id));
            assert_true(ag_span_eq(ag_tokenizer_raw(a.t, id), ag_tokenizer_raw(b.t, id)));
        }
        close_vocab(&a);
        close_vocab(&b);
    }
}

static void wordpiece_from_a_gguf_file_agrees_with_the_reference(void **state) {
    (void)state;
    vocab v;
    open_gguf("bert", &v);
    assert_true(check_golden(v.t, "bert.txt") > 100);
    close_vocab(&v);
}

/* ---- the other files --------------------------------------------------------------------------
 */

/* vocab.txt from the GGUF file's tokens: ▁ goes away, what had none gets ##. */
static void vocab_txt_agrees_with_the_reference(void **state) {
    (void)state;
    vocab gguf;
    open_gguf("bert", &gguf);
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 1 << 16);
    for (int32_t id = 0; id < ag_tokenizer_n(gguf.t); id++) {
        ag_span raw = ag_tokenizer_raw(gguf.t, id);
        bool first = ag_span_starts(raw, ag_str("\xE2\x96\x81")),
             special = raw.p[0] == '[' && id < 5;
        if (!first && !special)
            ag_buf_adds(&b, "##");
        raw = ag_span_sub(raw, first ? 3 : 0, raw.n);
        ag_buf_add(&b, raw.p, raw.n);
        ag_buf_adds(&b, id % 2 ? "\n" : "\r\n");
    }
    vocab v = open_files(&(ag_hf_tokenizer_files){.vocab_txt = ag_buf_span(&b)});
    assert_true(check_golden(v.t, "bert.txt") > 100);
    close_vocab(&v);
    close_vocab(&gguf);
    ag_buf_deinit(&b);
}

/* ---- vocab.json and merges.txt ------------------------------------------------------------- */

/* The tokenizer.json of Qwen's as an older folder has it, in vocab.json, merges.txt and
 * tokenizer_config.json. */
typedef struct old_folder {
    json_t *root;
    char *vocab, *config; /* of jansson */
    ag_buf merges, json;  /* json: the same as tokenizer.json */
} old_folder;

static const char *const pre_of_gpt2 =
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": true}";

static old_folder make_old_folder(const char *class, bool gpt2) {
    old_folder f = {.root = json_load_file(GOLDENS "qwen2/tokenizer.json", 0, NULL)};
    json_t *model = json_object_get(f.root, "model"), *rule, *token, *decoder = json_object();
    size_t i;
    assert_non_null(model);
    ag_buf_init(&f.merges, AG_ROOM_TEST, 1 << 20);
    ag_buf_init(&f.json, AG_ROOM_TEST, 1 << 24);
    if (gpt2) {
        json_object_set_new(f.root, "pre_tokenizer", json_loads(pre_of_gpt2, 0, NULL));
        json_object_set_new(f.root, "normalizer", json_null());
    }
    char *whole = json_dumps(f.root, 0);
    ag_buf_adds(&f.json, whole);
    free(whole);
    f.vocab = json_dumps(json_object_get(model, "vocab"), 0);
    ag_buf_adds(&f.merges, "#version: 0.2\n");
    json_array_foreach(json_object_get(model, "merges"), i, rule)
        ag_buf_addf(&f.merges, "%s %s%s", json_string_value(json_array_get(rule, 0)),
                    json_string_value(json_array_get(rule, 1)), i % 2 ? "\r\n" : "\n");
    json_array_foreach(json_object_get(f.root, "added_tokens"), i, token) {
        char id[32];
        snprintf(id, sizeof id, "%lld",
                 (long long)json_integer_value(json_object_get(token, "id")));
        json_object_set(decoder, id, token);
    }
    json_t *config =
        json_pack("{s:s, s:o}", "tokenizer_class", class, "added_tokens_decoder", decoder);
    f.config = json_dumps(config, 0);
    json_decref(config);
    return f;
}

static void drop_old_folder(old_folder *f) {
    json_decref(f->root);
    free(f->vocab);
    free(f->config);
    ag_buf_deinit(&f->merges);
    ag_buf_deinit(&f->json);
}

/* A piece of text: a token, a character of any kind, or a space. */
static void put_random(ag_rng *rng, const ag_tokenizer *t, ag_buf *b) {
    uint64_t r = ag_rng_u64(rng);
    if (r % 3 == 0) {
        ag_span s = ag_tokenizer_bytes(t, (int32_t)(r / 8 % (uint64_t)ag_tokenizer_n(t)));
        ag_buf_add(b, s.p, s.n);
    } else if (r % 3 == 1) {
        static const uint32_t tops[] = {0x80, 0x250, 0x3000, 0xD800, 0x20000};
        uint32_t cp = 1 + (uint32_t)(r / 64 % (tops[r / 8 % 5] - 1));
        char utf8[4];
        int n = 0;
        if (cp < 0x80) {
            utf8[n++] = (char)cp;
        } else {
            int more = cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
            utf8[n++] = (char)((0xF00 >> more & 0xFF) | cp >> 6 * more);
            for (int k = more - 1; k >= 0; k--)
                utf8[n++] = (char)(0x80 | (cp >> 6 * k & 0x3F));
        }
        ag_buf_add(b, utf8, (size_t)n);
    } else {
        static const char *const plain[] = {" ",   "  ",   "\n", "'s", "12",
                                            "the", " The", ".",  "\t", "e\xCC\x81"};
        ag_buf_adds(b, plain[r / 8 % (sizeof plain / sizeof *plain)]);
    }
}

static void assert_equal_on_random_text(const vocab *a, const vocab *b, int n) {
    ag_rng rng;
    ag_buf text;
    ag_rng_init(&rng, 7);
    ag_buf_init(&text, AG_ROOM_TEST, 1 << 16);
    for (int i = 0; i < n; i++) {
        text.n = 0;
        for (uint64_t k = ag_rng_u64(&rng) % 24; k > 0; k--)
            put_random(&rng, a->t, &text);
        for (unsigned flags = 0; flags < 4; flags++) {
            ag_ids want = encode(a->t, ag_buf_span(&text), flags);
            assert_ids(b->t, ag_buf_span(&text), flags, want.v, want.n);
            ag_ids_deinit(&want);
        }
    }
    ag_buf_deinit(&text);
}

static void vocab_json_with_merges_is_the_same_tokenizer(void **state) {
    (void)state;
    for (int gpt2 = 0; gpt2 < 2; gpt2++) {
        old_folder f = make_old_folder(gpt2 ? "GPT2TokenizerFast" : "Qwen2Tokenizer", gpt2);
        vocab a = open_files(&(ag_hf_tokenizer_files){.tokenizer_json = ag_buf_span(&f.json)});
        vocab b = open_files(&(ag_hf_tokenizer_files){.vocab_json = ag_str(f.vocab),
                                                      .merges_txt = ag_buf_span(&f.merges),
                                                      .tokenizer_config = ag_str(f.config)});
        if (!gpt2)
            assert_true(check_golden(b.t, "qwen2.txt") > 100);
        assert_int_equal(ag_tokenizer_n(a.t), ag_tokenizer_n(b.t));
        for (int32_t id = 0; id < ag_tokenizer_n(a.t); id++)
            assert_int_equal(ag_tokenizer_type(a.t, id), ag_tokenizer_type(b.t, id));
        assert_equal_on_random_text(&a, &b, 2000);
        close_vocab(&a);
        close_vocab(&b);
        drop_old_folder(&f);
    }
}

static void put_varint(ag_buf *b, uint64_t v) {
    for (; v >= 0x80; v >>= 7)
        ag_buf_addc(b, (char)(v | 0x80));
    ag_buf_addc(b, (char)v);
}
static void put_number(ag_buf *b, unsigned field, uint64_t v) {
    put_varint(b, field << 3);
    put_varint(b, v);
}
static void put_bytes(ag_buf *b, unsigned field, ag_span s) {
    put_varint(b, field << 3 | 2);
    put_varint(b, s.n);
    ag_buf_add(b, s.p, s.n);
}

/* A SentencePiece model with the GGUF file's pieces. */
static void write_model(const vocab *v, ag_buf *b) {
    const ag_value *scores = ag_source_find(v->g, "tokenizer.ggml.scores");
    ag_buf part;
    ag_buf_init(&part, AG_ROOM_TEST, 1 << 16);
    for (int32_t id = 0; id < ag_tokenizer_n(v->t); id++) {
        float score = (float)ag_value_num(scores, (uint64_t)id);
        part.n = 0;
        put_bytes(&part, 1, ag_tokenizer_raw(v->t, id));
        put_varint(&part, 2 << 3 | 5);
        ag_buf_add(&part, &score, 4);
        put_number(&part, 3, ag_tokenizer_type(v->t, id));
        put_bytes(b, 1, ag_buf_span(&part));
    }
    part.n = 0;
    put_number(&part, 3, 2);             /* BPE */
    put_number(&part, 35, 1);            /* byte_fallback */
    put_number(&part, 43, (uint64_t)-1); /* pad_id */
    put_bytes(b, 2, ag_buf_span(&part));
    part.n = 0;
    put_number(&part, 4, 0); /* remove_extra_whitespaces */
    put_bytes(b, 3, ag_buf_span(&part));
    ag_buf_deinit(&part);
}

static void tokenizer_model_agrees_with_the_reference(void **state) {
    (void)state;
    vocab gguf;
    open_gguf("llama2", &gguf);
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 1 << 20);
    write_model(&gguf, &b);
    vocab v = open_files(&(ag_hf_tokenizer_files){.tokenizer_model = ag_buf_span(&b)});
    assert_true(check_golden(v.t, "llama2.txt") > 100);
    close_vocab(&v);
    for (size_t n = 0; n < b.n; n += 1 + n / 8) { /* cut anywhere: an error, no more */
        ag_source *s = empty_source();
        ag_hf_tokenizer_files files = {.tokenizer_model = {b.p, n}};
        ag_err err = {0};
        assert_int_not_equal(ag_hf_tokenizer_parse(s, &files, &err), AG_OK);
        assert_true(err.msg[0] != 0);
        ag_source_close(&s);
    }
    close_vocab(&gguf);
    ag_buf_deinit(&b);
}

/* ---- more than GGUF can say --------------------------------------------------------------------
 */

static void all_ends_of_generation_are_stops(void **state) {
    (void)state;
    ag_buf json;
    ag_buf_init(&json, AG_ROOM_TEST, 1 << 20);
    assert_int_equal(ag_file_read(GOLDENS "qwen2/tokenizer.json", &json, NULL), AG_OK);
    vocab v = open_files(&(ag_hf_tokenizer_files){
        .tokenizer_json = ag_buf_span(&json),
        .generation_config = ag_str("{\"eos_token_id\": [5, 9, 7, 3, 8, 99999, -1, \"x\"]}")});
    static const int32_t want[] = {3, 5, 7, 8, 9};
    for (size_t i = 0; i < 5; i++)
        assert_true(ag_tokenizer_is_stop(v.t, want[i]));
    assert_int_equal(ag_tokenizer_eos(v.t), 5);
    close_vocab(&v);
    ag_buf_deinit(&json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_agree_with_the_reference),
        cmocka_unit_test(a_prefix_at_the_start_only_agrees_with_the_reference),
        cmocka_unit_test(keys_are_those_of_the_gguf_file),
        cmocka_unit_test(wordpiece_from_a_gguf_file_agrees_with_the_reference),
        cmocka_unit_test(vocab_txt_agrees_with_the_reference),
        cmocka_unit_test(vocab_json_with_merges_is_the_same_tokenizer),
        cmocka_unit_test(tokenizer_model_agrees_with_the_reference),
        cmocka_unit_test(all_ends_of_generation_are_stops),
    };
    return cmocka_run_group_tests_name("text/folder", tests, NULL, NULL);
}
