/* Private to answer: the table of formats, the script machine, and what the files share.
 *
 * Calls of every format are read by one machine that follows a script, a few steps long: this
 * marker or that, a name, a JSON object, a key, a value. A format is a row with its script. */
#ifndef AG_TEXT_ANSWER_PARTS_H
#define AG_TEXT_ANSWER_PARTS_H

#include "base/limits.h"
#include "base/random.h"
#include "text/answer/answer.h"
#include "text/answer/scan.h"

/* ---- formats --------------------------------------------------------------------------------- */

typedef enum ag_step_op {
    AG_STEP_NONE,
    AG_STEP_BRANCH, /* white space, then one of the texts; else the bytes go on to step `to` */
    AG_STEP_NAME,   /* the function's name, up to one of the bytes of `text`, which is left */
    AG_STEP_ID,     /* anything up to one of the bytes of `text`; dropped */
    AG_STEP_CALL,   /* a JSON object with name and arguments: a call is complete */
    AG_STEP_ARGS,   /* a JSON object, the arguments: a call is complete */
    AG_STEP_KEY,    /* a parameter's name, up to and with `text` */
    AG_STEP_VALUE,  /* its value, up to and with `text` */
    AG_STEP_END,    /* the call of the keys and values is complete; reads nothing */
} ag_step_op;

#define AG_STEP_OUT    0xFF /* `to`: the script is over, go on with text */
#define AG_STEP_BROKEN 0xFE /* `to`: this is no call */
#define AG_MAX_BRANCH  4
#define AG_MAX_SCRIPT  9
#define AG_MAX_MARKER  40 /* bytes of a marker; the longest has 28 */

typedef struct ag_step {
    ag_step_op op;
    const char *text;
    struct {
        const char *text; /* NULL: no more */
        uint8_t to;
        bool keep; /* a single byte that the next step reads as well */
    } alt[AG_MAX_BRANCH];
    uint8_t to;
} ag_step;

typedef enum ag_bare {
    AG_BARE_NONE,
    AG_BARE_OBJECT, /* an answer that begins with { may be a call */
    AG_BARE_NAME,   /* a line that is the name of a tool may begin one */
} ag_bare;

/* How calls are written, for grammars: begin, then for each call head name middle arguments tail,
 * with sep between calls, then finish. With `key`, arguments are key name value pairs. */
typedef struct ag_written {
    const char *begin, *head, *middle, *tail, *sep, *finish;
    const char *key, *value, *value_end; /* before the name, before and after the value */
} ag_written;

typedef struct ag_answer_calls {
    const char *name;
    const char *all_of[2]; /* a template that contains these (those not NULL) is of this format */
    struct {
        const char *text;
        uint8_t to;
        bool quiet; /* not text, when no call follows */
    } open[3];      /* markers that start the script */
    ag_bare bare;   /* start it without a marker; then only names of the request's tools count */
    bool newlines;  /* a line break inside each end of a value belongs to the markup */
    bool numbered;  /* names are written functions.NAME:0 */
    bool short_ids; /* the template takes only ids of nine letters or digits */
    ag_step script[AG_MAX_SCRIPT];
    ag_written written;
} ag_answer_calls;

typedef struct ag_answer_think {
    const char *open, *close;
} ag_answer_think;

extern const ag_answer_calls ag_answer_hermes;

/* ---- tools of a request ---------------------------------------------------------------------- */

/* The function object ("name", "parameters") of tools[i], or NULL. */
const json_t *ag_tool_function(const json_t *tools, size_t i);
/* Its name; empty when it has none. */
ag_span ag_tool_name(const json_t *function);
/* Names as calls may have them: no blanks, quotes, brackets or control characters. */
bool ag_tool_name_ok(ag_span name);
bool ag_tool_name_byte_ok(char b);
const json_t *ag_tool_find(const json_t *tools, ag_span name);
/* Does some tool's name begin with this? */
bool ag_tool_has_prefix(const json_t *tools, ag_span prefix);

#define AG_KIND_STRING 1u
#define AG_KIND_OTHER  2u /* object, array, ... each its own bit from here on */
#define AG_KIND_NUMBER 4u
#define AG_KIND_BOOL   8u
#define AG_KIND_NULL   16u
#define AG_KIND_OBJECT 32u
#define AG_KIND_ARRAY  64u
#define AG_KIND_ANY    127u
/* Kinds of values that a parameter of a function may have; ANY when its schema does not say. */
unsigned ag_tool_kinds(const json_t *function, ag_span key);

/* ---- matching markers ------------------------------------------------------------------------ */

typedef struct ag_held {
    char held[AG_MAX_MARKER]; /* the beginning of some marker */
    size_t n;
} ag_held;

/* Add a byte. Bytes that can belong to no marker any more go to `loose` (room for AG_MAX_MARKER),
 * *n_loose counts them. Returns the index of the marker that is complete now, or -1. */
int ag_held_byte(ag_held *m, char b, const ag_span *markers, size_t n_markers, char *loose,
                 size_t *n_loose);

/* ---- the parser ------------------------------------------------------------------------------ */

typedef enum ag_phase { AG_PHASE_TEXT, AG_PHASE_REASONING, AG_PHASE_CALL } ag_phase;

typedef struct ag_call {
    uint8_t step;
    bool begun;              /* announced */
    bool strict;             /* came without a marker */
    size_t n_bytes;          /* read so far */
    ag_buf raw;              /* what the model wrote, until the call is announced */
    ag_buf name;             /* decoded; empty: not known yet */
    ag_buf args;             /* JSON not given out yet */
    bool has_args;           /* some arguments were written (maybe none: {}) */
    char lit[AG_MAX_MARKER]; /* BRANCH: the beginning of some text of it */
    size_t n_lit;
    bool ended_name; /* NAME: white space followed */

    /* CALL and ARGS */
    ag_scan scan;
    enum { AG_FIELD_NONE, AG_FIELD_NAME, AG_FIELD_ARGS, AG_FIELD_OTHER } field;
    enum { AG_IN_NOTHING, AG_IN_KEY, AG_IN_NAME, AG_IN_ARGS, AG_IN_ARGS_STRING } in;
    ag_unescape unescape;
    ag_scan inner; /* arguments written as a string */

    /* KEY and VALUE */
    ag_buf word;            /* the key; a value that may be no string */
    const json_t *function; /* NULL: unknown */
    unsigned kinds;
    ag_held match;
    size_t n_pairs;
    bool value_begun;
} ag_call;

#define AG_MAX_TEXT_MARKERS 6

struct ag_answer_parser {
    ag_answer_format format;
    json_t *tools; /* owned reference; NULL: calls are not looked for */
    ag_reasoning_mode reasoning;
    ag_arguments_mode arguments;
    void (*on_event)(void *ctx, const ag_answer_event *event);
    void *ctx;
    ag_rng rng;

    ag_phase phase;
    bool may_think;  /* nothing but white space came so far */
    bool fresh;      /* no content yet, white space aside */
    bool trim;       /* white space is dropped here: the beginning of content or reasoning */
    bool line_start; /* nothing but white space since the line began */
    bool after_call; /* nothing but white space since the last call */
    ag_held match;
    ag_buf space; /* white space that may stand before a call or the end */
    ag_call call;
    int n_calls;

    bool failed;                   /* sticky: out of memory in some buffer that is gone */
    ag_answer_event_kind out_kind; /* CONTENT, REASONING or ARGUMENTS */
    ag_buf out;
};

/* parser.c: more text of a kind, given out with the next event or at the end of the push. */
void ag_answer_emit(ag_answer_parser *p, ag_answer_event_kind kind, ag_span text);
void ag_answer_emit_call(ag_answer_parser *p, ag_answer_event_kind kind);
/* A byte of the answer; of text without markers. */
void ag_answer_byte(ag_answer_parser *p, char b);
void ag_answer_text_byte(ag_answer_parser *p, char b);

/* call.c */
void ag_call_init(ag_call *c);
void ag_call_deinit(ag_call *c);
/* Start the script at `step`; `marker` was read already. */
void ag_call_start(ag_answer_parser *p, uint8_t step, ag_span marker, bool strict);
void ag_call_byte(ag_answer_parser *p, char b);
/* The text ends here: a call that is not complete is none. */
void ag_call_end_of_text(ag_answer_parser *p);

/* call_json.c, call_pairs.c: a byte of these steps. */
typedef enum ag_read { AG_READ_MORE, AG_READ_DONE, AG_READ_BROKEN } ag_read;
ag_read ag_call_read_object(ag_answer_parser *p, char b);
ag_read ag_call_read_args(ag_answer_parser *p, char b);
ag_read ag_call_read_key(ag_answer_parser *p, const ag_step *step, char b);
ag_read ag_call_read_value(ag_answer_parser *p, const ag_step *step, char b);
/* The call of keys and values is complete: close its object. */
void ag_call_close_pairs(ag_answer_parser *p);
/* More JSON of the arguments: as it is; from a buffer, which is given back. */
void ag_call_add_args(ag_answer_parser *p, const char *text, size_t n);
void ag_call_take_args(ag_answer_parser *p, ag_buf *json);
/* The name is known: is it one that may be called? */
bool ag_call_check_name(const ag_answer_parser *p);
/* Announce the call now if arguments are streamed. */
void ag_call_announce(ag_answer_parser *p);

static inline bool ag_is_space(char b) { return b == ' ' || b == '\n' || b == '\t' || b == '\r'; }
/* Does this format look for calls in this parser? */
static inline const ag_answer_calls *ag_answer_calls_of(const ag_answer_parser *p) {
    return p->tools ? p->format.calls : NULL;
}

#endif
