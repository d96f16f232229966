/* The grammars of an engine by their text, least recently used out first. */
#include <pthread.h>

#include "base/hash.h"
#include "base/limits.h"
#include "grammar/account.h"

typedef struct entry {
    ag_grammar *grammar; /* a reference */
    ag_structure_kind kind;
    char *text; /* owned */
    size_t len;
    uint64_t hash;
    uint64_t used_at; /* count of uses of the cache */
} entry;

struct ag_gcache {
    ag_gvocab_source source;
    ag_gaccount account;
    pthread_mutex_t lock; /* guards what follows */
    ag_gvocab *vocab;     /* NULL until it is needed */
    entry entries[AG_MAX_GRAMMARS];
    size_t n;
    uint64_t n_uses;
};

ag_code ag_gcache_new(const ag_gvocab_source *source, ag_gcache **out, ag_err *err) {
    ag_gcache *c = ag_calloc(AG_ROOM_GRAMMAR, 1, sizeof *c);
    *out = c;
    if (!c)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the cache of grammars");
    c->source = *source;
    c->account.cache = c;
    pthread_mutex_init(&c->lock, NULL);
    return AG_OK;
}

static void drop(ag_gcache *c, size_t i) {
    ag_grammar_unref(c->entries[i].grammar);
    ag_free(c->entries[i].text);
    c->entries[i] = c->entries[--c->n];
}

void ag_gcache_free(ag_gcache **cp) {
    ag_gcache *c = *cp;
    if (!c)
        return;
    while (c->n > 0)
        drop(c, c->n - 1);
    ag_gvocab_free(&c->vocab);
    pthread_mutex_destroy(&c->lock);
    ag_free(c);
    *cp = NULL;
}

/* With a new reference, or NULL. The lock is held. */
static ag_grammar *find(ag_gcache *c, const ag_structure *s, uint64_t hash) {
    for (size_t i = 0; i < c->n; i++) {
        entry *e = &c->entries[i];
        if (e->hash != hash || e->kind != s->kind || e->len != s->len ||
            (s->len && memcmp(e->text, s->text, s->len) != 0))
            continue;
        e->used_at = ++c->n_uses;
        return ag_grammar_ref(e->grammar);
    }
    return NULL;
}

/* The longest unused, if it must be nobody's: c->n when there is none. The lock is held. */
static size_t oldest(const ag_gcache *c, bool idle) {
    size_t best = c->n;
    for (size_t i = 0; i < c->n; i++)
        if ((!idle || ag_grammar_is_idle(c->entries[i].grammar)) &&
            (best == c->n || c->entries[i].used_at < c->entries[best].used_at))
            best = i;
    return best;
}

/* Of those that nobody uses. The lock is held. */
static size_t kept_bytes(const ag_gcache *c) {
    size_t bytes = 0;
    for (size_t i = 0; i < c->n; i++)
        if (ag_grammar_is_idle(c->entries[i].grammar))
            bytes += ag_grammar_bytes(c->entries[i].grammar);
    return bytes;
}

/* Those in use are left, so that others share them. The lock is held. */
static void trim(ag_gcache *c) {
    size_t i;
    while ((atomic_load(&c->account.bytes) > AG_MAX_GRAMMARS_LIVE ||
            kept_bytes(c) > AG_MAX_GRAMMARS_KEPT) &&
           (i = oldest(c, true)) < c->n)
        drop(c, i);
}

void ag_gcache_trim(ag_gcache *c) {
    pthread_mutex_lock(&c->lock);
    trim(c);
    pthread_mutex_unlock(&c->lock);
}

/* May another be compiled? The lock is held. */
static ag_code check_room(ag_gcache *c, ag_err *err) {
    trim(c);
    size_t bytes = atomic_load(&c->account.bytes);
    if (bytes <= AG_MAX_GRAMMARS_LIVE)
        return AG_OK;
    return ag_fail(
        err, AG_E_AGAIN,
        "structure: the forms of running requests hold %zu MiB, at most %zu are meant for "
        "them; try again when some have ended",
        bytes >> 20, AG_MAX_GRAMMARS_LIVE >> 20);
}

/* Without memory for the entry the grammar serves this one caller. The lock is held. */
static void insert(ag_gcache *c, const ag_structure *s, uint64_t hash, ag_grammar *g) {
    if (c->n == AG_MAX_GRAMMARS)
        drop(c, oldest(c, false));
    char *text = ag_strndup(AG_ROOM_GRAMMAR, s->len ? s->text : "", s->len);
    if (text)
        c->entries[c->n++] = (entry){.grammar = ag_grammar_ref(g),
                                     .kind = s->kind,
                                     .text = text,
                                     .len = s->len,
                                     .hash = hash,
                                     .used_at = ++c->n_uses};
}

ag_code ag_gcache_get(ag_gcache *c, const ag_structure *structure, ag_grammar **out, ag_err *err) {
    ag_structure s = *structure;
    s.len = s.text ? s.len : 0;
    *out = NULL;
    if (s.len > AG_MAX_GRAMMAR_BYTES)
        return ag_fail(err, AG_E_GRAMMAR, "structure: it has %zu bytes; at most %zu are accepted",
                       s.len, AG_MAX_GRAMMAR_BYTES);
    uint64_t hash = ag_hash64(s.len ? s.text : "", s.len, (uint64_t)s.kind);
    ag_code code = AG_OK;
    pthread_mutex_lock(&c->lock);
    if (!c->vocab)
        code = ag_gvocab_new(&c->source, &c->vocab, err);
    else
        *out = find(c, &s, hash);
    if (!code && !*out)
        code = check_room(c, err); /* two callers at once may both find it: one too many */
    pthread_mutex_unlock(&c->lock);
    if (code || *out)
        return code;
    code = ag_grammar_compile(c->vocab, &s, out, err); /* two callers may do it at once */
    if (code)
        return code;
    ag_grammar_join(*out, &c->account);
    pthread_mutex_lock(&c->lock);
    ag_grammar *other = find(c, &s, hash);
    if (other) {
        ag_grammar_unref(*out);
        *out = other;
    } else {
        insert(c, &s, hash, *out);
    }
    pthread_mutex_unlock(&c->lock);
    return AG_OK;
}
