/* Requests to send. Private to the room. */
#ifndef AG_LOADTEST_BODY_H
#define AG_LOADTEST_BODY_H

#include "base/random.h"
#include "loadtest/loadtest.h"

/* "chat/completions", ... */
const char *ag_load_path(ag_load_api api);
/* The JSON of request number `index` replaces what `out` holds. */
void ag_load_body(const ag_load_opts *o, uint64_t index, ag_rng *rng, ag_buf *out);

#endif
