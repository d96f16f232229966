/* What the grammars of one cache hold together: those kept for the next request with the same text,
 * and those in use, which grow while they are followed. Private to the room.
 *
 * Bounds: what is kept without a user stays below AG_MAX_GRAMMARS_KEPT, because the cache looks
 * when a user leaves. All together stay near AG_MAX_GRAMMARS_LIVE: beyond it nothing new is
 * compiled and none may hold more than a small share, so that those who made the memory full end
 * first. */
#ifndef AG_GRAMMAR_ACCOUNT_H
#define AG_GRAMMAR_ACCOUNT_H

#include <stdatomic.h>

#include "grammar/grammar.h"

typedef struct ag_gaccount {
    _Atomic size_t bytes;
    ag_gcache *cache; /* whose it is */
} ag_gaccount;

/* From now on g counts there; once. */
void ag_grammar_join(ag_grammar *g, ag_gaccount *account);
/* Is the cache its only owner? With the cache's lock held that stays true. */
bool ag_grammar_is_idle(ag_grammar *g);
/* Drop what is kept beyond the bounds. */
void ag_gcache_trim(ag_gcache *c);

#endif
