/* The parts of autoglm serve: from options to a configuration, and the process that serves it. */
#ifndef AG_CLI_SERVE_H
#define AG_CLI_SERVE_H

#include "cli/args.h"
#include "config/config.h"
#include "process/sandbox.h"

/* Everything the options and --config say, as one configuration; the caller frees it. AG_CLI_DONE,
 * or the status to end with when the mistakes have been told; *first is the first of them. */
int ag_cli_serve_config(const ag_cli_args *a, ag_config **out, ag_err *first);

/* Confine this process to what `c` needs, as server.sandbox says. Before any thread is started. */
int ag_cli_serve_sandbox(const ag_cli_args *a, const ag_config *c, bool supervised,
                         ag_sandbox *out);

/* Serve `c` (taken, also on failure) on listening sockets until a signal ends it; returns the exit
 * status. `addresses` are the sockets' names. `supervised`: a supervisor started this process, gave
 * the sockets, and watches it. */
int ag_cli_serve_run(const ag_cli_args *a, ag_config *c, const int *fds,
                     const char *const *addresses, size_t n, bool supervised);

#endif
