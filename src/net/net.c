/* A request is a few attempts; an attempt is a few hops (redirects); a hop is one exchange by
 * libcurl, run through its multi interface so that it can be stopped within 100 ms.
 *
 * libcurl could follow redirects and hold secrets back itself. It is done here because the headers
 * of the redirects are wanted too, and because what must never happen is then a few lines to read.
 */
#include "net/net.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>

#include "autoglm/version.h"

#define POLL_MS        100
#define MAX_VALUE      8192u /* of a header that is kept */
#define DEFAULT_BYTES  ((uint64_t)16 << 20)
#define DEFAULT_WAIT_S 60u

struct ag_net {
    CURL *easy;
    CURLM *multi;
    char *ca_file;            /* owned; NULL: the system's */
    char *user_agent;         /* owned */
    char *url;                /* owned: of the hop */
    char *value[AG_NET_WANT]; /* owned: what the reply points to */
    char reason[CURL_ERROR_SIZE];
};

/* What one ag_net_do() knows. */
typedef struct exchange {
    ag_net *net;
    const ag_net_request *req;
    ag_net_reply *reply;
    ag_err *err;
    struct curl_slist *headers; /* owned, of the hop */
    size_t out_began;           /* length of req->out before it */
    uint64_t got;               /* bytes of the hop's body */
    ag_code code;               /* of whoever ended the hop from inside */
    bool has_left;              /* a redirect led to another origin: no secrets any more */
    bool told_head;             /* on_head was called */
    bool delivered;             /* on_body was given bytes */
    bool cut;                   /* enough was read of a body that nobody wants: no failure */
} exchange;

/* ---- the client ------------------------------------------------------------------------------ */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode started;

static void start_curl(void) { started = curl_global_init(CURL_GLOBAL_DEFAULT); }

static char *copy(const char *s) { return ag_strndup(AG_ROOM_NET, s, strlen(s)); }

ag_code ag_net_new(const ag_net_opts *opts, ag_net **out, ag_err *err) {
    *out = NULL;
    pthread_once(&once, start_curl);
    if (started)
        return ag_fail(err, AG_E_UNSUPPORTED, "libcurl does not start: %s",
                       curl_easy_strerror(started));
    ag_net *net = ag_calloc(AG_ROOM_NET, 1, sizeof *net);
    if (!net)
        return ag_fail(err, AG_E_NOMEM, "out of memory for an HTTP client");
    const char *agent = opts && opts->user_agent ? opts->user_agent : NULL;
    net->easy = curl_easy_init();
    net->multi = curl_multi_init();
    if (opts && opts->ca_file)
        net->ca_file = copy(opts->ca_file);
    char name[64];
    snprintf(name, sizeof name, "autoglm/%d.%d.%d", AG_VERSION_MAJOR, AG_VERSION_MINOR,
             AG_VERSION_PATCH);
    net->user_agent = copy(agent ? agent : name);
    if (!net->easy || !net->multi || !net->user_agent || (opts && opts->ca_file && !net->ca_file)) {
        ag_net_free(&net);
        return ag_fail(err, AG_E_NOMEM, "out of memory for an HTTP client");
    }
    *out = net;
    return AG_OK;
}

static void forget_values(ag_net *net) {
    for (int i = 0; i < AG_NET_WANT; i++) {
        ag_free(net->value[i]);
        net->value[i] = NULL;
    }
}

void ag_net_free(ag_net **net) {
    if (!*net)
        return;
    forget_values(*net);
    curl_easy_cleanup((*net)->easy);
    curl_multi_cleanup((*net)->multi);
    ag_free((*net)->ca_file);
    ag_free((*net)->user_agent);
    ag_free((*net)->url);
    ag_free(*net);
    *net = NULL;
}

void ag_net_wake(ag_net *net) { (void)curl_multi_wakeup(net->multi); }

bool ag_net_status_may_pass(int status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static ag_code fail_at(exchange *x, ag_code code, const char *text) {
    char host[AG_NET_HOST_TEXT];
    return ag_fail(x->err, code, "%s: %s", ag_net_host(x->net->url, host), text);
}

static const char *prefix_of(CURLcode c) {
    switch (c) {
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return "the connection broke off: ";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "its certificate is not trusted: ";
    default:
        return "";
    }
}

static bool may_pass(CURLcode c) {
    switch (c) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
}

static ag_code fail_curl(exchange *x, CURLcode c) {
    char text[CURL_ERROR_SIZE + 64];
    if (c == CURLE_OUT_OF_MEMORY)
        return fail_at(x, AG_E_NOMEM, "out of memory");
    snprintf(text, sizeof text, "%s%s", prefix_of(c),
             x->net->reason[0] ? x->net->reason : curl_easy_strerror(c));
    return fail_at(x, may_pass(c) ? AG_E_AGAIN : AG_E_IO, text);
}

/* ---- what comes back ------------------------------------------------------------------------- */

static bool is_stopped(exchange *x) {
    if (!x->req->is_stopped || !x->req->is_stopped(x->req->ctx))
        return false;
    x->code = fail_at(x, AG_E_CANCELLED, "stopped");
    return true;
}

static bool is_redirect(const exchange *x) {
    const char *m = x->req->method;
    int s = x->reply->status;
    return x->req->max_redirects > 0 && (!m || !strcmp(m, "GET") || !strcmp(m, "HEAD")) &&
           (s == 301 || s == 302 || s == 303 || s == 307 || s == 308);
}

static bool is_success(const exchange *x) {
    return x->reply->status >= 200 && x->reply->status < 300;
}

/* Status, length and the wanted headers of the hop, into the reply. */
static ag_code read_head(exchange *x) {
    long status = 0;
    curl_off_t n = -1, wait = 0;
    ag_net_reply *r = x->reply;
    CURL *easy = x->net->easy;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &n);
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &wait);
    r->status = (int)status;
    r->length = n < 0 ? AG_NET_UNKNOWN : (uint64_t)n;
    r->retry_after_s = wait < 0 ? 0 : wait > 86400 ? 86400 : (uint32_t)wait;
    for (int i = 0; x->req->want && i < AG_NET_WANT && x->req->want[i]; i++) {
        struct curl_header *h = NULL;
        if (curl_easy_header(easy, x->req->want[i], 0, CURLH_HEADER, -1, &h) != CURLHE_OK ||
            strlen(h->value) > MAX_VALUE)
            continue;
        char *value = copy(h->value);
        if (!value)
            return fail_at(x, AG_E_NOMEM, "out of memory");
        ag_free(x->net->value[i]);
        x->net->value[i] = value;
        r->value[i] = value;
    }
    return AG_OK;
}

static ag_code tell_head(exchange *x) {
    if (x->told_head)
        return AG_OK;
    x->told_head = true;
    ag_code code = read_head(x);
    uint64_t most = x->req->max_bytes ? x->req->max_bytes : DEFAULT_BYTES;
    if (!code && is_success(x) && x->reply->length != AG_NET_UNKNOWN && x->reply->length > most &&
        !(x->req->method && !strcmp(x->req->method, "HEAD")))
        code = fail_at(x, AG_E_LIMIT, "the answer is larger than the limit");
    if (!code && is_success(x) && x->req->on_head)
        code = x->req->on_head(x->req->ctx, x->reply, x->err);
    return code;
}

static ag_code take_piece(exchange *x, ag_span piece) {
    uint64_t most = x->req->max_bytes ? x->req->max_bytes : DEFAULT_BYTES;
    if (!is_success(x)) {
        size_t left = AG_NET_MAX_ERROR - (size_t)x->got;
        x->cut = piece.n > left;
        piece = ag_span_sub(piece, 0, left);
    } else if (piece.n > most - x->got) {
        return fail_at(x, AG_E_LIMIT, "the answer is larger than the limit");
    }
    x->got += piece.n;
    if (x->req->out && !is_redirect(x)) {
        ag_buf_add(x->req->out, piece.p, piece.n);
        if (x->req->out->failed)
            return ag_buf_check(x->req->out, "the answer", x->err);
    } else if (x->req->on_body && is_success(x)) {
        x->delivered = true;
        return x->req->on_body(x->req->ctx, piece, x->err);
    }
    return AG_OK;
}

/* libcurl's write callback: another number than n ends the transfer. */
static size_t on_write(char *p, size_t size, size_t count, void *ctx) {
    exchange *x = ctx;
    size_t n = size * count;
    x->code = tell_head(x);
    if (!x->code)
        x->code = take_piece(x, ag_span_of(p, n));
    return x->code || x->cut ? 0 : n;
}

/* ---- one hop --------------------------------------------------------------------------------- */

static bool is_clean(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

static ag_code add_header(exchange *x, const char *name, const char *value) {
    ag_buf line;
    ag_buf_init(&line, AG_ROOM_NET, 65536);
    if (!name[0] || strpbrk(name, ": \t") || !is_clean(name) || !is_clean(value))
        return fail_at(x, AG_E_ARG, "a header to send holds characters that are not allowed");
    /* A name with a semicolon is how libcurl takes a header without a value. */
    ag_buf_addf(&line, value[0] ? "%s: %s" : "%s;", name, value);
    const char *text = ag_buf_cstr(&line);
    struct curl_slist *list = text ? curl_slist_append(x->headers, text) : NULL;
    if (list)
        x->headers = list;
    if (text)
        explicit_bzero(line.p, line.n);
    ag_buf_deinit(&line);
    return list ? AG_OK : fail_at(x, AG_E_NOMEM, "out of memory for a header");
}

static ag_code make_headers(exchange *x) {
    ag_code code = AG_OK;
    for (size_t i = 0; i < x->req->n_headers && !code; i++) {
        const ag_net_header *h = &x->req->headers[i];
        if (!h->is_secret || !x->has_left)
            code = add_header(x, h->name, h->value);
    }
    if (!code && x->req->body.p) { /* no round trip of "Expect: 100-continue" */
        struct curl_slist *list = curl_slist_append(x->headers, "Expect:");
        if (!list)
            return fail_at(x, AG_E_NOMEM, "out of memory for a header");
        x->headers = list;
    }
    return code;
}

static CURLcode set_method(exchange *x) {
    CURL *e = x->net->easy;
    const char *m = x->req->method;
    if (x->req->body.p) {
        CURLcode c = curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->req->body.n);
        if (!c)
            c = curl_easy_setopt(e, CURLOPT_POSTFIELDS, x->req->body.p);
        return c ? c : curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, m ? m : "POST");
    }
    if (!m || !strcmp(m, "GET"))
        return curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
    if (!strcmp(m, "HEAD"))
        return curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    return curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, m);
}

static CURLcode set_up(exchange *x) {
    CURL *e = x->net->easy;
    const ag_net_request *q = x->req;
    CURLcode c = CURLE_OK;
    curl_easy_reset(e); /* connections stay */
    x->net->reason[0] = '\0';
#define SET(option, value)                                                                         \
    if (!c)                                                                                        \
    c = curl_easy_setopt(e, option, value)
    SET(CURLOPT_URL, x->net->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_USERAGENT, x->net->user_agent);
    SET(CURLOPT_HTTPHEADER, x->headers);
    SET(CURLOPT_ERRORBUFFER, x->net->reason);
    SET(CURLOPT_WRITEFUNCTION, on_write);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(q->connect_ms ? q->connect_ms : 15000));
    SET(CURLOPT_TIMEOUT_MS, (long)q->total_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)(q->low_bytes_s ? q->low_bytes_s : 64));
    SET(CURLOPT_LOW_SPEED_TIME, (long)(q->low_s ? q->low_s : 30));
    if (x->net->ca_file)
        SET(CURLOPT_CAINFO, x->net->ca_file);
#undef SET
    return c ? c : set_method(x);
}

static CURLcode run_transfer(exchange *x) {
    CURLM *multi = x->net->multi;
    CURLcode result = CURLE_RECV_ERROR;
    CURLMcode m = curl_multi_add_handle(multi, x->net->easy);
    int running = m ? 0 : 1, left;
    while (running && !is_stopped(x)) {
        m = curl_multi_perform(multi, &running);
        if (!m && running)
            m = curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
        if (m)
            break;
    }
    if (m)
        result = m == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT;
    for (CURLMsg *msg; (msg = curl_multi_info_read(multi, &left));)
        if (msg->msg == CURLMSG_DONE)
            result = msg->data.result;
    curl_multi_remove_handle(multi, x->net->easy);
    return result;
}

static ag_code do_hop(exchange *x) {
    x->got = 0;
    x->code = AG_OK;
    x->told_head = x->cut = false;
    x->reply->status = 0;
    ag_code code = make_headers(x);
    if (!code) {
        CURLcode c = set_up(x);
        if (!c)
            c = run_transfer(x);
        if (x->code)
            code = x->code;
        else if (c && !x->cut)
            code = fail_curl(x, c);
        else
            code = tell_head(x); /* an answer without a body */
    }
    curl_slist_free_all(x->headers);
    x->headers = NULL;
    return code;
}

/* ---- redirects ------------------------------------------------------------------------------- */

static ag_code move_on(exchange *x, const char *to) {
    ag_err why = {0};
    char host[AG_NET_HOST_TEXT];
    if (x->reply->redirects >= x->req->max_redirects)
        return fail_at(x, AG_E_LIMIT, "too many redirects");
    ag_code code = ag_net_check_url(to, &why);
    if (code)
        return ag_fail(x->err, AG_E_FORMAT, "%s: redirects to a place that is refused: %s",
                       ag_net_host(x->net->url, host), why.msg);
    if (strncasecmp(x->net->url, "https:", 6) == 0 && strncasecmp(to, "https:", 6) != 0)
        return fail_at(x, AG_E_FORMAT, "redirects from https to http, which is refused");
    char *next = copy(to);
    if (!next)
        return fail_at(x, AG_E_NOMEM, "out of memory");
    x->has_left |= !ag_net_same_origin(x->req->url, to);
    ag_free(x->net->url);
    x->net->url = next;
    x->reply->redirects++;
    return AG_OK;
}

static ag_code do_hops(exchange *x) {
    for (;;) {
        ag_code code = do_hop(x);
        char *to = NULL;
        if (code || !is_redirect(x) ||
            curl_easy_getinfo(x->net->easy, CURLINFO_REDIRECT_URL, &to) != CURLE_OK || !to)
            return code;
        code = move_on(x, to);
        if (code)
            return code;
    }
}

/* ---- attempts -------------------------------------------------------------------------------- */

static ag_code start_attempt(exchange *x) {
    ag_free(x->net->url);
    x->net->url = copy(x->req->url);
    forget_values(x->net);
    *x->reply = (ag_net_reply){.length = AG_NET_UNKNOWN};
    x->has_left = false;
    if (x->req->out)
        x->req->out->n = x->out_began;
    return x->net->url ? AG_OK : ag_fail(x->err, AG_E_NOMEM, "out of memory for an address");
}

ag_code ag_net_do(ag_net *net, const ag_net_request *req, ag_net_reply *reply, ag_err *err) {
    exchange x = {.net = net, .req = req, .reply = reply, .err = err};
    ag_net_backoff backoff;
    uint32_t most_s = req->max_wait_s ? req->max_wait_s : DEFAULT_WAIT_S;
    *reply = (ag_net_reply){.length = AG_NET_UNKNOWN};
    ag_code code = ag_net_check_url(req->url, err);
    if (code)
        return code;
    ag_net_backoff_init(&backoff, 0, 0, ag_random_seed());
    x.out_began = req->out ? req->out->n : 0;
    for (int tries_left = req->retries;; tries_left--) {
        code = start_attempt(&x);
        if (!code)
            code = do_hops(&x);
        bool passes = code ? code == AG_E_AGAIN : ag_net_status_may_pass(reply->status);
        if (!passes || tries_left <= 0 || x.delivered || reply->retry_after_s > most_s)
            return code;
        if (!ag_net_sleep(ag_net_backoff_next(&backoff, reply->retry_after_s * 1000u),
                          req->is_stopped, req->ctx))
            return fail_at(&x, AG_E_CANCELLED, "stopped");
    }
}
