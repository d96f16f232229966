/* Chat prompts: messages in OpenAI's shape, through the model's own template, to text or ids.
 *
 * Templates differ in what they can read, so an ag_chat tries its template once when it is made and
 * then brings messages into the form that it understands: content as a string or as parts, the
 * arguments of tool calls as an object or as text, absent content as "" or null. A message's
 * reasoning may stand under reasoning_content, thinking or reasoning; all of them are filled.
 *
 * Control tokens written inside messages, tools or options never become control tokens: see
 * ag_chat_encode(). An ag_chat is constant once made; any number of threads may use it. */
#ifndef AG_TEXT_CHAT_H
#define AG_TEXT_CHAT_H

#include <jansson.h>

#include "text/tokenizer.h"

typedef struct ag_chat ag_chat;

/* Where a chat comes from. Spans are borrowed for the call; absent ones have p == NULL. */
typedef struct ag_chat_source {
    ag_span text;               /* the template; absent: tool_text is used for everything */
    ag_span tool_text;          /* the template when tools are given ("tool_use"); absent: text */
    ag_span bos, eos, unk, pad; /* texts of these tokens: the template's bos_token, ... */
} ag_chat_source;

/* AG_E_TEMPLATE, AG_E_LIMIT (see ag_template_parse), AG_E_ARG (no template at all), AG_E_NOMEM. */
ag_code ag_chat_new(const ag_chat_source *source, ag_chat **out, ag_err *err) AG_MUST_USE;
void ag_chat_free(ag_chat **c);
/* Source of the template that serves when tools are given; as long as `c` lives. */
const char *ag_chat_template_text(const ag_chat *c);

struct ag_source;
/* From a model's file: tokenizer.chat_template and its named variants "default" and "tool_use".
 * `override` (absent: p == NULL) takes their place. A model without a template whose vocabulary has
 * <|im_start|> and <|im_end|> gets ChatML; another one AG_E_UNSUPPORTED, with the advice to pass
 * --chat-template. Otherwise as ag_chat_new(), and AG_E_FORMAT for keys of the wrong type. */
ag_code ag_chat_from_gguf(const struct ag_source *g, const ag_tokenizer *t, ag_span override,
                          ag_chat **out, ag_err *err) AG_MUST_USE;

/* One prompt. All JSON is borrowed for the call and not changed. */
typedef struct ag_chat_input {
    const json_t *messages; /* array of {"role", "content", "tool_calls", ...} */
    const json_t *tools;    /* array of objects, or NULL, null or [] for none */
    const json_t
        *options; /* object with more variables (enable_thinking, documents, ...) or NULL */
    bool add_generation_prompt; /* end where the assistant's turn begins */
    /* End behind the content of the last message instead, so that the model goes on with it. */
    bool continue_final_message;
} ag_chat_input;

/* Append the rendered prompt to `out`. On error `out` is unchanged. AG_E_ARG names what has the
 * wrong shape ("messages[3].content"), or a last message that has no text to go on with;
 * AG_E_TEMPLATE (with the template's own words where it raises
 * an exception), AG_E_LIMIT, AG_E_NOMEM. Thread: any. */
ag_code ag_chat_render(const ag_chat *c, const ag_chat_input *in, ag_buf *out,
                       ag_err *err) AG_MUST_USE;
/* Append the prompt's ids to `out`. Control tokens are recognised in what the template writes, and
 * nowhere in what came from `in`; where messages do not contain the texts of control tokens the ids
 * equal those of the rendered text. BOS is there if the template writes it. Errors as above. */
ag_code ag_chat_encode(const ag_chat *c, const ag_tokenizer *t, const ag_chat_input *in,
                       ag_ids *out, ag_err *err) AG_MUST_USE;

#endif
