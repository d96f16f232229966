#include "routes/task.h"

#include <stdio.h>
#include <time.h>

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

/* The same, or as an event of the stream that has begun. */
static void fail(ag_task *t, const ag_problem *p) {
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

static const char *const reasons[] = {
    [AG_CANCEL_LEFT] = "the request was cancelled",
    [AG_CANCEL_OWNER] = "the request was cancelled by its owner",
    [AG_CANCEL_SHUTDOWN] = "the server is shutting down",
    [AG_CANCEL_CHOICE] = "not all choices could be started",
};

/* Why a generation has no answer, if it has none. */
static bool problem_of(ag_task *t, const ag_result *result, ag_problem *p) {
    if (result->finish == AG_FINISH_ERROR)
        return !ag_problem_of(p, &result->err, NULL);
    if (result->finish != AG_FINISH_CANCELLED)
        return false;
    int reason = atomic_load(&t->reason);
    bool ours = reason == AG_CANCEL_SHUTDOWN || reason == AG_CANCEL_CHOICE;
    return !ag_problem_set(p, ours ? 503 : 499, ours ? "server_error" : "request_cancelled",
                           "cancelled", NULL, "%s", reasons[reason]);
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
        fail(t, &p);
        ag_task_cancel(t, AG_CANCEL_LEFT); /* the other choices would be of no use */
    }
    if (atomic_fetch_sub(&t->n_open, 1) == 1)
        finish(t);
    ag_task_unref(t);
}

/* ---- starting -------------------------------------------------------------------------------- */

/* Choices that cannot be submitted are done. When those before them are being streamed already, the
 * engine's thread tells the reason, unless they have all ended. */
static void give_up(ag_task *t, size_t from, const ag_problem *p) {
    bool refused = refuse(t, p);
    ag_task_cancel(t, refused ? AG_CANCEL_LEFT : AG_CANCEL_CHOICE);
    size_t n = t->n_choices - from;
    if (atomic_fetch_sub(&t->n_open, n) == n) {
        account(t);
        if (!refused) {
            fail(t, p);
            ag_http_stream_end(t->x->http);
        }
    }
    for (; from < t->n_choices; from++)
        ag_task_unref(t);
}

/* Who asks, how urgent it is, how long it may take. Beginnings that one tenant had computed are not
 * found by another: how long its prompt takes would tell what others asked. */
static bool add_terms(ag_task *t, ag_request_opts *o, ag_problem *p) {
    ag_exchange *x = t->x;
    const ag_gen *g = &t->gen;
    o->tenant = x->tenant;
    o->tenant_weight = x->weight;
    o->max_queue_ms = g->max_queue_ms ? g->max_queue_ms : x->routes->opts.max_queue_ms;
    o->priority = g->priority > 0 ? AG_PRIORITY_LOW : AG_PRIORITY_NORMAL;
    if (g->priority < 0 && !x->routes->opts.keys)
        o->priority = AG_PRIORITY_HIGH;
    else if (g->priority < 0) /* at the cost of other tenants: not for the asking */
        ag_ignored_add(&x->ignored, "priority");
    if (!ag_exchange_time(x, &o->timeout_ms, p))
        return false;
    size_t n = strlen(x->tenant), more = g->cache_salt ? strlen(g->cache_salt) + 1 : 0;
    char *salt = ag_arena_get(&x->arena, n + more + 1);
    if (!salt)
        return ag_problem_memory(p, "the request");
    memcpy(salt, x->tenant, n);
    if (more)
        memcpy(salt + n + 1, g->cache_salt, more - 1);
    o->cache_salt = salt;
    o->cache_salt_len = n + more;
    return true;
}

static ag_code submit(ag_choice *c, const ag_request_opts *shared, ag_err *err) {
    ag_task *t = c->task;
    const ag_prompt *prompt = &t->prompts.v[c->prompt];
    ag_request_opts o = *shared;
    o.prompt_ids = prompt->ids;
    o.n_prompt_ids = prompt->n;
    if (o.sampling.has_seed) /* n answers of one seed differ, and each repeats */
        o.sampling.seed += c->index % t->gen.n;
    o.on_token = on_token;
    o.on_done = on_done;
    o.ctx = c;
    ag_request *r = NULL;
    ag_code code = ag_said_open(c, err);
    if (!code)
        code = ag_engine_submit(t->engine, &o, &r, err);
    if (code)
        return code;
    atomic_store(&c->request, r);
    if (atomic_load(&t->cancelled))
        ag_request_cancel(r);
    return AG_OK;
}

/* Which field a refusal of the engine is about, where its message does not begin with it. */
static const char *param_of(const ag_task *t, ag_code code) {
    if (code == AG_E_CTX_FULL)
        return t->gen.chat ? "messages" : "prompt";
    if (code == AG_E_GRAMMAR)
        return t->gen.structure.kind ? t->gen.structure_param : "tools";
    return NULL;
}

/* Why the engine does not take a request, and when it might. */
static bool refusal_of(const ag_task *t, const ag_err *err, ag_problem *p) {
    bool said = strncmp(err->msg, "tools[", 6) == 0;
    ag_problem_of(p, err, said ? NULL : param_of(t, err->code));
    if (err->code == AG_E_AGAIN || err->code == AG_E_SHARE) {
        ag_engine_stats stats;
        ag_engine_get_stats(t->engine, &stats);
        double s = err->code == AG_E_AGAIN ? stats.retry_after_s : stats.queue_wait_s / 4;
        if (s > p->retry_s)
            p->retry_s = s < 600 ? s : 600;
    }
    return false;
}

/* Give back what only starting needed: bodies may be large and answers long. The texts of prompts
 * are told with the answer where echo asks for them; of tools their parsers have a reference. */
static void forget_request(ag_task *t) {
    for (size_t i = 0; i < t->prompts.n; i++) {
        ag_ids_free(t->prompts.v[i].ids);
        t->prompts.v[i].ids = NULL;
    }
    if (t->gen.echo)
        return;
    json_decref(t->x->body);
    t->x->body = NULL;
}

/* Options, then submission: on the io thread or a pool's. Holds a reference of its own. */
static void run(ag_task *t, const ag_request_opts *terms) {
    ag_exchange *x = t->x;
    ag_problem p;
    ag_request_opts o = *terms;
    ag_err err = {0};
    size_t done = 0;
    ag_buf grammar;
    ag_buf_init(&grammar, AG_ROOM_ROUTES, AG_MAX_ANSWER_BYTES);
    bool fine =
        ag_gen_options(&t->gen, t->engine, &x->arena, &o, &p) && ag_said_plan(t, &o, &grammar, &p);
    if (fine && t->prompts.n_cut)
        snprintf(x->note, sizeof x->note, "%s; %zu tokens left out", t->gen.truncate,
                 t->prompts.n_cut);
    for (; fine && done < t->n_choices; done++)
        if (submit(&t->choices[done], &o, &err)) {
            if (grammar.n)
                ag_answer_tool_blame(t->gen.tools, t->gen.tools_at, ag_buf_span(&grammar), &err);
            fine = refusal_of(t, &err, &p);
            break;
        }
    if (!fine)
        give_up(t, done, &p);
    ag_buf_deinit(&grammar);
    forget_request(t);
    ag_task_unref(t);
}

static bool make_choices(ag_task *t, ag_problem *p) {
    ag_exchange *x = t->x;
    size_t n = t->prompts.n * t->gen.n;
    t->choices = ag_arena_array(&x->arena, n, sizeof *t->choices);
    if (!t->choices)
        return ag_problem_memory(p, "the choices");
    for (size_t i = 0; i < n; i++) {
        ag_choice *c = &t->choices[i];
        c->task = t;
        c->index = (uint32_t)i;
        c->prompt = i / t->gen.n;
        ag_buf_init(&c->text, AG_ROOM_ROUTES, AG_MAX_ANSWER_BYTES);
        ag_buf_init(&c->reasoning, AG_ROOM_ROUTES, AG_MAX_ANSWER_BYTES);
        ag_buf_init(&c->calls, AG_ROOM_ROUTES, AG_MAX_ANSWER_BYTES);
        ag_buf_init(&c->prompt_logprobs, AG_ROOM_ROUTES, AG_MAX_ANSWER_BYTES);
        for (size_t k = 0; k < 4; k++)
            ag_buf_init(&c->logprobs[k], AG_ROOM_ROUTES, AG_MAX_ANSWER_BYTES);
    }
    atomic_store(&t->n_open, n);
    atomic_fetch_add(&t->refs, (int)n);
    atomic_store(&t->n_choices, n);
    ag_chunk_head(t);
    return true;
}

/* While the line is full nothing is rendered and tokenised, only to be refused then. */
static bool may_enter(const ag_task *t, const ag_request_opts *terms, ag_problem *p) {
    ag_err err = {0};
    return !ag_engine_admit(t->engine, terms, &err) || refusal_of(t, &err, p);
}

/* The slow part first, since it decides how many choices there are. */
static void prepare(void *ctx) {
    ag_task *t = ctx;
    ag_problem p;
    ag_request_opts terms = ag_request_default();
    if (atomic_load(&t->cancelled)) {
        problem_of(t, &(ag_result){.finish = AG_FINISH_CANCELLED}, &p);
        fail(t, &p);
        ag_task_unref(t);
        return;
    }
    if (!add_terms(t, &terms, &p) || !may_enter(t, &terms, &p) ||
        !ag_prompts_make(&t->gen, t->engine, &t->x->arena, &t->prompts, &p) ||
        !make_choices(t, &p)) {
        fail(t, &p);
        ag_task_unref(t);
        return;
    }
    if (ag_score_is_wanted(&t->gen) && !ag_score_prompts(t, &p)) {
        give_up(t, 0, &p);
        ag_task_unref(t);
        return;
    }
    run(t, &terms);
}

/* From now on what ends an exchange reaches the task; it may have come before. */
static void publish(ag_task *t) {
    ag_exchange *x = t->x;
    pthread_mutex_lock(&x->routes->lock);
    bool ended = x->ended, gone = x->gone || ended, cancelled = x->cancelled;
    bool stopping = atomic_load(&x->routes->stopping);
    if (!ended)
        x->task = t;
    pthread_mutex_unlock(&x->routes->lock);
    if (ended)
        ag_task_unref(t); /* nobody else will */
    if (gone || cancelled || stopping)
        ag_task_cancel(t, cancelled ? AG_CANCEL_OWNER : gone ? AG_CANCEL_LEFT : AG_CANCEL_SHUTDOWN);
}

/* What takes too long for the thread that serves connections: scoring waits for the engine, and a
 * small schema can ask for a large grammar. NULL: prepare() is quick, or this is a pool's thread.
 */
static ag_work *pool_of(const ag_exchange *x, const ag_gen *gen) {
    if (ag_score_is_wanted(gen))
        return x->routes->score;
    bool has_form = gen->structure.kind != AG_STRUCTURE_NONE || gen->tools_wish != AG_TOOLS_NONE;
    return has_form && !x->deferred ? x->routes->forms : NULL;
}

void ag_task_start(ag_exchange *x, const ag_gen *gen, ag_served *served) {
    ag_problem p;
    ag_task *t = ag_calloc(AG_ROOM_ROUTES, 1, sizeof *t);
    if (!t) {
        ag_runtime_release(&served);
        ag_problem_memory(&p, "the request");
        ag_exchange_problem(x, &p);
        return;
    }
    t->x = x;
    ag_exchange_ref(x);
    t->gen = *gen;
    if (!t->gen.truncate)
        t->gen.truncate = x->routes->opts.truncate;
    t->served = served;
    t->engine = ag_served_engine(served);
    t->created = (uint64_t)time(NULL);
    t->gaps = ag_watch_gaps(x);
    ag_buf_init(&t->head, AG_ROOM_ROUTES, 4096);
    ag_buf_init(&t->out, AG_ROOM_ROUTES, AG_MAX_ANSWER_BYTES);
    atomic_store(&t->refs, 2); /* the exchange's, and prepare()'s */
    x->record.stream = gen->stream;
    x->record.n_choices = gen->n;
    x->record.max_tokens =
        gen->has_max_completion_tokens ? gen->max_completion_tokens : gen->max_tokens;
    publish(t);
    ag_work *pool = pool_of(x, gen);
    if (!pool) {
        prepare(t);
    } else if (!ag_work_push(pool, prepare, t)) {
        ag_problem_set(&p, 503, "server_error", "overloaded", NULL,
                       "too many requests are waiting to be prepared");
        p.retry_s = 2;
        fail(t, &p);
        ag_task_unref(t);
    }
}
