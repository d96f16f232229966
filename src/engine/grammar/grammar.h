/* Grammars: the form that an answer is held to, compiled once and shared.
 *
 *   caller's thread                            engine thread
 *   ag_gcache_get() ──▶ ag_grammar             ag_match_mask()   which tokens may come
 *     (compiles, or finds it compiled)         ag_match_accept() this one came
 *   ag_match_new()  ──▶ ag_match               ag_match_is_complete(): nothing can follow
 *
 * A grammar does not change; what its automaton finds out while it works is kept beside it, behind
 * a lock, and serves all requests with the same text. A match is the place of one request. */
#ifndef AG_GRAMMAR_GRAMMAR_H
#define AG_GRAMMAR_GRAMMAR_H

#include "autoglm/request.h"
#include "grammar/vocab.h"

typedef struct ag_grammar ag_grammar;
typedef struct ag_gcache ag_gcache;

/* The compiled grammars of an engine. The vocabulary is read at the first use of one; the source
 * must outlive the cache and all grammars from it. AG_E_NOMEM. */
ag_code ag_gcache_new(const ag_gvocab_source *source, ag_gcache **out, ag_err *err) AG_MUST_USE;
/* No grammar and no match from it may be in use any more. Accepts NULL. */
void ag_gcache_free(ag_gcache **c);
/* The grammar of a structure (whose kind is not AG_STRUCTURE_NONE), with a reference for the
 * caller. Any thread. AG_E_GRAMMAR: what is wrong and where; AG_E_AGAIN: those in use hold too much
 * memory; AG_E_NOMEM. */
ag_code ag_gcache_get(ag_gcache *c, const ag_structure *structure, ag_grammar **out,
                      ag_err *err) AG_MUST_USE;

/* Compile without a cache. The vocabulary must outlive the grammar. The same errors. */
ag_code ag_grammar_compile(const ag_gvocab *vocab, const ag_structure *structure, ag_grammar **out,
                           ag_err *err) AG_MUST_USE;
/* Take another reference; returns g. */
ag_grammar *ag_grammar_ref(ag_grammar *g);
/* Drop a reference. Accepts NULL. */
void ag_grammar_unref(ag_grammar *g);
/* Memory of the grammar and of what was found out with it. */
size_t ag_grammar_bytes(ag_grammar *g);

/* ---- one request's place ----------------------------------------------------------------------
 */

#define AG_MATCH_PAST 64u /* tokens that can be taken back */

typedef struct ag_match ag_match;

/* At the beginning. Holds the grammar. Any thread. AG_E_NOMEM. */
ag_code ag_match_new(ag_grammar *g, ag_match **out, ag_err *err) AG_MUST_USE;
/* Another match at the same place. AG_E_NOMEM. */
ag_code ag_match_copy(const ag_match *m, ag_match **out, ag_err *err) AG_MUST_USE;
/* Accepts NULL. Any thread. */
void ag_match_free(ag_match **m);

/* The rest is for one thread at a time; for different matches it may be different ones. */

/* Words of a mask. */
uint32_t ag_match_words(const ag_match *m);
/* Which tokens may come next: bit id % 64 of bits[id / 64]. The tokens that end an answer are not
 * among them; they are allowed where ag_match_is_accepting(). AG_E_GRAMMAR: following the grammar
 * takes too much work, or the vocabulary has no token with which it could go on; AG_E_NOMEM. */
ag_code ag_match_mask(ag_match *m, uint64_t *bits, ag_err *err) AG_MUST_USE;
/* The answer goes on with this token. AG_E_GRAMMAR: it is not allowed, and nothing has changed, or
 * as above; AG_E_NOMEM. */
ag_code ag_match_accept(ag_match *m, int32_t id, ag_err *err) AG_MUST_USE;
/* Take back the last n tokens accepted; n up to AG_MATCH_PAST and to what was accepted. */
void ag_match_rollback(ag_match *m, uint32_t n);
/* Is what was accepted a whole text of the grammar? */
bool ag_match_is_accepting(const ag_match *m);
/* Is it one to which nothing can be added? */
bool ag_match_is_complete(const ag_match *m);

#endif
