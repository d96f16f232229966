#include "routes/gen.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"

#define AT(field)   offsetof(ag_gen, field)
#define AT_S(f)     offsetof(ag_gen, sampling.f)
#define NAMED(f)    .at = AT_S(f), .has = offsetof(ag_gen, named.f)
#define MAX_TOKENS  134217728 /* as the command line has it */
#define MAX_BAD_IDS 65536     /* tokens of all bad words, as the engine has it */

/* Fields of both routes. */
#define SHARED                                                                                     \
    {.name = "model", .kind = AG_FIELD_TEXT, .at = AT(model)},                                     \
        {.name = "stream", .kind = AG_FIELD_BOOL, .at = AT(stream)},                               \
        {.name = "stream_options", .kind = AG_FIELD_OBJECT, .at = AT(stream_options)},             \
        {.name = "n", .kind = AG_FIELD_U32, .at = AT(n), .min = 1, .max = AG_MAX_CHOICES},         \
        {.name = "min_tokens", .kind = AG_FIELD_U32, .at = AT(min_tokens), .max = MAX_TOKENS},     \
        {.name = "stop", .kind = AG_FIELD_TEXTS, .at = AT(stop), .max = 64},                       \
        {.name = "stop_token_ids", .kind = AG_FIELD_IDS, .at = AT(stop_token_ids), .max = 1000},   \
        {.name = "ignore_eos", .kind = AG_FIELD_BOOL, .at = AT(ignore_eos)},                       \
        {.name = "temperature", .kind = AG_FIELD_F32, NAMED(temperature), .max = 100},             \
        {.name = "top_p", .kind = AG_FIELD_F32, NAMED(top_p), .max = 1},                           \
        {.name = "top_k", .kind = AG_FIELD_I32, NAMED(top_k), .min = -1, .max = 16777216},         \
        {.name = "min_p", .kind = AG_FIELD_F32, NAMED(min_p), .max = 1},                           \
        {.name = "typical_p", .kind = AG_FIELD_F32, .at = AT_S(typical_p), .min = 1e-6, .max = 1}, \
        {.name = "seed", .kind = AG_FIELD_I64, .at = AT(seed), .has = AT_S(has_seed)},             \
        {.name = "frequency_penalty",                                                              \
         .kind = AG_FIELD_F32,                                                                     \
         .at = AT_S(frequency_penalty),                                                            \
         .min = -2,                                                                                \
         .max = 2},                                                                                \
        {.name = "presence_penalty",                                                               \
         .kind = AG_FIELD_F32,                                                                     \
         .at = AT_S(presence_penalty),                                                             \
         .min = -2,                                                                                \
         .max = 2},                                                                                \
        {.name = "repetition_penalty",                                                             \
         .kind = AG_FIELD_F32,                                                                     \
         NAMED(repetition_penalty),                                                                \
         .min = 0.01,                                                                              \
         .max = 100},                                                                              \
        {.name = "repeat_last_n",                                                                  \
         .kind = AG_FIELD_I32,                                                                     \
         NAMED(penalty_last_n),                                                                    \
         .min = -1,                                                                                \
         .max = MAX_TOKENS},                                                                       \
        {.name = "mirostat", .kind = AG_FIELD_I32, NAMED(mirostat), .max = 2},                     \
        {.name = "mirostat_tau", .kind = AG_FIELD_F32, NAMED(mirostat_tau), .max = 100},           \
        {.name = "mirostat_eta", .kind = AG_FIELD_F32, NAMED(mirostat_eta), .max = 1},             \
        {.name = "dry_multiplier", .kind = AG_FIELD_F32, .at = AT_S(dry_multiplier), .max = 100},  \
        {.name = "dry_base", .kind = AG_FIELD_F32, .at = AT_S(dry_base), .min = 1, .max = 100},    \
        {.name = "dry_allowed_length",                                                             \
         .kind = AG_FIELD_I32,                                                                     \
         .at = AT_S(dry_allowed_length),                                                           \
         .min = 1,                                                                                 \
         .max = MAX_TOKENS},                                                                       \
        {.name = "dry_penalty_last_n",                                                             \
         .kind = AG_FIELD_I32,                                                                     \
         .at = AT_S(dry_penalty_last_n),                                                           \
         .min = -1,                                                                                \
         .max = MAX_TOKENS},                                                                       \
        {.name = "dry_sequence_breakers",                                                          \
         .kind = AG_FIELD_TEXTS,                                                                   \
         .at = AT(dry_breakers),                                                                   \
         .max = 64},                                                                               \
        {.name = "xtc_probability", .kind = AG_FIELD_F32, NAMED(xtc_probability), .max = 1},       \
        {.name = "xtc_threshold", .kind = AG_FIELD_F32, NAMED(xtc_threshold), .max = 1},           \
        {.name = "logit_bias", .kind = AG_FIELD_OBJECT, .at = AT(logit_bias)},                     \
        {.name = "allowed_token_ids",                                                              \
         .kind = AG_FIELD_IDS,                                                                     \
         .at = AT(allowed_token_ids),                                                              \
         .max = 1 << 24},                                                                          \
        {.name = "bad_words", .kind = AG_FIELD_TEXTS, .at = AT(bad_words), .max = 1024},           \
        {.name = "truncate_prompt",                                                                \
         .kind = AG_FIELD_TEXT,                                                                    \
         .at = AT(truncate),                                                                       \
         .words = "none left right middle"},                                                       \
        {.name = "add_special_tokens",                                                             \
         .kind = AG_FIELD_BOOL,                                                                    \
         .at = AT(add_special_tokens),                                                             \
         .has = AT(has_add_special_tokens)},                                                       \
        {.name = "response_format", .kind = AG_FIELD_OBJECT, .at = AT(response_format)},           \
        {.name = "structured_outputs", .kind = AG_FIELD_OBJECT, .at = AT(structured)},             \
        {.name = "guided_json", .kind = AG_FIELD_ANY, .at = AT(guided_json)},                      \
        {.name = "guided_choice", .kind = AG_FIELD_ARRAY, .at = AT(guided_choice)},                \
        {.name = "guided_regex", .kind = AG_FIELD_TEXT, .at = AT(guided_regex)},                   \
        {.name = "json_schema", .kind = AG_FIELD_ANY, .at = AT(json_schema)},                      \
        {.name = "regex", .kind = AG_FIELD_TEXT, .at = AT(regex)},                                 \
        {.name = "grammar", .kind = AG_FIELD_TEXT, .at = AT(grammar)},                             \
        {.name = "guided_grammar", .kind = AG_FIELD_TEXT, .at = AT(guided_grammar)},               \
        {.name = "priority",                                                                       \
         .kind = AG_FIELD_I32,                                                                     \
         .at = AT(priority),                                                                       \
         .min = -1000000,                                                                          \
         .max = 1000000},                                                                          \
        {.name = "max_queue_ms", .kind = AG_FIELD_U32, .at = AT(max_queue_ms), .max = 86400000},   \
        {.name = "cache_salt", .kind = AG_FIELD_TEXT, .at = AT(cache_salt)},                       \
        {.name = "prompt_logprobs",                                                                \
         .kind = AG_FIELD_U32,                                                                     \
         .at = AT(prompt_logprobs),                                                                \
         .max = 20,                                                                                \
         .has = AT(has_prompt_logprobs)},                                                          \
        {.name = "user", .kind = AG_FIELD_TAKEN}, {.name = "metadata", .kind = AG_FIELD_TAKEN},    \
        {.name = "safety_identifier", .kind = AG_FIELD_TAKEN}, {                                   \
        .name = "request_id", .kind = AG_FIELD_TAKEN                                               \
    }

static const ag_field chat_fields[] = {
    SHARED,
    {.name = "messages", .kind = AG_FIELD_ARRAY, .at = AT(messages)},
    {.name = "max_tokens",
     .kind = AG_FIELD_U32,
     .at = AT(max_tokens),
     .min = 1,
     .max = MAX_TOKENS,
     .has = AT(has_max_tokens),
     .or_none = true},
    {.name = "max_completion_tokens",
     .kind = AG_FIELD_U32,
     .at = AT(max_completion_tokens),
     .min = 1,
     .max = MAX_TOKENS,
     .has = AT(has_max_completion_tokens),
     .or_none = true},
    {.name = "logprobs", .kind = AG_FIELD_BOOL, .at = AT(logprobs)},
    {.name = "top_logprobs",
     .kind = AG_FIELD_U32,
     .at = AT(top_logprobs),
     .max = 20,
     .has = AT(has_top)},
    {.name = "tools", .kind = AG_FIELD_ARRAY, .at = AT(tools)},
    {.name = "tool_choice", .kind = AG_FIELD_ANY, .at = AT(tool_choice)},
    {.name = "parallel_tool_calls", .kind = AG_FIELD_BOOL, .at = AT(parallel_tool_calls)},
    {.name = "reasoning_format",
     .kind = AG_FIELD_TEXT,
     .at = AT(reasoning_format),
     .words = "inline split hidden none auto deepseek"},
    {.name = "separate_reasoning",
     .kind = AG_FIELD_BOOL,
     .at = AT(separate_reasoning),
     .has = AT(has_separate_reasoning)},
    {.name = "documents", .kind = AG_FIELD_ARRAY, .at = AT(documents)},
    {.name = "chat_template_kwargs", .kind = AG_FIELD_OBJECT, .at = AT(chat_template_kwargs)},
    {.name = "reasoning_effort", .kind = AG_FIELD_TEXT, .at = AT(reasoning_effort)},
    {.name = "add_generation_prompt", .kind = AG_FIELD_BOOL, .at = AT(add_generation_prompt)},
    {.name = "continue_final_message", .kind = AG_FIELD_BOOL, .at = AT(continue_final_message)},
    {0},
};

static const ag_field completion_fields[] = {
    SHARED,
    {.name = "prompt", .kind = AG_FIELD_ANY, .at = AT(prompt)},
    {.name = "suffix", .kind = AG_FIELD_TEXT, .at = AT(suffix)},
    {.name = "max_tokens",
     .kind = AG_FIELD_U32,
     .at = AT(max_tokens),
     .max = MAX_TOKENS,
     .has = AT(has_max_tokens),
     .or_none = true},
    {.name = "logprobs",
     .kind = AG_FIELD_U32,
     .at = AT(top_logprobs),
     .max = 20,
     .has = AT(has_top)},
    {.name = "echo", .kind = AG_FIELD_BOOL, .at = AT(echo)},
    {.name = "best_of", .kind = AG_FIELD_U32, .at = AT(best_of), .min = 1, .max = AG_MAX_CHOICES},
    {0},
};

static const ag_field stream_fields[] = {
    {.name = "include_usage", .kind = AG_FIELD_BOOL, .at = AT(include_usage)},
    {.name = "continuous_usage_stats", .kind = AG_FIELD_BOOL, .at = AT(continuous_usage)},
    {0},
};

static bool check_breakers(const ag_texts *breakers, ag_problem *p) {
    for (size_t i = 0; i < breakers->n; i++) {
        size_t n = strlen(breakers->v[i]);
        char param[AG_PARAM_TEXT];
        snprintf(param, sizeof param, "dry_sequence_breakers[%zu]", i);
        if (n == 0 || n > AG_MAX_BREAKER_BYTES)
            return ag_problem_bad(p, param, "%s has %zu bytes, expected 1 to %u", param, n,
                                  AG_MAX_BREAKER_BYTES);
    }
    return true;
}

/* What several fields mean together. */
static bool check(ag_gen *g, ag_buf *ignored, ag_problem *p) {
    if (g->chat && !g->messages)
        return ag_problem_bad(p, "messages", "messages is missing: a list of messages is expected");
    if (!g->chat && !g->prompt)
        return ag_problem_bad(p, "prompt",
                              "prompt is missing: a string, a list of strings, or token ids");
    if (g->suffix && !*g->suffix) /* as if it were not there */
        g->suffix = NULL;
    if (g->suffix && (g->echo || g->truncate))
        return ag_problem_bad(p, "suffix", "suffix and %s exclude each other",
                              g->echo ? "echo" : "truncate_prompt");
    if (g->chat && g->has_top && g->top_logprobs && !g->logprobs)
        return ag_problem_bad(p, "top_logprobs", "top_logprobs needs logprobs to be true");
    if (g->has_prompt_logprobs && g->stream)
        return ag_problem_bad(p, "prompt_logprobs", "prompt_logprobs are not streamed");
    if (g->sampling.mirostat == 1)
        return ag_problem_bad(p, "mirostat", "mirostat must be 0 or 2; version 1 is not supported");
    if (g->allowed_token_ids.v && !g->allowed_token_ids.n)
        return ag_problem_bad(p, "allowed_token_ids",
                              "allowed_token_ids is empty: no token would be allowed");
    if (g->best_of && g->best_of < g->n)
        return ag_problem_bad(p, "best_of", "best_of must be at least n, which is %u", g->n);
    if (g->best_of > g->n)
        ag_ignored_add(ignored, "best_of");
    if (g->has_max_tokens && g->max_tokens == 0 && !g->echo)
        return ag_problem_bad(p, "max_tokens", "max_tokens must be at least 1, but with echo");
    return check_breakers(&g->dry_breakers, p);
}

bool ag_gen_read(ag_gen *g, bool chat, const json_t *root, ag_arena *arena, ag_buf *ignored,
                 ag_problem *p) {
    *g = (ag_gen){.chat = chat,
                  .n = 1,
                  .add_generation_prompt = true,
                  .parallel_tool_calls = true,
                  .sampling = ag_sampling_default()};
    g->sampling.penalty_last_n =
        -1; /* all of prompt and answer, as clients of other servers expect */
    if (!ag_fields_read(chat ? chat_fields : completion_fields, root, NULL, g, arena, ignored, p))
        return false;
    if (g->stream_options &&
        !ag_fields_read(stream_fields, g->stream_options, "stream_options.", g, arena, ignored, p))
        return false;
    if (!chat)
        g->logprobs = g->has_top;
    if (g->sampling.top_k < 0)
        g->sampling.top_k = 0;
    if (g->sampling.top_p == 0) /* as clients send it for the likeliest token alone */
        g->sampling.top_p = FLT_MIN;
    g->sampling.seed = (uint64_t)g->seed;
    g->echo_only = g->has_max_tokens && !g->max_tokens;
    return check(g, ignored, p) && ag_gen_form(g, arena, p);
}

/* What the request does not name is as the model's file advises. */
static void take_advice(const ag_gen *g, const ag_engine *engine, ag_sampling *s) {
    ag_sampling own = *s;
    ag_engine_get_sampling(engine, &own);
#define OWN(field) s->field = g->named.field ? s->field : own.field
    OWN(temperature);
    OWN(top_k);
    OWN(top_p);
    OWN(min_p);
    OWN(repetition_penalty);
    OWN(penalty_last_n);
    OWN(xtc_probability);
    OWN(xtc_threshold);
    OWN(mirostat);
    OWN(mirostat_tau);
    OWN(mirostat_eta);
#undef OWN
}

/* ---- biases ---------------------------------------------------------------------------------- */

typedef struct biases {
    ag_logit_bias *v; /* the arena's */
    size_t n;
    int64_t n_vocab;
    ag_problem *p;
} biases;

static bool read_bias(biases *b, const char *key, const json_t *value) {
    char *end = NULL;
    errno = 0;
    long long id = strtoll(key, &end, 10);
    if (end == key || *end || errno || id < 0 || id >= b->n_vocab)
        return ag_problem_bad(b->p, "logit_bias",
                              "logit_bias: \"%.40s\" is not a token id from 0 to %lld", key,
                              (long long)b->n_vocab - 1);
    double x = json_number_value(value);
    if (!json_is_number(value) || !(x >= -100 && x <= 100))
        return ag_problem_bad(b->p, "logit_bias",
                              "logit_bias[\"%.40s\"] must be a number from -100 to 100", key);
    /* OpenAI's ends mean never and only. */
    b->v[b->n++] = (ag_logit_bias){(int32_t)id, x <= -100 ? -INFINITY : (float)x};
    return true;
}

/* Everything but the allowed tokens is forbidden. */
static bool add_allowed(biases *b, const ag_id_list *ids, ag_arena *arena) {
    uint8_t *allowed = ag_arena_get(arena, (size_t)b->n_vocab);
    if (!allowed)
        return ag_problem_memory(b->p, "allowed_token_ids");
    for (size_t i = 0; i < ids->n; i++) {
        if (ids->v[i] >= b->n_vocab)
            return ag_problem_bad(b->p, "allowed_token_ids",
                                  "allowed_token_ids[%zu] is %d; the model knows 0 to %lld", i,
                                  ids->v[i], (long long)b->n_vocab - 1);
        allowed[ids->v[i]] = 1;
    }
    for (int64_t id = 0; id < b->n_vocab; id++)
        if (!allowed[id])
            b->v[b->n++] = (ag_logit_bias){(int32_t)id, -INFINITY};
    return true;
}

static bool make_biases(const ag_gen *g, ag_engine *engine, ag_arena *arena, ag_sampling *s,
                        ag_problem *p) {
    ag_engine_info info;
    ag_engine_get_info(engine, &info);
    size_t room = json_object_size(g->logit_bias) + (g->allowed_token_ids.n ? info.n_vocab : 0);
    if (room == 0)
        return true;
    biases b = {.v = ag_arena_array(arena, room, sizeof *b.v), .n_vocab = info.n_vocab, .p = p};
    if (!b.v)
        return ag_problem_memory(p, "biases");
    const char *key;
    json_t *value;
    json_object_foreach(g->logit_bias, key, value) if (!read_bias(&b, key, value)) return false;
    if (g->allowed_token_ids.n && !add_allowed(&b, &g->allowed_token_ids, arena))
        return false;
    s->logit_bias = b.v;
    s->n_logit_bias = b.n;
    return true;
}

/* ---- bad words ------------------------------------------------------------------------------- */

/* The tokens of a word, with or without a blank in front of it. */
static bool add_word(const char *word, bool blank, size_t i, ag_engine *engine, ag_arena *arena,
                     ag_token_sequence *out, size_t *n_all, ag_problem *p) {
    ag_err err = {0};
    int32_t *ids = NULL;
    size_t n = strlen(word), n_ids = 0;
    char *text = ag_arena_get(arena, n + 1), param[AG_PARAM_TEXT];
    snprintf(param, sizeof param, "bad_words[%zu]", i);
    if (!text)
        return ag_problem_memory(p, "bad_words");
    text[0] = ' ';
    memcpy(text + blank, word, n);
    if (ag_engine_tokenize(engine, text, n + blank, false, true, &ids, &n_ids, &err))
        return ag_problem_of(p, &err, param);
    int32_t *kept = ag_arena_array(arena, n_ids, sizeof *kept);
    if (kept)
        memcpy(kept, ids, n_ids * sizeof *ids);
    ag_ids_free(ids);
    *out = (ag_token_sequence){kept, n_ids};
    if (n_ids == 0)
        return ag_problem_bad(p, param, "%s is empty", param);
    if ((*n_all += n_ids) > MAX_BAD_IDS)
        return ag_problem_bad(p, "bad_words", "bad_words have more than %d tokens", MAX_BAD_IDS);
    return kept || ag_problem_memory(p, "bad_words");
}

/* Each word as it is and as it stands after another one, which other tokens spell. */
static bool make_forbidden(const ag_gen *g, ag_engine *engine, ag_arena *arena, ag_sampling *s,
                           ag_problem *p) {
    if (g->bad_words.n == 0)
        return true;
    ag_token_sequence *v = ag_arena_array(arena, 2 * g->bad_words.n, sizeof *v);
    if (!v)
        return ag_problem_memory(p, "bad_words");
    size_t n_ids = 0;
    for (size_t i = 0; i < g->bad_words.n; i++) {
        const char *word = g->bad_words.v[i], *first = word + strspn(word, " ");
        word = *first ? first : word; /* of nothing but blanks: as it is */
        if (!add_word(word, false, i, engine, arena, &v[2 * i], &n_ids, p) ||
            !add_word(word, true, i, engine, arena, &v[2 * i + 1], &n_ids, p))
            return false;
    }
    s->forbidden = v;
    s->n_forbidden = 2 * g->bad_words.n;
    return true;
}

/* The request's stop tokens, and those that end text between two others. */
static bool make_stops(const ag_gen *g, ag_engine *engine, ag_arena *arena, ag_request_opts *o,
                       ag_problem *p) {
    size_t own = g->stop_token_ids.n, more = 0;
    const int32_t *ends = ag_engine_infill_ends(engine, &more);
    o->stop_ids = g->stop_token_ids.v;
    o->n_stop_ids = own;
    if (!g->suffix || g->ignore_eos)
        return true;
    int32_t *all = ag_arena_array(arena, own + more, sizeof *all);
    if (!all)
        return ag_problem_memory(p, "the request");
    memcpy(all, ends, more * sizeof *all);
    for (size_t i = 0; i < own; i++)
        all[more + i] = g->stop_token_ids.v[i];
    o->stop_ids = all;
    o->n_stop_ids = own + more;
    return true;
}

bool ag_gen_options(const ag_gen *g, ag_engine *engine, ag_arena *arena, ag_request_opts *o,
                    ag_problem *p) {
    o->sampling = g->sampling;
    take_advice(g, engine, &o->sampling);
    if (!make_biases(g, engine, arena, &o->sampling, p) ||
        !make_forbidden(g, engine, arena, &o->sampling, p) || !make_stops(g, engine, arena, o, p))
        return false;
    o->sampling.dry_breakers = g->dry_breakers.v; /* of an empty list none, not the usual ones */
    o->sampling.n_dry_breakers = g->dry_breakers.n;
    o->max_tokens = g->has_max_completion_tokens ? g->max_completion_tokens : g->max_tokens;
    if (g->echo_only)
        o->max_tokens = 1; /* which is not told */
    o->min_tokens = g->min_tokens;
    o->ignore_eos = g->ignore_eos;
    o->stop = g->stop.n ? g->stop.v : NULL;
    o->n_stop = g->stop.n;
    o->structure = g->structure;
    o->top_logprobs = g->logprobs ? (int32_t)g->top_logprobs : -1;
    return true;
}
