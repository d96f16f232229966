/* JSON by the byte: a validator that never looks back, and the decoder of its strings.
 *
 * RFC 8259, nested up to AG_SCAN_DEPTH. Two differences: control characters inside strings are let
 * through, for the caller to escape (models write line breaks there), and \u escapes of lone
 * surrogates are refused, since no UTF-8 text has them. */
#ifndef AG_TEXT_ANSWER_SCAN_H
#define AG_TEXT_ANSWER_SCAN_H

#include "base/span.h"

#define AG_SCAN_DEPTH 64

typedef enum ag_scan_event {
    AG_SCAN_FAIL,   /* no JSON begins like this */
    AG_SCAN_MORE,   /* nothing to tell */
    AG_SCAN_KEY,    /* the opening quote of a member's name */
    AG_SCAN_STRING, /* the opening quote of a string value */
    AG_SCAN_QUOTE,  /* a closing quote */
    AG_SCAN_SCALAR, /* the first byte of a number, true, false or null */
    AG_SCAN_OPEN,   /* { or [, depth already counts it */
    AG_SCAN_CLOSE,  /* } or ], depth no longer counts it */
} ag_scan_event;

/* Zeroed is the start. */
typedef struct ag_scan {
    uint8_t state;
    uint8_t depth;    /* open objects and arrays */
    uint8_t left;     /* hex digits to come */
    bool key;         /* the string is a member's name */
    uint16_t unit;    /* of the \u escape being read */
    bool high;        /* the low surrogate has to follow */
    const char *word; /* rest of true, false or null */
    uint64_t objects; /* bit d: what is open at depth d + 1 is an object */
} ag_scan;

ag_scan_event ag_scan_byte(ag_scan *s, uint8_t b);
/* The value is complete; a number at depth 0 counts as complete once it may end. */
bool ag_scan_is_done(const ag_scan *s);
/* The next byte belongs to a string. */
bool ag_scan_in_string(const ag_scan *s);
/* One complete value and nothing but white space around it? */
bool ag_scan_is_json(ag_span text);

/* Decodes the inside of a JSON string that a scan let through. Zeroed is the start. */
typedef struct ag_unescape {
    uint8_t state; /* 0 plain, 1 after \, 2 to 5 hex digits to come + 1 */
    uint32_t unit, high;
} ag_unescape;
/* Append what this byte completes (maybe nothing) to out. */
void ag_unescape_byte(ag_unescape *u, uint8_t b, ag_buf *out);
/* Append bytes of a text as they stand inside a JSON string. */
void ag_escape_json(ag_span text, ag_buf *out);

#endif
