/* UTF-8 by RFC 3629 and Unicode 16, table 3-7 (well-formed byte sequences). Reentrant. */
#ifndef AG_BASE_UTF8_H
#define AG_BASE_UTF8_H

#include "base/span.h"

#define AG_UTF8_REPLACEMENT 0xFFFDu

typedef enum ag_utf8_kind {
    AG_UTF8_OK,         /* a complete character */
    AG_UTF8_BAD,        /* an ill-formed maximal subpart: replace by one U+FFFD */
    AG_UTF8_INCOMPLETE, /* the input ends inside a sequence that could still become valid */
} ag_utf8_kind;

typedef struct ag_utf8_step {
    ag_utf8_kind kind;
    uint32_t cp; /* the character; U+FFFD unless OK */
    size_t n;    /* bytes consumed, 1..4; for INCOMPLETE all that is left */
} ag_utf8_step;

/* Decode the first character of s (s.n > 0). */
ag_utf8_step ag_utf8_next(ag_span s);
/* Write cp (a scalar value) into out; returns 1..4. Surrogates and values past U+10FFFF become
 * U+FFFD. */
size_t ag_utf8_encode(uint32_t cp, char out[4]);
/* Length of the longest well-formed prefix: equals s.n exactly when s is valid UTF-8. */
size_t ag_utf8_valid_prefix(ag_span s);
static inline bool ag_utf8_is_valid(ag_span s) { return ag_utf8_valid_prefix(s) == s.n; }
/* Append s to out with each ill-formed maximal subpart replaced by U+FFFD. */
bool ag_utf8_repair(ag_span s, ag_buf *out);
/* Number of characters in valid UTF-8. */
size_t ag_utf8_length(ag_span s);

#endif
