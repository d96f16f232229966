/* How a generation begins: from a request that was read to choices that are submitted, on the
 * thread that read it, or a pool's where preparing takes long; afterwards task.c has it. */
#include "routes/task.h"

#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "routes/watch.h"

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
    ag_choice_listen(c, &o);
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
        /* A line with room, but not for this one: until a quarter of it is gone. */
        double s = stats.retry_after_s > 0 ? stats.retry_after_s : stats.queue_wait_s / 4;
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
        ag_task_give_up(t, done, &p);
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
    size_t about = ag_prompts_about(&t->gen, t->engine);
    return !ag_engine_admit(t->engine, terms, about, &err) || refusal_of(t, &err, p);
}

/* The slow part first, since it decides how many choices there are. */
static void prepare(void *ctx) {
    ag_task *t = ctx;
    ag_problem p;
    ag_request_opts terms = ag_request_default();
    if (atomic_load(&t->cancelled)) {
        ag_task_why_cancelled(t, &p);
        ag_task_fail(t, &p);
        ag_task_unref(t);
        return;
    }
    if (!add_terms(t, &terms, &p) || !ag_prompts_check(&t->gen, &p) || !may_enter(t, &terms, &p) ||
        !ag_prompts_make(&t->gen, t->engine, &t->x->arena, &t->prompts, &p) ||
        !make_choices(t, &p)) {
        ag_task_fail(t, &p);
        ag_task_unref(t);
        return;
    }
    if (ag_score_is_wanted(&t->gen) && !ag_score_prompts(t, &p)) {
        ag_task_give_up(t, 0, &p);
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
        ag_task_fail(t, &p);
        ag_task_unref(t);
    }
}
