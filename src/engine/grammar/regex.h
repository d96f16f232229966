/* Regular expressions.
 *
 * What is read: characters and escapes (\n \t \r \f \v \0 \xHH \uHHHH \u{H} \x{H}, a backslash
 * before punctuation), ".", classes [a-z] [^a-z] with \d \w \s and their negations, \p{L} and the
 * other general categories, groups ( ) (?: ) (?<name> ), alternatives, * + ? {m} {m,} {m,n} (a
 * following "?" changes nothing), and "^" and "$" at the ends. "." is any character but the ends of
 * lines; \d, \w and \s are ASCII. What cannot be decided by an automaton (back references, looking
 * around, \b) is refused with its position. */
#ifndef AG_GRAMMAR_REGEX_H
#define AG_GRAMMAR_REGEX_H

#include "grammar/charset.h"
#include "grammar/expr.h"

typedef struct ag_regex_mode {
    bool in_json; /* what it matches stands inside a JSON string, and is escaped as needed */
    bool search;  /* match anywhere, as JSON Schema's patterns do, not the whole text */
} ag_regex_mode;

/* Returns NULL and leaves the reason in the builder. */
const ag_expr *ag_regex_parse(ag_build *b, ag_span text, ag_regex_mode mode);

/* The class of characters that starts at text[*at] == '[' ... up to its ']', as GBNF and regular
 * expressions write it; *at moves behind it. Returns a reason, or NULL when all is well. */
const char *ag_class_parse(ag_span text, size_t *at, ag_charset *set);
/* One escape behind a backslash at text[*at]: a character, or a class into `set` (then *is_class).
 * Returns a reason, or NULL. */
const char *ag_escape_parse(ag_span text, size_t *at, ag_charset *set, bool *is_class, uint32_t *c);
/* One character of a settled or unsettled set; takes the set. */
const ag_expr *ag_expr_set(ag_build *b, ag_charset *set, bool in_json);

#endif
