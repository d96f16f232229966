/* What a model wrote, taken apart: content, reasoning and tool calls.
 *
 * The form of a model's calls and thoughts follows from its chat template:
 * ag_answer_format_detect() finds it, no flag names it. A parser then eats an answer's text in any
 * pieces and gives events as soon as they are certain; it holds back only bytes that could belong
 * to a marker.
 *
 * Laws, tested:
 *   1. The events put together do not depend on how the text was cut: the machine eats bytes.
 *   2. The arguments of a call that ended are a JSON object.
 *   3. No output of a model is an error. What looks like a call and is none is content, as written.
 * Memory is bounded by AG_MAX_TOOL_CALL_BYTES a parser, time is linear in the text.
 *
 * Thread: a format is constant; a parser belongs to one thread at a time. */
#ifndef AG_TEXT_ANSWER_H
#define AG_TEXT_ANSWER_H

#include <jansson.h>

#include "base/span.h"

/* ---- the format ------------------------------------------------------------------------------ */

#define AG_ANSWER_MAX_TOKENS 16

struct ag_answer_calls;
struct ag_answer_think;

/* A marker that may be a token of its own. */
typedef struct ag_answer_token {
    const char *text;
    int32_t id;   /* -1: the vocabulary has no such token */
    bool control; /* hidden in an engine's text unless asked for: see ag_answer_format_shown() */
    bool tool;    /* of tool calls, not of reasoning */
} ag_answer_token;

/* How a model writes. A plain value; everything in it points to constants. */
typedef struct ag_answer_format {
    const struct ag_answer_calls *calls; /* NULL: the template knows no tools */
    const struct ag_answer_think *think; /* NULL: the model does not reason aloud */
    bool answer_tags; /* the answer proper stands between <answer> and </answer> */
    ag_answer_token tokens[AG_ANSWER_MAX_TOKENS];
    size_t n_tokens;
} ag_answer_format;

/* Id of the token whose text is exactly `text`, or -1; *control says whether it is hidden. */
typedef int32_t (*ag_answer_find_fn)(const void *ctx, ag_span text, bool *control);

/* The format of a model with this chat template (the one used when tools are given). `find` looks
 * markers up in the vocabulary; NULL: no marker is a token. Never fails: a template that says
 * nothing gives a format without calls and reasoning. */
ag_answer_format ag_answer_format_detect(ag_span template_text, ag_answer_find_fn find,
                                         const void *ctx);
/* "hermes", "glm-4.5", ...; "none" without tool calls. Never NULL. */
const char *ag_answer_format_name(const ag_answer_format *f);
/* Does an answer to this prompt begin inside the reasoning, since the template opened it? */
bool ag_answer_begins_in_reasoning(const ag_answer_format *f, ag_span prompt);
/* Control tokens that the parser has to see, and so must be shown in the engine's text: those of
 * reasoning, and with `tools` those of calls. Fills ids (room for AG_ANSWER_MAX_TOKENS), returns
 * how many. */
size_t ag_answer_format_shown(const ag_answer_format *f, bool tools, int32_t *ids);

/* ---- the parser ------------------------------------------------------------------------------ */

typedef enum ag_reasoning_mode {
    AG_REASONING_INLINE, /* all of it is content, tags included */
    AG_REASONING_SPLIT,  /* reasoning events; tags and the white space around them are dropped */
    AG_REASONING_HIDDEN, /* as split, but without the events */
} ag_reasoning_mode;

typedef enum ag_arguments_mode {
    AG_ARGUMENTS_WHOLE,  /* a call is announced when it is complete: a broken one is never seen */
    AG_ARGUMENTS_STREAM, /* a call is announced as soon as its name is certain, its arguments as
                          * they are written; one that breaks off later is cut: right where a
                          * grammar forces calls, or the client wants to see them grow */
} ag_arguments_mode;

typedef enum ag_answer_event_kind {
    AG_ANSWER_CONTENT,    /* text */
    AG_ANSWER_REASONING,  /* text */
    AG_ANSWER_CALL_BEGIN, /* call, id, name */
    AG_ANSWER_ARGUMENTS,  /* call, text: more of its JSON */
    AG_ANSWER_CALL_END,   /* call: complete, its arguments are a JSON object */
    AG_ANSWER_CALL_CUT,   /* call: broken off (STREAM only); its arguments are the beginning of a
                           * JSON object. What the model wrote from there on is content. */
} ag_answer_event_kind;

/* Borrowed for the call. */
typedef struct ag_answer_event {
    ag_answer_event_kind kind;
    ag_span text;
    int call;         /* 0 for the first call of the answer */
    const char *id;   /* "call_" and 24 letters or digits; 9 of them where the template insists */
    const char *name; /* of the function */
} ag_answer_event;

typedef struct ag_answer_opts {
    const ag_answer_format *format; /* copied */
    const json_t *tools;            /* the request's tools (a reference is taken); NULL or empty, as
                                     * for tool_choice "none": calls are not looked for */
    ag_reasoning_mode reasoning;
    ag_arguments_mode arguments;
    bool in_reasoning; /* ag_answer_begins_in_reasoning() */
    uint64_t seed;     /* of the calls' ids: equal seeds give equal ids */
    void (*on_event)(void *ctx, const ag_answer_event *event);
    void *ctx;
} ag_answer_opts;

typedef struct ag_answer_parser ag_answer_parser;

/* AG_E_NOMEM. */
ag_code ag_answer_parser_new(const ag_answer_opts *opts, ag_answer_parser **out,
                             ag_err *err) AG_MUST_USE;
void ag_answer_parser_free(ag_answer_parser **p);
/* The next piece of the answer, valid UTF-8 when all pieces are put together. Events come from
 * inside, text of the same kind joined. AG_E_NOMEM, after which the parser can only be freed. */
ag_code ag_answer_parser_push(ag_answer_parser *p, ag_span text, ag_err *err) AG_MUST_USE;
/* The answer is over: what was held back comes out. Once, and nothing after it. AG_E_NOMEM. */
ag_code ag_answer_parser_end(ag_answer_parser *p, ag_err *err) AG_MUST_USE;
/* Is the text at this point reasoning? What usage counts reasoning tokens by. */
bool ag_answer_parser_in_reasoning(const ag_answer_parser *p);
/* Calls that ended, or were cut, so far. */
int ag_answer_parser_n_calls(const ag_answer_parser *p);

/* ---- forcing calls --------------------------------------------------------------------------- */

typedef enum ag_tool_choice {
    AG_TOOL_AUTO,     /* text, or calls, which are then well-formed (strict functions) */
    AG_TOOL_REQUIRED, /* at least one call */
    AG_TOOL_NAMED,    /* exactly one call, of the function named */
} ag_tool_choice;

typedef struct ag_tool_force {
    const json_t *tools; /* not empty; borrowed for the call */
    const size_t *at;    /* [n of tools] their places in the list that messages speak of; NULL: i */
    ag_tool_choice choice;
    ag_span name;      /* for AG_TOOL_NAMED */
    bool parallel;     /* more than one call may come */
    bool in_reasoning; /* ag_answer_begins_in_reasoning() */
} ag_tool_force;

/* Append a grammar (GBNF with %json {schema} and <[id]> for control tokens) whose texts the parser
 * takes for calls. Where the model reasons, it may do so first. A format without calls of its own
 * is forced into Hermes' form, which the parser then has to be given: see
 * ag_answer_format_forced(). AG_E_ARG (no tools, a tool without a name, the named one missing),
 * AG_E_NOMEM. */
ag_code ag_answer_tool_grammar(const ag_answer_format *f, const ag_tool_force *force, ag_buf *out,
                               ag_err *err) AG_MUST_USE;
/* Such a grammar was refused (*err): where a tool's schema is why, say of which tool and where in
 * its parameters, "tools[1].function.parameters: #/properties/a/type: ...", in place of a line that
 * nobody wrote; tools and `at` as in ag_tool_force. False: it is something else, and *err is as it
 * was. */
bool ag_answer_tool_blame(const json_t *tools, const size_t *at, ag_span text, ag_err *err);
/* The format of answers under such a grammar: f itself, or with Hermes' calls when it has none. */
ag_answer_format ag_answer_format_forced(const ag_answer_format *f);

#endif
