/* The options that ask for a form of the answer. */
#ifndef AG_CLI_STRUCTURE_H
#define AG_CLI_STRUCTURE_H

#include "autoglm/request.h"
#include "base/span.h"
#include "cli/args.h"

/* Fill `out`; its text lies in `text`, an initialised buffer. Returns an exit status, having said
 * what is wrong: two forms, a file that cannot be read. */
int ag_cli_structure(const ag_cli_args *a, ag_buf *text, ag_structure *out);

#endif
