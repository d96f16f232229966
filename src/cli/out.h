/* Writing to standard output and standard error, and nowhere else in the command.
 *
 * Standard output is collected in one buffer and written in large pieces. The first failed write is
 * remembered and everything after it is dropped: a closed pipe ends the command quietly, any other
 * failure (a full disk) is told once, by ag_cli_out_finish(). Names and texts that come from files
 * are hostile: they pass through the escaping functions before a terminal sees them.
 *
 * Thread: main, except ag_cli_note(), which any thread may call. */
#ifndef AG_CLI_OUT_H
#define AG_CLI_OUT_H

#include <jansson.h>
#include <limits.h>

#include "base/log.h"
#include "base/span.h"

/* What the process ends with. */
enum {
    AG_CLI_DONE = 0,
    AG_CLI_FAILED = 1,
    AG_CLI_USAGE = 2,
    AG_CLI_LEFT = 130, /* the user pressed Ctrl-C twice */
};

/* ---- standard output ------------------------------------------------------------------------- */

void ag_cli_out(const char *fmt, ...) AG_PRINTF(1, 2);
void ag_cli_out_bytes(ag_span s);
/* Bytes from outside with everything escaped that could move a terminal's cursor, change its
 * state or reorder what is shown: control characters (\n and \t included), bidirectional
 * overrides, ill-formed UTF-8. Always one line. */
void ag_cli_out_name(ag_span s);
/* Generated or stored text: as it is into a file or pipe; on a terminal with the same characters
 * escaped, but with line ends and tabs kept. */
void ag_cli_out_text(ag_span s);
/* One JSON value on one line; takes the reference. NULL means that building it ran out of memory.
 */
void ag_cli_out_json(json_t *value);
/* Hand everything to the system. False once a write has failed. */
bool ag_cli_out_flush(void);
/* Has the reader of standard output gone, or has writing failed? */
bool ag_cli_out_lost(void);
/* Flush and turn `status` into the exit status: a failed write makes success a failure, told on
 * standard error, unless the reader just closed the pipe. */
int ag_cli_out_finish(int status);

/* ---- standard error -------------------------------------------------------------------------- */

/* Notes, hints and errors go there from now on, whole and unescaped, instead of to standard error:
 * something else has its lines there. Before other threads note anything. */
void ag_cli_notes_to(void (*to)(ag_log_level level, const char *line));
bool ag_cli_notes_are_taken(void);

/* "autoglm: <message>" as one line, escaped. */
void ag_cli_note(const char *fmt, ...) AG_PRINTF(1, 2);
/* "hint: <message>" as one line, escaped. */
void ag_cli_hint(const char *fmt, ...) AG_PRINTF(1, 2);
/* Tell an error with the hint that fits its code, and return the exit status for it. */
int ag_cli_fail(const ag_err *err);
/* Tell a mistake in the command line; AG_CLI_USAGE. */
int ag_cli_usage(const char *fmt, ...) AG_PRINTF(1, 2);

/* A variable of the environment, or NULL when it is unset or empty. Every use of the environment
 * goes through here. */
const char *ag_cli_env(const char *name);
/* `name` below the folder that an XDG variable names, else below `usual` in the home folder. False:
 * none is known, or the path is too long. */
bool ag_cli_user_path(char path[PATH_MAX], const char *variable, const char *usual,
                      const char *name);
/* May escape sequences be written to this descriptor? It is a terminal that is not "dumb" and
 * NO_COLOR is not set. */
bool ag_cli_may_colour(int fd);
bool ag_cli_is_terminal(int fd);

/* ---- shared formatting ----------------------------------------------------------------------- */

/* Append s with the characters described at ag_cli_out_name() escaped; `lines` keeps \n and \t. */
bool ag_cli_escape(ag_span s, bool lines, ag_buf *out);
/* A JSON string of bytes from outside: ill-formed UTF-8 becomes U+FFFD. */
json_t *ag_cli_json_text(ag_span s);
/* A JSON number rounded to three decimals; null when it is not finite. */
json_t *ag_cli_json_num(double v);
/* "1.23 GiB" in `text`, which is returned. */
#define AG_CLI_SIZE_TEXT 24
const char *ag_cli_size(uint64_t bytes, char text[AG_CLI_SIZE_TEXT]);

#endif
