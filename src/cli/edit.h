/* A small line editor for terminals: cursor keys, history, UTF-8 with wide characters, bracketed
 * paste, lines longer than the screen. History lives in memory only: prompts are private.
 *
 * A message may hold line ends (pasted, or typed with Alt-Enter); they show as one character.
 * Thread: main. */
#ifndef AG_CLI_EDIT_H
#define AG_CLI_EDIT_H

#include "base/span.h"

#define AG_CLI_EDIT_MAX     ((size_t)4 << 20) /* bytes of one message */
#define AG_CLI_EDIT_HISTORY 200

typedef struct ag_cli_edit {
    char *history[AG_CLI_EDIT_HISTORY]; /* owned; oldest first */
    size_t n_history;
} ag_cli_edit;

typedef enum ag_cli_key {
    AG_CLI_LINE,      /* Enter */
    AG_CLI_EOF,       /* Ctrl-D on an empty line, or the terminal has gone */
    AG_CLI_INTERRUPT, /* Ctrl-C; the line is lost */
} ag_cli_key;

void ag_cli_edit_deinit(ag_cli_edit *e);
/* Read one message into `line` (emptied first). `prompt` is plain ASCII. Standard input and output
 * are terminals. *had_text (may be NULL) tells whether Ctrl-C dropped a line that was not empty. */
ag_cli_key ag_cli_edit_read(ag_cli_edit *e, const char *prompt, ag_buf *line, bool *had_text);
/* Remember a message for the arrow keys; repeats of the last one are not kept twice. */
void ag_cli_edit_remember(ag_cli_edit *e, ag_span line);

#endif
