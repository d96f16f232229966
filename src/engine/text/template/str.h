/* Strings of the template language: immutable UTF-8 with provenance.
 *
 * Each byte is either trusted (written by the template, or given as trusted) or marked (taken from
 * a string of the user). Most strings are all of one kind and need no array; the others carry one
 * mark for each byte. Every operation that makes a string out of strings keeps the marks, which is
 * what lets the prompt encoder refuse control tokens inside message contents.
 *
 * `markup` is the type that the filters `safe` and `escape` give: adding to it escapes the other
 * side for HTML, as in the reference. */
#ifndef AG_TEXT_TEMPLATE_STR_H
#define AG_TEXT_TEMPLATE_STR_H

#include "base/span.h"
#include "base/utf8.h"

struct tpl_run;

typedef enum tpl_taint { TPL_CLEAN, TPL_MARKED, TPL_MIXED } tpl_taint;

typedef struct tpl_str {
    const char *p;        /* valid UTF-8 */
    size_t n;             /* bytes */
    const uint8_t *marks; /* [n], 1 = marked; only when MIXED */
    tpl_taint taint;
    bool markup;
} tpl_str;

static inline ag_span tpl_span(const tpl_str *s) { return (ag_span){s->p, s->n}; }

/* Collects a string in the arena of a run. After a failure it ignores what is added. */
typedef struct tpl_builder {
    struct tpl_run *r;
    char *p;
    uint8_t *marks; /* NULL while all bytes are of one kind */
    size_t n, room;
    size_t cap;      /* 0: bounded by memory only */
    tpl_taint taint; /* of what is there; CLEAN when empty */
} tpl_builder;

static inline tpl_builder tpl_builder_of(struct tpl_run *r) { return (tpl_builder){.r = r}; }
void ag_tpl_add(tpl_builder *b, const char *p, size_t n, bool marked);
void ag_tpl_adds(tpl_builder *b, const char *s); /* unmarked */
void ag_tpl_add_cp(tpl_builder *b, uint32_t cp, bool marked);
/* Bytes [from, to) of s, with their marks. */
void ag_tpl_add_part(tpl_builder *b, const tpl_str *s, size_t from, size_t to);
/* NULL adds nothing: a failure is on its way. */
static inline void tpl_add_all(tpl_builder *b, const tpl_str *s) {
    ag_tpl_add_part(b, s, 0, s ? s->n : 0);
}
/* What was collected, or NULL after a failure. The builder must not be used again. */
const tpl_str *ag_tpl_built(tpl_builder *b);

/* All of these return NULL (and the run has failed) when memory is short. */
const tpl_str *ag_tpl_str(struct tpl_run *r, const char *p, size_t n, bool marked); /* copied */
const tpl_str *ag_tpl_str_sub(struct tpl_run *r, const tpl_str *s, size_t from, size_t to);
const tpl_str *ag_tpl_str_as(struct tpl_run *r, const tpl_str *s, bool markup);
const tpl_str *ag_tpl_str_concat(struct tpl_run *r, const tpl_str *a, const tpl_str *b);
/* HTML-escaped and of type markup; markup stays as it is. */
const tpl_str *ag_tpl_str_escape(struct tpl_run *r, const tpl_str *s);
/* If `like` is markup, s escaped; else s. */
const tpl_str *ag_tpl_str_soft(struct tpl_run *r, const tpl_str *like, const tpl_str *s);
static inline bool tpl_marked_at(const tpl_str *s, size_t at) {
    return s->taint == TPL_MIXED ? s->marks[at] : s->taint == TPL_MARKED;
}

/* Byte offset of the first `needle` at or after `from`, or SIZE_MAX. Linear, and paid for. */
size_t ag_tpl_str_find(struct tpl_run *r, const tpl_str *s, const tpl_str *needle, size_t from);
/* Byte offset of the last `needle` that ends at or before `to`, or SIZE_MAX. */
size_t ag_tpl_str_rfind(struct tpl_run *r, const tpl_str *s, const tpl_str *needle, size_t to);

/* ---- code points ----------------------------------------------------------------------------- */

/* The code point that starts at byte `at`; *n gets its length. */
uint32_t ag_tpl_cp(const tpl_str *s, size_t at, size_t *n);
size_t ag_tpl_str_length(const tpl_str *s);
/* Byte offset of code point `index`, at most s->n. */
size_t ag_tpl_offset(const tpl_str *s, size_t index);
bool ag_tpl_is_space(uint32_t cp); /* Python's str.isspace, and \s of its regular expressions */
/* Length of the line end at byte `at` as str.splitlines sees it, 0 when there is none. */
size_t ag_tpl_line_end(const tpl_str *s, size_t at);

typedef enum tpl_strip { TPL_STRIP_LEFT = 1, TPL_STRIP_RIGHT = 2, TPL_STRIP_BOTH = 3 } tpl_strip;
/* Without `chars` white space is stripped. */
const tpl_str *ag_tpl_str_strip(struct tpl_run *r, const tpl_str *s, const tpl_str *chars,
                                tpl_strip sides);
const tpl_str *ag_tpl_str_replace(struct tpl_run *r, const tpl_str *s, const tpl_str *from,
                                  const tpl_str *to, int64_t max);

/* ---- case ------------------------------------------------------------------------------------ */

const tpl_str *ag_tpl_str_upper(struct tpl_run *r, const tpl_str *s);
const tpl_str *ag_tpl_str_lower(struct tpl_run *r, const tpl_str *s);
const tpl_str *ag_tpl_str_capitalize(struct tpl_run *r, const tpl_str *s);
/* Python's str.title(). */
const tpl_str *ag_tpl_str_title(struct tpl_run *r, const tpl_str *s);

typedef enum tpl_class {
    TPL_CLASS_ALPHA,
    TPL_CLASS_DIGIT,
    TPL_CLASS_NUMERIC,
    TPL_CLASS_DECIMAL,
    TPL_CLASS_ALNUM,
    TPL_CLASS_SPACE,
    TPL_CLASS_PRINTABLE,
} tpl_class;
bool ag_tpl_cp_is(uint32_t cp, tpl_class c);
/* All code points are of the class, and there is one (printable: or none). */
bool ag_tpl_str_is(const tpl_str *s, tpl_class c);
bool ag_tpl_str_is_lower(const tpl_str *s);
bool ag_tpl_str_is_upper(const tpl_str *s);
bool ag_tpl_str_is_title(const tpl_str *s);

#endif
