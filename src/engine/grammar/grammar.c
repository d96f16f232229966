#include "grammar/grammar.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "grammar/account.h"
#include "grammar/choice.h"
#include "grammar/gbnf.h"
#include "grammar/mask.h"
#include "grammar/regex.h"
#include "grammar/schema.h"

/* What a grammar's automaton has found out. When it has grown much, new matches get a fresh one and
 * this goes with the last match that holds it. */
typedef struct works {
    _Atomic int refs;
    pthread_mutex_t lock; /* guards machine and masks */
    ag_machine machine;
    ag_masks masks;
    size_t counted;       /* of their bytes, in the account */
    ag_gaccount *account; /* borrowed, NULL: nobody counts; with counted guarded by the lock */
    uint32_t start;       /* constant */
} works;

struct ag_grammar {
    _Atomic int refs;
    const ag_gvocab *vocab; /* borrowed */
    ag_nfa nfa;
    ag_gaccount *account; /* borrowed, NULL: nobody counts; set before others see the grammar */
    pthread_mutex_t lock; /* guards works */
    works *works;         /* of new matches */
};

/* ---- compiling --------------------------------------------------------------------------------
 */

static const ag_expr *parse(ag_build *b, const ag_structure *s) {
    ag_span text = ag_span_of(s->text, s->text ? s->len : 0);
    if (text.n > AG_MAX_GRAMMAR_BYTES)
        return ag_build_fail(b, AG_E_GRAMMAR, "it has %zu bytes; at most %zu are accepted", text.n,
                             AG_MAX_GRAMMAR_BYTES);
    switch (s->kind) {
    case AG_STRUCTURE_JSON_OBJECT:
        return ag_schema_object(b);
    case AG_STRUCTURE_JSON_SCHEMA:
        return ag_schema_parse(b, text, NULL);
    case AG_STRUCTURE_REGEX:
        return ag_regex_parse(b, text, (ag_regex_mode){0});
    case AG_STRUCTURE_CHOICE:
        return ag_choice_parse(b, text);
    case AG_STRUCTURE_GRAMMAR:
        return ag_gbnf_parse(b, text);
    case AG_STRUCTURE_NONE:
        break;
    }
    return ag_build_fail(b, AG_E_ARG, "structure.kind is %d, expected 1 to 5", (int)s->kind);
}

static const char *name_of(ag_structure_kind kind) {
    static const char *const names[] = {"structure", "json_object", "json_schema",
                                        "regex",     "choice",      "grammar"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : names[0];
}

static void unref_works(works *w) {
    if (!w || atomic_fetch_sub(&w->refs, 1) != 1)
        return;
    if (w->account)
        atomic_fetch_sub(&w->account->bytes, w->counted);
    ag_masks_deinit(&w->masks);
    ag_machine_deinit(&w->machine);
    pthread_mutex_destroy(&w->lock);
    ag_free(w);
}

/* The lock is held, or nobody else knows w yet; as below. */
static void allow_work(works *w, uint64_t steps) {
    bool full = w->account && atomic_load(&w->account->bytes) > AG_MAX_GRAMMARS_LIVE;
    w->machine.stopped = AG_OK;
    w->machine.work_left = steps;
    w->machine.max_bytes = full ? AG_MAX_GRAMMAR_SHARE / 2 : AG_MAX_GRAMMAR_STATES_BYTES;
    w->masks.max_bytes = full ? AG_MAX_GRAMMAR_SHARE / 2 : AG_MAX_GRAMMAR_MASKS_BYTES;
}

/* Say what it holds now. */
static void count(works *w) {
    if (!w->account)
        return;
    size_t bytes = w->machine.bytes + w->masks.bytes;
    atomic_fetch_add(&w->account->bytes, bytes - w->counted); /* modulo 2^64: may be less */
    w->counted = bytes;
}

static ag_code new_works(ag_grammar *g, works **out, ag_err *err) {
    works *w = ag_calloc(AG_ROOM_GRAMMAR, 1, sizeof *w);
    if (!w)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a grammar");
    atomic_store(&w->refs, 1);
    pthread_mutex_init(&w->lock, NULL);
    w->account = g->account;
    ag_code code = ag_machine_init(&w->machine, &g->nfa, AG_MAX_GRAMMAR_STATES_BYTES, err);
    if (!code)
        code = ag_masks_init(&w->masks, g->vocab, &w->machine, AG_MAX_GRAMMAR_MASKS_BYTES, err);
    if (!code) {
        allow_work(w, AG_MAX_GRAMMAR_WORK);
        w->start = ag_machine_start(&w->machine);
        if (w->machine.stopped)
            code = ag_machine_error(&w->machine, err);
        count(w);
    }
    if (code) {
        unref_works(w);
        return code;
    }
    *out = w;
    return AG_OK;
}

/* The first mask, on the caller's thread: the engine's need not wait for it. That it takes too much
 * work is a reason to refuse the grammar now. */
static ag_code warm_up(ag_grammar *g, ag_err *err) {
    uint64_t *bits = ag_calloc(AG_ROOM_GRAMMAR, g->vocab->n_words, sizeof *bits);
    if (!bits)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a grammar");
    allow_work(g->works, AG_MAX_GRAMMAR_STEP_WORK);
    ag_code code = ag_masks_get(&g->works->masks, g->works->start, bits, err);
    ag_free(bits);
    return code;
}

ag_code ag_grammar_compile(const ag_gvocab *vocab, const ag_structure *s, ag_grammar **out,
                           ag_err *err) {
    *out = NULL;
    ag_grammar *g = ag_calloc(AG_ROOM_GRAMMAR, 1, sizeof *g);
    if (!g)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a grammar");
    atomic_store(&g->refs, 1);
    pthread_mutex_init(&g->lock, NULL);
    g->vocab = vocab;
    ag_build b;
    ag_build_init(&b, vocab);
    ag_code code = ag_nfa_build(&b, parse(&b, s), &g->nfa, err);
    ag_build_deinit(&b);
    if (!code)
        code = new_works(g, &g->works, err);
    if (!code)
        code = warm_up(g, err);
    if (code) {
        ag_grammar_unref(g);
        return ag_err_wrap(err, code, "%s", name_of(s->kind));
    }
    *out = g;
    return AG_OK;
}

ag_grammar *ag_grammar_ref(ag_grammar *g) {
    atomic_fetch_add(&g->refs, 1);
    return g;
}

static size_t own_bytes(const ag_grammar *g) { return sizeof *g + ag_nfa_bytes(&g->nfa); }

void ag_grammar_join(ag_grammar *g, ag_gaccount *account) {
    g->account = g->works->account = account;
    atomic_fetch_add(&account->bytes, own_bytes(g));
    count(g->works);
}

bool ag_grammar_is_idle(ag_grammar *g) { return atomic_load(&g->refs) == 1; }

void ag_grammar_unref(ag_grammar *g) {
    if (!g || atomic_fetch_sub(&g->refs, 1) != 1)
        return;
    if (g->account)
        atomic_fetch_sub(&g->account->bytes, own_bytes(g));
    unref_works(g->works);
    ag_nfa_deinit(&g->nfa);
    pthread_mutex_destroy(&g->lock);
    ag_free(g);
}

static size_t works_bytes(works *w) {
    pthread_mutex_lock(&w->lock);
    size_t bytes = w->machine.bytes + w->masks.bytes;
    pthread_mutex_unlock(&w->lock);
    return bytes;
}

size_t ag_grammar_bytes(ag_grammar *g) {
    pthread_mutex_lock(&g->lock);
    works *w = g->works;
    atomic_fetch_add(&w->refs, 1);
    pthread_mutex_unlock(&g->lock);
    size_t bytes = own_bytes(g) + works_bytes(w);
    unref_works(w);
    return bytes;
}

/* ---- matching ---------------------------------------------------------------------------------
 */

struct ag_match {
    ag_grammar *grammar; /* a reference */
    works *works;        /* a reference */
    uint32_t state;
    bool accepts, goes_on;        /* of the state */
    uint32_t past[AG_MATCH_PAST]; /* a ring of the states before the last tokens */
    uint64_t n;                   /* tokens accepted */
};

/* Take a reference to the works of new matches, fresh ones when those have grown half way. */
static ag_code take_works(ag_grammar *g, works **out, ag_err *err) {
    pthread_mutex_lock(&g->lock);
    works *w = g->works;
    atomic_fetch_add(&w->refs, 1);
    pthread_mutex_unlock(&g->lock);
    *out = w;
    if (works_bytes(w) < (AG_MAX_GRAMMAR_STATES_BYTES + AG_MAX_GRAMMAR_MASKS_BYTES) / 2)
        return AG_OK;
    works *fresh = NULL;
    ag_code code = new_works(g, &fresh, err);
    unref_works(w);
    if (code)
        return code;
    atomic_fetch_add(&fresh->refs, 1);
    pthread_mutex_lock(&g->lock);
    w = g->works;
    g->works = fresh;
    pthread_mutex_unlock(&g->lock);
    unref_works(w);
    *out = fresh;
    return AG_OK;
}

/* The lock of the works is held. */
static void move_to(ag_match *m, uint32_t state) {
    const ag_set *s = &m->works->machine.states.v[state];
    m->state = state;
    m->accepts = s->accepts;
    m->goes_on = s->n > 0;
}

ag_code ag_match_new(ag_grammar *g, ag_match **out, ag_err *err) {
    *out = NULL;
    ag_match *m = ag_calloc(AG_ROOM_GRAMMAR, 1, sizeof *m);
    if (!m)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a grammar's place");
    ag_code code = take_works(g, &m->works, err);
    if (code) {
        ag_free(m);
        return code;
    }
    m->grammar = ag_grammar_ref(g);
    pthread_mutex_lock(&m->works->lock);
    move_to(m, m->works->start);
    pthread_mutex_unlock(&m->works->lock);
    *out = m;
    return AG_OK;
}

ag_code ag_match_copy(const ag_match *m, ag_match **out, ag_err *err) {
    *out = ag_alloc(AG_ROOM_GRAMMAR, sizeof **out);
    if (!*out)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a grammar's place");
    **out = *m;
    atomic_fetch_add(&m->grammar->refs, 1);
    atomic_fetch_add(&m->works->refs, 1);
    return AG_OK;
}

void ag_match_free(ag_match **mp) {
    ag_match *m = *mp;
    if (!m)
        return;
    ag_gaccount *account = m->grammar->account;
    unref_works(m->works);
    ag_grammar_unref(m->grammar);
    ag_free(m);
    *mp = NULL;
    if (account && atomic_load(&account->bytes) > AG_MAX_GRAMMARS_KEPT)
        ag_gcache_trim(account->cache);
}

uint32_t ag_match_words(const ag_match *m) { return m->grammar->vocab->n_words; }
bool ag_match_is_accepting(const ag_match *m) { return m->accepts; }
bool ag_match_is_complete(const ag_match *m) { return m->accepts && !m->goes_on; }

ag_code ag_match_mask(ag_match *m, uint64_t *bits, ag_err *err) {
    works *w = m->works;
    pthread_mutex_lock(&w->lock);
    allow_work(w, AG_MAX_GRAMMAR_STEP_WORK);
    ag_code code = ag_masks_get(&w->masks, m->state, bits, err);
    count(w);
    pthread_mutex_unlock(&w->lock);
    if (code || m->accepts)
        return code;
    for (uint32_t i = 0; i < m->grammar->vocab->n_words; i++)
        if (bits[i])
            return AG_OK;
    return ag_fail(err, AG_E_GRAMMAR,
                   "the vocabulary has no token with which the text could go on as the grammar "
                   "wants it");
}

ag_code ag_match_accept(ag_match *m, int32_t id, ag_err *err) {
    works *w = m->works;
    pthread_mutex_lock(&w->lock);
    allow_work(w, AG_MAX_GRAMMAR_STEP_WORK);
    uint32_t to =
        ag_machine_token(&w->machine, m->state, id, ag_gvocab_token(m->grammar->vocab, id));
    ag_code code = AG_OK;
    if (w->machine.stopped) {
        code = ag_machine_error(&w->machine, err);
    } else if (to == AG_STATE_DEAD) {
        code = ag_fail(err, AG_E_GRAMMAR, "token %d is not allowed here by the grammar", (int)id);
    } else {
        m->past[m->n++ % AG_MATCH_PAST] = m->state;
        move_to(m, to);
    }
    count(w);
    pthread_mutex_unlock(&w->lock);
    return code;
}

void ag_match_rollback(ag_match *m, uint32_t n) {
    AG_ASSERT(n <= AG_MATCH_PAST && n <= m->n);
    if (n == 0)
        return;
    m->n -= n;
    pthread_mutex_lock(&m->works->lock);
    move_to(m, m->past[m->n % AG_MATCH_PAST]);
    pthread_mutex_unlock(&m->works->lock);
}
