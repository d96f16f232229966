/* What is told about requests: a line in the log, and metrics. Private to routes/. */
#ifndef AG_ROUTES_WATCH_H
#define AG_ROUTES_WATCH_H

#include "routes/exchange.h"

/* The model is known that a request asks: it counts as started. */
void ag_watch_begin(ag_exchange *x);
/* The exchange is over, and its record complete. */
void ag_watch_end(ag_exchange *x);
/* The HTTP room refused a request for which there is no exchange. */
void ag_watch_refusal(const ag_routes *r, const char *id, const char *code,
                      const ag_http_refusal *what);
/* Set what is read when somebody looks: for ag_metrics_on_scrape(), with ctx the ag_routes. */
void ag_watch_scrape(void *routes);
/* The series that times between tokens go to; NULL: nobody counts. */
ag_metric *ag_watch_gaps(ag_exchange *x);

#endif
