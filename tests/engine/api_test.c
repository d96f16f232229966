/* The public functions one by one, on one thread: what they promise in engine.h and request.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/support.h"

static ag_engine *engine; /* tiny-llama3, opened once for all tests */
static answer a, b;

static int open_engine(void **state) {
    (void)state;
    ag_engine_opts o = test_opts(model_path("tiny-llama3", "q8_0"));
    o.n_threads = 2;
    engine = must_open(&o);
    return 0;
}

static int close_engine(void **state) {
    (void)state;
    ag_engine_close(&engine);
    return 0;
}

static int32_t special(const char *text) {
    int32_t *ids = NULL;
    size_t n = 0;
    ag_err err = {0};
    if (ag_engine_tokenize(engine, text, strlen(text), false, true, &ids, &n, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(n, 1);
    int32_t id = ids[0];
    ag_ids_free(ids);
    return id;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void max_tokens_ends_an_answer(void **state) {
    (void)state;
    ag_request_opts o = ask_text("Open the settings", 7, &a);
    must_answer(engine, &o);
    assert_int_equal(a.n, 7);
    assert_int_equal(a.finish, AG_FINISH_LENGTH);
    assert_int_equal(a.result.n_generated, 7);
    assert_true(a.result.n_prompt > 3 && a.result.prefill_us > 0);
    assert_int_equal(a.result.err.code, AG_OK);
}

static void the_context_ends_an_answer(void **state) {
    (void)state;
    ag_request_opts o = ask_text("Open the settings", 0, &a);
    must_answer(engine, &o);
    assert_int_equal(a.finish, AG_FINISH_LENGTH);
    assert_in_range(a.result.n_prompt + a.result.n_generated, 255, 257);
}

static void a_stop_string_is_not_part_of_the_answer(void **state) {
    (void)state;
    ag_request_opts o = ask_text("Open the settings", 40, &a);
    must_answer(engine, &o);
    assert_true(a.n_text > 24);
    char stop[5] = {0};
    memcpy(stop, a.text + a.n_text / 2, 4);
    const char *stops[] = {"\x01 never", stop};
    o = ask_text("Open the settings", 40, &b);
    o.stop = stops;
    o.n_stop = 2;
    must_answer(engine, &o);
    size_t want = (size_t)(strstr(a.text, stop) - a.text);
    assert_int_equal(b.finish, AG_FINISH_STOP);
    assert_int_equal(b.n_text, want);
    assert_memory_equal(b.text, a.text, want);
}

static void text_held_back_for_a_stop_string_comes_out_at_the_end(void **state) {
    (void)state;
    ag_request_opts o = ask_text("Open the settings", 12, &a);
    must_answer(engine, &o);
    char stop[64] = {0};
    memcpy(stop, a.text + a.n_text - 2, 2);
    strcat(stop, "\x01");
    const char *stops[] = {stop};
    o = ask_text("Open the settings", 12, &b);
    o.stop = stops;
    o.n_stop = 1;
    must_answer(engine, &o);
    assert_int_equal(b.finish, AG_FINISH_LENGTH);
    assert_string_equal(b.text, a.text);
}

static void a_stop_id_ends_an_answer(void **state) {
    (void)state;
    ag_request_opts o = ask_text("Hello", 10, &a);
    must_answer(engine, &o);
    int32_t stop = a.id[4];
    size_t first = 0;
    while (a.id[first] != stop)
        first++;
    o = ask_text("Hello", 10, &b);
    o.stop_ids = &stop;
    o.n_stop_ids = 1;
    o.ignore_eos = false;
    must_answer(engine, &o);
    assert_int_equal(b.finish, AG_FINISH_STOP);
    assert_in_range(b.n, first, first + 1); /* the stop token itself may be an event */
    o.min_tokens = (uint32_t)first + 3;
    o.ctx = &a;
    memset(&a, 0, sizeof a);
    must_answer(engine, &o);
    assert_true(a.n >= first + 3);
    for (size_t i = 0; i < first + 3; i++)
        assert_int_not_equal(a.id[i], stop);
}

static void the_models_stop_token_ends_an_answer_silently(void **state) {
    (void)state;
    const ag_logit_bias bias = {special("<|eot_id|>"), 1000.0f};
    ag_request_opts o = ask_text("Hello", 10, &a);
    o.sampling.logit_bias = &bias;
    o.sampling.n_logit_bias = 1;
    must_answer(engine, &o);
    assert_int_equal(a.finish, AG_FINISH_LENGTH); /* ignore_eos */
    assert_int_equal(a.n, 10);
    o = ask_text("Hello", 10, &a);
    o.sampling.logit_bias = &bias;
    o.sampling.n_logit_bias = 1;
    o.ignore_eos = false;
    must_answer(engine, &o);
    assert_int_equal(a.finish, AG_FINISH_STOP);
    assert_int_equal(a.n_text, 0);
}

static void control_tokens_are_shown_where_asked_for(void **state) {
    (void)state;
    bool control = false;
    const char text[] = "<|eot_id|>";
    const int32_t id = ag_engine_find_token(engine, text, strlen(text), &control);
    const ag_logit_bias bias = {id, 1000.0f};
    assert_int_equal(id, special(text));
    assert_true(control);
    ag_request_opts o = ask_text("Hello", 3, &a);
    o.sampling.logit_bias = &bias;
    o.sampling.n_logit_bias = 1;
    must_answer(engine, &o);
    assert_string_equal(a.text, "");
    o = ask_text("Hello", 3, &a);
    o.sampling.logit_bias = &bias;
    o.sampling.n_logit_bias = 1;
    o.show_ids = &id;
    o.n_show_ids = 1;
    must_answer(engine, &o);
    assert_string_equal(a.text, "<|eot_id|><|eot_id|><|eot_id|>");
    o.ignore_eos = false; /* what ends the answer is never part of it */
    memset(&a, 0, sizeof a);
    must_answer(engine, &o);
    assert_int_equal(a.finish, AG_FINISH_STOP);
    assert_int_equal(a.n_text, 0);
    o.n_show_ids = 65;
    ag_request *r = NULL;
    ag_err err = {0};
    assert_int_equal(ag_engine_submit(engine, &o, &r, &err), AG_E_ARG);
    assert_non_null(strstr(err.msg, "show_ids"));
}

static void tokens_are_found_by_their_text(void **state) {
    (void)state;
    bool control = true;
    assert_int_equal(ag_engine_find_token(engine, "<|never|>", 9, &control), -1);
    assert_false(control);
    assert_int_equal(ag_engine_find_token(engine, "", 0, NULL), -1);
    assert_non_null(strstr(ag_engine_chat_template(engine), "messages"));
}

static void a_forbidden_token_never_comes(void **state) {
    (void)state;
    ag_request_opts o = ask_text("Hello", 12, &a);
    must_answer(engine, &o);
    const ag_logit_bias bias = {a.id[0], -INFINITY};
    o = ask_text("Hello", 12, &b);
    o.sampling.logit_bias = &bias;
    o.sampling.n_logit_bias = 1;
    must_answer(engine, &o);
    for (size_t i = 0; i < b.n; i++)
        assert_int_not_equal(b.id[i], bias.id);
}

static void a_seed_repeats_an_answer(void **state) {
    (void)state;
    answer *both[] = {&a, &b};
    for (int i = 0; i < 2; i++) {
        ag_request_opts o = ask_text("Once", 40, both[i]);
        o.sampling.temperature = 1;
        o.sampling.seed = 5;
        o.sampling.has_seed = true;
        must_answer(engine, &o);
    }
    assert_true(same_answer(&a, &b));
    ag_request_opts o = ask_text("Once", 40, &b);
    o.sampling.temperature = 1;
    o.sampling.seed = 6;
    o.sampling.has_seed = true;
    must_answer(engine, &o);
    assert_false(same_answer(&a, &b));
}

static void without_a_seed_answers_differ(void **state) {
    (void)state;
    answer *both[] = {&a, &b};
    for (int i = 0; i < 2; i++) {
        ag_request_opts o = ask_text("Once", 40, both[i]);
        o.sampling.temperature = 1.5f;
        must_answer(engine, &o);
    }
    assert_false(same_answer(&a, &b));
}

static void returning_false_cancels(void **state) {
    (void)state;
    ag_request_opts o = ask_text("Hello", 50, &a);
    a.cancel_after = 3;
    must_answer(engine, &o);
    assert_int_equal(a.finish, AG_FINISH_CANCELLED);
    assert_int_equal(a.n, 3);
}

/* ---- log-probabilities ----------------------------------------------------------------------- */

static void logprobs_are_those_of_the_logits(void **state) {
    (void)state;
    golden g;
    golden_open(&g, "tiny-llama3", "q8_0");
    const golden_case *c = &g.prompt[0];
    ag_request_opts o = ask_ids(c->ids, c->n_ids, 8, &a);
    o.top_logprobs = 20;
    must_answer(engine, &o);
    int32_t *ids = calloc(c->n_ids + 8, sizeof *ids);
    memcpy(ids, c->ids, c->n_ids * sizeof *ids);
    memcpy(ids + c->n_ids, a.id, 8 * sizeof *ids);
    float *logits = must_logits(engine, ids, c->n_ids + 8);
    for (size_t k = 0; k < 8; k++) {
        const float *row = logits + (c->n_ids - 1 + k) * g.n_vocab;
        double sum = 0, mass = 0;
        for (size_t i = 0; i < g.n_vocab; i++)
            sum += exp((double)row[i]);
        assert_int_equal(a.n_top[k], 20);
        assert_int_equal(a.top[k][0].id, a.id[k]); /* greedy */
        assert_true(a.top[k][0].logprob == a.logprob[k]);
        for (size_t i = 0; i < 20; i++) {
            ag_token_logprob t = a.top[k][i];
            assert_true(fabs(t.logprob - (row[t.id] - log(sum))) < 1e-4);
            assert_true(i == 0 || t.logprob <= a.top[k][i - 1].logprob);
            mass += exp((double)t.logprob);
        }
        assert_true(mass > 0.05 && mass < 1.0001);
    }
    free(logits);
    free(ids);
    golden_close(&g);
}

static void logprobs_come_only_when_asked_for(void **state) {
    (void)state;
    ag_request_opts o = ask_text("Hello", 2, &a);
    o.top_logprobs = -1;
    must_answer(engine, &o);
    assert_true(isnan(a.logprob[0]));
    assert_int_equal(a.n_top[0], 0);
    o = ask_text("Hello", 2, &a);
    o.top_logprobs = 0;
    must_answer(engine, &o);
    assert_true(a.logprob[0] <= 0);
    assert_int_equal(a.n_top[0], 0);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void must_refuse(const ag_request_opts *o, ag_code code, const char *says) {
    ag_request *request = NULL;
    ag_err err = {0};
    ag_code got = ag_engine_submit(engine, o, &request, &err);
    if (got != code || !strstr(err.msg, says))
        fail_msg("expected %s with \"%s\", got %s: %s", ag_code_name(code), says, ag_code_name(got),
                 err.msg);
    assert_null(request);
    const answer *x = o->ctx;
    assert_int_equal(x->n_done, 0);
    assert_int_equal(x->n_tokens, 0);
}

static void a_prompt_beyond_the_context_is_refused_with_both_counts(void **state) {
    (void)state;
    int32_t ids[300];
    for (int i = 0; i < 300; i++)
        ids[i] = 5;
    ag_request_opts o = ask_ids(ids, 300, 4, &a);
    must_refuse(&o, AG_E_CTX_FULL, "300");
    must_refuse(&o, AG_E_CTX_FULL, "256");
    float *out = malloc(300 * vocab_of(engine) * sizeof *out);
    ag_err err = {0};
    assert_int_equal(ag_engine_logits(engine, ids, 300, out, &err), AG_E_CTX_FULL);
    assert_non_null(strstr(err.msg, "300"));
    free(out);
}

static void wrong_prompts_are_refused(void **state) {
    (void)state;
    const int32_t good[] = {1, 2}, past[] = {1, 384}, below[] = {-1};
    ag_request_opts o = ask_text("x", 1, &a);
    o.prompt = NULL;
    must_refuse(&o, AG_E_ARG, "prompt");
    o = ask_text("x", 1, &a);
    o.prompt_ids = good;
    o.n_prompt_ids = 2;
    must_refuse(&o, AG_E_ARG, "prompt");
    o = ask_ids(past, 2, 1, &a);
    must_refuse(&o, AG_E_ARG, "384");
    o = ask_ids(below, 1, 1, &a);
    must_refuse(&o, AG_E_ARG, "-1");
    o = ask_text("caf\xe9 au lait", 1, &a);
    must_refuse(&o, AG_E_UTF8, "UTF-8");
}

static void wrong_sampling_names_the_field(void **state) {
    (void)state;
    ag_request_opts o = ask_text("x", 1, &a);
    o.sampling.temperature = NAN;
    must_refuse(&o, AG_E_ARG, "temperature");
    o.sampling.temperature = -1;
    must_refuse(&o, AG_E_ARG, "temperature");
    o = ask_text("x", 1, &a);
    o.sampling.top_p = 0;
    must_refuse(&o, AG_E_ARG, "top_p");
    o = ask_text("x", 1, &a);
    o.sampling.min_p = 2;
    must_refuse(&o, AG_E_ARG, "min_p");
    o = ask_text("x", 1, &a);
    o.sampling.frequency_penalty = 3;
    must_refuse(&o, AG_E_ARG, "frequency_penalty");
    o = ask_text("x", 1, &a);
    o.sampling.mirostat = 1;
    must_refuse(&o, AG_E_ARG, "mirostat");
    o = ask_text("x", 1, &a);
    o.top_logprobs = 21;
    must_refuse(&o, AG_E_ARG, "top_logprobs");
    const ag_logit_bias bias = {99999, 1};
    o = ask_text("x", 1, &a);
    o.sampling.logit_bias = &bias;
    o.sampling.n_logit_bias = 1;
    must_refuse(&o, AG_E_ARG, "logit_bias");
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Positions 0 turn by no angle, so they cannot tell; the others can. */
static void rope_factors_follow_the_context(void **state) {
    (void)state;
    float *got[3];
    const uint32_t context[3] = {8, 16, 17}; /* the model was made for 16 and stretched */
    const int32_t ids[] = {5, 6, 7, 8};
    size_t n = 0;
    for (int i = 0; i < 3; i++) {
        ag_engine_opts o = test_opts(model_path("tiny-phi4-mini", "f32"));
        o.max_context_length = context[i];
        ag_engine *phi = must_open(&o);
        n = vocab_of(phi);
        got[i] = must_logits(phi, ids, 4);
        ag_engine_close(&phi);
    }
    assert_memory_equal(got[0], got[1], 4 * n * sizeof *got[0]);
    assert_memory_equal(got[0], got[2], n * sizeof *got[0]);
    assert_memory_not_equal(got[0] + n, got[2] + n, n * sizeof *got[0]);
    for (int i = 0; i < 3; i++)
        free(got[i]);
}

static void text_survives_the_round_trip(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "a",
        "Hello, world!",
        "  two  spaces ",
        "\n\n\t\r\n",
        "12345",
        "naïve façade",
        "你好，世界 🌍👩‍👩‍👧",
        "<|eot_id|> is text",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int32_t *ids = NULL;
        size_t n = 0, len = 0;
        char *text = NULL;
        ag_err err = {0};
        assert_int_equal(
            ag_engine_tokenize(engine, texts[i], strlen(texts[i]), false, false, &ids, &n, &err),
            AG_OK);
        assert_int_equal(ag_engine_detokenize(engine, ids, n, true, &text, &len, &err), AG_OK);
        assert_int_equal(len, strlen(texts[i]));
        assert_string_equal(text, texts[i]);
        ag_string_free(text);
        ag_ids_free(ids);
    }
}

static void control_tokens_show_only_when_asked(void **state) {
    (void)state;
    const int32_t ids[] = {special("<|eot_id|>"), 39, special("<|begin_of_text|>")};
    ag_err err = {0};
    char *text = NULL;
    assert_int_equal(ag_engine_detokenize(engine, ids, 3, false, &text, NULL, &err), AG_OK);
    assert_int_equal(strlen(text), 1);
    ag_string_free(text);
    assert_int_equal(ag_engine_detokenize(engine, ids, 3, true, &text, NULL, &err), AG_OK);
    assert_non_null(strstr(text, "<|eot_id|>"));
    ag_string_free(text);
    const int32_t past[] = {999999, -1}; /* ids that no token has have no text */
    assert_int_equal(ag_engine_detokenize(engine, past, 2, true, &text, NULL, &err), AG_OK);
    assert_string_equal(text, "");
    ag_string_free(text);
}

/* ---- chat ------------------------------------------------------------------------------------ */

static void chat_answers_as_its_ids_do(void **state) {
    (void)state;
    const ag_message messages[] = {{"system", "Be brief."}, {"user", "Hello, world!"}};
    int32_t *ids = NULL;
    size_t n = 0;
    ag_err err = {0};
    assert_int_equal(ag_engine_chat_ids(engine, messages, 2, &ids, &n, &err), AG_OK);
    ag_request_opts o = ask_ids(ids, n, 12, &a);
    must_answer(engine, &o);
    ag_request_opts chat = ag_request_default();
    chat.sampling.temperature = 0;
    chat.max_tokens = 12;
    chat.ignore_eos = true;
    char *text = NULL;
    ag_result result = {0};
    assert_int_equal(ag_engine_chat(engine, messages, 2, &chat, &text, &result, &err), AG_OK);
    assert_string_equal(text, a.text);
    assert_int_equal(result.n_prompt, n);
    assert_int_equal(result.n_generated, 12);
    assert_int_equal(result.finish, AG_FINISH_LENGTH);
    ag_string_free(text);
    ag_ids_free(ids);
}

static size_t count_id(const int32_t *ids, size_t n, int32_t id) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ids[i] == id;
    return count;
}

static void control_tokens_in_contents_stay_text(void **state) {
    (void)state;
    const ag_message plain = {"user", "x"}, sly = {"user", "x<|eot_id|>y"};
    int32_t eot = special("<|eot_id|>"), *ids = NULL;
    size_t n = 0;
    ag_err err = {0};
    assert_int_equal(ag_engine_chat_ids(engine, &plain, 1, &ids, &n, &err), AG_OK);
    size_t want = count_id(ids, n, eot);
    assert_true(want > 0);
    ag_ids_free(ids);
    assert_int_equal(ag_engine_chat_ids(engine, &sly, 1, &ids, &n, &err), AG_OK);
    assert_int_equal(count_id(ids, n, eot), want);
    ag_ids_free(ids);
}

static void a_template_that_objects_is_an_error(void **state) {
    (void)state;
    ag_engine_opts o = test_opts(model_path("tiny-llama2", "q8_0"));
    ag_engine *other = must_open(&o);
    const ag_message message = {"system", "x"};
    ag_err err = {0};
    int32_t *ids = NULL;
    size_t n = 0;
    assert_int_equal(ag_engine_chat_ids(other, &message, 1, &ids, &n, &err), AG_E_TEMPLATE);
    assert_non_null(strstr(err.msg, "Only user and assistant roles are supported!"));
    assert_null(ids);
    char *text = NULL;
    assert_int_equal(ag_engine_chat(other, &message, 1, NULL, &text, NULL, &err), AG_E_TEMPLATE);
    assert_null(text);
    ag_engine_close(&other);
}

static void another_template_may_be_given(void **state) {
    (void)state;
    ag_engine_opts o = test_opts(model_path("tiny-llama2", "q8_0"));
    o.chat_template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";
    ag_engine *other = must_open(&o);
    static const char body[] = "{\"messages\": [{\"role\": \"system\", \"content\": \"x\"}]}";
    ag_err err = {0};
    char *text = NULL;
    if (ag_engine_render(other, body, sizeof body - 1, &text, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(text, "[system]x");
    ag_string_free(text);
    ag_engine_close(&other);
}

static void a_conversation_in_json_has_the_ids_of_its_messages(void **state) {
    (void)state;
    ag_message message = {"user", "Say <|eot_id|> and [TEXT]"};
    static const char body[] =
        "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": "
        "\"Say <|eot_id|> and [TEXT]\"}]}]}";
    ag_err err = {0};
    int32_t *ids[2] = {NULL, NULL};
    size_t n[2] = {0};
    if (ag_engine_chat_ids(engine, &message, 1, &ids[0], &n[0], &err) ||
        ag_engine_render_ids(engine, body, sizeof body - 1, &ids[1], &n[1], &err))
        fail_msg("%s", err.msg);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(ids[0], ids[1], n[0] * sizeof *ids[0]);
    ag_ids_free(ids[0]);
    ag_ids_free(ids[1]);
}

static void wrong_json_is_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "", "{", "[]", "{}", "{\"messages\": 3}", "{\"messages\": [}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        ag_err err = {0};
        char *text = NULL;
        ag_code code = ag_engine_render(engine, bodies[i], strlen(bodies[i]), &text, &err);
        if (code != AG_E_ARG && code != AG_E_TEMPLATE)
            fail_msg("%s: %s: %s", bodies[i], ag_code_name(code), err.msg);
        assert_null(text);
        int32_t *ids = NULL;
        size_t n = 0;
        assert_int_equal(ag_engine_render_ids(engine, bodies[i], strlen(bodies[i]), &ids, &n, NULL),
                         code);
        assert_null(ids);
    }
}

static void tokens_can_be_looked_up(void **state) {
    (void)state;
    ag_vocab_info vocab;
    ag_token_info token;
    ag_err err = {0};
    int32_t *ids = NULL;
    size_t n = 0;
    ag_engine_get_vocab(engine, &vocab);
    assert_true(vocab.n_vocab > 0);
    assert_true(ag_engine_get_token(engine, vocab.eos, &token));
    assert_true(token.special && token.stops && token.len > 0);
    if (ag_engine_tokenize(engine, "a", 1, false, false, &ids, &n, &err))
        fail_msg("%s", err.msg);
    assert_true(ag_engine_get_token(engine, ids[0], &token));
    assert_true(!token.special && !token.stops && token.len == 1 && token.bytes[0] == 'a');
    assert_false(ag_engine_get_token(engine, -1, &token));
    assert_false(ag_engine_get_token(engine, (int32_t)vocab.n_vocab, &token));
    assert_null(token.bytes);
    ag_ids_free(ids);
}

/* ---- facts ----------------------------------------------------------------------------------- */

static void counters_tell_what_was_done(void **state) {
    (void)state;
    ag_engine_stats before, after;
    ag_engine_get_stats(engine, &before);
    ag_request_opts o = ask_text("Counted once", 7, &a);
    must_answer(engine, &o);
    ag_engine_get_stats(engine, &after);
    assert_int_equal(after.n_requests - before.n_requests, 1);
    assert_int_equal(after.n_generated - before.n_generated, 7);
    /* Alone, a step gives one token; the last token picked is never computed itself. */
    assert_int_equal(after.n_steps - before.n_steps, 7);
    int n_read = (int)(a.result.n_prompt - a.result.n_cached);
    assert_int_equal(after.n_rows - before.n_rows, n_read + 7 - 1);
    assert_in_range(n_read, 5, 16);
    assert_int_equal(after.n_steps_of[0] - before.n_steps_of[0], 6);
    size_t reading = n_read > 8 ? 4 : 3;
    assert_int_equal(after.n_steps_of[reading] - before.n_steps_of[reading], 1);
}

static void the_library_knows_its_version(void **state) {
    (void)state;
    char expected[32];
    snprintf(expected, sizeof expected, "%d.%d.%d", AG_VERSION_MAJOR, AG_VERSION_MINOR,
             AG_VERSION_PATCH);
    assert_string_equal(ag_version(), expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(max_tokens_ends_an_answer),
        cmocka_unit_test(the_context_ends_an_answer),
        cmocka_unit_test(a_stop_string_is_not_part_of_the_answer),
        cmocka_unit_test(text_held_back_for_a_stop_string_comes_out_at_the_end),
        cmocka_unit_test(a_stop_id_ends_an_answer),
        cmocka_unit_test(the_models_stop_token_ends_an_answer_silently),
        cmocka_unit_test(control_tokens_are_shown_where_asked_for),
        cmocka_unit_test(tokens_are_found_by_their_text),
        cmocka_unit_test(a_forbidden_token_never_comes),
        cmocka_unit_test(a_seed_repeats_an_answer),
        cmocka_unit_test(without_a_seed_answers_differ),
        cmocka_unit_test(returning_false_cancels),
        cmocka_unit_test(logprobs_are_those_of_the_logits),
        cmocka_unit_test(logprobs_come_only_when_asked_for),
        cmocka_unit_test(a_prompt_beyond_the_context_is_refused_with_both_counts),
        cmocka_unit_test(wrong_prompts_are_refused),
        cmocka_unit_test(wrong_sampling_names_the_field),
        cmocka_unit_test(rope_factors_follow_the_context),
        cmocka_unit_test(text_survives_the_round_trip),
        cmocka_unit_test(control_tokens_show_only_when_asked),
        cmocka_unit_test(chat_answers_as_its_ids_do),
        cmocka_unit_test(control_tokens_in_contents_stay_text),
        cmocka_unit_test(a_template_that_objects_is_an_error),
        cmocka_unit_test(another_template_may_be_given),
        cmocka_unit_test(a_conversation_in_json_has_the_ids_of_its_messages),
        cmocka_unit_test(wrong_json_is_refused),
        cmocka_unit_test(tokens_can_be_looked_up),
        cmocka_unit_test(counters_tell_what_was_done),
        cmocka_unit_test(the_library_knows_its_version),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
