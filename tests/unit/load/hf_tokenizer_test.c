/* Tokenizer files of a folder: what is refused and why, what the side files add, faults. That ids
 * are right is tested in text/folder_test.c. */
#include "base/fault.h"
#include "load/hf_parts.h"
#include "load/hf_tokenizer.h"
#include "unit/test.h"

/* A byte-level BPE in pieces, so that a test can replace one. */
#define PRE    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define ADDED  "[{\"id\":4,\"content\":\"<s>\",\"special\":true},{\"id\":6,\"content\":\"<t>\"}]"
#define VOCAB  "{\"b\":1,\"a\":0,\"ab\":2,\"abab\":3}"
#define MERGES "[[\"a\",\"b\"],[\"ab\",\"ab\"]]"
#define MODEL  "{\"type\":\"BPE\",\"vocab\":" VOCAB ",\"merges\":" MERGES "}"
#define BPE_OF(added, normalizer, pre, model)                                                      \
    "{\"added_tokens\":" added ",\"normalizer\":" normalizer ",\"pre_tokenizer\":" pre             \
    ",\"model\":" model "}"
#define BPE BPE_OF(ADDED, "null", PRE, MODEL)

static ag_source *source(void) {
    ag_source *s = NULL;
    assert_int_equal(ag_source_new(NULL, "test", &s, NULL), AG_OK);
    return s;
}

static ag_source *parsed(const ag_hf_tokenizer_files *files) {
    ag_source *s = source();
    ag_err err = {0};
    if (ag_hf_tokenizer_parse(s, files, &err) != AG_OK)
        fail_msg("%s", err.msg);
    return s;
}

static void refuse(const ag_hf_tokenizer_files *files, ag_code code, const char *why) {
    ag_source *s = source();
    ag_err err = {0};
    ag_code got = ag_hf_tokenizer_parse(s, files, &err);
    if (got != code || !strstr(err.msg, why))
        fail_msg("got %s: \"%s\", want %s with \"%s\"", ag_code_name(got), err.msg,
                 ag_code_name(code), why);
    ag_source_close(&s);
}
static void refuse_json(const char *json, ag_code code, const char *why) {
    refuse(&(ag_hf_tokenizer_files){.tokenizer_json = ag_str(json)}, code, why);
}

static void assert_str(const ag_source *s, const char *key, const char *want) {
    ag_span got;
    ag_err err = {0};
    if (ag_source_get_str(s, key, &got, &err) != AG_OK)
        fail_msg("%s", err.msg);
    if (!ag_span_is(got, want))
        fail_msg("%s is \"%.*s\", want \"%s\"", key, AG_SPAN(got), want);
}
static void assert_u32(const ag_source *s, const char *key, uint32_t want) {
    uint32_t got;
    ag_err err = {0};
    if (ag_source_get_u32(s, key, &got, &err) != AG_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(got, want);
}
static void assert_bool(const ag_source *s, const char *key, bool want) {
    bool got;
    assert_int_equal(ag_source_get_bool(s, key, &got, NULL), AG_OK);
    assert_int_equal(got, want);
}
static void assert_strs(const ag_source *s, const char *key, const char *const *want, size_t n) {
    const ag_value *v = ag_source_find(s, key);
    assert_non_null(v);
    assert_int_equal(v->a.n, n);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        ag_span got = ag_value_next_str(v, &at);
        if (!ag_span_is(got, want[i]))
            fail_msg("%s: element %zu is \"%.*s\", want \"%s\"", key, i, AG_SPAN(got), want[i]);
    }
    assert_int_equal(at, v->a.bytes.n);
}

/* ---- the vocabulary --------------------------------------------------------------------------
 */

static void tokens_come_in_order_of_their_ids_and_holes_are_filled(void **state) {
    (void)state;
    static const char *const want[] = {"a", "b", "ab", "abab", "<s>", "[PAD5]", "<t>"};
    static const int64_t types[] = {1, 1, 1, 1, 3, 5, 4};
    static const char *const merges[] = {"a b", "ab ab"};
    ag_source *s = parsed(&(ag_hf_tokenizer_files){.tokenizer_json = ag_str(BPE)});
    assert_strs(s, "tokenizer.ggml.tokens", want, 7);
    assert_strs(s, "tokenizer.ggml.merges", merges, 2);
    const ag_value *v = ag_source_find(s, "tokenizer.ggml.token_type");
    for (uint64_t i = 0; i < 7; i++)
        assert_int_equal(ag_value_int(v, i), types[i]);
    assert_str(s, "tokenizer.ggml.model", "gpt2");
    assert_str(s, "tokenizer.ggml.pre", "gpt-2");
    assert_bool(s, "tokenizer.ggml.add_bos_token", false);
    ag_source_close(&s);
}

static void both_spellings_of_merges_are_read(void **state) {
    (void)state;
    static const char *const merges[] = {"a b", "ab ab"};
    ag_source *s = parsed(&(ag_hf_tokenizer_files){
        .tokenizer_json = ag_str(
            BPE_OF(ADDED, "null", PRE, "{\"vocab\":" VOCAB ",\"merges\":[\"a b\",\"ab ab\"]}"))});
    assert_strs(s, "tokenizer.ggml.merges", merges, 2);
    ag_source_close(&s);
}

/* The vocabulary is as long as the embedding: padded, or without what has no row. */
static void the_embedding_says_how_many_tokens_there_are(void **state) {
    (void)state;
    static const char *const want[] = {"a", "b", "ab", "abab", "<s>", "[PAD5]", "<t>", "[PAD7]"};
    for (size_t n = 5; n <= 8; n += 3) {
        ag_source *s = source();
        ag_tensor t = {.name = ag_str("token_embd.weight"), .n_dims = 2, .dim = {4, n, 1, 1}};
        assert_int_equal(ag_source_add_tensor(s, &t, NULL), AG_OK);
        ag_hf_tokenizer_files files = {.tokenizer_json = ag_str(BPE)};
        assert_int_equal(ag_hf_tokenizer_parse(s, &files, NULL), AG_OK);
        assert_strs(s, "tokenizer.ggml.tokens", want, n);
        ag_source_close(&s);
    }
}

static void broken_vocabularies_are_refused_with_the_place(void **state) {
    (void)state;
    refuse(&(ag_hf_tokenizer_files){0}, AG_E_NOT_FOUND, "no tokenizer");
    refuse_json("{\"model\":", AG_E_FORMAT, "tokenizer.json: not valid JSON at line 1");
    refuse_json("[]", AG_E_FORMAT, "expected an object");
    refuse_json("{}", AG_E_FORMAT, "no model");
    refuse_json(BPE_OF("[]", "null", PRE, "{\"type\":\"BPE\",\"merges\":[]}"), AG_E_FORMAT,
                "no vocabulary");
    refuse_json(BPE_OF("[]", "null", PRE, "{\"type\":\"BPE\",\"vocab\":" VOCAB "}"), AG_E_FORMAT,
                "no merges");
    refuse_json(BPE_OF("[]", "null", PRE, "{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}"),
                AG_E_FORMAT, "\"a\" and \"b\" both have the id 0");
    refuse_json(BPE_OF("[]", "null", PRE, "{\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}"),
                AG_E_FORMAT, "duplicate");
    refuse_json(BPE_OF("[]", "null", PRE, "{\"vocab\":{\"a\":\"0\"},\"merges\":[]}"), AG_E_FORMAT,
                "is no integer");
    refuse_json(BPE_OF("[]", "null", PRE, "{\"vocab\":{\"a\":-1},\"merges\":[]}"), AG_E_LIMIT,
                "out of range");
    refuse_json(BPE_OF("[]", "null", PRE, "{\"vocab\":{\"a\":9000000},\"merges\":[]}"), AG_E_LIMIT,
                "out of range");
    refuse_json(BPE_OF("[]", "null", PRE, "{\"vocab\":{\"a\":99999999999},\"merges\":[]}"),
                AG_E_LIMIT, "out of range");
    refuse_json(BPE_OF("[]", "null", PRE, "{\"vocab\":{},\"merges\":[]}"), AG_E_FORMAT, "empty");
    refuse_json(BPE_OF("[{\"id\":0,\"content\":\"b\"}]", "null", PRE, MODEL), AG_E_FORMAT,
                "both have the id 0");
    refuse_json(BPE_OF("[{\"id\":7,\"content\":\"a\"}]", "null", PRE, MODEL), AG_E_FORMAT,
                "\"a\" has the ids 0 and 7");
    refuse_json(BPE_OF("[{\"content\":\"x\"}]", "null", PRE, MODEL), AG_E_FORMAT, "has no id");
    refuse_json(BPE_OF("[{\"id\":9}]", "null", PRE, MODEL), AG_E_FORMAT, "has no text");
}

static void broken_merges_are_refused_with_their_number(void **state) {
    (void)state;
#define MERGE(m) BPE_OF("[]", "null", PRE, "{\"vocab\":" VOCAB ",\"merges\":[\"a b\"," m "]}")
    refuse_json(MERGE("\"b a\""), AG_E_FORMAT, "merge rule 1, \"b\" and \"a\", needs a token");
    refuse_json(MERGE("\"x b\""), AG_E_FORMAT, "needs a token");
    refuse_json(MERGE("\"ab\""), AG_E_FORMAT, "merge rule 1 is not a pair");
    refuse_json(MERGE("\"a \""), AG_E_FORMAT, "is not a pair");
    refuse_json(MERGE("[\"a\"]"), AG_E_FORMAT, "is not a pair");
    refuse_json(MERGE("[\"a\",\"\"]"), AG_E_FORMAT, "is not a pair");
    refuse_json(MERGE("[\"a\",1]"), AG_E_FORMAT, "is not a pair");
    refuse_json(MERGE("7"), AG_E_FORMAT, "is not a pair");
    refuse_json(BPE_OF("[]", "null", PRE,
                       "{\"vocab\":{\"a\":0,\" \":1,\"a \":2},\"merges\":[[\"a\",\" \"]]}"),
                AG_E_UNSUPPORTED, "spaces");
}

/* What would only almost work is refused, and quoted. */
static void unknown_kinds_are_refused_with_what_was_found(void **state) {
    (void)state;
    refuse_json(BPE_OF("[]", "null", PRE, "{\"type\":\"Unigram\",\"vocab\":[]}"), AG_E_UNSUPPORTED,
                "type Unigram is not supported");
    refuse_json(BPE_OF("[]", "null", PRE, "{\"vocab\":[]}"), AG_E_UNSUPPORTED, "Unigram");
    refuse_json(BPE_OF("[]", "null",
                       "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"behavior\":"
                       "\"Isolated\",\"pattern\":{\"Regex\":\"x+y\"}},{\"type\":\"ByteLevel\","
                       "\"add_prefix_space\":false,\"use_regex\":false}]}",
                       MODEL),
                AG_E_UNSUPPORTED, "expression that is not known: x+y");
    refuse_json(BPE_OF("[]", "null", "{\"type\":\"ByteLevel\"}", MODEL), AG_E_UNSUPPORTED,
                "{\"type\":\"ByteLevel\"}");
    refuse_json(BPE_OF("[]", "{\"type\":\"NFKC\"}", PRE, MODEL), AG_E_UNSUPPORTED, "NFKC");
    refuse_json(BPE_OF("[]", "null", "null", MODEL), AG_E_UNSUPPORTED, "pre-tokenizer");
    refuse_json(BPE_OF("[]", "null", "{\"type\":\"Metaspace\",\"replacement\":\"_\"}", MODEL),
                AG_E_UNSUPPORTED, "Metaspace");
    refuse_json(BPE_OF("[{\"id\":9,\"content\":\"x\",\"single_word\":true}]", "null", PRE, MODEL),
                AG_E_UNSUPPORTED, "single_word");
    refuse_json("{\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
                "\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}",
                AG_E_UNSUPPORTED, "normalizer of WordPiece");
    refuse_json("{\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":"
                "\"BertPreTokenizer\"},\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}",
                AG_E_FORMAT, "\"[UNK]\" is not in the vocabulary");
}

static void broken_models_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        ag_code code;
        const char *why;
    } cases[] = {
        {"\x0a\x05\x0a\x03"
         "ab",
         6, AG_E_FORMAT, "broken at byte 2"},
        {"\x0a\x04\x0a\x03"
         "ab",
         6, AG_E_FORMAT, "a piece is broken"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, AG_E_FORMAT, "the file is broken"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, AG_E_FORMAT, "the file is broken"},
        {"\x0b", 1, AG_E_FORMAT, "the file is broken"},
        {"\x10\x01", 2, AG_E_FORMAT, "no pieces"},
        {"\x0a\x05\x0a\x01"
         "a\x18\x09",
         7, AG_E_FORMAT, "type 9"},
        {"\x0a\x03\x0a\x01"
         "a",
         5, AG_E_UNSUPPORTED, "type 1 (1 is unigram"},
        {"\x0a\x03\x0a\x01"
         "a\x12\x02\x18\x02",
         9, AG_E_UNSUPPORTED, "removes extra spaces"},
        {"\x0a\x03\x0a\x01"
         "a\x12\x02\x18\x02\x1a\x03\x12\x01z",
         14, AG_E_UNSUPPORTED, "1 bytes"},
        {"\x0a\x03\x0a\x01"
         "a\x0a\x03\x0a\x01"
         "a",
         10, AG_E_FORMAT, "has the ids 0 and 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(&(ag_hf_tokenizer_files){.tokenizer_model = {cases[i].bytes, cases[i].n}},
               cases[i].code, cases[i].why);
}

/* ---- the files beside it ---------------------------------------------------------------------
 */

/* vocab.json and merges.txt with a configuration that has `config` in it. */
static ag_hf_tokenizer_files old_folder(const char *merges, const char *config) {
    return (ag_hf_tokenizer_files){
        .vocab_json = ag_str("{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3,\"<u>\":4}"),
        .merges_txt = ag_str(merges),
        .tokenizer_config = ag_str(config),
    };
}

static void vocab_json_needs_a_class_that_is_known(void **state) {
    (void)state;
    static const char *const gpt2 =
        "{\"tokenizer_class\":\"GPT2Tokenizer\",\"add_bos_token\":true}";
    ag_hf_tokenizer_files f = old_folder("#version: 0.2\na b\n", gpt2);
    f.special_tokens_map = ag_str("{\"additional_special_tokens\":[\"<u>\",\"absent\"]}");
    ag_source *s = parsed(&f);
    assert_str(s, "tokenizer.ggml.pre", "gpt-2");
    assert_u32(s, "tokenizer.ggml.eos_token_id", 3);
    assert_bool(s, "tokenizer.ggml.add_bos_token", true);
    const ag_value *types = ag_source_find(s, "tokenizer.ggml.token_type");
    static const int64_t want[] = {1, 1, 1, 3, 3}; /* the class's own and a named one are control */
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(ag_value_int(types, i), want[i]);
    ag_source_close(&s);
    s = parsed((f = old_folder("a b", "{\"tokenizer_class\":\"Qwen2TokenizerFast\"}"), &f));
    assert_str(s, "tokenizer.ggml.pre", "qwen2");
    assert_null(ag_source_find(s, "tokenizer.ggml.bos_token_id"));
    ag_source_close(&s);
    static const struct {
        const char *merges, *config, *why;
        ag_code code;
    } cases[] = {
        {"a b", "{}", "not named in tokenizer_config.json", AG_E_UNSUPPORTED},
        {"a b", "{\"tokenizer_class\":\"CLIPTokenizer\"}", "is CLIPTokenizer; supported are",
         AG_E_UNSUPPORTED},
        {"a b", "{\"tokenizer_class\":\"GPT2TokenizerFaster\"}", "is GPT2TokenizerFaster",
         AG_E_UNSUPPORTED},
        {"a b", "{\"tokenizer_class\":\"GPT2Tokenizer\",\"add_prefix_space\":true}",
         "add_prefix_space", AG_E_UNSUPPORTED},
        {"a b\nab\n", gpt2, "merges.txt: merge rule 1 is not a pair", AG_E_FORMAT},
        {"a c", gpt2, "not in the vocabulary", AG_E_FORMAT},
        {"#version: 0.2\n\n\xff b", gpt2, "line 3 is not valid UTF-8", AG_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        f = old_folder(cases[i].merges, cases[i].config);
        refuse(&f, cases[i].code, cases[i].why);
    }
    f = old_folder("a b", gpt2);
    f.merges_txt = (ag_span){0};
    refuse(&f, AG_E_NOT_FOUND, "vocab.json with merges.txt");
}

static void special_tokens_come_from_the_side_files(void **state) {
    (void)state;
    ag_source *s = parsed(&(ag_hf_tokenizer_files){
        .tokenizer_json = ag_str(BPE),
        .tokenizer_config = ag_str("{\"bos_token\":{\"content\":\"<s>\"},\"eos_token\":\"<t>\","
                                   "\"pad_token\":null,\"add_bos_token\":true}"),
        .special_tokens_map = ag_str("{\"eos_token\":\"a\",\"pad_token\":\"b\"}"),
        .added_tokens = ag_str("{\"<s>\":4,\"<new>\":9}"),
        .generation_config = ag_str("{\"eos_token_id\":[6,2,3,0,9]}")});
    assert_u32(s, "tokenizer.ggml.bos_token_id", 4);
    assert_u32(s, "tokenizer.ggml.eos_token_id", 6);
    assert_u32(s, "tokenizer.ggml.padding_token_id", 1);
    assert_u32(s, "tokenizer.ggml.eot_token_id", 2);
    assert_u32(s, "tokenizer.ggml.eom_token_id", 3);
    assert_bool(s, "tokenizer.ggml.add_bos_token", true);
    const ag_value *more = ag_source_find(s, "autoglm.tokenizer.stop_token_ids");
    assert_non_null(more);
    assert_int_equal(more->a.n, 2);
    assert_int_equal(ag_value_int(more, 1), 9);
    ag_source_close(&s);
    refuse(&(ag_hf_tokenizer_files){.tokenizer_json = ag_str(BPE),
                                    .added_tokens = ag_str("{\"<new>\":2}")},
           AG_E_FORMAT, "added_tokens.json: the tokens");
    refuse(&(ag_hf_tokenizer_files){.tokenizer_json = ag_str(BPE),
                                    .tokenizer_config =
                                        ag_str("{\"added_tokens_decoder\":{\"x\":{}}}")},
           AG_E_FORMAT, "\"x\" is no token id");
}

static void assert_number(const ag_source *s, const char *key, float want) {
    float got;
    ag_err err = {0};
    if (ag_source_get_f32(s, key, &got, &err) != AG_OK)
        fail_msg("%s", err.msg);
    assert_true(got == want);
}

static void advice_on_sampling_becomes_keys(void **state) {
    (void)state;
    ag_hf_tokenizer_files files = {
        .tokenizer_json = ag_str(BPE),
        .generation_config =
            ag_str("{\"do_sample\":true,\"temperature\":0.6,\"top_p\":0.95,\"top_k\":20,"
                   "\"min_p\":null,\"repetition_penalty\":1.05,\"max_new_tokens\":7}")};
    ag_source *s = parsed(&files);
    assert_number(s, "general.sampling.temp", 0.6f);
    assert_number(s, "general.sampling.top_p", 0.95f);
    assert_number(s, "general.sampling.top_k", 20);
    assert_int_equal(ag_source_find(s, "general.sampling.top_k")->kind, AG_VALUE_I32);
    assert_number(s, "general.sampling.penalty_repeat", 1.05f);
    assert_null(ag_source_find(s, "general.sampling.min_p"));
    ag_source_close(&s);
    files.generation_config = ag_str("{\"do_sample\":false,\"temperature\":0.6,\"top_k\":20}");
    s = parsed(&files);
    assert_number(s, "general.sampling.temp", 0);
    assert_null(ag_source_find(s, "general.sampling.top_k"));
    ag_source_close(&s);
    files.generation_config =
        ag_str("{\"temperature\":\"hot\",\"top_k\":3000000000,\"top_p\":[1]}");
    s = parsed(&files);
    assert_null(ag_source_find(s, "general.sampling.temp"));
    assert_null(ag_source_find(s, "general.sampling.top_p"));
    assert_number(s, "general.sampling.top_k", 3e9f);
    ag_source_close(&s);
}

static void the_template_processor_says_what_goes_around_a_text(void **state) {
    (void)state;
    ag_source *s = parsed(&(ag_hf_tokenizer_files){
        .tokenizer_json = ag_str(
            "{\"added_tokens\":" ADDED ",\"pre_tokenizer\":" PRE ",\"model\":" MODEL
            ",\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},"
            "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},"
            "{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"<t>\"}}]}]}}"),
        .tokenizer_config = ag_str("{\"bos_token\":\"a\",\"eos_token\":\"b\"}")});
    assert_u32(s, "tokenizer.ggml.bos_token_id", 4);
    assert_u32(s, "tokenizer.ggml.eos_token_id", 6);
    assert_bool(s, "tokenizer.ggml.add_bos_token", true);
    assert_bool(s, "tokenizer.ggml.add_eos_token", true);
    ag_source_close(&s);
}

static void the_chat_template_is_found_where_it_may_be(void **state) {
    (void)state;
    ag_hf_tokenizer_files f = {.tokenizer_json = ag_str(BPE),
                               .template_jinja = ag_str("file"),
                               .template_json = ag_str("{\"chat_template\":\"json\"}"),
                               .tokenizer_config = ag_str("{\"chat_template\":\"config\"}")};
    ag_source *s = parsed(&f);
    assert_str(s, "tokenizer.chat_template", "file");
    ag_source_close(&s);
    f.template_jinja = (ag_span){0};
    s = parsed(&f);
    assert_str(s, "tokenizer.chat_template", "config");
    ag_source_close(&s);
    f.tokenizer_config = (ag_span){0};
    s = parsed(&f);
    assert_str(s, "tokenizer.chat_template", "json");
    ag_source_close(&s);
    f.tokenizer_config = ag_str("{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"T\"},"
                                "{\"name\":\"default\",\"template\":\"D\"}]}");
    s = parsed(&f);
    static const char *const names[] = {"tool_use"};
    assert_str(s, "tokenizer.chat_template", "D");
    assert_str(s, "tokenizer.chat_template.tool_use", "T");
    assert_strs(s, "tokenizer.chat_templates", names, 1);
    ag_source_close(&s);
    f.tokenizer_config = ag_str("{\"chat_template\":[{\"name\":\"x\"}]}");
    refuse(&f, AG_E_FORMAT, "chat template 0");
}

static void a_folder_without_a_tokenizer_is_named(void **state) {
    (void)state;
    ag_source *s = source();
    ag_err err = {0};
    assert_int_equal(ag_hf_tokenizer_read(s, "tests/unit", &err), AG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "tests/unit: the folder holds no tokenizer"));
    ag_source_close(&s);
}

/* Our own allocations; those of the JSON library are its own. */
static void no_failed_allocation_leaks(void **state) {
    (void)state;
    static const char *const folders[] = {"tests/golden/tokenizers/llama3",
                                          "tests/golden/tokenizers/metaspace",
                                          "tests/golden/tokenizers/bert"};
    for (size_t i = 0; i < 3; i++) {
        size_t before = ag_mem_bytes(AG_ROOM_LOAD);
        long nth = 0;
        for (bool done = false; !done;) {
            ag_source *s = source();
            ag_fault_arm(AG_FAULT_ALLOC, ++nth, false);
            ag_err err = {0};
            ag_code code = ag_hf_tokenizer_read(s, folders[i], &err);
            done = !ag_fault_fired(AG_FAULT_ALLOC);
            ag_fault_arm(AG_FAULT_ALLOC, 0, false);
            if (code != (done ? AG_OK : AG_E_NOMEM))
                fail_msg("%s, allocation %ld: %s", folders[i], nth, err.msg);
            ag_source_close(&s);
            assert_int_equal(ag_mem_bytes(AG_ROOM_LOAD), before);
        }
        assert_true(nth > 10);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_come_in_order_of_their_ids_and_holes_are_filled),
        cmocka_unit_test(both_spellings_of_merges_are_read),
        cmocka_unit_test(the_embedding_says_how_many_tokens_there_are),
        cmocka_unit_test(broken_vocabularies_are_refused_with_the_place),
        cmocka_unit_test(broken_merges_are_refused_with_their_number),
        cmocka_unit_test(unknown_kinds_are_refused_with_what_was_found),
        cmocka_unit_test(broken_models_are_refused),
        cmocka_unit_test(vocab_json_needs_a_class_that_is_known),
        cmocka_unit_test(special_tokens_come_from_the_side_files),
        cmocka_unit_test(advice_on_sampling_becomes_keys),
        cmocka_unit_test(the_template_processor_says_what_goes_around_a_text),
        cmocka_unit_test(the_chat_template_is_found_where_it_may_be),
        cmocka_unit_test(a_folder_without_a_tokenizer_is_named),
        cmocka_unit_test(no_failed_allocation_leaks),
    };
    return cmocka_run_group_tests_name("load/hf_tokenizer", tests, NULL, NULL);
}
