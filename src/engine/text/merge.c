/* Merging: from the smallest pieces of a word (bytes in a byte-level BPE, characters in SPM) the
 * adjacent pair of lowest order becomes one token, leftmost first among equals, until no pair is a
 * token. BPE orders by the rank of the merge rule, SPM by the score of the result, or by rules too
 * where the model has them (folders with a tokenizer.json do).
 *
 * Most words are one token. Whether merging a token's own text ends in that token is found out once
 * and kept in `reach`, so such words cost one look-up. Short words are merged in arrays on the
 * stack, where looking for the minimum beats any queue; long ones through a heap in O(n log n). */
#include "text/unicode.h"
#include "text/vocab.h"

#define NO_PAIR UINT32_MAX /* order of a pair that is no token */

/* Order of the pair (left, right), which covers the bytes p[0, n), and the token it becomes. */
static inline uint32_t pair_order(const ag_tokenizer *t, const uint8_t *p, size_t n, int32_t left,
                                  int32_t right, int32_t *id) {
    if (!t->merges) {
        *id = ag_vocab_find(t, p, n);
        return *id >= 0 ? t->order[*id] : NO_PAIR;
    }
    if ((left | right) < 0)
        return NO_PAIR;
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (size_t at = ag_mix64(key ^ t->seed, 0x9E3779B97F4A7C15u) & t->merge_mask;;
         at = (at + 1) & t->merge_mask) {
        const ag_merge_slot *m = &t->merges[at];
        if (m->left == left && m->right == right) {
            *id = m->id;
            return m->rank;
        }
        if (m->left < 0)
            return NO_PAIR;
    }
}

/* The smallest piece at p[at]: its length, and its token or -1. In SPM by scores the token of a
 * single character is looked up only if the character is left over at the end. */
static inline size_t first_piece(const ag_tokenizer *t, const uint8_t *p, size_t at, int32_t *id) {
    if (t->kind == AG_VOCAB_BPE) {
        *id = t->byte_id[p[at]];
        return 1;
    }
    size_t n;
    ag_char_at(p + at, &n);
    *id = t->merges ? ag_vocab_find_key(t, ag_span_of(p + at, n), n, false) : -1;
    return n;
}

/* Some byte-level vocabularies lack bytes that valid text hardly has (F1 and up). As in the
 * reference such a byte vanishes and its neighbours become adjacent. */
static inline bool keeps_piece(const ag_tokenizer *t, int32_t id) {
    return id >= 0 || t->kind == AG_VOCAB_SPM;
}

static ag_code emit(ag_merger *m, const uint8_t *p, size_t n, int32_t id, ag_err *err) {
    const ag_tokenizer *t = m->t;
    if (id < 0)
        id = ag_vocab_find(t, p, n);
    if (id >= 0)
        return ag_ids_add(m->out, id, err);
    bool whole = t->kind == AG_VOCAB_SPM;
    for (size_t i = 0; i < n && whole; i++)
        whole = t->byte_id[p[i]] >= 0;
    ag_code code = AG_OK;
    if (whole) {
        for (size_t i = 0; i < n && code == AG_OK; i++)
            code = ag_ids_add(m->out, t->byte_id[p[i]], err);
    } else if (t->unk >= 0 && t->kind == AG_VOCAB_SPM) {
        m->met_unk = true;
        if (m->unk_end == 0 || m->out->n != m->unk_end) /* neighbours share one */
            code = ag_ids_add(m->out, t->unk, err);
        m->unk_end = m->out->n;
    }
    return code;
}

/* ---- short words ----------------------------------------------------------------------------- */

static inline void update_pair(const ag_tokenizer *t, const uint8_t *p, ag_short_word *w,
                               size_t i) {
    w->order[i] =
        pair_order(t, p + w->at[i], w->at[i + 2] - w->at[i], w->id[i], w->id[i + 1], &w->to[i]);
}

static void merge_short(const ag_tokenizer *t, const uint8_t *p, ag_short_word *w) {
    for (size_t i = 0; i + 1 < w->n; i++)
        update_pair(t, p, w, i);
    while (w->n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < w->n; i++)
            if (w->order[i] < w->order[best])
                best = i;
        if (w->order[best] == NO_PAIR)
            return;
        w->id[best] = w->to[best];
        size_t tail = w->n - best - 2; /* symbols behind the pair */
        memmove(w->id + best + 1, w->id + best + 2, tail * sizeof *w->id);
        memmove(w->at + best + 1, w->at + best + 2, (tail + 1) * sizeof *w->at);
        if (tail > 0) {
            memmove(w->order + best + 1, w->order + best + 2, (tail - 1) * sizeof *w->order);
            memmove(w->to + best + 1, w->to + best + 2, (tail - 1) * sizeof *w->to);
        }
        w->n--;
        if (best > 0)
            update_pair(t, p, w, best - 1);
        if (best + 1 < w->n)
            update_pair(t, p, w, best);
    }
}

/* ---- long words ------------------------------------------------------------------------------ */

typedef struct sym {
    uint32_t at; /* start in the word */
    int32_t id;  /* its token, -1 none, DEAD merged into the one before */
    uint32_t prev,
        next; /* neighbours; the one behind the last is an end mark, before the first END */
} sym;
#define DEAD (-2)
#define END  UINT32_MAX

typedef struct candidate {
    uint64_t order; /* order << 32 | left symbol: the heap's order */
    uint32_t end;   /* where the pair ended when it was found; another end: it is stale */
    int32_t to;     /* the token that the pair makes */
} candidate;

/* Grow a scratch array to n elements. */
static ag_code grow(void **p, size_t *room, size_t n, size_t size, ag_err *err) {
    if (n <= *room)
        return AG_OK;
    size_t want = n < *room * 2 ? *room * 2 : n;
    void *q = ag_realloc(AG_ROOM_TEXT, *p, want, size);
    if (!q)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a word of %zu pieces", n);
    *p = q;
    *room = want;
    return AG_OK;
}

static void sift_down(candidate *heap, size_t n, size_t i) {
    candidate c = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1].order < heap[child].order)
            child++;
        if (heap[child].order >= c.order)
            break;
        heap[i] = heap[child];
    }
    heap[i] = c;
}

static void sift_up(candidate *heap, size_t i) {
    candidate c = heap[i];
    for (; i > 0 && heap[(i - 1) / 2].order > c.order; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = c;
}

/* The pair that begins with symbol `left`: false when there is none or it is no token. */
static bool make_candidate(const ag_tokenizer *t, const uint8_t *p, const sym *syms, uint32_t left,
                           uint32_t end_mark, candidate *c) {
    uint32_t right = syms[left].next;
    if (right == end_mark)
        return false;
    uint32_t end = syms[syms[right].next].at;
    int32_t to = -1;
    uint32_t order =
        pair_order(t, p + syms[left].at, end - syms[left].at, syms[left].id, syms[right].id, &to);
    *c = (candidate){(uint64_t)order << 32 | left, end, to};
    return order != NO_PAIR;
}

static ag_code push(ag_merger *m, size_t *n, candidate c, ag_err *err) {
    ag_code code = grow(&m->heap, &m->heap_room, *n + 1, sizeof c, err);
    if (code != AG_OK)
        return code;
    candidate *heap = m->heap;
    heap[*n] = c;
    sift_up(heap, (*n)++);
    return AG_OK;
}

/* Merge the pair of `c` and push the pairs that this makes. */
static ag_code apply(ag_merger *m, const uint8_t *p, candidate c, uint32_t end_mark, size_t *n_heap,
                     ag_err *err) {
    sym *syms = m->syms;
    uint32_t left = (uint32_t)c.order, right = syms[left].next;
    syms[left].id = c.to;
    syms[right].id = DEAD;
    syms[left].next = syms[right].next;
    if (syms[right].next != end_mark)
        syms[syms[right].next].prev = left;
    ag_code code = AG_OK;
    candidate fresh;
    uint32_t prev = syms[left].prev;
    if (prev != END && make_candidate(m->t, p, syms, prev, end_mark, &fresh))
        code = push(m, n_heap, fresh, err);
    if (code == AG_OK && make_candidate(m->t, p, syms, left, end_mark, &fresh))
        code = push(m, n_heap, fresh, err);
    return code;
}

static ag_code split_long(ag_merger *m, const uint8_t *p, size_t n, uint32_t *n_syms, ag_err *err) {
    ag_code code = grow(&m->syms, &m->syms_room, n + 1, sizeof(sym), err);
    if (code != AG_OK)
        return code;
    sym *syms = m->syms;
    uint32_t count = 0;
    for (size_t at = 0; at < n;) {
        sym *s = &syms[count];
        *s = (sym){.at = (uint32_t)at, .prev = count ? count - 1 : END, .next = count + 1};
        at += first_piece(m->t, p, at, &s->id);
        count += keeps_piece(m->t, s->id);
    }
    syms[count] = (sym){.at = (uint32_t)n, .id = DEAD};
    *n_syms = count;
    return AG_OK;
}

static ag_code merge_long(ag_merger *m, const uint8_t *p, size_t n, ag_err *err) {
    uint32_t count;
    ag_code code = split_long(m, p, n, &count, err);
    if (code == AG_OK)
        code = grow(&m->heap, &m->heap_room, count, sizeof(candidate), err);
    if (code != AG_OK)
        return code;
    sym *syms = m->syms;
    size_t n_heap = 0;
    for (uint32_t i = 0; i + 1 < count; i++)
        n_heap += make_candidate(m->t, p, syms, i, count, (candidate *)m->heap + n_heap);
    for (size_t i = n_heap / 2; i-- > 0;)
        sift_down(m->heap, n_heap, i);
    while (n_heap > 0 && code == AG_OK) {
        candidate *heap = m->heap, c = heap[0];
        heap[0] = heap[--n_heap];
        if (n_heap > 0)
            sift_down(heap, n_heap, 0);
        uint32_t left = (uint32_t)c.order;
        /* Symbols only grow to the right, so a pair that ends where it did is the same pair. */
        if (syms[left].id == DEAD || syms[left].next == count ||
            syms[syms[syms[left].next].next].at != c.end)
            continue;
        code = apply(m, p, c, count, &n_heap, err);
    }
    for (uint32_t i = 0; i < count && code == AG_OK; i = syms[i].next)
        code = emit(m, p + syms[i].at, syms[syms[i].next].at - syms[i].at, syms[i].id, err);
    return code;
}

/* ---- a word ---------------------------------------------------------------------------------- */

static ag_code merge(ag_merger *m, const uint8_t *p, size_t n, ag_err *err) {
    ag_short_word *w = &m->short_word;
    size_t at = 0;
    for (w->n = 0; at < n && w->n < AG_SHORT_WORD;) {
        w->at[w->n] = (uint32_t)at;
        at += first_piece(m->t, p, at, &w->id[w->n]);
        w->n += keeps_piece(m->t, w->id[w->n]);
    }
    if (at < n)
        return merge_long(m, p, n, err);
    w->at[w->n] = (uint32_t)n;
    merge_short(m->t, p, w);
    ag_code code = AG_OK;
    for (size_t i = 0; i < w->n && code == AG_OK; i++)
        code = emit(m, p + w->at[i], w->at[i + 1] - w->at[i], w->id[i], err);
    return code;
}

/* A word in `cache`, a table of one cache line a word that the latest word of its place overwrites.
 */
typedef struct cached {
    uint8_t text[26];
    uint8_t n, n_ids; /* n 0: free */
    int32_t ids[9];
} cached;
_Static_assert(sizeof(cached) == 64, "one cache line");

void ag_merger_expect(ag_merger *m, size_t text_bytes) {
    if (text_bytes < 2048 || m->cache) /* clearing the table would cost more than it saves */
        return;
    size_t n = 256;
    while (n < 4096 && n * 16 < text_bytes)
        n *= 2;
    m->cache = ag_calloc(AG_ROOM_TEXT, n, sizeof(cached));
    m->cache_mask = n - 1;
}

static ag_code merge_or_take(ag_merger *m, const uint8_t *word, size_t n, uint64_t hash,
                             ag_err *err) {
    const ag_tokenizer *t = m->t;
    int32_t id = ag_vocab_find_hashed(t, word, n, hash);
    if (id < 0)
        return merge(m, word, n, err);
    if (t->ignore_merges)
        return ag_ids_add(m->out, id, err);
    uint8_t reach = atomic_load_explicit(&t->reach[id], memory_order_relaxed);
    if (reach == AG_REACH_YES)
        return ag_ids_add(m->out, id, err);
    size_t before = m->out->n;
    ag_code code = merge(m, word, n, err);
    if (code == AG_OK && reach == AG_REACH_UNKNOWN) {
        bool yes = m->out->n == before + 1 && m->out->v[before] == id;
        atomic_store_explicit(&t->reach[id], yes ? AG_REACH_YES : AG_REACH_NO,
                              memory_order_relaxed);
    }
    return code;
}

ag_code ag_merge_word(ag_merger *m, const uint8_t *word, size_t n, ag_err *err) {
    cached *c = NULL;
    ag_code code = AG_OK;
    if (n > AG_MAX_WORD_BYTES)
        return ag_fail(err, AG_E_LIMIT,
                       "the text has %zu bytes without a word boundary; up to %u are taken", n,
                       AG_MAX_WORD_BYTES);
    if (n > m->t->longest) /* not worth a hash */
        return merge(m, word, n, err);
    uint64_t hash = ag_key_hash(word, n, m->t->seed);
    if (m->cache && n <= sizeof c->text) {
        c = (cached *)m->cache + ((hash >> 32) & m->cache_mask);
        if (c->n == n && ag_key_eq(c->text, word, n)) {
            for (size_t i = 0; i < c->n_ids && code == AG_OK; i++)
                code = ag_ids_add(m->out, c->ids[i], err);
            return code;
        }
    }
    size_t before = m->out->n;
    m->met_unk = false;
    code = merge_or_take(m, word, n, hash, err);
    size_t n_ids = m->out->n - before;
    if (code == AG_OK && c && !m->met_unk && n_ids <= sizeof c->ids / sizeof c->ids[0]) {
        c->n = (uint8_t)n;
        c->n_ids = (uint8_t)n_ids;
        memcpy(c->text, word, n);
        if (n_ids)
            memcpy(c->ids, m->out->v + before, n_ids * sizeof *c->ids);
    }
    return code;
}

void ag_merger_deinit(ag_merger *m) {
    ag_free(m->syms);
    ag_free(m->heap);
    ag_free(m->cache);
    m->syms = m->heap = m->cache = NULL;
}
