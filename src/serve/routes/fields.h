/* Reading a request's JSON by a table of fields: one row says name, type, range, and where the
 * value goes. Everything that is wrong is a 400 which names the field and what was expected.
 *
 * null means absent. What no row names is collected, for the answer's X-Ignored-Params. Texts and
 * JSON values are borrowed from the parsed body; lists come from the arena. Thread: any. */
#ifndef AG_ROUTES_FIELDS_H
#define AG_ROUTES_FIELDS_H

#include <jansson.h>

#include "base/arena.h"
#include "routes/problem.h"

#define AG_MAX_REQUEST_DEPTH  64       /* nesting of a body; schemas of tools reach about 20 */
#define AG_MAX_REQUEST_LISTS  262144u  /* arrays and objects of a body */
#define AG_MAX_REQUEST_VALUES 2097152u /* what is in them: token ids, most of all */
#define AG_MAX_LIST_ITEMS     65536    /* stop words, biases: of any list but tokens and messages */

typedef enum ag_field_kind {
    AG_FIELD_BOOL,   /* bool */
    AG_FIELD_U32,    /* uint32_t, within [min, max] */
    AG_FIELD_I32,    /* int32_t, within [min, max] */
    AG_FIELD_I64,    /* int64_t */
    AG_FIELD_F32,    /* float, within [min, max]; whole numbers too */
    AG_FIELD_TEXT,   /* const char *, one of `words` when there are any */
    AG_FIELD_TEXTS,  /* ag_texts: a string, or a list of at most `max` */
    AG_FIELD_IDS,    /* ag_id_list: a list of token ids, at most `max` */
    AG_FIELD_ARRAY,  /* json_t * */
    AG_FIELD_OBJECT, /* json_t * */
    AG_FIELD_ANY,    /* json_t *: the reader's caller looks at it */
    AG_FIELD_TAKEN,  /* accepted, nothing depends on it */
} ag_field_kind;

typedef struct ag_field {
    const char *name; /* NULL ends a table */
    ag_field_kind kind;
    size_t at; /* offset of the value in the target */
    double min, max;
    const char *words; /* "auto none required" */
    size_t has;        /* offset of a bool that becomes true when the field is given; 0: none */
    bool or_none;      /* -1 means absent too */
} ag_field;

typedef struct ag_texts {
    const char **v;
    size_t n;
} ag_texts;

typedef struct ag_id_list {
    int32_t *v;
    size_t n;
} ag_id_list;

/* Parse a body that must be one JSON object: no duplicate names, no zero bytes, numbers that are
 * finite and fit, within the limits above. *root is freed with json_decref(). */
bool ag_body_parse(ag_span body, json_t **root, ag_problem *p);

/* Read what `fields` names out of `root` into `target`, whose present contents are the defaults.
 * `prefix` (may be NULL) stands before names in messages: "stream_options.". Names that no row has
 * are appended to `ignored` (NULL: they are mistakes), separated by ", ". */
bool ag_fields_read(const ag_field *fields, const json_t *root, const char *prefix, void *target,
                    ag_arena *arena, ag_buf *ignored, ag_problem *p);

/* One value as a list of token ids. */
bool ag_field_ids(const json_t *value, const char *param, size_t max, ag_arena *arena,
                  ag_id_list *out, ag_problem *p);
/* Append a name to a list as X-Ignored-Params has it, unless it could not stand in a header. */
void ag_ignored_add(ag_buf *ignored, const char *name);
/* "a string", "null": what a value is, in messages. */
const char *ag_field_kind_name(const json_t *v);

#endif
