/* The engine: one loaded model, a scheduler thread and a compute pool.
 *
 *     ag_engine *engine = NULL;
 *     ag_err err = {0};
 *     ag_engine_opts opts = ag_engine_default();
 *     opts.model = "smollm2.gguf";
 *     if (ag_engine_open(&opts, &engine, &err)) { puts(err.msg); return 1; }
 *     char *answer = NULL;
 *     ag_message msg = {"user", "What is the capital of France?"};
 *     if (!ag_engine_chat(engine, &msg, 1, NULL, &answer, NULL, &err)) puts(answer);
 *     ag_string_free(answer);
 *     ag_engine_close(&engine);
 *
 * Threads: every function may be called from any thread at any time between open and close, unless
 * it says otherwise. The library never prints, exits, reads the environment or installs signal
 * handlers. */
#ifndef AUTOGLM_ENGINE_H
#define AUTOGLM_ENGINE_H

#include "autoglm/embed.h"
#include "autoglm/error.h"
#include "autoglm/models.h"
#include "autoglm/request.h"
#include "autoglm/version.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ag_engine ag_engine;
typedef struct ag_request ag_request;

/* What computes: one engine thread and its compute pool. Several engines may share one: their steps
 * take turns by the time they have used, so that cores are never asked for twice. Opening or
 * closing one of them does not stop the others. */
typedef struct ag_executor ag_executor;

/* n_threads 0: one per physical core available. AG_E_ARG, AG_E_NOMEM. */
AG_API ag_code ag_executor_open(uint32_t n_threads, ag_executor **out, ag_err *err) AG_MUST_USE;
/* Give it back: its threads end with the last engine that was opened on it. Not from a callback.
 * Sets *executor to NULL; accepts NULL. */
AG_API void ag_executor_close(ag_executor **executor);

/* Loading: called from the opening thread with bytes of weights ready and in all; return false to
 * give up (open then fails with AG_E_CANCELLED). */
typedef bool (*ag_progress_fn)(void *ctx, uint64_t done_bytes, uint64_t total_bytes);

typedef struct ag_engine_opts {
    const char
        *model; /* path of a GGUF file (of a split set, any part) or of a folder, or a name */
    const char *registry;   /* the file that names are looked up in (models.h); NULL: none are */
    const char *device_map; /* NULL or "auto"; "cpu"; layers to devices: docs/devices.md */
    uint32_t max_context_length; /* tokens of one sequence; 0: the model's own, cut to what fits */
    uint32_t max_sequences;      /* sequences that run at once; 0: 16, of an encoder 64 */
    uint64_t kv_tokens;          /* tokens of KV in all sequences; 0: as many as needed and fit */
    const char *kv_type;         /* "f16" (default), "f32", "bf16", "q8_0" */
    const char *dtype;           /* "auto": as in the file; "f32", "f16", "bf16": re-encode */
    const char *quantize;   /* NULL or "none"; "int8", "q4_k_m", ...: before dtype, on loading */
    double memory_fraction; /* of the machine's or cgroup's memory; 0: 0.7 */
    uint64_t memory_bytes;  /* instead: at most so much for weights, KV and working memory */
    ag_executor *executor;  /* what computes; NULL: the engine starts one of its own */
    uint32_t n_threads;     /* of an own one; 0: one per physical core available */
    const char *numa; /* NULL or "auto", "off", "interleave", a node's number: docs/devices.md */
    uint32_t batch_tokens;        /* most tokens of a step (a prefill chunk); 0: 512 */
    uint32_t max_queued_requests; /* that wait; beyond it submit says AG_E_AGAIN; 0: 512 */
    uint64_t max_queued_tokens; /* of their prompts, likewise; 0: 8 times what the KV holds. A lone
                                 * request may be longer */
    uint32_t itl_target_ms; /* between two tokens of a stream while prompts are read beside it; 0:
                             * 1.65 times what it is without, 1.75 where several are read */
    int32_t speculate;      /* of requests that say 0, as there; 0: up to 8, where it gains */
    const char *isa;        /* NULL or "auto": the best; "ref", "avx2", ... (autoglm version) */
    const char *chat_template; /* Jinja source that replaces the model's own; NULL: the model's */
    const char *generation_config; /* NULL or "auto": ag_engine_get_sampling() tells what the
                                    * model's file says; "none": nothing */
    const char
        *image_cache; /* folder where packed weights are kept, so that the next start maps them
                       * (docs/models.md); NULL or "off": nowhere. One folder serves all */
    uint64_t image_cache_bytes; /* of all that is kept there; 0: 32 GiB */
    ag_progress_fn on_progress; /* may be NULL */
    void *progress_ctx;
    /* One line of text a record, no newline; from any thread. level: 0 error .. 3 debug. */
    void (*on_log)(void *ctx, int level, const char *component, const char *line);
    void *log_ctx;
    int log_level;
} ag_engine_opts;

/* Zero is the default of every field; this says so by name. */
AG_API ag_engine_opts ag_engine_default(void);

/* Load a model and start its threads. On success *out is owned by the caller until
 * ag_engine_close(). On failure *out is NULL and nothing is held.
 * AG_E_ARG, AG_E_NOT_FOUND, AG_E_IO, AG_E_FORMAT, AG_E_UNSUPPORTED, AG_E_BUDGET (the message shows
 * the arithmetic), AG_E_NOMEM, AG_E_CANCELLED. */
AG_API ag_code ag_engine_open(const ag_engine_opts *opts, ag_engine **out, ag_err *err) AG_MUST_USE;

/* What a model takes in memory. */
typedef struct ag_engine_needs {
    uint64_t weight_bytes;
    uint64_t scratch_bytes;  /* working memory of a step */
    uint64_t least_kv_bytes; /* as max_context_length and kv_tokens ask for; where they do not, so
                              * little that one sequence of usual length fits */
    uint64_t usual_kv_bytes; /* what it takes where memory is plenty */
} ag_engine_needs;

/* What opening with these options would take, whatever there is: its file is read, nothing is
 * loaded. Errors as of ag_engine_open(), but AG_E_BUDGET. */
AG_API ag_code ag_engine_measure(const ag_engine_opts *opts, ag_engine_needs *out,
                                 ag_err *err) AG_MUST_USE;

/* Cancel what still runs (each request gets its on_done), stop the threads, free everything. Call
 * it once, when no other thread is inside another function of this engine. Sets *engine to NULL;
 * accepts NULL. */
AG_API void ag_engine_close(ag_engine **engine);

/* Queue a generation. Its callbacks may come before this returns. *out (may be NULL: fire and
 * forget) must be released with ag_request_release().
 * AG_E_ARG (which field), AG_E_UTF8, AG_E_CTX_FULL (both counts), AG_E_GRAMMAR (what is wrong with
 * `structure`, and where in it), AG_E_AGAIN (the line is full, and for how long; see
 * ag_engine_stats.retry_after_s), AG_E_SHARE (this tenant's part of it is), AG_E_NOMEM,
 * AG_E_CLOSED. On failure no callback is called. */
AG_API ag_code ag_engine_submit(ag_engine *engine, const ag_request_opts *opts, ag_request **out,
                                ag_err *err) AG_MUST_USE;
/* Would ag_engine_submit() refuse a request of this tenant that may wait so long (timeout_ms,
 * max_queue_ms), with a prompt of about so many tokens (0: not known)? To be asked before a prompt
 * is rendered and tokenised; of opts only the terms are read. Refusals are those of
 * ag_engine_submit(), in words and in ag_engine_stats; AG_OK keeps no place. Any thread. AG_E_ARG,
 * AG_E_AGAIN, AG_E_SHARE, AG_E_CLOSED. */
AG_API ag_code ag_engine_admit(ag_engine *engine, const ag_request_opts *opts, size_t n_tokens,
                               ag_err *err) AG_MUST_USE;
/* Ask a request to end; its on_done follows with AG_FINISH_CANCELLED unless it ended before. */
AG_API void ag_request_cancel(ag_request *request);
/* Let a request rest (a reader that does not keep up) and go on. A resting one is not computed; it
 * keeps its KV unless others need it, and its deadlines run on. One token that is being computed
 * may still come. Both may be called at any time, also from callbacks; the last call counts. */
AG_API void ag_request_pause(ag_request *request);
AG_API void ag_request_resume(ag_request *request);
/* Block until on_done has returned. Not from a callback. */
AG_API void ag_request_wait(ag_request *request);
/* Give the handle back (a running request goes on). Sets *request to NULL; accepts NULL. */
AG_API void ag_request_release(ag_request **request);

typedef struct ag_message {
    const char *role;    /* "system", "user", "assistant", ... as the model's template knows them */
    const char *content; /* UTF-8 */
} ag_message;

/* Render messages with the model's chat template, generate, and return the whole answer as a
 * NUL-terminated string freed with ag_string_free(). `opts` (may be NULL: as the model's file
 * advises, ag_engine_get_sampling()) gives sampling, limits and callbacks; its prompt fields are
 * ignored. `result` may be NULL. Blocks. AG_E_TEMPLATE, and
 * whatever ag_engine_submit() gives; AG_E_CANCELLED. */
AG_API ag_code ag_engine_chat(ag_engine *engine, const ag_message *messages, size_t n_messages,
                              const ag_request_opts *opts, char **answer, ag_result *result,
                              ag_err *err) AG_MUST_USE;
/* The ids that ag_engine_chat() would start from. *ids is freed with ag_ids_free(). Control tokens
 * written inside contents stay plain text. */
AG_API ag_code ag_engine_chat_ids(ag_engine *engine, const ag_message *messages, size_t n_messages,
                                  int32_t **ids, size_t *n, ag_err *err) AG_MUST_USE;
/* The same from an OpenAI-style JSON object {"messages": [...], "tools": [...], and any other
 * variable of the template}; the rendered text as a string. `add_generation_prompt` defaults to
 * true; `continue_final_message` ends the text behind the last message instead, to go on with it.
 * AG_E_ARG, AG_E_TEMPLATE, AG_E_NOMEM. */
AG_API ag_code ag_engine_render(ag_engine *engine, const char *json, size_t json_len, char **text,
                                ag_err *err) AG_MUST_USE;

/* The ids of the same conversation, freed with ag_ids_free(): as those of the rendered text, but
 * control tokens are recognised only in what the template writes, never in what came in the JSON.
 * To be generated from as prompt_ids. Errors as ag_engine_render(). */
AG_API ag_code ag_engine_render_ids(ag_engine *engine, const char *json, size_t json_len,
                                    int32_t **ids, size_t *n, ag_err *err) AG_MUST_USE;

/* The chat template that conversations with tools go through, as the model's file has it (Jinja
 * source); NULL when the model has none that works. It lives as long as the engine. */
AG_API const char *ag_engine_chat_template(const ag_engine *engine);
/* Id of the token whose text is exactly this, or -1. *control (may be NULL) tells whether it is a
 * control token: hidden in answers unless ag_request_opts.show_ids names it. */
AG_API int32_t ag_engine_find_token(const ag_engine *engine, const char *text, size_t len,
                                    bool *control);

/* Text → ids (freed with ag_ids_free) and back (ag_string_free). Ids outside the vocabulary, which
 * a padded output layer can give, decode to nothing. */
AG_API ag_code ag_engine_tokenize(ag_engine *engine, const char *text, size_t len, bool add_bos,
                                  bool parse_special, int32_t **ids, size_t *n,
                                  ag_err *err) AG_MUST_USE;
AG_API ag_code ag_engine_detokenize(ag_engine *engine, const int32_t *ids, size_t n,
                                    bool show_special, char **text, size_t *len,
                                    ag_err *err) AG_MUST_USE;

/* The ids to generate from, so that the answer goes between two texts: the model's own form for
 * filling in the middle, for those that were made for it (code models mostly). Control tokens in
 * both texts are recognised. *ids is freed with ag_ids_free(). AG_E_UNSUPPORTED: the model has no
 * such form. AG_E_UTF8, AG_E_LIMIT, AG_E_NOMEM. */
AG_API ag_code ag_engine_infill_ids(ag_engine *engine, const char *before, size_t before_len,
                                    const char *behind, size_t behind_len, bool add_bos,
                                    int32_t **ids, size_t *n, ag_err *err) AG_MUST_USE;
/* Such an answer should end at these tokens too (stop_ids); [*n], live as long as the engine. */
AG_API const int32_t *ag_engine_infill_ends(const ag_engine *engine, size_t *n);

/* One token of the vocabulary. */
typedef struct ag_token_info {
    const char *bytes; /* what it decodes to, special ones too; lives as long as the engine; not
                        * terminated, and a token may be a part of a character */
    size_t len;
    bool special; /* a control token, which answers do not show */
    bool stops;   /* answers end at it, unless ignore_eos */
} ag_token_info;

/* False: there is no such token; then *info is zero. */
AG_API bool ag_engine_get_token(const ag_engine *engine, int32_t id, ag_token_info *info);

/* What a client needs that tokenises by itself. */
typedef struct ag_vocab_info {
    uint32_t n_vocab;
    int32_t bos, eos; /* -1: there is none */
    bool adds_bos;
} ag_vocab_info;

AG_API void ag_engine_get_vocab(const ag_engine *engine, ag_vocab_info *info);

AG_API void ag_string_free(char *s);
AG_API void ag_ids_free(int32_t *ids);

typedef struct ag_engine_info {
    const char *architecture; /* "llama"; lives as long as the engine, as the others */
    const char *name;         /* general.name or the file's name */
    const char *isa;          /* "avx2" */
    uint32_t n_vocab;
    uint32_t n_layers;
    uint32_t n_embd;
    uint32_t context_length; /* that one sequence may use here */
    uint32_t train_context;  /* that the model was made for */
    uint32_t n_threads;
    uint64_t n_params;       /* of all tensors of the model's files */
    uint64_t file_bytes;     /* of those files together */
    uint64_t weight_bytes;   /* packed, in memory */
    const char *weight_type; /* "Q4_K": what most weights are computed in; the rest may differ */
    float bits_per_weight;   /* of the matrices as they are computed with, without padding */
    const char *digest;      /* SHA-256 in hex of the files, as the registry has it; "": opened by a
                              * path, or the files have changed since they were registered */
    uint64_t kv_bytes;       /* reserved */
    uint64_t kv_tokens;
    uint64_t scratch_bytes;
    bool has_chat_template;
    bool generates;     /* false: an encoder, for ag_engine_embed() only */
    ag_pooling pooling; /* how it embeds by itself; AG_POOLING_MODEL: it was not made for that */
    const char *device_map; /* what runs where: "token_embd=cpu,0-23=cpu,..." */
} ag_engine_info;

AG_API void ag_engine_get_info(const ag_engine *engine, ag_engine_info *info);

/* Replace those fields of *sampling for which the model's file has advice (generation_config.json
 * of a folder, general.sampling.* of a GGUF file): what a request is to be given that asks for
 * nothing else. The others stay as they are. */
AG_API void ag_engine_get_sampling(const ag_engine *engine, ag_sampling *sampling);

#define AG_STEP_SIZES 15

/* What the engine has done since it was opened (n_..., these only grow) and how it stands. */
typedef struct ag_engine_stats {
    uint64_t n_steps; /* steps computed; each carries rows of many requests */
    uint64_t n_rows;  /* tokens computed in them, of prompts and of answers */
    /* [i] of the n_steps had at most 2^i rows, and more than 2^(i-1); the last one: all larger. */
    uint64_t n_steps_of[AG_STEP_SIZES];
    uint64_t n_generated; /* tokens picked */
    uint64_t n_requests;  /* requests that ended, however they did */

    /* The ledger: n_submitted = running + waiting + n_requests, and n_requests = n_succeeded +
     * n_failed + n_cancelled + n_expired, once the engine rests. */
    uint64_t n_submitted; /* accepted into the line */
    uint64_t n_succeeded;
    uint64_t n_failed;
    uint64_t n_cancelled;
    uint64_t n_expired;           /* ended by a deadline, waiting or running */
    uint64_t n_rejected_requests; /* refused: max_queued_requests */
    uint64_t n_rejected_tokens;   /* refused: max_queued_tokens */
    uint64_t n_rejected_late;     /* refused: the line is far longer than its deadline allows */
    uint64_t n_rejected_share;    /* refused: its tenant holds as much of the line as it may */

    uint64_t n_step_us;      /* time in steps, with picking and handing out their tokens */
    uint64_t n_prefill_rows; /* of n_rows, those of prompts (and of what was recomputed) */
    uint64_t n_decode_rows;
    uint64_t n_drafted;        /* of n_decode_rows, those of tokens that were guessed */
    uint64_t n_drafts_true;    /* of these, guessed right */
    uint64_t n_preempted;      /* times that a sequence had to give its KV back */
    uint64_t n_prefix_queried; /* tokens of prompts that were looked up in the prefix cache */
    uint64_t n_prefix_found;   /* and were there */

    uint32_t running;          /* requests with KV, resting ones too */
    uint32_t waiting;          /* in line */
    uint32_t paused;           /* resting, wherever they are */
    uint64_t waiting_tokens;   /* of the prompts in line */
    uint64_t kv_blocks;        /* in all, of kv_block_tokens each */
    uint64_t kv_blocks_used;   /* by running sequences */
    uint64_t kv_blocks_cached; /* free, but still holding a beginning that may be found */
    uint32_t kv_block_tokens;
    uint64_t step_age_us; /* how long the present step runs, its planning included; 0: none does */

    /* How fast the line empties, measured over the last half minute or so of work; 0: not known. */
    double tokens_per_s;   /* rows computed */
    double requests_per_s; /* requests that ended */
    double queue_wait_s;   /* how long a request that comes now will wait, as far as one can tell */
    double retry_after_s;  /* until a quarter of the line will be free; 0: there is room now */
} ag_engine_stats;

/* Each counter is exact, but they are read one after another while the engine runs. Once a
 * request's on_done was called, everything done for it is counted. */
AG_API void ag_engine_get_stats(const ag_engine *engine, ag_engine_stats *stats);

/* Logits of every position: out[n * n_vocab] float32, as a fresh sequence. For oracles and
 * evaluation; runs in the batch beside other requests. AG_E_ARG, AG_E_CTX_FULL, AG_E_NOMEM. */
AG_API ag_code ag_engine_logits(ag_engine *engine, const int32_t *ids, size_t n, float *out,
                                ag_err *err) AG_MUST_USE;

/* Embed n inputs: row i of out, [n, dimensions or n_embd] float32, is the vector of inputs[i]; it
 * is bit-equal whatever else is embedded or generated at the same time. n_tokens (may be NULL) gets
 * how many tokens of each were computed. opts NULL: ag_embed_default(). Blocks; any thread.
 * AG_E_UNSUPPORTED (a model not made for embeddings, unless opts names the pooling), AG_E_ARG and
 * AG_E_UTF8 (which input), AG_E_CTX_FULL (both counts; see truncate), AG_E_AGAIN, AG_E_NOMEM,
 * AG_E_CLOSED. On error `out` may hold a part. */
AG_API ag_code ag_engine_embed(ag_engine *engine, const ag_embed_input *inputs, size_t n,
                               const ag_embed_opts *opts, float *out, uint32_t *n_tokens,
                               ag_err *err) AG_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
