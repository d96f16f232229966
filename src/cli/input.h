/* Where a command's text, ids and model path come from. */
#ifndef AG_CLI_INPUT_H
#define AG_CLI_INPUT_H

#include <limits.h>

#include "cli/args.h"
#include "text/tokenizer.h"

/* The model's path or name: --model, else $AUTOGLM_MODEL; NULL after telling that it is missing
 * (AG_CLI_USAGE). */
const char *ag_cli_model(const ag_cli_args *a);
/* The same as a path, by the registry. AG_CLI_DONE, or the exit status after telling. */
int ag_cli_model_path(const ag_cli_args *a, char path[PATH_MAX]);
/* The cap on CPU instructions: --isa, else $AUTOGLM_ISA, as the best tier at or below it that this
 * CPU runs; *tier is NULL for "no cap". AG_CLI_DONE, or AG_CLI_USAGE after telling that the name
 * is unknown. */
int ag_cli_tier(const ag_cli_args *a, const char **tier);

/* The text from the positional argument, --file or standard input, into an empty `out` that the
 * caller initialised. A terminal is not read. AG_CLI_DONE, AG_CLI_FAILED or AG_CLI_USAGE, told.
 * `what` names it in messages ("prompt"). Valid UTF-8 on success. */
int ag_cli_text(const ag_cli_args *a, const char *what, ag_buf *out);
/* Check UTF-8; on failure err names the byte. */
ag_code ag_cli_check_utf8(ag_span s, const char *what, ag_err *err) AG_MUST_USE;

/* "1 2 3" or "1,2,3" → ids. AG_E_ARG (which word), AG_E_NOMEM. */
ag_code ag_cli_parse_ids(const char *text, ag_ids *out, ag_err *err) AG_MUST_USE;

#endif
