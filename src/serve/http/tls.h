/* Certificate and key for libmicrohttpd, read again when the files change. New connections get the
 * new pair, running ones keep theirs.
 *
 * Thread: io. */
#ifndef AG_HTTP_TLS_H
#define AG_HTTP_TLS_H

#include <gnutls/abstract.h>
#include <microhttpd.h>

#include "base/error.h"
#include "base/span.h"

typedef struct ag_http_tls_state ag_http_tls_state;

/* TLS 1.3 and nothing older. */
#define AG_HTTP_TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3"

/* Read both files; `warn` hears later why a changed pair is not taken. AG_E_NOT_FOUND, AG_E_IO
 * (which file, and what is wrong with it), AG_E_NOMEM. */
ag_code ag_http_tls_open(const char *cert_file, const char *key_file,
                         void (*warn)(void *ctx, const char *line), void *ctx,
                         ag_http_tls_state **out, ag_err *err) AG_MUST_USE;
void ag_http_tls_close(ag_http_tls_state **t);
/* Look at the files' times, at most once a second; call it before a connection is taken. */
void ag_http_tls_refresh(ag_http_tls_state *t);
/* Write on a connection whose TLS is up; nothing happens on one whose is not. */
void ag_http_tls_send(struct MHD_Connection *c, ag_span bytes);
/* For MHD_OPTION_HTTPS_CERT_CALLBACK, which has no context: the calling thread's server. */
void ag_http_tls_use(ag_http_tls_state *t);
gnutls_certificate_retrieve_function2 ag_http_tls_pick;

#endif
