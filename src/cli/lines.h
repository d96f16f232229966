/* Messages as a user types or pipes them: lines, joined where a message goes over several.
 *
 * A line that ends in a backslash goes on in the next one. A line that begins with three double
 * quotes opens a block that ends with a line that ends with three double quotes. */
#ifndef AG_CLI_LINES_H
#define AG_CLI_LINES_H

#include "cli/edit.h"

typedef struct ag_cli_lines {
    bool on_terminal; /* edit with prompts; otherwise plain lines from standard input */
    ag_cli_edit edit;
    ag_buf input; /* read but not yet used, when not on a terminal */
    size_t used;  /* bytes of it */
    bool at_end;
} ag_cli_lines;

void ag_cli_lines_init(ag_cli_lines *l);
void ag_cli_lines_deinit(ag_cli_lines *l);
/* The next message into `text` (emptied first). At the end of input what was begun is a message
 * still, and AG_CLI_EOF follows. *had_text as for ag_cli_edit_read(). A line past AG_CLI_EDIT_MAX
 * ends the input, with err set. */
ag_cli_key ag_cli_lines_read(ag_cli_lines *l, ag_buf *text, bool *had_text, ag_err *err);

#endif
