/* Web pages as clients. Private to routes/. On the io thread, within a handler. */
#ifndef AG_ROUTES_BROWSER_H
#define AG_ROUTES_BROWSER_H

#include "routes/exchange.h"

#define AG_BROWSER_HEADERS 2

/* Any page in a browser on this machine can send requests to a loopback address. Keys keep it out.
 * Without keys a request that names an origin, as browsers do, must name the one that is allowed,
 * or this machine. False: *p. */
bool ag_browser_check(ag_exchange *x, ag_problem *p);
/* A page that has its own name point to a loopback address (DNS rebinding) may read the answers,
 * and what it gets names no origin: but it calls the server by that name. Without keys a request
 * that came over TCP must call it by one that ag_browser_knows_host(). False: *p. */
bool ag_browser_check_host(ag_exchange *x, ag_problem *p);
/* Is this value of Host one that a page from elsewhere hardly has: an address, localhost and what
 * is below it, `own` (this machine's name), or one of names [n]? Port, case and a dot at the end do
 * not matter. No name at all is one, since browsers always send it. That names below localhost lead
 * to this machine is up to the browser, and those of `own` and `names` to who keeps the network's
 * names. Pure. */
bool ag_browser_knows_host(const char *value, const char *own, const char *const *names, size_t n);
/* A browser asks whether a page may ask. True: answered. */
bool ag_browser_preflight(ag_exchange *x);
/* What answers say to browsers; returns how many headers. */
size_t ag_browser_headers(const ag_routes *r, ag_http_header h[AG_BROWSER_HEADERS]);

#endif
