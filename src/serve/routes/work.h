/* A few threads that do what would hold up the io thread, in the order it came. */
#ifndef AG_ROUTES_WORK_H
#define AG_ROUTES_WORK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

typedef struct ag_work ag_work;

/* n threads called `name` (borrowed until freed); at most max_waiting jobs wait. AG_E_NOMEM,
 * AG_E_IO. */
ag_code ag_work_new(const char *name, size_t n, size_t max_waiting, ag_work **out,
                    ag_err *err) AG_MUST_USE;
/* Have job(ctx) called once. False: too many wait already, or no memory. Any thread. */
bool ag_work_push(ag_work *w, void (*job)(void *ctx), void *ctx);
/* Do what waits, end the threads, free. Accepts NULL. */
void ag_work_free(ag_work **w);

#endif
