/* Web pages as clients. Private to routes/. On the io thread, within a handler. */
#ifndef AG_ROUTES_BROWSER_H
#define AG_ROUTES_BROWSER_H

#include "routes/exchange.h"

#define AG_BROWSER_HEADERS 2

/* Any page in a browser on this machine can send requests to a loopback address, and read the
 * answers where it has its own name point there. Keys keep it out. Without keys a request that
 * names an origin, as browsers do, must name the one that is allowed, or this machine. False: *p.
 */
bool ag_browser_check(ag_exchange *x, ag_problem *p);
/* A browser asks whether a page may ask. True: answered. */
bool ag_browser_preflight(ag_exchange *x);
/* What answers say to browsers; returns how many headers. */
size_t ag_browser_headers(const ag_routes *r, ag_http_header h[AG_BROWSER_HEADERS]);

#endif
