/* From token ids to the text a caller sees: streaming decode, and stop strings found across token
 * borders. Text that could still become a stop string is held back. Thread: engine. */
#ifndef AG_SCHED_STREAM_H
#define AG_SCHED_STREAM_H

#include "text/tokenizer.h"

#define AG_MAX_STOPS      64    /* stop strings of a request */
#define AG_MAX_STOP_BYTES 4096u /* each */
#define AG_MAX_SHOWN      64    /* control tokens shown; formats of tool calls have up to 16 */

typedef struct ag_stream {
    ag_detok detok;
    char **stops; /* owned copies [n_stops] */
    size_t *stop_len;
    size_t n_stops;
    int32_t *show; /* owned [n_show] control tokens that are written out */
    size_t n_show;
    ag_buf held;  /* text decoded and not yet given out */
    size_t given; /* bytes of held that the last push or end gave out */
} ag_stream;

/* AG_E_ARG (an empty or too long stop string, too many), AG_E_NOMEM. */
ag_code ag_stream_init(ag_stream *s, const ag_tokenizer *t, bool at_start, const char *const *stops,
                       size_t n_stops, ag_err *err) AG_MUST_USE;
void ag_stream_deinit(ag_stream *s);
/* From here on these control tokens are written out. AG_E_ARG (too many), AG_E_NOMEM. */
ag_code ag_stream_show(ag_stream *s, const int32_t *ids, size_t n, ag_err *err) AG_MUST_USE;
/* Add a token. *text is what became certain, borrowed until the next call. *stopped: a stop string
 * was completed; the text before it is in *text, and the stream is over. AG_E_NOMEM. */
ag_code ag_stream_push(ag_stream *s, int32_t id, ag_span *text, bool *stopped,
                       ag_err *err) AG_MUST_USE;
/* The end: what was held back, an unfinished character as U+FFFD. AG_E_NOMEM. */
ag_code ag_stream_end(ag_stream *s, ag_span *text, ag_err *err) AG_MUST_USE;

#endif
