/* Addresses, taken apart by the same parser that the transfer uses: two readings of one address are
 * how secrets reach the wrong host. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "net/net.h"

typedef struct parts {
    char *scheme, *host, *port, *user, *password; /* libcurl's; NULL: absent */
} parts;

static void drop(parts *p) {
    curl_free(p->scheme);
    curl_free(p->host);
    curl_free(p->port);
    curl_free(p->user);
    curl_free(p->password);
    *p = (parts){0};
}

/* False when it is no address with a scheme and a host. */
static bool take_apart(const char *url, parts *p) {
    *p = (parts){0};
    CURLU *u = strlen(url) <= AG_NET_MAX_URL ? curl_url() : NULL;
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &p->scheme, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &p->host, 0) == CURLUE_OK && p->host[0] &&
              curl_url_get(u, CURLUPART_PORT, &p->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (ok) {
        (void)curl_url_get(u, CURLUPART_USER, &p->user, 0);
        (void)curl_url_get(u, CURLUPART_PASSWORD, &p->password, 0);
    } else {
        drop(p);
    }
    curl_url_cleanup(u);
    return ok;
}

static bool is_printable(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s <= 0x20 || *s == 0x7f)
            return false;
    return true;
}

ag_code ag_net_check_url(const char *url, ag_err *err) {
    parts p;
    if (strlen(url) > AG_NET_MAX_URL)
        return ag_fail(err, AG_E_ARG, "an address of %zu bytes is too long; the limit is %u",
                       strlen(url), AG_NET_MAX_URL);
    if (!is_printable(url))
        return ag_fail(err, AG_E_ARG, "an address holds blanks or control characters");
    if (!take_apart(url, &p))
        return ag_fail(err, AG_E_ARG,
                       "expected an address like https://host/path, found \"%.100s\"", url);
    ag_code code = AG_OK;
    if (strcasecmp(p.scheme, "https") != 0 && strcasecmp(p.scheme, "http") != 0)
        code = ag_fail(err, AG_E_ARG, "%s: only http and https are spoken, not %.20s", p.host,
                       p.scheme);
    else if (p.user || p.password)
        code = ag_fail(err, AG_E_ARG, "%s: an address must not hold a user or password", p.host);
    drop(&p);
    return code;
}

bool ag_net_same_origin(const char *a, const char *b) {
    parts x, y;
    bool same = false;
    if (take_apart(a, &x)) {
        if (take_apart(b, &y)) {
            same = strcasecmp(x.scheme, y.scheme) == 0 && strcasecmp(x.host, y.host) == 0 &&
                   strcmp(x.port, y.port) == 0;
            drop(&y);
        }
        drop(&x);
    }
    return same;
}

const char *ag_net_host(const char *url, char text[AG_NET_HOST_TEXT]) {
    parts p;
    text[0] = '\0';
    if (!take_apart(url, &p)) {
        snprintf(text, AG_NET_HOST_TEXT, "(no host)");
        return text;
    }
    const char *own = strcasecmp(p.scheme, "https") == 0 ? "443" : "80";
    if (strcmp(p.port, own) == 0)
        snprintf(text, AG_NET_HOST_TEXT, "%.255s", p.host);
    else
        snprintf(text, AG_NET_HOST_TEXT, "%.255s:%.8s", p.host, p.port);
    drop(&p);
    return text;
}

static bool is_local(const char *host) {
    unsigned a, b, c, d;
    int n = 0;
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return sscanf(host, "%3u.%3u.%3u.%3u%n", &a, &b, &c, &d, &n) == 4 && host[n] == '\0' &&
           a == 127;
}

bool ag_net_is_private(const char *url) {
    parts p;
    if (!take_apart(url, &p))
        return false;
    bool ok = strcasecmp(p.scheme, "https") == 0 || is_local(p.host);
    drop(&p);
    return ok;
}
