/* The vocabulary as grammars see it: the bytes of every token that text can match, as tries.
 *
 * The tries are arrays in depth-first order, so that a walk is one pass which skips the subtrees
 * that are not allowed. Tokens are spread over three: those made of whole characters that need no
 * escape in a JSON string, up to AG_PLAIN_CHARS of them; longer ones of that kind; and the rest.
 * Where any such text may follow (which is so inside most strings) the first two are allowed as a
 * whole, without a walk. Constant once built; any thread. */
#ifndef AG_GRAMMAR_VOCAB_H
#define AG_GRAMMAR_VOCAB_H

#include "base/span.h"

#define AG_VOCAB_TRIES     3
#define AG_PLAIN_CHARS     12u  /* most tokens that are words have fewer */
#define AG_LONG_CHARS      64u  /* of the second trie */
#define AG_MAX_TOKEN_BYTES 255u /* longer ones are never allowed; some vocabularies have a few */

/* Where a vocabulary comes from. Called while building and compiling; any thread. */
typedef struct ag_gvocab_source {
    int32_t n_tokens;                               /* bits of a mask */
    ag_span (*bytes)(const void *ctx, int32_t id);  /* empty: no text matches this token */
    int32_t (*find)(const void *ctx, ag_span text); /* the token of this name, or -1 */
    const void *ctx;
} ag_gvocab_source;

typedef struct ag_trie {
    uint32_t first, end; /* its nodes */
    uint32_t max_chars;  /* of its tokens; 0: tokens of any kind */
    uint64_t *all;       /* owned [words]: its tokens */
} ag_trie;

typedef struct ag_gvocab {
    ag_gvocab_source source;
    int32_t n_tokens;
    uint32_t n_words; /* of a mask: 64 tokens each */
    uint32_t n_nodes;
    uint32_t longest; /* bytes of the longest token */
    /* A node for each beginning of a token: owned [n_nodes]. */
    uint8_t *byte;   /* its last byte */
    uint8_t *depth;  /* 1 for the first byte */
    uint32_t *after; /* the node behind its subtree */
    int32_t *token;  /* the token that ends here, or -1 */
    int32_t *same;   /* owned [n_tokens]: another token of the same bytes, or -1 */
    ag_trie tries[AG_VOCAB_TRIES];
} ag_gvocab;

/* Build from a source that outlives the vocabulary. AG_E_NOMEM. */
ag_code ag_gvocab_new(const ag_gvocab_source *source, ag_gvocab **out, ag_err *err) AG_MUST_USE;
void ag_gvocab_free(ag_gvocab **v);
size_t ag_gvocab_bytes(const ag_gvocab *v);

/* Bytes of a token that text can match; empty for others and for ids out of range. */
ag_span ag_gvocab_token(const ag_gvocab *v, int32_t id);

#endif
