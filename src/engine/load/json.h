/* JSON files of a model folder: parsed by jansson, behind limits. */
#ifndef AG_LOAD_JSON_H
#define AG_LOAD_JSON_H

#include <jansson.h>

#include "base/span.h"

/* Parse one object. `name` stands in messages. Names that occur twice, nesting past
 * AG_MAX_JSON_DEPTH and anything that is no object are refused: AG_E_FORMAT (with the line),
 * AG_E_NOMEM. The caller gives *out back with json_decref(). Any thread. */
ag_code ag_json_parse(ag_span text, const char *name, json_t **out, ag_err *err) AG_MUST_USE;
/* The same for a whole file of up to `cap` bytes. AG_E_NOT_FOUND, AG_E_IO, AG_E_LIMIT too. */
ag_code ag_json_read(const char *path, size_t cap, json_t **out, ag_err *err) AG_MUST_USE;
/* "a string", "null", "nothing" (NULL): for messages. */
const char *ag_json_kind(const json_t *v);

#endif
