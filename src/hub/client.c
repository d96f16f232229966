/* The hub's protocol: addresses, the token, what a refusal means. */
#include <ctype.h>
#include <stdio.h>

#include "base/limits.h"
#include "hub/parts.h"

#define MAX_REDIRECTS 8
#define API_MS        120000u /* for one reply of the API */

const char *const ag_hub_headers[] = {
    [AG_HUB_H_CODE] = "X-Error-Code",
    [AG_HUB_H_MESSAGE] = "X-Error-Message",
    [AG_HUB_H_LINK] = "Link",
    [AG_HUB_H_ETAG] = "ETag",
    [AG_HUB_H_RANGE] = "Content-Range",
    [AG_HUB_H_LINKED_ETAG] = "X-Linked-Etag",
    [AG_HUB_H_LINKED_SIZE] = "X-Linked-Size",
    NULL,
};

static ag_code no_memory(ag_err *err) { return ag_fail(err, AG_E_NOMEM, "out of memory"); }

/* ---- opening --------------------------------------------------------------------------------- */

static ag_code take_endpoint(ag_hub *h, ag_err *err) {
    const char *url = h->opts->endpoint ? h->opts->endpoint : AG_HUB_ENDPOINT;
    ag_code code = ag_net_check_url(url, err);
    if (code)
        return ag_err_wrap(err, code, "the hub's address");
    if (strpbrk(url, "?#"))
        return ag_fail(err, AG_E_ARG, "the hub's address: ends before ? and #");
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    h->endpoint = ag_strndup(AG_ROOM_HUB, url, n);
    return h->endpoint ? AG_OK : no_memory(err);
}

static ag_code take_token(ag_hub *h, ag_err *err) {
    const char *token = h->opts->token;
    char host[AG_NET_HOST_TEXT];
    if (!token)
        return AG_OK;
    for (const char *c = token; *c; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
            return ag_fail(err, AG_E_ARG, "the hub's token holds characters that no token has");
    if (!ag_net_is_private(h->endpoint)) {
        ag_hub_note(h, "the token is not sent: http://%s would show it to the network",
                    ag_net_host(h->endpoint, host));
        return AG_OK;
    }
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_HUB, strlen(token) + 16);
    ag_buf_addf(&b, "Bearer %s", token);
    h->bearer = b.failed ? NULL : ag_strndup(AG_ROOM_HUB, b.p, b.n);
    if (b.p)
        explicit_bzero(b.p, b.n);
    ag_buf_deinit(&b);
    return h->bearer ? AG_OK : no_memory(err);
}

ag_code ag_hub_open(ag_hub *h, ag_err *err) {
    const ag_net_opts opts = {.ca_file = h->opts->ca_file};
    ag_code code = take_endpoint(h, err);
    if (!code)
        code = take_token(h, err);
    return code ? code : ag_net_new(&opts, &h->net, err);
}

void ag_hub_close(ag_hub *h) {
    ag_net_free(&h->net);
    if (h->bearer)
        explicit_bzero(h->bearer, strlen(h->bearer));
    ag_free(h->bearer);
    ag_free(h->endpoint);
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* Percent-encode what is not unreserved (RFC 3986, 2.3). */
static void add_encoded(ag_buf *b, const char *s, bool keep_slashes) {
    for (; *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("-._~", *s) || (keep_slashes && *s == '/'))
            ag_buf_addc(b, *s);
        else
            ag_buf_addf(b, "%%%02X", (unsigned char)*s);
    }
}

/* ENDPOINT + before + REPO + between + name, which is encoded. */
static char *make_url(const ag_hub *h, const char *before, const char *between,
                      const char *revision, const char *path, const char *query) {
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_HUB, 65536);
    ag_buf_addf(&b, "%s%s%s%s", h->endpoint, before, h->repo, between);
    add_encoded(&b, revision, false);
    if (path) {
        ag_buf_addc(&b, '/');
        add_encoded(&b, path, true);
    }
    if (query)
        ag_buf_addf(&b, "?%s", query);
    char *url = b.failed ? NULL : ag_strndup(AG_ROOM_HUB, b.p, b.n);
    ag_buf_deinit(&b);
    return url;
}

char *ag_hub_file_url(const ag_hub *h, const char *path) {
    return make_url(h, "/", "/resolve/", h->out->commit, path, NULL);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static ag_code refused_access(const ag_hub *h, const char *who, const char *text, int status,
                              ag_err *err) {
    if (status == 401 && !h->bearer)
        return ag_fail(err, AG_E_IO,
                       "%s: the hub wants a token (401): it is private, gated, or not there%s", who,
                       text);
    return ag_fail(err, AG_E_IO,
                   "%s: the hub refuses the token (%d): ask for access at %s/%s, or give another "
                   "token%s",
                   who, status, h->endpoint, h->repo, text);
}

ag_code ag_hub_refused(const ag_hub *h, const char *what, const ag_net_reply *reply, ag_err *err) {
    char who[320], text[160] = "", host[AG_NET_HOST_TEXT];
    const char *said = reply->value[AG_HUB_H_MESSAGE], *kind = reply->value[AG_HUB_H_CODE];
    int s = reply->status;
    h->out->refused = s;
    snprintf(who, sizeof who, "%s%s%.200s", h->repo, what ? "/" : "", what ? what : "");
    if (said)
        snprintf(text, sizeof text, ": %.150s", said);
    if (s == 401 || s == 403)
        return refused_access(h, who, text, s, err);
    if (s == 404 && kind && strcmp(kind, "RevisionNotFound") == 0)
        return ag_fail(err, AG_E_NOT_FOUND, "%s: there is no revision \"%s\"", h->repo,
                       h->revision);
    if (s == 404)
        return ag_fail(err, AG_E_NOT_FOUND, "%s: not at %s%s", who, ag_net_host(h->endpoint, host),
                       text);
    if (s == 429)
        return ag_fail(err, AG_E_AGAIN, "%s: the hub wants fewer requests (429); try again in %u s",
                       who, reply->retry_after_s ? reply->retry_after_s : 60);
    return ag_fail(err, ag_net_status_may_pass(s) ? AG_E_AGAIN : AG_E_IO,
                   "%s: the hub answers with HTTP status %d%s", who, s, text);
}

/* ---- the API --------------------------------------------------------------------------------- */

static bool stop(void *hub) { return ag_hub_is_stopped(hub); }

/* One reply of the API, whole, into an empty buffer. */
static ag_code get(ag_hub *h, const char *url, ag_net_reply *reply, ag_buf *out, ag_err *err) {
    const ag_net_header headers[] = {{"Accept", "application/json", false},
                                     {"Authorization", h->bearer, true}};
    const ag_net_request q = {.url = url,
                              .headers = headers,
                              .n_headers = h->bearer ? 2 : 1,
                              .want = ag_hub_headers,
                              .out = out,
                              .is_stopped = stop,
                              .ctx = h,
                              .max_bytes = AG_MAX_HUB_REPLY,
                              .total_ms = API_MS,
                              .max_redirects = MAX_REDIRECTS,
                              .retries = h->opts->retries};
    ag_code code = ag_net_do(h->net, &q, reply, err);
    if (!code && reply->status != 200)
        code = ag_hub_refused(h, NULL, reply, err);
    return code;
}

static ag_code read_commit(ag_hub *h, ag_buf *reply_text, ag_err *err) {
    ag_net_reply reply;
    char *url = make_url(h, "/api/models/", "/revision/", h->revision, NULL, NULL);
    ag_code code = url ? get(h, url, &reply, reply_text, err) : no_memory(err);
    if (!code)
        code = ag_hub_read_commit(ag_buf_span(reply_text), h->out->commit, err);
    ag_free(url);
    return code;
}

/* One page of the list of files; `query` becomes that of the next one, "" at the end. */
static ag_code read_page(ag_hub *h, char query[AG_HUB_MAX_QUERY + 1], ag_buf *reply_text,
                         ag_err *err) {
    ag_net_reply reply;
    char *url = make_url(h, "/api/models/", "/tree/", h->out->commit, NULL, query);
    ag_code code = url ? get(h, url, &reply, reply_text, err) : no_memory(err);
    if (!code)
        code = ag_hub_listing_add(&h->out->listing, ag_buf_span(reply_text), err);
    query[0] = '\0';
    if (!code && reply.value[AG_HUB_H_LINK])
        (void)ag_hub_next_page(reply.value[AG_HUB_H_LINK], query);
    ag_free(url);
    return code;
}

ag_code ag_hub_read_repo(ag_hub *h, ag_err *err) {
    char query[AG_HUB_MAX_QUERY + 1] = "recursive=true";
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_HUB, AG_MAX_HUB_REPLY);
    ag_code code = read_commit(h, &text, err);
    for (unsigned page = 0; !code && query[0]; page++) {
        text.n = 0;
        if (page >= AG_MAX_HUB_PAGES)
            code = ag_fail(err, AG_E_LIMIT, "%s: the hub's list of files has more than %u pages",
                           h->repo, AG_MAX_HUB_PAGES);
        else
            code = read_page(h, query, &text, err);
    }
    ag_buf_deinit(&text);
    return code ? code : ag_hub_listing_finish(&h->out->listing, err);
}
