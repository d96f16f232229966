#include "sched/policy.h"

#include "base/mem.h"

/* A step of prompts alone, while other models wait for their turn, and while nobody does: whatever
 * the model and the machine, cancels take effect and steps end, which is what tells that it lives.
 */
#define NEIGHBOURLY_US 50000
#define ALONE_US       2000000
#define MIXED          16 /* steps with prompts and streams before one with streams alone */

ag_code ag_policy_init(ag_policy *p, const ag_policy_opts *opts, ag_err *err) {
    *p = (ag_policy){
        .opts = *opts, .alone = true, .pace = {.target_us = (double)opts->itl_target_us}};
    size_t n = (size_t)opts->max_running;
    p->running = ag_calloc(AG_ROOM_SCHED, n, sizeof(ag_task *));
    p->slices = ag_calloc(AG_ROOM_SCHED, n, sizeof *p->slices);
    ag_code code = ag_accounts_init(&p->accounts, opts->max_tasks, err);
    if (!code && (!p->running || !p->slices))
        code = ag_fail(err, AG_E_NOMEM, "out of memory for the scheduler");
    if (code)
        ag_policy_deinit(p);
    return code;
}

void ag_policy_deinit(ag_policy *p) {
    AG_ASSERT(p->n_running == 0 && p->line.n == 0);
    ag_accounts_deinit(&p->accounts);
    ag_free(p->running);
    ag_free(p->slices);
    *p = (ag_policy){0};
}

/* ---- coming and going ------------------------------------------------------------------------ */

void ag_policy_submit(ag_policy *p, ag_task *t) {
    t->order = ++p->n_arrived;
    t->account = ag_accounts_join(&p->accounts, t->tenant, t->weight);
    ag_line_push(&p->line, t);
}

/* Generated tokens are paid when they are there, a prompt when it starts; what is computed again
 * was the engine's choice. */
static void charge(ag_policy *p, ag_task *t) {
    ag_accounts_charge(&p->accounts, t->account, (t->n_ids - t->n_charged) * AG_PRICE_GENERATED);
    t->n_charged = t->n_ids;
}

static int index_of(const ag_policy *p, const ag_task *t) {
    for (int i = 0; i < p->n_running; i++)
        if (p->running[i] == t)
            return i;
    return -1;
}

bool ag_policy_runs(const ag_policy *p, const ag_task *t) { return index_of(p, t) >= 0; }

static void take_from_running(ag_policy *p, int i) {
    p->n_running--;
    for (; i < p->n_running; i++)
        p->running[i] = p->running[i + 1];
}

void ag_policy_end(ag_policy *p, ag_task *t) {
    int i = index_of(p, t);
    if (i >= 0) {
        charge(p, t);
        take_from_running(p, i);
    } else {
        ag_line_remove(&p->line, t);
    }
    ag_kv_seq_clear(&t->kv);
    ag_accounts_leave(&p->accounts, t->account);
}

/* ---- rank ------------------------------------------------------------------------------------ */

static bool ranks_before(const ag_task *x, const ag_task *y) {
    if (x->resting != y->resting)
        return y->resting;
    if (ag_task_class(x) != ag_task_class(y))
        return ag_task_class(x) > ag_task_class(y);
    return x->order < y->order;
}

/* Put the task at i where it belongs among those before it. */
static void sink(ag_policy *p, int i) {
    ag_task *t = p->running[i];
    for (; i > 0 && ranks_before(t, p->running[i - 1]); i--)
        p->running[i] = p->running[i - 1];
    p->running[i] = t;
}

/* Insertion, because the order is nearly right: only resting changes it. */
static void sort_running(ag_policy *p) {
    for (int i = 1; i < p->n_running; i++)
        sink(p, i);
}

/* Send the last in rank back to the line, its blocks free. */
static void preempt_last(ag_policy *p) {
    ag_task *t = p->running[--p->n_running];
    charge(p, t);
    ag_kv_seq_clear(&t->kv);
    t->n_preempted += !t->resting;
    t->restarts = true;
    p->counts.preempted++;
    ag_line_push(&p->line, t);
}

/* ---- who starts ------------------------------------------------------------------------------ */

/* The lowest class leaves a quarter of the places free, for who comes next. */
static bool has_place(const ag_policy *p, const ag_task *t, bool its_turn) {
    int kept = ag_task_class(t) == 0 && !its_turn ? p->opts.max_running / 4 : 0;
    return p->n_running < p->opts.max_running - kept;
}

/* Give a task the blocks of all its tokens, shared ones first, so that a prompt in prefill never
 * has to push others out. False: there is no room now. */
static bool take_blocks(ag_policy *p, ag_task *t) {
    ag_kv *kv = p->opts.kv;
    bool shares = !t->reads && !p->opts.whole;
    int found = shares ? ag_kv_seq_adopt(&t->kv, t->ids, t->n_ids) : 0;
    int need = ag_kv_blocks_for(t->n_ids) - t->kv.n_blocks;
    /* One more block for every sequence that runs, or those would soon push this one out again. */
    bool fits = p->n_running == 0 || need + p->n_running < ag_kv_available(kv);
    if (!fits || ag_kv_seq_reserve(&t->kv, t->n_ids) != AG_OK) {
        ag_kv_seq_clear(&t->kv);
        return false;
    }
    if (t->restarts)
        return true;
    t->n_cached = found;
    if (shares) {
        p->counts.prefix_queried += (uint64_t)t->n_prompt;
        p->counts.prefix_found += (uint64_t)found;
    }
    return true;
}

static void start(ag_policy *p, ag_task *t, uint64_t now) {
    if (!t->start_at) {
        t->start_at = now;
        ag_accounts_charge(&p->accounts, t->account, t->n_prompt - t->n_cached);
        t->n_charged = t->n_prompt;
    }
    ag_line_start(&p->line, t);
    p->running[p->n_running] = t;
    sink(p, p->n_running++);
}

/* Who is next starts, or nobody: going past one that is too large for the moment would starve it.
 * What rests makes room first. */
static void admit(ag_policy *p, uint64_t now) {
    bool its_turn;
    for (ag_task *t; (t = ag_line_next(&p->line, &p->accounts, &its_turn)) != NULL;) {
        while (!has_place(p, t, its_turn) || !take_blocks(p, t)) {
            if (p->n_running == 0 || !p->running[p->n_running - 1]->resting)
                return;
            preempt_last(p);
        }
        start(p, t, now);
    }
}

/* ---- common beginnings ----------------------------------------------------------------------- */

static bool is_reading(const ag_task *t) { return !t->resting && ag_task_pending(t) > 1; }

/* What others have computed meanwhile of what a prompt reads next. */
static void find_more(ag_policy *p, ag_task *t) {
    int found = ag_kv_seq_adopt(&t->kv, t->ids, t->n_ids);
    if (found == 0 || t->restarts)
        return;
    t->n_cached += found;
    p->counts.prefix_found += (uint64_t)found;
    ag_accounts_charge(&p->accounts, t->account, -found);
}

/* Can it have the block that it reads next from another? */
static bool may_share(const ag_task *t) {
    return t->ahead && !t->reads && t->kv.n_tokens % AG_KV_BLOCK == 0 &&
           t->kv.n_tokens + AG_KV_BLOCK < t->n_ids;
}

static ag_task *oldest_at_the_same(const ag_policy *p, const ag_task *t) {
    ag_task *oldest = NULL;
    for (int i = 0; i < p->n_running; i++) {
        ag_task *x = p->running[i];
        if (x->ahead == t->ahead && x->order < t->order && (!oldest || x->order < oldest->order))
            oldest = x;
    }
    return oldest;
}

/* Prompts that begin alike and come together would each compute the same. So one that needs a block
 * which an older one computes waits for it, and lends it its urgency, lest a short prompt be held
 * up by those that overtake a long one. The oldest waits for nobody. */
static void share_beginnings(ag_policy *p) {
    for (int i = 0; i < p->n_running; i++) {
        ag_task *t = p->running[i];
        t->waits = false;
        t->ahead = 0;
        if (!is_reading(t))
            continue;
        if (!t->reads)
            find_more(p, t);
        t->ahead = ag_kv_seq_ahead(&t->kv, t->ids, t->n_ids);
        t->urgency = ag_task_pending(t);
    }
    for (int i = 0; i < p->n_running; i++) {
        ag_task *t = p->running[i];
        ag_task *first = may_share(t) ? oldest_at_the_same(p, t) : NULL;
        t->waits = first != NULL;
        if (first && ag_task_pending(t) < first->urgency)
            first->urgency = ag_task_pending(t);
    }
}

/* ---- forming a step -------------------------------------------------------------------------- */

/* Add n tokens of running task i. False: it was the last in rank and had to give its blocks back
 * itself. */
static bool add_slice(ag_policy *p, int i, int n) {
    ag_task *t = p->running[i];
    while (ag_kv_seq_reserve(&t->kv, t->kv.n_tokens + n) == AG_E_NO_BLOCKS) {
        preempt_last(p);
        if (p->n_running <= i)
            return false;
    }
    p->slices[p->n_slices++] = (ag_slice){.task = t, .n = n};
    return true;
}

/* Of an encoder: whole inputs, and one that does not fit any more waits while shorter ones go. */
static void add_whole(ag_policy *p) {
    int rows = p->opts.batch_tokens;
    for (int i = 0; i < p->n_running; i++) {
        ag_task *t = p->running[i];
        int n = ag_task_pending(t);
        if (t->resting || n > rows || !add_slice(p, i, n))
            continue;
        rows -= n;
        p->load.prefill += n;
        p->load.prefill_looks += (double)n * n;
    }
}

/* One token of each decoding sequence. Who is pushed out for its block ranks behind all that are in
 * the step already, so the slices stay valid. */
static void add_decoding(ag_policy *p) {
    for (int i = 0; i < p->n_running && !p->running[i]->resting; i++) {
        const ag_task *t = p->running[i];
        if (ag_task_pending(t) != 1 || !add_slice(p, i, 1))
            continue;
        p->load.decoding++;
        p->load.decode_looks += t->kv.n_tokens;
    }
}

/* Drafts, where they pay and nobody has to make room for them; those that come true in one go are
 * not worth a longer gap before them, so that together they at most double the step. Each row needs
 * logits, of which there are as many as places. */
static void add_drafts(ag_policy *p) {
    int rows = p->opts.max_running - p->n_running, n_decoding = p->n_slices;
    if (rows > p->opts.batch_tokens - p->n_running)
        rows = p->opts.batch_tokens - p->n_running;
    double quiet = ag_pace_quiet_us(&p->pace, &p->load), row = ag_pace_decode_row_us(&p->pace);
    double left_us = quiet;
    for (int i = 0; i < n_decoding && rows > 0; i++) {
        ag_slice *slice = &p->slices[i];
        ag_task *t = slice->task;
        int n = t->n_draft < rows ? t->n_draft : rows;
        if (!t->draft.always && n * row > left_us)
            n = (int)(left_us / row);
        n = ag_draft_worth(&t->draft, n, quiet / n_decoding, row);
        if (ag_kv_blocks_for(t->n_ids + n) > t->kv.n_blocks &&
            ag_kv_available(p->opts.kv) < p->n_running)
            continue;
        if (n == 0 || ag_kv_seq_reserve(&t->kv, t->n_ids + n) != AG_OK)
            continue;
        slice->n_draft = n;
        rows -= n;
        left_us -= n * row;
        p->load.decoding += n;
        p->load.decode_looks += (double)n * t->n_ids;
        p->counts.drafted += (uint64_t)n;
    }
}

static void add_chunk(ag_policy *p, ag_task *t, int rows, double *us) {
    int pending = ag_task_pending(t), stored = t->kv.n_tokens;
    int n = ag_pace_rows(&p->pace, stored, pending < rows ? pending : rows, us);
    p->slices[p->n_slices++] =
        (ag_slice){.task = t, .n = n}; /* its blocks are reserved since it started */
    p->load.prefill += n;
    p->load.prefill_looks += n * (stored + n / 2.0);
}

/* The most urgent prompt that does not wait, but for `oldest` and those in the step from slice
 * `first` on; NULL: none. */
static ag_task *most_urgent(const ag_policy *p, const ag_task *oldest, int first) {
    ag_task *best = NULL;
    for (int i = 0; i < p->n_running; i++) {
        ag_task *t = p->running[i];
        bool taken = t == oldest || t->waits || !is_reading(t);
        for (int k = first; k < p->n_slices && !taken; k++)
            taken = p->slices[k].task == t;
        if (!taken && (!best || t->urgency < best->urgency))
            best = t;
    }
    return best;
}

/* Where every step carries a prompt beside the streams, nothing tells what the streams cost from
 * what the prompt does: the pace drifts, and steps grow to twice what they may take. Now and then
 * one carries the streams alone. */
static bool is_for_measuring(const ag_policy *p) {
    return p->load.decoding > 0 && p->n_mixed >= MIXED;
}

/* Chunks of prompts. A quarter of the rows and of the time is kept for the oldest, so that it
 * arrives; the rest goes to those with least left to read, so that a short prompt is not held up by
 * a long one. */
static void add_prompts(ag_policy *p) {
    ag_task *oldest = NULL;
    int n_reading = 0;
    for (int i = 0; i < p->n_running; i++) {
        ag_task *t = p->running[i];
        if (!is_reading(t))
            continue;
        n_reading++;
        if (!oldest || t->order < oldest->order)
            oldest = t;
    }
    int rows = p->opts.batch_tokens - p->load.decoding, first = p->n_slices;
    if (!oldest || rows <= 0 || is_for_measuring(p))
        return;
    double us = ag_pace_spare_us(&p->pace, &p->load, n_reading);
    if (us < 0 && !p->alone)
        us = p->pace.target_us > 0 ? p->pace.target_us : NEIGHBOURLY_US;
    else if (us < 0 && p->pace.n_prefill > 0)
        us = ALONE_US;
    double kept_us = us / 4;
    int kept_rows = rows > 4 ? rows / 4 : 1;
    if (ag_task_pending(oldest) < kept_rows)
        kept_rows = ag_task_pending(oldest);
    us -= kept_us;
    for (ag_task *t; (t = most_urgent(p, oldest, first)) != NULL;) {
        int left = rows - kept_rows - p->load.prefill;
        if (left <= 0 || (us >= 0 && us < 1))
            break;
        add_chunk(p, t, left, &us);
    }
    us += kept_us;
    add_chunk(p, oldest, rows - p->load.prefill, &us);
}

static bool is_in_rank(const ag_policy *p) {
    for (int i = 1; i < p->n_running; i++)
        if (ranks_before(p->running[i], p->running[i - 1]))
            return false;
    return true;
}

int ag_policy_plan(ag_policy *p, uint64_t now) {
    p->n_slices = 0;
    p->load = (ag_load){0};
    for (int i = 0; i < p->n_running; i++)
        charge(p, p->running[i]);
    sort_running(p);
    admit(p, now);
    AG_ASSERT(is_in_rank(p));
    if (p->opts.whole) {
        add_whole(p);
    } else {
        share_beginnings(p);
        add_decoding(p);
        add_drafts(p);
        add_prompts(p);
    }
    p->n_mixed = p->load.prefill > 0 && p->load.decoding > 0 ? p->n_mixed + 1 : 0;
    p->counts.prefill_rows += (uint64_t)p->load.prefill;
    p->counts.decode_rows += (uint64_t)p->load.decoding;
    return p->n_slices;
}

void ag_policy_done(ag_policy *p, double us) { ag_pace_learn(&p->pace, &p->load, us); }

void ag_policy_check(const ag_policy *p) {
    const ag_kv_seq *seqs[1024];
    AG_ASSERT(p->n_running <= p->opts.max_running && p->opts.max_running <= 1024);
    for (int i = 0; i < p->n_running; i++)
        seqs[i] = &p->running[i]->kv;
    int n = 0;
    for (const ag_task *t = p->line.first; t; t = t->next, n++)
        AG_ASSERT(t->kv.n_blocks == 0 && !ag_policy_runs(p, t));
    AG_ASSERT(n == p->line.n);
    ag_kv_check(p->opts.kv, seqs, p->n_running);
}
