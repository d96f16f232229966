/* Errors of libautoglm: one list of codes, one struct that carries the facts.
 *
 * A function that can fail returns an ag_code and fills the ag_err given last (which may be NULL)
 * at the place that knows the facts. The library never prints, exits or aborts on bad input. */
#ifndef AUTOGLM_ERROR_H
#define AUTOGLM_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(AG_BUILD) && defined(__GNUC__)
#define AG_API __attribute__((visibility("default")))
#else
#define AG_API
#endif

#if defined(__GNUC__)
#define AG_MUST_USE          __attribute__((warn_unused_result))
#define AG_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define AG_MUST_USE
#define AG_PRINTF(fmt, args)
#endif

/* X(code, short name, HTTP status, OpenAI error type, retryable)
 * The enum, ag_code_name() and the error bodies of the HTTP API are expansions of this list. */
#define AG_ERR_MAP(X)                                                                              \
    X(AG_OK, "ok", 200, "", 0)                                                                     \
    X(AG_E_ARG, "invalid_argument", 400, "invalid_request_error", 0)                               \
    X(AG_E_UTF8, "invalid_utf8", 400, "invalid_request_error", 0)                                  \
    X(AG_E_TEMPLATE, "template_error", 400, "invalid_request_error", 0)                            \
    X(AG_E_CTX_FULL, "context_length_exceeded", 400, "invalid_request_error", 0)                   \
    X(AG_E_LIMIT, "limit_exceeded", 400, "invalid_request_error", 0)                               \
    X(AG_E_GRAMMAR, "invalid_grammar", 400, "invalid_request_error", 0)                            \
    X(AG_E_NOT_FOUND, "not_found", 404, "invalid_request_error", 0)                                \
    X(AG_E_CANCELLED, "cancelled", 499, "request_cancelled", 0)                                    \
    X(AG_E_TIMEOUT, "deadline_exceeded", 504, "timeout_error", 0)                                  \
    X(AG_E_FORMAT, "bad_format", 500, "server_error", 0)                                           \
    X(AG_E_UNSUPPORTED, "unsupported", 501, "server_error", 0)                                     \
    X(AG_E_IO, "io_error", 500, "server_error", 0)                                                 \
    X(AG_E_NOMEM, "out_of_memory", 503, "server_error", 1)                                         \
    X(AG_E_BUDGET, "memory_budget_exceeded", 503, "server_error", 0)                               \
    X(AG_E_NO_BLOCKS, "no_kv_blocks", 503, "server_error", 1)                                      \
    X(AG_E_AGAIN, "try_again", 503, "server_error", 1)                                             \
    X(AG_E_SHARE, "rate_limit_exceeded", 429, "rate_limit_error", 1)                               \
    X(AG_E_CLOSED, "engine_closed", 503, "server_error", 1)                                        \
    X(AG_E_INTERNAL, "internal_error", 500, "server_error", 0)

typedef enum ag_code {
#define AG_ERR_ENUM(code, name, status, type, retry) code,
    AG_ERR_MAP(AG_ERR_ENUM)
#undef AG_ERR_ENUM
} ag_code;

typedef struct ag_err {
    ag_code code;  /* AG_OK when nothing failed */
    char msg[508]; /* one line, UTF-8, always terminated; says what, where, and what to do */
} ag_err;

/* Short stable name of a code ("context_length_exceeded"). Never NULL. Any thread. */
AG_API const char *ag_code_name(ag_code code);

#ifdef __cplusplus
}
#endif
#endif
