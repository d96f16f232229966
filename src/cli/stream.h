/* One generation from start to end: its text goes out as it comes, and Ctrl-C stops it. */
#ifndef AG_CLI_STREAM_H
#define AG_CLI_STREAM_H

#include "autoglm/engine.h"
#include "base/span.h"

typedef struct ag_cli_answer {
    ag_buf text;      /* the whole answer; the caller inits and deinits it */
    ag_result result; /* its `tail` is already part of `text` and not valid */
    bool stopped;     /* by Ctrl-C */
} ag_cli_answer;

/* Catch SIGINT from now on; ag_cli_stream() needs it. */
void ag_cli_catch_interrupt(void);
/* Times that Ctrl-C was pressed since the last call. */
int ag_cli_take_interrupts(void);

/* Submit and wait. Ctrl-C cancels the request; a second one ends the process with AG_CLI_LEFT.
 * Fills the callbacks of *opts. `show`: write the text to standard output as it comes. Also ends
 * the request when standard output is lost. On AG_OK the answer may still be AG_FINISH_ERROR.
 * Whatever ag_engine_submit() gives; AG_E_IO, AG_E_NOMEM. */
ag_code ag_cli_stream(ag_engine *engine, ag_request_opts *opts, bool show, ag_cli_answer *answer,
                      ag_err *err) AG_MUST_USE;

/* "prompt 12 tokens, 345 tok/s; answer 50 tokens, 67.8 tok/s; first token after 0.04 s" */
#define AG_CLI_SPEED_TEXT 192
void ag_cli_speed_text(const ag_result *r, char text[AG_CLI_SPEED_TEXT]);
/* The same line on standard error, dimmed where colours may be used. */
void ag_cli_show_speed(const ag_result *r);
double ag_cli_prefill_speed(const ag_result *r); /* tok/s over uncached prompt tokens; NAN: none */
double ag_cli_decode_speed(const ag_result *r);  /* tok/s after the first token; NAN: none */
const char *ag_cli_finish_name(ag_finish finish);

#endif
