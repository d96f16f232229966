/* What comes back: an event stream or one JSON body, eaten in any pieces. Private to the room. */
#ifndef AG_LOADTEST_SSE_H
#define AG_LOADTEST_SSE_H

#include "base/span.h"

#define AG_LOAD_MAX_BODY ((size_t)16 << 20)

typedef struct ag_load_answer {
    ag_buf line;   /* the line that is not complete, or the whole body */
    bool streamed; /* events are expected */
    bool done;     /* [DONE] came, or the body is complete JSON */
    bool failed;   /* an error event, or something that is no answer */
    char error[160];
    uint64_t prompt_tokens, cached_tokens, generated_tokens; /* of usage */
    uint64_t n_pieces;                                       /* events with content */
} ag_load_answer;

void ag_load_answer_begin(ag_load_answer *a, bool streamed);
/* Returns how many events with content this piece completed. */
size_t ag_load_answer_push(ag_load_answer *a, ag_span piece);
/* The body has ended. */
void ag_load_answer_end(ag_load_answer *a, int status);
void ag_load_answer_deinit(ag_load_answer *a);

#endif
