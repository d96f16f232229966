/* Listening sockets. */
#ifndef AG_CLI_LISTEN_H
#define AG_CLI_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define AG_CLI_ADDRESS_TEXT 80

typedef struct ag_cli_listener {
    int fd;                            /* owned; listening, non-blocking */
    bool loopback;                     /* reachable from this machine only */
    char address[AG_CLI_ADDRESS_TEXT]; /* "127.0.0.1:8000", "[::1]:8000", with the port it has */
} ag_cli_listener;

/* Listen on a host's first address. AG_E_ARG (no such host), AG_E_IO (the port is in use, ...). */
ag_code ag_cli_listen(const char *host, uint32_t port, ag_cli_listener *out,
                      ag_err *err) AG_MUST_USE;
/* Would ag_cli_listen() be reachable from this machine only? AG_E_ARG (no such host). */
ag_code ag_cli_is_loopback(const char *host, bool *loopback, ag_err *err) AG_MUST_USE;

#endif
