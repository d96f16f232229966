/* A conversation: what was said so far, as the chat template wants it. Thread: main. */
#ifndef AG_CLI_CONVO_H
#define AG_CLI_CONVO_H

#include "autoglm/engine.h"
#include "base/span.h"

typedef struct ag_cli_convo {
    char *system;         /* owned; NULL: no system message */
    ag_message *messages; /* owned, with their contents; messages[0] is room for the system's */
    size_t n, room;       /* without and with that place */
} ag_cli_convo;

void ag_cli_convo_deinit(ag_cli_convo *c);
/* Replace the system message; NULL or "" removes it. AG_E_NOMEM. */
ag_code ag_cli_convo_system(ag_cli_convo *c, const char *text, ag_err *err) AG_MUST_USE;
/* Append; role is a literal, text is copied. AG_E_ARG (a zero byte), AG_E_NOMEM. */
ag_code ag_cli_convo_add(ag_cli_convo *c, const char *role, ag_span text, ag_err *err) AG_MUST_USE;
/* Remove the last message, if there is one. */
void ag_cli_convo_pop(ag_cli_convo *c);
/* Forget everything but the system message. */
void ag_cli_convo_clear(ag_cli_convo *c);
/* Forget the oldest question with its answer; false when only the latest question is left. */
bool ag_cli_convo_drop_oldest(ag_cli_convo *c);
/* All messages, the system's first; valid until the next change. */
const ag_message *ag_cli_convo_all(ag_cli_convo *c, size_t *n);

#endif
