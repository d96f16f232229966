/* Progress of long work on standard error: a bar on a terminal, lines at the quarters elsewhere.
 * Work that ends soon shows nothing. Thread: main. */
#ifndef AG_CLI_PROGRESS_H
#define AG_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ag_cli_progress {
    const char *verb;  /* "loading" */
    bool plain;        /* lines instead of a bar */
    bool with_rate;    /* set after beginning: the bar shows bytes a second and the time left */
    bool counts;       /* likewise: amounts are numbers of things, not bytes */
    uint64_t quarters; /* told so far, of plain progress */
    uint64_t began_at, drawn_at;
    uint64_t first_bytes; /* that were done when it was first told */
    bool told;
    bool drawn;
} ag_cli_progress;

void ag_cli_progress_begin(ag_cli_progress *p, const char *verb, bool plain);
/* Fits ag_progress_fn with the struct as its context; always true. */
bool ag_cli_progress_tell(void *progress, uint64_t done_bytes, uint64_t total_bytes);
/* Remove the bar. */
void ag_cli_progress_end(const ag_cli_progress *p);

#endif
