#include "routes/task.h"

#include "base/clock.h"
#include "base/mem.h"
#include "routes/watch.h"

/* ---- life ------------------------------------------------------------------------------------ */

static void free_task(ag_task *t) {
    ag_exchange *x = t->x;
    for (size_t i = 0; i < t->n_choices; i++) {
        ag_choice *c = &t->choices[i];
        ag_request *r = atomic_load(&c->request);
        ag_request_release(&r);
        ag_answer_parser_free(&c->parser);
        ag_buf_deinit(&c->text);
        ag_buf_deinit(&c->reasoning);
        ag_buf_deinit(&c->calls);
        ag_buf_deinit(&c->prompt_logprobs);
        for (size_t k = 0; k < 4; k++)
            ag_buf_deinit(&c->logprobs[k]);
    }
    ag_prompts_deinit(&t->prompts);
    ag_buf_deinit(&t->head);
    ag_buf_deinit(&t->out);
    ag_runtime_release(&t->served);
    ag_free(t);
    ag_exchange_unref(x);
}

void ag_task_unref(ag_task *t) {
    if (atomic_fetch_sub(&t->refs, 1) == 1)
        free_task(t);
}

void ag_task_cancel(ag_task *t, ag_cancel_reason reason) {
    if (reason != AG_CANCEL_LEFT)
        atomic_store(&t->reason, reason);
    atomic_store(&t->cancelled, true);
    /* A choice that is submitted just now is cancelled by who submits it. */
    for (size_t i = 0; i < t->n_choices; i++) {
        ag_request *r = atomic_load(&t->choices[i].request);
        if (r)
            ag_request_cancel(r);
    }
}

void ag_task_drained(ag_task *t) {
    atomic_fetch_add(&t->n_drained, 1);
    for (size_t i = 0; i < t->n_choices; i++) {
        ag_request *r = atomic_load(&t->choices[i].request);
        if (r)
            ag_request_resume(r);
    }
}

/* Nothing went out yet, so the failure gets a status of its own. False: something did. */
static bool refuse(ag_task *t, const ag_problem *p) {
    int phase = AG_TASK_WAITING;
    if (!atomic_compare_exchange_strong(&t->phase, &phase, AG_TASK_FAILED))
        return phase == AG_TASK_FAILED;
    ag_exchange_problem(t->x, p);
    return true;
}

void ag_task_fail(ag_task *t, const ag_problem *p) {
    if (refuse(t, p) || t->broken)
        return;
    t->broken = true;
    t->x->record.error = p->code;
    if (t->out.failed) /* in the middle of an event */
        ag_buf_deinit(&t->out);
    ag_chunk_problem(t, p);
    if (t->out.failed)
        ag_http_stream_abort(t->x->http);
    else
        ag_http_stream_push(t->x->http, ag_buf_span(&t->out));
    t->out.n = 0;
}

static const char *const reasons[] = {
    [AG_CANCEL_LEFT] = "the request was cancelled",
    [AG_CANCEL_OWNER] = "the request was cancelled by its owner",
    [AG_CANCEL_SHUTDOWN] = "the server is shutting down",
    [AG_CANCEL_CHOICE] = "not all choices could be started",
};

bool ag_task_why_cancelled(const ag_task *t, ag_problem *p) {
    int reason = atomic_load(&t->reason);
    bool ours = reason == AG_CANCEL_SHUTDOWN || reason == AG_CANCEL_CHOICE;
    return ag_problem_set(p, ours ? 503 : 499, ours ? "server_error" : "request_cancelled",
                          "cancelled", NULL, "%s", reasons[reason]);
}

/* ---- the engine's thread --------------------------------------------------------------------- */

/* The head of the stream goes out with the first token: until then an error has its own status. */
static bool begin(ag_task *t) {
    int phase = AG_TASK_WAITING;
    if (atomic_compare_exchange_strong(&t->phase, &phase, AG_TASK_BEGUN))
        ag_exchange_stream(t->x);
    else if (phase == AG_TASK_FAILED)
        return false;
    return !t->broken;
}

/* What was written goes out. A choice whose reader does not keep up rests until the connection is
 * drained; one whose handle is not there yet rests with its next token. */
static bool push(ag_choice *c) {
    ag_task *t = c->task;
    unsigned before = atomic_load(&t->n_drained);
    if (ag_buf_check(&t->out, "what is told of the answer", &c->lost))
        return false;
    ag_http_flow flow = ag_http_stream_push(t->x->http, ag_buf_span(&t->out));
    t->out.n = 0;
    ag_request *r = atomic_load(&c->request);
    if (flow == AG_HTTP_FULL && r) {
        ag_request_pause(r);
        if (atomic_load(&t->n_drained) != before) /* meanwhile: its resume may have come first */
            ag_request_resume(r);
    }
    return flow != AG_HTTP_GONE;
}

static bool greet(ag_choice *c) {
    ag_task *t = c->task;
    if (!begin(t))
        return false;
    if (!c->greeted)
        ag_chunk_greet(t, c);
    c->greeted = true;
    return true;
}

static void count_gap(ag_choice *c) {
    if (!c->task->gaps)
        return;
    uint64_t now = ag_clock_us();
    if (c->token_at)
        ag_metric_observe(c->task->gaps, (double)(now - c->token_at) / 1e6);
    c->token_at = now;
}

static bool on_token(void *ctx, const ag_token_event *e) {
    ag_choice *c = ctx;
    ag_task *t = c->task;
    if (atomic_load(&t->cancelled) || atomic_load(&t->phase) == AG_TASK_FAILED)
        return false;
    if (t->gen.echo_only)
        return true;
    c->n_generated++;
    count_gap(c);
    if (t->gen.logprobs)
        ag_logprobs_add(c, e);
    if (t->gen.stream && !greet(c))
        return false;
    if (e->text_len && ag_said_push(c, ag_span_of(e->text, e->text_len), &c->lost))
        return false;
    c->n_reasoning += c->thinks;
    if (!t->gen.stream)
        return true;
    if (c->logprobs[0].n) /* of a token whose text is held back */
        ag_chunk_text(t, c, AG_SAID_TEXT, (ag_span){0});
    return t->out.n == 0 || push(c);
}

static void answer_whole(ag_task *t) {
    int phase = AG_TASK_WAITING;
    if (!atomic_compare_exchange_strong(&t->phase, &phase, AG_TASK_BEGUN))
        return;
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_ROUTES, 2 * AG_MAX_ANSWER_BYTES);
    ag_chunk_whole(t, &out);
    ag_exchange_json(t->x, 200, &out);
    ag_buf_deinit(&out);
}

/* What the choices took, for the record. */
static void account(ag_task *t) {
    ag_route_record *r = &t->x->record;
    const ag_result *first = &t->choices[0].result;
    r->queue_us = first->queue_us;
    r->prefill_us = first->prefill_us;
    r->decode_us = first->decode_us;
    if (first->finish == AG_FINISH_STOP || first->finish == AG_FINISH_LENGTH)
        r->finish = ag_finish_word(&t->choices[0]);
    for (size_t i = 0; i < t->n_choices; i++) {
        const ag_choice *c = &t->choices[i];
        r->n_generated += c->n_generated;
        if (i % t->gen.n == 0) { /* choices of one prompt share it */
            r->n_prompt += c->result.n_prompt;
            r->n_cached += c->result.n_cached;
        }
    }
}

/* The last choice is done. */
static void finish(ag_task *t) {
    account(t);
    if (!t->gen.stream) {
        answer_whole(t);
    } else if (atomic_load(&t->phase) == AG_TASK_BEGUN) {
        if (!t->broken) {
            ag_chunk_end(t);
            push(&t->choices[0]);
        }
        ag_http_stream_end(t->x->http);
    }
}

/* Why a generation has no answer, if it has none. */
static bool problem_of(ag_task *t, const ag_result *result, ag_problem *p) {
    if (result->finish == AG_FINISH_ERROR)
        return !ag_problem_of(p, &result->err, NULL);
    return result->finish == AG_FINISH_CANCELLED && !ag_task_why_cancelled(t, p);
}

/* What was said could not be kept: no mistake of the client's. Returns false. */
static bool loss_of(const ag_err *lost, ag_problem *p) {
    if (lost->code == AG_E_LIMIT)
        return ag_problem_set(p, 500, "server_error", ag_code_name(lost->code), NULL, "%s",
                              lost->msg);
    return ag_problem_of(p, lost, NULL);
}

/* What is left of its text, and how it ended. */
static void end_choice(ag_choice *c, ag_span tail) {
    ag_task *t = c->task;
    if (tail.n && !t->gen.echo_only && ag_said_push(c, tail, &c->lost))
        return;
    if (ag_said_end(c, &c->lost) || !t->gen.stream)
        return;
    ag_chunk_finish(t, c, ag_finish_word(c));
    push(c);
}

static void on_done(void *ctx, const ag_result *result) {
    ag_choice *c = ctx;
    ag_task *t = c->task;
    ag_problem p;
    c->result = *result;
    c->result.tail = NULL;
    bool bad = problem_of(t, result, &p);
    if (!bad && (!t->gen.stream || greet(c)))
        end_choice(c, ag_span_of(result->tail, result->tail_len));
    if (c->lost.code)
        bad = !loss_of(&c->lost, &p);
    if (bad) {
        ag_task_fail(t, &p);
        ag_task_cancel(t, AG_CANCEL_LEFT); /* the other choices would be of no use */
    }
    if (atomic_fetch_sub(&t->n_open, 1) == 1)
        finish(t);
    ag_task_unref(t);
}

/* ---- for who begins it ----------------------------------------------------------------------- */

void ag_choice_listen(ag_choice *c, ag_request_opts *o) {
    o->on_token = on_token;
    o->on_done = on_done;
    o->ctx = c;
}

void ag_task_give_up(ag_task *t, size_t from, const ag_problem *p) {
    bool refused = refuse(t, p);
    ag_task_cancel(t, refused ? AG_CANCEL_LEFT : AG_CANCEL_CHOICE);
    size_t n = t->n_choices - from;
    if (atomic_fetch_sub(&t->n_open, n) == n) {
        account(t);
        if (!refused) {
            ag_task_fail(t, p);
            ag_http_stream_end(t->x->http);
        }
    }
    for (; from < t->n_choices; from++)
        ag_task_unref(t);
}
