/* --set KEY=VALUE, as `check` and `serve` take it. */
#ifndef AG_CLI_SETTINGS_H
#define AG_CLI_SETTINGS_H

#include "cli/args.h"
#include "config/config.h"

/* Fill out[a->set.n]; keys are copied into the arena, values borrowed from the command line.
 * AG_CLI_DONE, or the status to end with when the mistake has been told. */
int ag_cli_settings(const ag_cli_args *a, ag_arena *keys, ag_config_setting *out);
/* Tell each line of `mistakes` (or the error, where there is none); AG_CLI_FAILED. */
int ag_cli_tell_mistakes(const ag_buf *mistakes, const ag_err *err);

#endif
