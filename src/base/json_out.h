/* Writing JSON (RFC 8259) into an ag_buf, piece by piece.
 *
 *     ag_json_open(&b, '{');
 *     ag_json_key(&b, "id"), ag_json_text(&b, id);
 *     ag_json_key(&b, "n"), ag_json_u64(&b, 3);
 *     ag_json_close(&b, '}');                          -> {"id":"...","n":3}
 *
 * There is no writer object: whether a comma is due is seen from the last byte written, since no
 * complete value ends in { [ : , or a blank. So pieces made beforehand can be appended between.
 * Failures are the buffer's own, sticky: ag_buf_check() once at the end. Thread: the buffer's. */
#ifndef AG_BASE_JSON_OUT_H
#define AG_BASE_JSON_OUT_H

#include "base/span.h"

void ag_json_open(ag_buf *b, char bracket);  /* '{' or '[', as the next value */
void ag_json_close(ag_buf *b, char bracket); /* '}' or ']' */
/* The next member's name: our own word, which needs no escaping. */
void ag_json_key(ag_buf *b, const char *name);
/* A member's name from outside. */
void ag_json_key_text(ag_buf *b, ag_span name);
/* A string from anywhere: escaped, ill-formed UTF-8 as U+FFFD. */
void ag_json_text(ag_buf *b, ag_span text);
void ag_json_str(ag_buf *b, const char *text); /* NULL: null */
void ag_json_u64(ag_buf *b, uint64_t v);
void ag_json_i64(ag_buf *b, int64_t v);
/* The shortest digits that read back as the same double; null when it is not finite. */
void ag_json_f64(ag_buf *b, double v);
/* The same for a float, so that 0.1f is written 0.1. */
void ag_json_f32(ag_buf *b, float v);
void ag_json_bool(ag_buf *b, bool v);
void ag_json_null(ag_buf *b);
/* A value that is JSON already. */
void ag_json_raw(ag_buf *b, ag_span json);

/* What goes between the quotes of a string, for callers that write in parts. */
void ag_json_escape(ag_buf *b, ag_span text);

/* Append "/key", a step of a JSON pointer (RFC 6901), to the n characters in `to`; returns how many
 * there are then. It is for messages: control characters become "?", and what does not fit in `cap`
 * bytes, the final zero among them, is left out, an escape as a whole. Any thread. */
size_t ag_json_step(char *to, size_t n, size_t cap, const char *key);

#endif
