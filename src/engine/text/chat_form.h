/* Private to chat: which forms of messages a template understands, and bringing messages there. */
#ifndef AG_TEXT_CHAT_FORM_H
#define AG_TEXT_CHAT_FORM_H

#include "text/chat.h"
#include "text/template/template.h"

typedef struct ag_chat_form {
    bool strings;      /* content may be a string */
    bool parts;        /* content may be an array of parts */
    bool objects;      /* arguments of tool calls as an object; else as text */
    bool null_content; /* a message that only calls tools has null for content; else "" */
} ag_chat_form;

/* Find out by rendering small conversations. AG_E_NOMEM only. */
ag_code ag_chat_probe(const ag_template *t, const json_t *tokens, ag_chat_form *out,
                      ag_err *err) AG_MUST_USE;

/* *out = a new array: the messages checked and in the given form. AG_E_ARG, AG_E_NOMEM. */
ag_code ag_chat_messages(const json_t *messages, const ag_chat_form *form, json_t **out,
                         ag_err *err) AG_MUST_USE;

#endif
