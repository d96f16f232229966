/* Sets of characters, and the automata that read their UTF-8. Thread: one at a time. */
#ifndef AG_GRAMMAR_CHARSET_H
#define AG_GRAMMAR_CHARSET_H

#include "grammar/atom.h"

#define AG_CHARSET_RANGES 4096u
#define AG_CHAR_LAST      0x10FFFFu

typedef struct ag_range {
    uint32_t lo, hi;
} ag_range;

/* Ranges in order and apart, once ag_charset_settle() has run; never a surrogate. */
typedef struct ag_charset {
    ag_range *v; /* owned */
    uint32_t n, room;
    ag_code failed; /* sticky: AG_E_GRAMMAR (too many ranges) or AG_E_NOMEM */
} ag_charset;

void ag_charset_deinit(ag_charset *s);
void ag_charset_add(ag_charset *s, uint32_t lo, uint32_t hi);
void ag_charset_add_set(ag_charset *s, const ag_charset *other);
/* Sort and join. */
void ag_charset_settle(ag_charset *s);
/* All other characters. Settles. */
void ag_charset_invert(ag_charset *s);
bool ag_charset_has(const ag_charset *s, uint32_t c);
/* Add all characters of a Unicode general category ("L", "Lu", "Nd", ...), or of the few scripts
 * that are known by name ("Han", ...). False: no such name. */
bool ag_charset_add_property(ag_charset *s, ag_span name);

/* How a character is written. */
typedef enum ag_chars_as {
    AG_CHARS_PLAIN,       /* its UTF-8 */
    AG_CHARS_IN_JSON,     /* in a JSON string, in the shortest form: quotes, backslashes and control
                           * characters escaped, everything else as it is */
    AG_CHARS_IN_JSON_ANY, /* the same in any form; only for the set of all characters */
} ag_chars_as;

/* The automaton that reads one character of a settled set. AG_E_GRAMMAR, AG_E_NOMEM. */
ag_code ag_charset_atom(const ag_charset *s, ag_chars_as as, ag_atom **out,
                        ag_err *err) AG_MUST_USE;

#endif
