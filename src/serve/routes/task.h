/* A generation that a chat or completion request started: one engine request a choice, and their
 * answer, whole or streamed. Private to routes/.
 *
 *            first token, or         all choices done
 *            an error: CAS           ────────────────▶ answered
 *   WAITING ─────────────▶ BEGUN
 *      └─────────────────▶ FAILED    (an error before any byte went out: it gets its own status)
 *
 * The io thread makes it and starts it (or a pool's thread, for long prompts). Then everything
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

/* Why it ends before its end. */
typedef enum ag_cancel_reason {
    AG_CANCEL_LEFT, /* nobody is there to be told */
    AG_CANCEL_OWNER,
    AG_CANCEL_SHUTDOWN,
    AG_CANCEL_CHOICE, /* one of its choices could not be started */
} ag_cancel_reason;

typedef struct ag_task ag_task;

typedef struct ag_choice {
    ag_task *task;
    uint32_t index;
    size_t prompt; /* of the task's */
    _Atomic(ag_request *) request;
    ag_answer_parser *parser; /* owned; NULL: the text is the answer */
    ag_buf text, reasoning;   /* whole answers: what was said so far */
    ag_buf calls;             /* and the calls, as items of "tool_calls" */
    bool call_open;           /* the last of them has no end yet */
    bool thinks;              /* what came last was reasoning */
    uint32_t n_calls, n_reasoning;
    ag_buf logprobs[4];     /* not told yet: see logprobs.c */
    ag_buf prompt_logprobs; /* of a prompt's first choice, when they were asked for */
    size_t text_offset;     /* characters before the next token, of completions' logprobs */
    bool greeted;           /* streams: the first chunk went out */
    uint32_t n_generated;
    uint64_t token_at; /* µs: when the last one came */
    ag_err lost;       /* why what was said could not be kept; AG_OK: it was */
    ag_result result;  /* set when done; its tail is not kept */
} ag_choice;

struct ag_task {
    ag_exchange *x;    /* referenced */
    ag_served *served; /* a lease */
    ag_engine *engine;
    ag_gen gen;
    ag_prompts prompts;
    ag_answer_format format; /* how the model writes; forced by tool_choice */
    ag_reasoning_mode reasoning;
    bool in_reasoning;        /* the prompt opened it */
    uint64_t created;         /* Unix seconds */
    ag_choice *choices;       /* the exchange's arena */
    _Atomic size_t n_choices; /* set after choices */
    _Atomic int phase;
    _Atomic int refs;
    _Atomic size_t n_open;
    _Atomic bool cancelled;
    _Atomic unsigned n_drained; /* times that the connection took more again */
    _Atomic int reason;         /* ag_cancel_reason, once it is cancelled */
    ag_metric *gaps;            /* times between tokens go there; NULL: nobody counts */
    bool broken;                /* an error went into the stream */
    ag_buf head;                /* how every chunk begins */
    ag_buf out;                 /* chunks being written */
};

/* Begin what *gen asks for with the leased model, which is taken in any case. The answer comes by
 * itself. On the thread that read the request. In start.c. */
void ag_task_start(ag_exchange *x, const ag_gen *gen, ag_served *served);
/* End it soon; the client is told the reason. Any thread that holds a reference. */
void ag_task_cancel(ag_task *t, ag_cancel_reason reason);
/* The client's connection takes more again. */
void ag_task_drained(ag_task *t);
void ag_task_unref(ag_task *t);

/* ---- what beginning needs of the rest: task.c --------------------------------------------------
 */

/* Tell why there is no answer: with a status of its own where nothing went out yet, else as an
 * event of the stream. */
void ag_task_fail(ag_task *t, const ag_problem *p);
/* Of a cancelled task; returns false, as all that set a problem. */
bool ag_task_why_cancelled(const ag_task *t, ag_problem *p);
/* The engine tells this choice of its tokens and its end. */
void ag_choice_listen(ag_choice *c, ag_request_opts *o);
/* The choices from `from` on cannot be submitted and are done. When those before them are being
 * streamed already, the engine's thread tells the reason, unless they have all ended. */
void ag_task_give_up(ag_task *t, size_t from, const ag_problem *p);

/* ---- writing: chunk.c, the engine's thread ----------------------------------------------------
 */

/* What a piece of an answer is. */
typedef enum ag_said { AG_SAID_TEXT, AG_SAID_REASONING, AG_SAID_CALL, AG_SAID_ARGUMENTS } ag_said;

/* What all chunks of a stream have in common. */
void ag_chunk_head(ag_task *t);
/* Append one event to t->out: text of a kind, with the logprobs that were noted since the last one.
 */
void ag_chunk_text(ag_task *t, ag_choice *c, ag_said kind, ag_span text);
/* The same of a tool call: its beginning (id and name), or more of its arguments (id NULL). */
void ag_chunk_call(ag_task *t, ag_choice *c, const ag_answer_event *e);
/* The event that ends a choice. */
void ag_chunk_finish(ag_task *t, ag_choice *c, const char *finish);
/* Append the event that tells who speaks. */
void ag_chunk_greet(ag_task *t, ag_choice *c);
/* Append what follows the last choice. */
void ag_chunk_end(ag_task *t);
/* Append an event that tells an error. */
void ag_chunk_problem(ag_task *t, const ag_problem *p);
/* The whole answer as one object. */
void ag_chunk_whole(ag_task *t, ag_buf *out);
const char *ag_finish_word(const ag_choice *c);

/* ---- what was said: said.c, the engine's thread ------------------------------------------------
 */

/* Decide how the answers are read, once the prompts are there: what the engine shows, and the
 * grammar that tool_choice asks for (into `grammar`, which lives until submission). */
bool ag_said_plan(ag_task *t, ag_request_opts *o, ag_buf *grammar, ag_problem *p);
/* Make a choice's parser where one is needed. AG_E_NOMEM. */
ag_code ag_said_open(ag_choice *c, ag_err *err) AG_MUST_USE;
/* More text of a choice: into its buffers, or as events into the task's. AG_E_NOMEM, AG_E_LIMIT. */
ag_code ag_said_push(ag_choice *c, ag_span text, ag_err *err) AG_MUST_USE;
/* The text is over. */
ag_code ag_said_end(ag_choice *c, ag_err *err) AG_MUST_USE;

/* ---- logprobs.c -------------------------------------------------------------------------------
 */

/* Note a token's. */
void ag_logprobs_add(ag_choice *c, const ag_token_event *e);
/* Note one of a prompt's own, which echo tells; the first has none. */
void ag_logprobs_echo(ag_choice *c, const ag_token_event *e, bool first);
/* Append what was noted as the value of "logprobs", and forget it. */
void ag_logprobs_flush(ag_choice *c, ag_buf *out);

/* ---- score.c: a pool's thread ------------------------------------------------------------------
 */

bool ag_score_is_wanted(const ag_gen *g);
/* Compute the log-probabilities of the prompts' tokens, and note them with the choices. Waits for
 * the engine. */
bool ag_score_prompts(ag_task *t, ag_problem *p);

#endif
