/* Added tokens: those that are looked for in the raw text before anything else, leftmost first and
 * of those that start at the same place the longest. A trie in one array. */
#ifndef AG_TEXT_ADDED_H
#define AG_TEXT_ADDED_H

#include "base/span.h"

#define AG_MAX_ADDED_BYTES 1024u /* longer ones are refused: matching costs length times text */

typedef struct ag_added_node {
    int32_t id;     /* token that ends here, or -1 */
    uint32_t child; /* first child, 0: none */
    uint32_t next;  /* next sibling, 0: none */
    uint8_t byte;   /* on the edge to this node */
    bool special;   /* the token that ends here is a control token */
    uint8_t strip;  /* AG_STRIP_LEFT, AG_STRIP_RIGHT: it swallows white space beside it */
} ag_added_node;

typedef struct ag_added {
    ag_added_node *nodes; /* owned; [0] is not used */
    size_t n, room;
    uint32_t root[256]; /* node of a first byte, 0: none */
} ag_added;

typedef struct ag_added_match {
    size_t from, to; /* bytes of the text */
    int32_t id;
    bool special;
    uint8_t strip; /* the white space itself is not part of the match */
} ag_added_match;

#define AG_STRIP_LEFT  1u
#define AG_STRIP_RIGHT 2u

/* Add a token; of equal texts the last counts. AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_added_put(ag_added *a, ag_span text, int32_t id, bool special, ag_err *err) AG_MUST_USE;
/* Let the added token of this text, if there is one, swallow white space. */
void ag_added_strip(ag_added *a, ag_span text, uint8_t strip);
/* The next match at or after `at`, special tokens included. */
bool ag_added_find(const ag_added *a, ag_span text, size_t at, ag_added_match *m);
void ag_added_deinit(ag_added *a);

#endif
