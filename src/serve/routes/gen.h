/* What a chat or completion request asks for: the fields of both as one struct, and how they become
 * the engine's options. Private to routes/. */
#ifndef AG_ROUTES_GEN_H
#define AG_ROUTES_GEN_H

#include "autoglm/engine.h"
#include "routes/fields.h"
#include "text/answer/answer.h"

#define AG_MAX_CHOICES     128 /* n; of all prompts of a request: AG_MAX_ALL_CHOICES */
#define AG_MAX_ALL_CHOICES 1024

typedef enum ag_tools_wish {
    AG_TOOLS_NONE, /* no tools, or they are not to be called */
    AG_TOOLS_AUTO,
    AG_TOOLS_REQUIRED, /* at least one call */
    AG_TOOLS_NAMED,    /* one call of tool_name */
} ag_tools_wish;

/* Fields of sampling that a model's file may advise: whether the request names them. */
typedef struct ag_gen_named {
    bool temperature, top_k, top_p, min_p, repetition_penalty, penalty_last_n;
    bool xtc_probability, xtc_threshold, mirostat, mirostat_tau, mirostat_eta;
} ag_gen_named;

typedef struct ag_gen {
    bool chat; /* or a plain completion; first, so that no flag of a field has offset 0 */

    const char *model;
    bool stream, include_usage, continuous_usage;
    json_t *stream_options;
    uint32_t n, best_of;

    /* where it ends */
    uint32_t max_tokens, max_completion_tokens, min_tokens;
    bool has_max_tokens, has_max_completion_tokens;
    ag_texts stop;
    ag_id_list stop_token_ids;
    bool ignore_eos;

    /* how tokens are chosen */
    ag_sampling sampling; /* what the request names; the rest is neutral */
    ag_gen_named named;
    int64_t seed;
    json_t *logit_bias;
    ag_id_list allowed_token_ids;
    ag_texts bad_words, dry_breakers;

    /* what is told */
    bool logprobs; /* chat */
    bool has_top;
    uint32_t prompt_logprobs;
    bool has_prompt_logprobs;
    uint32_t top_logprobs; /* chat: beside the chosen one; completions: logprobs */
    bool echo, echo_only;  /* the prompt before the answer; and no answer */

    /* the prompt */
    json_t *prompt; /* completions */
    const char *suffix;
    json_t *messages, *tools, *chat_template_kwargs, *documents;
    const char *reasoning_effort, *chat_template;
    bool add_generation_prompt, continue_final_message, add_special_tokens;
    bool has_add_special_tokens;
    const char *truncate;

    /* its terms */
    int32_t priority; /* as vLLM has it: lower comes first */
    uint32_t max_queue_ms;
    const char *cache_salt;

    /* the form of the answer */
    json_t *response_format, *structured, *guided_json, *guided_choice, *json_schema;
    const char *guided_regex, *guided_grammar, *regex, *grammar;
    json_t *tool_choice;
    bool parallel_tool_calls;
    const char *reasoning_format; /* NULL: the server's own */
    bool separate_reasoning, has_separate_reasoning;

    /* found by ag_gen_read() in what is above */
    const size_t
        *tools_at; /* [n] places of `tools` in the client's own list; NULL: all are there */
    ag_tools_wish tools_wish;
    const char *tool_name; /* for AG_TOOLS_NAMED */
    ag_structure structure;
    const char *structure_param; /* the field that it came from */
} ag_gen;

/* Read a request's body into *g; false: *p says what is wrong. Lists come from the arena, texts are
 * borrowed from `root`. */
bool ag_gen_read(ag_gen *g, bool chat, const json_t *root, ag_arena *arena, ag_buf *ignored,
                 ag_problem *p);

/* The form that an answer is asked to have, from response_format and its relatives: form.c. Texts
 * are the arena's or root's. */
bool ag_gen_form(ag_gen *g, ag_arena *arena, ag_problem *p);

/* The engine's options but for prompt, callbacks and terms, into *o, which has the usual ones; what
 * they point to is the arena's or root's. Needs the model for its vocabulary and context. */
bool ag_gen_options(const ag_gen *g, ag_engine *engine, ag_arena *arena, ag_request_opts *o,
                    ag_problem *p);

#endif
