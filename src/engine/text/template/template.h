/* Chat templates: an interpreter for the part of Jinja that models' own templates use.
 *
 * The language and its semantics are those of Jinja 3.1 in the environment that Hugging Face's
 * transformers sets up for chat templates: sandboxed and immutable, trim_blocks, lstrip_blocks,
 * break and continue, {% generation %}, no autoescape, tojson as Python's json.dumps, and the
 * globals raise_exception, strftime_now, namespace, dict, range, cycler and joiner. `from_json` is
 * added, because published templates use it. Not there: include, import, extends, block,
 * autoescape, and the filters that only make sense for HTML pages.
 *
 * A parsed template is constant: any number of threads may render it at once. A render owns one
 * arena and gives it back whole. Templates and contexts are hostile: every render has a budget of
 * steps, nesting, memory and output. */
#ifndef AG_TEXT_TEMPLATE_TEMPLATE_H
#define AG_TEXT_TEMPLATE_TEMPLATE_H

#include <jansson.h>
#include <time.h>

#include "base/span.h"

typedef struct ag_template ag_template;

/* Parse `source` (borrowed for the call). AG_E_TEMPLATE (the message has the line and what was
 * expected), AG_E_LIMIT (larger than AG_MAX_TEMPLATE_BYTES or nested too deeply), AG_E_NOMEM. */
ag_code ag_template_parse(ag_span source, ag_template **out, ag_err *err) AG_MUST_USE;
void ag_template_free(ag_template **t);

/* What one render may spend. A zero field means its default. */
typedef struct ag_template_limits {
    uint64_t steps;       /* expressions evaluated and bytes moved; default 20 million */
    unsigned depth;       /* nested expressions, macro calls and values; default 600 */
    size_t output_bytes;  /* default AG_MAX_RENDERED_BYTES */
    size_t memory_bytes;  /* working memory; default 256 MiB */
    const struct tm *now; /* what strftime_now tells; NULL: the local time */
} ag_template_limits;

/* Append the rendered text to `out`. `context` is an object whose members are the template's
 * variables (messages, tools, add_generation_prompt, bos_token, ...); borrowed for the call and not
 * changed. `limits` may be NULL. On error `out` is unchanged.
 * AG_E_TEMPLATE (the template failed; when it called raise_exception the message is its own),
 * AG_E_LIMIT (budget), AG_E_ARG (context is not an object), AG_E_NOMEM. Thread: any. */
ag_code ag_template_render(const ag_template *t, const json_t *context,
                           const ag_template_limits *limits, ag_buf *out, ag_err *err) AG_MUST_USE;

/* The same with two contexts, and provenance: `marks` gets one byte for each byte appended to
 * `out`, 1 where the byte came from a string of `user`, else 0. A byte keeps its mark through every
 * operation of the template (slicing, trimming, replacing, changing case, tojson, ...). Names in
 * `trusted` win over those in `user`. Either context may be NULL.
 *
 * One exception: a member called "role" whose value is one of the well-known roles (system,
 * developer, user, assistant, tool, function, observation, ipython, model) is not marked, since
 * templates build control tokens from it ('<|' + role + '|>'). */
ag_code ag_template_render_marked(const ag_template *t, const json_t *trusted, const json_t *user,
                                  const ag_template_limits *limits, ag_buf *out, ag_buf *marks,
                                  ag_err *err) AG_MUST_USE;

#endif
