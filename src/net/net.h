/* Outbound HTTP and HTTPS: one request at a time, bounded in time and size, over libcurl.
 *
 * A request goes to one origin (scheme, host, port). Redirects are followed for GET and HEAD only,
 * up to a limit, never from https to http, and headers marked secret stay behind once a redirect
 * leaves the origin. Proxies are those of the environment, as curl reads it (https_proxy, ...).
 *
 * A complete answer is AG_OK whatever its status: what 404 means is for the caller to say.
 * Thread: a client belongs to one thread at a time, ag_net_wake() apart. */
#ifndef AG_NET_NET_H
#define AG_NET_NET_H

#include "base/span.h"
#include "net/backoff.h"

#define AG_NET_WANT      8                  /* headers of an answer that one request may ask for */
#define AG_NET_MAX_URL   8192u              /* signed addresses reach 2 KiB */
#define AG_NET_MAX_ERROR ((size_t)64 << 10) /* what is read of the body of a refusal */
#define AG_NET_UNKNOWN   UINT64_MAX

typedef struct ag_net ag_net;

/* Zero is the default of every field. Strings are copied. */
typedef struct ag_net_opts {
    const char *ca_file;    /* PEM certificates to trust; NULL: the system's */
    const char *user_agent; /* NULL: "autoglm/VERSION" */
} ag_net_opts;

typedef struct ag_net_header {
    const char *name, *value;
    bool is_secret; /* sent to the origin of the request's URL only */
} ag_net_header;

typedef struct ag_net_reply {
    int status;                     /* of the last answer; 0: there was none */
    int redirects;                  /* followed on the way */
    uint64_t length;                /* of the body as announced; AG_NET_UNKNOWN */
    uint32_t retry_after_s;         /* asked for by the server; 0: nothing */
    const char *value[AG_NET_WANT]; /* of the headers wanted: the last answer's, or that of a
                                     * redirect on the way; NULL: absent. Owned by the client,
                                     * valid until its next request */
} ag_net_reply;

/* Everything borrowed for the call. Zero is the default of every field but `url`. */
typedef struct ag_net_request {
    const char *method; /* NULL: GET */
    const char *url;    /* http or https, without a user or password */
    const ag_net_header *headers;
    size_t n_headers;
    ag_span body; /* p NULL: none */
    const char *const
        *want; /* names of headers to keep, up to AG_NET_WANT; NULL ends; may be NULL */

    /* Where the body goes: appended to `out`, of a refusal its first AG_NET_MAX_ERROR bytes; or, of
     * a 2xx answer only, to `on_body`, whose error ends the request and is what it returns. */
    ag_buf *out;
    ag_code (*on_head)(void *ctx, const ag_net_reply *reply,
                       ag_err *err); /* before on_body, once */
    ag_code (*on_body)(void *ctx, ag_span piece, ag_err *err);
    bool (*is_stopped)(void *ctx); /* asked at least every 100 ms and after signals; true ends the
                                    * request with AG_E_CANCELLED */
    void *ctx;

    uint64_t max_bytes;   /* of a body; 0: 16 MiB */
    uint32_t connect_ms;  /* 0: 15 s */
    uint32_t total_ms;    /* for each exchange; 0: no limit beyond the next two */
    uint32_t low_bytes_s; /* slower than this ... 0: 64 bytes a second */
    uint32_t low_s;       /* ... for so long is a broken connection; 0: 30 s */
    int max_redirects;    /* 0: they are not followed but returned */

    /* Once more after a failure that may pass: no connection, a broken one, 408, 429, 500, 502,
     * 503, 504; not after on_body was given bytes. Leave it 0 where repeating does harm. */
    int retries;
    uint32_t max_wait_s; /* a server that asks for a longer wait is not asked again; 0: 60 s */
} ag_net_request;

/* opts may be NULL. AG_E_NOMEM, AG_E_UNSUPPORTED (the library in use lacks something). */
ag_code ag_net_new(const ag_net_opts *opts, ag_net **out, ag_err *err) AG_MUST_USE;
void ag_net_free(ag_net **net);
/* Have is_stopped asked now. Any thread, while the client lives. */
void ag_net_wake(ag_net *net);

/* Do it. AG_E_ARG (the address, a header), AG_E_AGAIN (the network: trying later may help),
 * AG_E_IO (a certificate, a protocol: it will not), AG_E_LIMIT (too large, too many redirects),
 * AG_E_FORMAT (a redirect that is refused), AG_E_CANCELLED, AG_E_NOMEM, what a callback returned.
 * Messages name the host and the reason, never a query or a header. */
ag_code ag_net_do(ag_net *net, const ag_net_request *req, ag_net_reply *reply,
                  ag_err *err) AG_MUST_USE;

/* Would doing it again help, by this status? */
bool ag_net_status_may_pass(int status);

/* Is this an address that ag_net_do() takes? AG_E_ARG says why not, AG_E_NOMEM. */
ag_code ag_net_check_url(const char *url, ag_err *err) AG_MUST_USE;
/* Same scheme, host and port? */
bool ag_net_same_origin(const char *a, const char *b);
/* "host" or, where it is not the scheme's own port, "host:port" in `text`, which is returned. */
#define AG_NET_HOST_TEXT 300
const char *ag_net_host(const char *url, char text[AG_NET_HOST_TEXT]);
/* Is it encrypted, or does it stay on this machine (localhost, 127.0.0.0/8, ::1)? */
bool ag_net_is_private(const char *url);

#endif
