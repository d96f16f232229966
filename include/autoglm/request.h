/* What one generation is asked to do, and what it gives back. */
#ifndef AUTOGLM_REQUEST_H
#define AUTOGLM_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autoglm/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ag_logit_bias {
    int32_t id;
    float bias; /* added to the logit; -INFINITY forbids the token */
} ag_logit_bias;

/* Tokens in their order. */
typedef struct ag_token_sequence {
    const int32_t *ids; /* [n] */
    size_t n;           /* > 0 */
} ag_token_sequence;

/* How the next token is chosen. ag_sampling_default() gives the field's usual neutral values:
 * every filter off, temperature 1. Order of work: logit bias, repetition / frequency / presence
 * penalties, DRY, forbidden sequences, then (temperature > 0) top-k, typical, top-p, min-p, XTC,
 * temperature, draw. temperature 0 is greedy: the most likely token after bias and penalties,
 * lowest id among equals.
 */
typedef struct ag_sampling {
    float temperature;        /* 0..100 */
    int32_t top_k;            /* keep the k most likely; 0: all */
    float top_p;              /* keep the smallest set with this mass (0, 1]; 1: off */
    float min_p;              /* drop tokens below min_p times the best; 0: off */
    float typical_p;          /* locally typical sampling (Meister et al. 2023); 1: off */
    float repetition_penalty; /* divides (multiplies negative) logits of seen tokens; 1: off */
    float frequency_penalty;  /* subtracted once per occurrence in the answer; 0: off; -2..2 */
    float presence_penalty;   /* subtracted once if it occurred in the answer; 0: off; -2..2 */
    int32_t penalty_last_n;   /* repetition_penalty looks back this far (prompt too); -1: all */
    uint64_t seed;            /* used when has_seed; otherwise each request draws its own */
    bool has_seed;
    int32_t mirostat;     /* 0 off, 2: Mirostat 2.0 (Basu et al. 2021); replaces the filters */
    float mirostat_tau;   /* target surprise, bits */
    float mirostat_eta;   /* learning rate */
    float dry_multiplier; /* DRY: 0 off */
    float dry_base;       /* penalty = multiplier * base^(match - allowed) */
    int32_t dry_allowed_length;
    int32_t dry_penalty_last_n;      /* -1: all */
    const char *const *dry_breakers; /* strings that end a match; NULL: "\n" ":" "\"" "*" */
    size_t n_dry_breakers;
    float xtc_probability; /* XTC: 0 off */
    float xtc_threshold;
    const ag_logit_bias *logit_bias; /* borrowed until submit returns */
    size_t n_logit_bias;
    /* Sequences that the answer must not hold, as the words that they spell: where it ends in all
     * tokens of one but the last, the last does not come. Borrowed until submit returns. */
    const ag_token_sequence *forbidden;
    size_t n_forbidden;
} ag_sampling;

AG_API ag_sampling ag_sampling_default(void);

/* One candidate with its natural-log probability. */
typedef struct ag_token_logprob {
    int32_t id;
    float logprob; /* of softmax over the raw logits, before any filter */
} ag_token_logprob;

typedef enum ag_finish {
    AG_FINISH_NONE,      /* not finished */
    AG_FINISH_STOP,      /* a stop token or stop string */
    AG_FINISH_LENGTH,    /* max_tokens or the context was reached */
    AG_FINISH_CANCELLED, /* ag_request_cancel() or the engine closed */
    AG_FINISH_ERROR,     /* see ag_result.err; AG_E_TIMEOUT when its time was over */
} ag_finish;

/* One generated token as it is handed to the caller. Everything is borrowed for the call. */
typedef struct ag_token_event {
    int32_t id;
    float logprob;               /* of the chosen token; NAN unless logprobs were asked for */
    const ag_token_logprob *top; /* [n_top] most likely first */
    size_t n_top;
    const char *text; /* UTF-8 completed by this token; may be empty; not terminated */
    size_t text_len;
    uint64_t index; /* 0 for the first generated token */
} ag_token_event;

typedef struct ag_result {
    ag_finish finish;
    uint32_t n_prompt; /* tokens of the prompt */
    uint32_t n_cached; /* of these, found in the prefix cache */
    uint32_t n_generated;
    uint64_t queue_us;   /* submit → first prefill step */
    uint64_t prefill_us; /* first prefill step → first token (TTFT without queueing) */
    uint64_t decode_us;  /* first token → last token */
    const char *tail;    /* text that came out only at the end (an unfinished character, text held
                          * back for a stop string) */
    size_t tail_len;
    ag_err err; /* set when finish is AG_FINISH_ERROR */
} ag_result;

/* The form that an answer is held to: at every token only those are chosen from that can still
 * become a text of this form, and the answer ends when nothing can follow. */
typedef enum ag_structure_kind {
    AG_STRUCTURE_NONE = 0,
    AG_STRUCTURE_JSON_OBJECT = 1, /* any JSON object; needs no text */
    AG_STRUCTURE_JSON_SCHEMA = 2, /* text: a JSON Schema (draft 2020-12) */
    AG_STRUCTURE_REGEX = 3,       /* text: a regular expression that the whole answer matches */
    AG_STRUCTURE_CHOICE = 4,      /* text: a JSON array of strings, of which one is the answer */
    AG_STRUCTURE_GRAMMAR = 5,     /* text: a grammar in GBNF, from the rule "root" on */
} ag_structure_kind;

typedef struct ag_structure {
    ag_structure_kind kind;
    const char *text; /* UTF-8, borrowed until submit returns; see docs/structured-output.md */
    size_t len;
} ag_structure;

/* Whose turn comes first when not all can run; docs/scheduler.md has the order. */
typedef enum ag_priority {
    AG_PRIORITY_LOW = -1, /* what can wait: it leaves a quarter of the sequences to others */
    AG_PRIORITY_NORMAL = 0,
    AG_PRIORITY_HIGH = 1,
} ag_priority;

typedef struct ag_request_opts {
    /* Exactly one of prompt (tokenised by the engine) and prompt_ids. Borrowed until submit
     * returns. */
    const char *prompt;
    size_t prompt_len;
    bool parse_special; /* recognise control tokens in `prompt` */
    bool add_bos;       /* put BOS in front where the model wants it */
    const int32_t *prompt_ids;
    size_t n_prompt_ids;

    uint32_t max_tokens; /* 0: until a stop token or the context's end */
    uint32_t min_tokens; /* stop tokens are forbidden before this many */
    bool ignore_eos;
    const char *const *stop; /* strings; they are not part of the answer */
    size_t n_stop;
    const int32_t *stop_ids;
    size_t n_stop_ids;
    const int32_t
        *show_ids; /* control tokens whose text is part of the answer; others are hidden */
    size_t n_show_ids;
    int32_t top_logprobs; /* -1: none; 0: the chosen token's; 1..20: that many candidates */
    ag_sampling sampling;
    ag_structure structure; /* zero: free text */

    int32_t speculate; /* tokens guessed ahead, of those that stood in the text before; the answer
                        * is the same. 0: as the engine; -1: none; 1..16: so many, gain or not */
    ag_priority priority;
    const char *tenant;  /* who asks; requests of one name share one account of what they used, and
                          * accounts take turns by it. NULL: the account "" */
    float tenant_weight; /* that account's share beside others; 0: 1; up to 1000 */
    uint32_t timeout_ms; /* submit → end; later it ends with AG_E_TIMEOUT. 0: no limit */
    uint32_t max_queue_ms;  /* submit → first step, likewise. 0: no limit */
    const void *cache_salt; /* [cache_salt_len] computed beginnings are shared only among requests
                             * of equal salt; borrowed until submit returns */
    size_t cache_salt_len;

    /* Called from the engine's thread: be quick, and do not call back into the engine except
     * ag_request_cancel(), ag_request_pause() and ag_request_resume(). Return false to cancel. May
     * be NULL. */
    bool (*on_token)(void *ctx, const ag_token_event *event);
    /* Called exactly once for every accepted request, last. May be NULL. */
    void (*on_done)(void *ctx, const ag_result *result);
    void *ctx;
} ag_request_opts;

/* Zeroed, with neutral sampling, BOS on and no logprobs. */
AG_API ag_request_opts ag_request_default(void);

#ifdef __cplusplus
}
#endif
#endif
