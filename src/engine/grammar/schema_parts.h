/* Private to the schema's files: a schema while it becomes an expression. */
#ifndef AG_GRAMMAR_SCHEMA_PARTS_H
#define AG_GRAMMAR_SCHEMA_PARTS_H

#include <jansson.h>

#include "grammar/json_text.h"

typedef struct ag_schema_ref {
    const json_t *node;
    uint32_t rule;
} ag_schema_ref;

typedef struct ag_schema {
    ag_build *b;
    json_t *root;
    json_t *made;        /* owned array: merged schemas, which live as long as this */
    ag_schema_ref *refs; /* owned [n_refs]: schemas that became rules */
    uint32_t n_refs, ref_room;
    char path[256]; /* JSON pointer to where we are; cut when it is longer */
    size_t path_len;
    uint32_t depth;
} ag_schema;

/* Record a failure at `path` (plus /key, when it is not NULL); returns NULL. */
const ag_expr *ag_schema_fail(ag_schema *s, const char *key, const char *fmt, ...) AG_PRINTF(3, 4);
/* The same for a failure met elsewhere. */
const ag_expr *ag_schema_fail_as(ag_schema *s, const char *key, const ag_err *err);
/* No value is possible at `path` (plus /key): not a failure, as long as it may be left out. */
const ag_expr *ag_schema_nothing(ag_schema *s, const char *key, const char *why);
/* Go down a step; give the result to leave. */
size_t ag_schema_enter(ag_schema *s, const char *key);
size_t ag_schema_enter_index(ag_schema *s, const char *key, size_t index);
static inline void ag_schema_leave(ag_schema *s, size_t mark) {
    s->path_len = mark;
    s->path[mark] = 0;
}

/* Any schema. */
const ag_expr *ag_schema_node(ag_schema *s, json_t *node);
const ag_expr *ag_schema_at(ag_schema *s, const char *key, json_t *node);

/* One type of a schema whose references and choices are resolved. */
const ag_expr *ag_schema_object_type(ag_schema *s, json_t *node);
const ag_expr *ag_schema_array_type(ag_schema *s, json_t *node);
const ag_expr *ag_schema_string_type(ag_schema *s, json_t *node);
const ag_expr *ag_schema_number_type(ag_schema *s, json_t *node, bool integer);

/* What may stand between the quotes, as an automaton; NULL: see the builder. */
const ag_atom *ag_schema_string_atom(ag_schema *s, json_t *node);
/* A pattern's texts as an automaton, found anywhere in a string. The builder owns it. */
const ag_atom *ag_schema_pattern_atom(ag_schema *s, ag_span pattern);

/* Both schemas at once, as one; borrowed from s. NULL: see the builder. */
json_t *ag_schema_merge(ag_schema *s, json_t *a, json_t *b);
/* Keep a schema that was made here as long as s; takes the reference, returns it borrowed. */
json_t *ag_schema_keep(ag_schema *s, json_t *made);
/* Follow a local reference. NULL: see the builder. */
json_t *ag_schema_resolve(ag_schema *s, json_t *ref);

/* A text as it stands between the quotes of a string, in a new buffer. Without memory for it
 * there is a failure in the builder. */
void ag_schema_escape(ag_schema *s, ag_span text, ag_buf *out);
/* Is this string, in that spelling, one of the atom's? */
bool ag_schema_fits(ag_schema *s, const ag_atom *atom, ag_span text);

/* A bound that is a count: false when it is not given. A wrong one is a failure. */
bool ag_schema_count(ag_schema *s, json_t *node, const char *key, uint32_t *out);

#endif
