/* Web pages as clients: which may call the server (CORS), and that others do not without asking,
 * nor by a name of their own. */
#include "routes/browser.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/config.h"

#define EXPOSED                                                                                    \
    "x-request-id, x-ignored-params, x-prompt-truncated, retry-after, retry-after-ms, "            \
    "x-should-retry"
#define USUAL_HEADERS "authorization, content-type, x-request-id"

static bool is_allowed(const ag_exchange *x, const char *origin) {
    const char *allowed = x->routes->opts.cors_origin;
    return allowed && (strcmp(allowed, "*") == 0 || strcmp(allowed, origin) == 0);
}

/* "http://localhost:3000": a page that this machine serves. */
static bool is_local(const char *origin) {
    const char *host = strstr(origin, "://");
    char address[300];
    if (!host || strncmp(origin, "http", 4) != 0)
        return false;
    host += 3;
    const char *port = strchr(host, ']'); /* of an IPv6 address */
    port = strchr(port ? port : host, ':');
    int n = snprintf(address, sizeof address, "%s%s", host, port ? "" : ":80");
    return n > 0 && (size_t)n < sizeof address && ag_config_is_local(address);
}

bool ag_browser_check(ag_exchange *x, ag_problem *p) {
    const char *origin = ag_http_get(x->http, "origin");
    if (!origin || !*origin || x->routes->opts.keys || is_allowed(x, origin) || is_local(origin))
        return true;
    return ag_problem_set(p, 403, "permission_error", "origin_not_allowed", NULL,
                          "pages of %.100s may not call this server: allow them by "
                          "server.cors_origin (--cors-origin), or give it keys",
                          origin);
}

/* ---- by which name ----------------------------------------------------------------------------
 */

static ag_span without_dot(ag_span name) {
    return ag_span_ends(name, ag_str(".")) ? ag_span_sub(name, 0, name.n - 1) : name;
}

static bool is_name(ag_span host, const char *name) {
    ag_span s = without_dot(ag_str(name));
    return s.n > 0 && s.n == host.n && strncasecmp(s.p, host.p, s.n) == 0;
}

static bool is_below_localhost(ag_span host) {
    static const char zone[] = ".localhost";
    size_t n = sizeof zone - 1;
    return host.n > n && strncasecmp(host.p + host.n - n, zone, n) == 0;
}

static bool is_address(int family, ag_span host) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr any; /* room for both */
    if (host.n >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", AG_SPAN(host));
    return inet_pton(family, text, &any) == 1;
}

/* What stands after the host: nothing, or ":8000". */
static bool is_port(const char *rest) {
    return !*rest || (*rest == ':' && !rest[1 + strspn(rest + 1, "0123456789")]);
}

/* "[::1]" */
static bool is_address_in_brackets(ag_span host) {
    return host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']' &&
           is_address(AF_INET6, ag_span_sub(host, 1, host.n - 1));
}

bool ag_browser_knows_host(const char *value, const char *own, const char *const *names, size_t n) {
    if (!value || !*value)
        return true;
    size_t len = *value == '[' ? strcspn(value, "]") + 1 : strcspn(value, ":");
    if (len > strlen(value) || !is_port(value + len))
        return false;
    ag_span host = without_dot(ag_span_of(value, len));
    bool known = is_address_in_brackets(host) || is_address(AF_INET, host) ||
                 is_name(host, "localhost") || is_below_localhost(host) || is_name(host, own);
    for (size_t i = 0; i < n && !known; i++)
        known = is_name(host, names[i]);
    return known;
}

bool ag_browser_check_host(ag_exchange *x, ag_problem *p) {
    const ag_routes *r = x->routes;
    const char *host = ag_http_get(x->http, "host");
    bool any_page = r->opts.cors_origin && strcmp(r->opts.cors_origin, "*") == 0;
    if (r->opts.keys || any_page || strcmp(ag_http_peer(x->http), "unix") == 0 ||
        ag_browser_knows_host(host, r->host_name, r->opts.hosts, r->opts.n_hosts))
        return true;
    return ag_problem_set(p, 403, "permission_error", "host_not_allowed", NULL,
                          "this server does not go by the name %.100s: call it by its address, "
                          "name it in server.hosts (--set server.hosts=NAME), or give it keys",
                          host);
}

/* ---- what they ask beforehand and are told --------------------------------------------------- */

/* What the page's program wants to send, as far as it can stand in a header. */
static const char *wanted_headers(const ag_exchange *x) {
    const char *names = ag_http_get(x->http, "access-control-request-headers");
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_, ";
    size_t n = names ? strlen(names) : 0;
    return n > 0 && n <= 2048 && strspn(names, letters) == n ? names : USUAL_HEADERS;
}

bool ag_browser_preflight(ag_exchange *x) {
    const char *origin = x->routes->opts.cors_origin;
    if (!origin || strcmp(ag_http_method(x->http), "OPTIONS") != 0)
        return false;
    ag_http_header h[] = {{"access-control-allow-origin", origin},
                          {"access-control-allow-methods", "GET, HEAD, POST, DELETE"},
                          {"access-control-allow-headers", wanted_headers(x)},
                          {"access-control-max-age", "600"},
                          {"x-request-id", x->id}};
    ag_buf none;
    ag_buf_init(&none, AG_ROOM_ROUTES, 1);
    ag_http_reply(x->http, 204, h, sizeof h / sizeof *h, &none);
    return true;
}

size_t ag_browser_headers(const ag_routes *r, ag_http_header h[AG_BROWSER_HEADERS]) {
    if (!r->opts.cors_origin)
        return 0;
    h[0] = (ag_http_header){"access-control-allow-origin", r->opts.cors_origin};
    h[1] = (ag_http_header){"access-control-expose-headers", EXPOSED};
    return 2;
}
