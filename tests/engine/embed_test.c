/* Embeddings: against transformers, under the two laws, beside generations, and refusals.
 *
 * The laws are those of laws_test.c: an input's vector is bit-equal alone or among others, with any
 * number of threads and rows in a step. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/support.h"

#define MAX_INPUTS 8
#define MAX_EMBD   256

typedef struct texts {
    json_t *json;
    float *all, *want; /* want: [n][3][n_embd] mean, cls, last */
    size_t n_embd, n;
    ag_embed_input text[MAX_INPUTS], ids[MAX_INPUTS]; /* the same inputs in both forms */
} texts;

static void texts_open(texts *t, const char *model, const char *type) {
    *t = (texts){0};
    t->json = embeddings_open(model, type, &t->all, &t->want);
    t->n_embd = (size_t)json_integer_value(json_object_get(t->json, "n_embd"));
    const json_t *prompts = json_object_get(t->json, "prompts");
    t->n = json_array_size(prompts);
    assert_in_range(t->n, 1, MAX_INPUTS);
    assert_true(t->n_embd <= MAX_EMBD);
    for (size_t i = 0; i < t->n; i++) {
        const json_t *p = json_array_get(prompts, i), *ids = json_object_get(p, "ids");
        const char *text = json_string_value(json_object_get(p, "text"));
        t->text[i] = (ag_embed_input){.text = text, .text_len = strlen(text)};
        int32_t *v = calloc(json_array_size(ids), sizeof *v);
        for (size_t k = 0; k < json_array_size(ids); k++)
            v[k] = (int32_t)json_integer_value(json_array_get(ids, k));
        t->ids[i] = (ag_embed_input){.ids = v, .n_ids = json_array_size(ids)};
    }
}

static void texts_close(texts *t) {
    for (size_t i = 0; i < t->n; i++)
        free((void *)(uintptr_t)t->ids[i].ids);
    free(t->all);
    json_decref(t->json);
}

static ag_embed_opts raw(ag_pooling pooling) {
    ag_embed_opts o = ag_embed_default();
    o.pooling = pooling;
    o.normalize = false;
    return o;
}

static void must_embed(ag_engine *e, const ag_embed_input *inputs, size_t n,
                       const ag_embed_opts *opts, float *out) {
    ag_err err = {0};
    uint32_t counts[512];
    assert_true(n <= 512);
    if (ag_engine_embed(e, inputs, n, opts, out, counts, &err))
        fail_msg("embed: %s", err.msg);
    for (size_t i = 0; i < n; i++)
        assert_true(counts[i] > 0 && (!inputs[i].ids || counts[i] == inputs[i].n_ids));
}

static double cosine(const float *a, const float *b, size_t n) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

/* ---- against the reference ------------------------------------------------------------------- */

static void check_reference(const char *model, const char *type) {
    texts t;
    texts_open(&t, model, type);
    ag_engine_opts o = test_opts(model_path(model, type));
    o.dtype = "f32";
    o.kv_type = "f32";
    ag_engine *exact = must_open(&o);
    o.dtype = o.kv_type = NULL;
    ag_engine *usual = must_open(&o);
    float got[MAX_INPUTS * MAX_EMBD];
    double worst = 0, far = 1;
    for (int pooling = AG_POOLING_MEAN; pooling <= AG_POOLING_LAST; pooling++) {
        ag_embed_opts eo = raw((ag_pooling)pooling);
        must_embed(exact, t.text, t.n, &eo, got);
        for (size_t i = 0; i < t.n; i++)
            for (size_t d = 0; d < t.n_embd; d++)
                worst = fmax(worst, fabs((double)got[i * t.n_embd + d] -
                                         t.want[(i * 3 + pooling - 1) * t.n_embd + d]));
        must_embed(usual, t.ids, t.n, &eo, got);
        for (size_t i = 0; i < t.n; i++)
            far = fmin(far, cosine(got + i * t.n_embd, t.want + (i * 3 + pooling - 1) * t.n_embd,
                                   t.n_embd));
    }
    print_message("%s %s: largest error %.1e, usual mode: least cosine %.5f\n", model, type, worst,
                  far);
    assert_true(worst < 2e-4);
    assert_true(far > (type[0] == 'f' || type[0] == 'b' ? 0.9999 : 0.99));
    ag_engine_close(&exact);
    ag_engine_close(&usual);
    texts_close(&t);
}

static void an_encoder_agrees_with_the_reference(void **state) {
    (void)state;
    static const char *const types[] = {"f32",  "f16",  "bf16", "q8_0", "q4_0", "q4_1",
                                        "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        check_reference("tiny-bert", types[i]);
}

static void a_decoder_agrees_with_the_reference(void **state) {
    (void)state;
    check_reference("tiny-qwen3", "f32");
    check_reference("tiny-qwen3", "q4_0");
}

/* ---- the laws -------------------------------------------------------------------------------- */

static ag_engine *open_with(const char *path, uint32_t threads, uint32_t rows) {
    ag_engine_opts o = test_opts(path);
    o.n_threads = threads;
    o.batch_tokens = rows;
    return must_open(&o);
}

/* Each input by itself, one thread. */
static void take_alone(const texts *t, const char *path, const ag_embed_opts *eo, float *out) {
    ag_engine *e = open_with(path, 1, 512);
    for (size_t i = 0; i < t->n; i++)
        must_embed(e, &t->ids[i], 1, eo, out + i * t->n_embd);
    ag_engine_close(&e);
}

static void check_laws(const char *model, const char *type, ag_pooling pooling) {
    static const uint32_t scenarios[][2] = {{1, 512}, {2, 7}, {3, 40}, {4, 128}};
    static answer a;
    const char *path = model_path(model, type);
    texts t;
    texts_open(&t, model, type);
    ag_embed_opts eo = raw(pooling);
    float alone[MAX_INPUTS * MAX_EMBD], got[20 * MAX_INPUTS * MAX_EMBD];
    take_alone(&t, path, &eo, alone);
    ag_embed_input many[20 * MAX_INPUTS]; /* more than run at once, of mixed lengths */
    size_t n = 20 * t.n;
    for (size_t i = 0; i < n; i++)
        many[i] = t.ids[(i * 3 + i / 7) % t.n];
    for (size_t s = 0; s < sizeof scenarios / sizeof *scenarios; s++) {
        ag_engine *e = open_with(path, scenarios[s][0], scenarios[s][1]);
        ag_engine_info info;
        ag_engine_get_info(e, &info);
        ag_request *beside = NULL;
        if (info.generates) {
            ag_request_opts ro = ask_ids(t.ids[0].ids, t.ids[0].n_ids, 60, &a);
            beside = must_submit(e, &ro);
        }
        must_embed(e, many, n, &eo, got);
        for (size_t i = 0; i < n; i++)
            if (memcmp(got + i * t.n_embd, alone + (i * 3 + i / 7) % t.n * t.n_embd,
                       t.n_embd * sizeof *got) != 0)
                fail_msg("%s %s, pooling %s, %u threads, %u rows: input %zu differs", model, type,
                         ag_pooling_name(pooling), scenarios[s][0], scenarios[s][1], i);
        if (beside)
            must_finish(&beside);
        ag_engine_close(&e);
    }
    texts_close(&t);
}

static void a_vector_is_the_same_alone_and_in_company(void **state) {
    (void)state;
    check_laws("tiny-bert", "f32", AG_POOLING_MEAN);
    check_laws("tiny-bert", "q4_0", AG_POOLING_MEAN);
    check_laws("tiny-bert", "f16", AG_POOLING_CLS);
    check_laws("tiny-qwen3", "q4_k", AG_POOLING_LAST);
    check_laws("tiny-qwen3", "f32", AG_POOLING_MEAN);
}

typedef struct caller {
    pthread_t thread;
    ag_engine *e;
    const texts *t;
    const float *alone;
    bool same;
} caller;

static void *call(void *arg) {
    caller *c = arg;
    float got[MAX_INPUTS * MAX_EMBD];
    c->same = true;
    for (int round = 0; round < 5; round++) {
        ag_embed_opts eo = raw(AG_POOLING_MODEL);
        ag_code code = ag_engine_embed(c->e, c->t->ids, c->t->n, &eo, got, NULL, NULL);
        c->same &= !code && !memcmp(got, c->alone, c->t->n * c->t->n_embd * sizeof *got);
    }
    return NULL;
}

static void many_threads_may_embed(void **state) {
    (void)state;
    texts t;
    texts_open(&t, "tiny-bert", "q8_0");
    const char *path = model_path("tiny-bert", "q8_0");
    float alone[MAX_INPUTS * MAX_EMBD];
    ag_embed_opts eo = raw(AG_POOLING_MEAN);
    take_alone(&t, path, &eo, alone);
    ag_engine *e = open_with(path, 2, 128);
    caller callers[6];
    for (size_t i = 0; i < 6; i++) {
        callers[i] = (caller){.e = e, .t = &t, .alone = alone};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_true(callers[i].same);
    }
    ag_engine_close(&e);
    texts_close(&t);
}

/* ---- options and refusals -------------------------------------------------------------------- */

static ag_engine *bert; /* tiny-bert, opened once; its context is 128 */

static void must_refuse(ag_engine *e, const ag_embed_input *in, size_t n, const ag_embed_opts *eo,
                        ag_code code, const char *says) {
    static float out[300 * MAX_EMBD];
    ag_err err = {0};
    assert_int_equal(ag_engine_embed(e, in, n, eo, out, NULL, &err), code);
    if (!strstr(err.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
}

static ag_embed_input of_text(const char *s) {
    return (ag_embed_input){.text = s, .text_len = strlen(s)};
}

static void normalising_and_cutting_dimensions(void **state) {
    (void)state;
    ag_embed_input in = of_text("the quick brown fox");
    float whole[MAX_EMBD], part[MAX_EMBD];
    ag_embed_opts eo = raw(AG_POOLING_MODEL);
    must_embed(bert, &in, 1, &eo, whole);
    eo.normalize = true;
    eo.dimensions = 48;
    must_embed(bert, &in, 1, &eo, part);
    double length = 0;
    for (int d = 0; d < 48; d++)
        length += (double)part[d] * part[d];
    assert_true(fabs(length - 1) < 1e-6);
    assert_true(cosine(whole, part, 48) > 0.999999);
    eo.dimensions = 129;
    must_refuse(bert, &in, 1, &eo, AG_E_ARG, "129");
}

static void the_default_is_what_the_model_says(void **state) {
    (void)state;
    ag_engine_info info;
    ag_engine_get_info(bert, &info);
    assert_false(info.generates);
    assert_int_equal(info.pooling, AG_POOLING_MEAN);
    assert_int_equal(info.context_length, 128);
    ag_embed_input in = of_text("hello");
    float a[MAX_EMBD], b[MAX_EMBD];
    ag_embed_opts eo = {.normalize = true, .pooling = AG_POOLING_MEAN};
    must_embed(bert, &in, 1, NULL, a);
    must_embed(bert, &in, 1, &eo, b);
    assert_memory_equal(a, b, 128 * sizeof *a);
    must_embed(bert, &in, 0, NULL, a); /* nothing of nothing */
}

static void a_long_input_is_refused_or_cut(void **state) {
    (void)state;
    static char text[4096];
    for (int i = 0; i < 300; i++)
        memcpy(text + 2 * i, "a ", 2);
    ag_embed_input in[] = {of_text("short"), of_text(text)};
    must_refuse(bert, in, 2, NULL, AG_E_CTX_FULL, "input 1: 302 tokens, but the context holds 128");
    int32_t *ids = NULL;
    size_t n = 0;
    ag_err err = {0};
    assert_int_equal(ag_engine_tokenize(bert, text, 600, true, false, &ids, &n, &err), AG_OK);
    ids[127] = ids[n - 1]; /* [SEP] stays the last token */
    ag_embed_input cut[] = {of_text("short"), {.ids = ids, .n_ids = 128}};
    float want[2 * MAX_EMBD], got[2 * MAX_EMBD];
    ag_embed_opts eo = ag_embed_default();
    must_embed(bert, cut, 2, &eo, want);
    eo.truncate = true;
    must_embed(bert, in, 2, &eo, got);
    assert_memory_equal(want, got, 2 * 128 * sizeof *got);
    ag_ids_free(ids);
}

static void wrong_inputs_are_named(void **state) {
    (void)state;
    const int32_t good[] = {2, 7, 3}, bad[] = {2, 384};
    ag_embed_input in[] = {of_text("a"), {.ids = good, .n_ids = 3}, {0}};
    must_refuse(bert, in, 3, NULL, AG_E_ARG, "input 2: exactly one");
    in[2] = (ag_embed_input){.text = "a", .text_len = 1, .ids = good, .n_ids = 3};
    must_refuse(bert, in, 3, NULL, AG_E_ARG, "input 2: exactly one");
    in[2] = (ag_embed_input){.ids = bad, .n_ids = 2};
    must_refuse(bert, in, 3, NULL, AG_E_ARG, "384");
    in[2] = (ag_embed_input){.ids = good};
    must_refuse(bert, in, 3, NULL, AG_E_ARG, "empty");
    in[2] = of_text("caf\xe9 au lait");
    must_refuse(bert, in, 3, NULL, AG_E_UTF8, "input 2");
    ag_embed_opts eo = {.pooling = (ag_pooling)9};
    must_refuse(bert, in, 2, &eo, AG_E_ARG, "pooling");
    eo = ag_embed_default();
    eo.priority = (ag_priority)7;
    must_refuse(bert, in, 2, &eo, AG_E_ARG, "priority is 7");
}

static void an_encoder_does_not_generate(void **state) {
    (void)state;
    static answer a;
    ag_err err = {0};
    ag_request_opts o = ask_text("hello", 4, &a);
    assert_int_equal(ag_engine_submit(bert, &o, NULL, &err), AG_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "embeddings"));
    const int32_t ids[] = {2, 3};
    float out[2 * 384];
    assert_int_equal(ag_engine_logits(bert, ids, 2, out, &err), AG_E_UNSUPPORTED);
    ag_message m = {"user", "hello"};
    char *text = NULL;
    assert_int_equal(ag_engine_chat(bert, &m, 1, NULL, &text, NULL, &err), AG_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "embeddings"));
}

static void a_chat_model_embeds_only_when_told_how(void **state) {
    (void)state;
    ag_engine *e = open_with(model_path("tiny-llama3", "q8_0"), 1, 128);
    ag_embed_input in = of_text("hello");
    must_refuse(e, &in, 1, NULL, AG_E_UNSUPPORTED, "not made for embeddings");
    float out[MAX_EMBD];
    ag_embed_opts eo = {.pooling = AG_POOLING_LAST, .normalize = true};
    must_embed(e, &in, 1, &eo, out);
    ag_engine_close(&e);
}

static int open_bert(void **state) {
    (void)state;
    bert = open_with(model_path("tiny-bert", "f32"), 1, 512);
    return 0;
}

static int close_bert(void **state) {
    (void)state;
    ag_engine_close(&bert);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_encoder_agrees_with_the_reference),
        cmocka_unit_test(a_decoder_agrees_with_the_reference),
        cmocka_unit_test(a_vector_is_the_same_alone_and_in_company),
        cmocka_unit_test(many_threads_may_embed),
        cmocka_unit_test(normalising_and_cutting_dimensions),
        cmocka_unit_test(the_default_is_what_the_model_says),
        cmocka_unit_test(a_long_input_is_refused_or_cut),
        cmocka_unit_test(wrong_inputs_are_named),
        cmocka_unit_test(an_encoder_does_not_generate),
        cmocka_unit_test(a_chat_model_embeds_only_when_told_how),
    };
    return cmocka_run_group_tests(tests, open_bert, close_bert);
}
