/* A generation that a chat or completion request started: one engine request a choice, and their
 * answer, whole or streamed. Private to routes/.
 *
 *            first token, or         all choices done
 *            an error: CAS           ────────────────▶ answered
 *   WAITING ─────────────▶ BEGUN
 *      └─────────────────▶ FAILED    (an error before any byte went out: it gets its own status)
 *
 * The io thread makes it and starts it (or lets a pool's thread, for long prompts). Then everything
 * belongs to the engine's thread, in its callbacks, but for the atomics. It lives until the
 * exchange has ended and every choice is done. */
#ifndef AG_ROUTES_TASK_H
#define AG_ROUTES_TASK_H

#include <stdatomic.h>

#include "routes/exchange.h"
#include "routes/gen.h"
#include "routes/prompt.h"

#define AG_MAX_ANSWER_BYTES ((size_t)64 << 20) /* a whole answer */

typedef enum ag_task_phase { AG_TASK_WAITING, AG_TASK_BEGUN, AG_TASK_FAILED } ag_task_phase;

typedef struct ag_task ag_task;

typedef struct ag_choice {
    ag_task *task;
    uint32_t index;
    size_t prompt; /* of the task's */
    _Atomic(ag_request *) request;
    ag_buf text;        /* whole answers: what was said so far */
    ag_buf logprobs[4]; /* not told yet: see logprobs.c */
    size_t text_offset; /* characters before the next token, of completions' logprobs */
    bool greeted;       /* streams: the first chunk went out */
    uint32_t n_generated;
    ag_result result; /* set when done; tail and err are not kept */
} ag_choice;

struct ag_task {
    ag_exchange *x;    /* referenced */
    ag_served *served; /* a lease */
    ag_engine *engine;
    ag_gen gen;
    ag_prompts prompts;
    uint64_t created;         /* Unix seconds */
    ag_choice *choices;       /* the exchange's arena */
    _Atomic size_t n_choices; /* set after choices */
    _Atomic int phase;
    _Atomic int refs;
    _Atomic size_t n_open;
    _Atomic bool cancelled;
    _Atomic(const char *) reason; /* why it was cancelled, if not because its client left */
    bool broken;                  /* an error went into the stream */
    ag_buf head;                  /* how every chunk begins */
    ag_buf out;                   /* chunks being written */
};

/* Begin what *gen asks for with the leased model, which is taken in any case. The answer comes by
 * itself. On the io thread. */
void ag_task_start(ag_exchange *x, const ag_gen *gen, ag_served *served);
/* End it soon. `reason` is told to the client; NULL: nobody is there. Any thread that holds a
 * reference. */
void ag_task_cancel(ag_task *t, const char *reason);
/* The client's connection takes more again. */
void ag_task_drained(ag_task *t);
void ag_task_unref(ag_task *t);

/* ---- writing: chunk.c, the engine's thread ----------------------------------------------------
 */

/* What all chunks of a stream have in common. */
void ag_chunk_head(ag_task *t);
/* Append one event to t->out: `text` and the logprobs that were noted since the last one; `finish`
 * (NULL: not yet) ends the choice. */
void ag_chunk_add(ag_task *t, ag_choice *c, ag_span text, const char *finish);
/* Append the event that tells who speaks. */
void ag_chunk_greet(ag_task *t, ag_choice *c);
/* Append what follows the last choice. */
void ag_chunk_end(ag_task *t);
/* Append an event that tells an error. */
void ag_chunk_problem(ag_task *t, const ag_problem *p);
/* The whole answer as one object. */
void ag_chunk_whole(ag_task *t, ag_buf *out);
const char *ag_finish_word(ag_finish finish);

/* ---- logprobs.c -------------------------------------------------------------------------------
 */

/* Note a token's. */
void ag_logprobs_add(ag_choice *c, const ag_token_event *e);
/* Append what was noted as the value of "logprobs", and forget it. */
void ag_logprobs_flush(ag_choice *c, ag_buf *out);

#endif
