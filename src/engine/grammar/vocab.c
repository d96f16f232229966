#include "grammar/vocab.h"

#include <stdlib.h>

#include "base/utf8.h"

typedef struct entry {
    ag_span bytes;
    int32_t id;
    uint8_t trie;
} entry;

ag_span ag_gvocab_token(const ag_gvocab *v, int32_t id) {
    if (id < 0 || id >= v->n_tokens)
        return (ag_span){0};
    ag_span s = v->source.bytes(v->source.ctx, id);
    return s.n <= AG_MAX_TOKEN_BYTES ? s : (ag_span){0};
}

/* Characters when all are whole and stand for themselves in a JSON string; else SIZE_MAX. */
static size_t plain_chars(ag_span s) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == '"' || s.p[i] == '\\')
            return SIZE_MAX;
    return ag_utf8_is_valid(s) ? ag_utf8_length(s) : SIZE_MAX;
}

static int by_trie_and_bytes(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->trie != y->trie)
        return x->trie - y->trie;
    size_t n = x->bytes.n < y->bytes.n ? x->bytes.n : y->bytes.n;
    int c = memcmp(x->bytes.p, y->bytes.p, n);
    if (c == 0)
        c = (x->bytes.n > y->bytes.n) - (x->bytes.n < y->bytes.n);
    return c ? c : (x->id > y->id) - (x->id < y->id);
}

static size_t common(ag_span a, ag_span b) {
    size_t i = 0;
    while (i < a.n && i < b.n && a.p[i] == b.p[i])
        i++;
    return i;
}

static size_t collect(ag_gvocab *v, entry *list) {
    size_t n = 0;
    for (int32_t id = 0; id < v->n_tokens; id++) {
        ag_span s = ag_gvocab_token(v, id);
        if (s.n == 0)
            continue;
        v->longest = s.n > v->longest ? (uint32_t)s.n : v->longest;
        size_t chars = plain_chars(s);
        uint8_t trie = chars <= AG_PLAIN_CHARS ? 0 : chars <= AG_LONG_CHARS ? 1 : 2;
        list[n++] = (entry){s, id, trie};
    }
    qsort(list, n, sizeof *list, by_trie_and_bytes);
    return n;
}

static bool alloc_nodes(ag_gvocab *v, const entry *list, size_t n) {
    size_t nodes = 0;
    for (size_t i = 0; i < n; i++)
        nodes +=
            list[i].bytes.n -
            (i && list[i].trie == list[i - 1].trie ? common(list[i - 1].bytes, list[i].bytes) : 0);
    v->byte = ag_calloc(AG_ROOM_GRAMMAR, nodes + 1, sizeof *v->byte);
    v->depth = ag_calloc(AG_ROOM_GRAMMAR, nodes + 1, sizeof *v->depth);
    v->after = ag_calloc(AG_ROOM_GRAMMAR, nodes + 1, sizeof *v->after);
    v->token = ag_calloc(AG_ROOM_GRAMMAR, nodes + 1, sizeof *v->token);
    return v->byte && v->depth && v->after && v->token;
}

/* Close the open nodes deeper than `depth`. */
static void close_nodes(ag_gvocab *v, uint32_t *open, size_t *n_open, size_t depth) {
    while (*n_open > depth)
        v->after[open[--*n_open]] = v->n_nodes;
}

static void fill_nodes(ag_gvocab *v, const entry *list, size_t n) {
    uint32_t open[AG_MAX_TOKEN_BYTES];
    size_t n_open = 0;
    for (int t = 0; t < AG_VOCAB_TRIES; t++) {
        ag_trie *trie = &v->tries[t];
        trie->first = v->n_nodes;
        trie->max_chars = t == 0 ? AG_PLAIN_CHARS : t == 1 ? AG_LONG_CHARS : 0;
        for (size_t i = 0; i < n; i++) {
            if (list[i].trie != t)
                continue;
            ag_span s = list[i].bytes;
            size_t shared = i && list[i - 1].trie == t ? common(list[i - 1].bytes, s) : 0;
            trie->all[list[i].id >> 6] |= 1ull << (list[i].id & 63);
            if (shared == s.n && n_open == s.n) { /* equal to the one before */
                int32_t *last = &v->token[open[n_open - 1]];
                v->same[list[i].id] = *last;
                *last = list[i].id;
                continue;
            }
            close_nodes(v, open, &n_open, shared);
            for (size_t k = shared; k < s.n; k++) {
                v->byte[v->n_nodes] = (uint8_t)s.p[k];
                v->depth[v->n_nodes] = (uint8_t)(k + 1);
                v->token[v->n_nodes] = k + 1 == s.n ? list[i].id : -1;
                open[n_open++] = v->n_nodes++;
            }
        }
        close_nodes(v, open, &n_open, 0);
        trie->end = v->n_nodes;
    }
}

ag_code ag_gvocab_new(const ag_gvocab_source *source, ag_gvocab **out, ag_err *err) {
    *out = NULL;
    size_t n_tokens = (size_t)source->n_tokens;
    ag_gvocab *v = ag_calloc(AG_ROOM_GRAMMAR, 1, sizeof *v);
    entry *list = v ? ag_calloc(AG_ROOM_GRAMMAR, n_tokens, sizeof *list) : NULL;
    bool ok = list != NULL;
    if (ok) {
        v->source = *source;
        v->n_tokens = source->n_tokens;
        v->n_words = (uint32_t)((n_tokens + 63) / 64);
        v->same = ag_alloc(AG_ROOM_GRAMMAR, n_tokens * sizeof *v->same);
        ok = v->same != NULL;
        for (int t = 0; t < AG_VOCAB_TRIES && ok; t++) {
            v->tries[t].all = ag_calloc(AG_ROOM_GRAMMAR, v->n_words, sizeof(uint64_t));
            ok = v->tries[t].all != NULL;
        }
    }
    if (ok) {
        memset(v->same, 0xff, n_tokens * sizeof *v->same);
        size_t n = collect(v, list);
        ok = alloc_nodes(v, list, n);
        if (ok)
            fill_nodes(v, list, n);
    }
    ag_free(list);
    if (!ok) {
        ag_gvocab_free(&v);
        return ag_fail(err, AG_E_NOMEM, "out of memory for the vocabulary of grammars");
    }
    *out = v;
    return AG_OK;
}

void ag_gvocab_free(ag_gvocab **vp) {
    ag_gvocab *v = *vp;
    if (!v)
        return;
    for (int t = 0; t < AG_VOCAB_TRIES; t++)
        ag_free(v->tries[t].all);
    ag_free(v->byte);
    ag_free(v->depth);
    ag_free(v->after);
    ag_free(v->token);
    ag_free(v->same);
    ag_free(v);
    *vp = NULL;
}

size_t ag_gvocab_bytes(const ag_gvocab *v) {
    return (size_t)v->n_nodes * 10 + (size_t)v->n_tokens * 4 + (size_t)v->n_words * 8 * 3;
}
