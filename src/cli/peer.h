/* llama.cpp's own measuring programs, run on the same file with the same threads, so that both
 * figures come from one machine in one state. */
#ifndef AG_CLI_PEER_H
#define AG_CLI_PEER_H

#include <limits.h>

#include "cli/bench_run.h"

typedef struct ag_cli_peer {
    char dir[PATH_MAX];  /* holds llama-bench and llama-batched-bench */
    const char *model;   /* a GGUF file; borrowed */
    const char *kv_type; /* precision of its KV cache; NULL: its default; borrowed */
    uint32_t n_threads;
} ag_cli_peer;

/* The programs in `dir`, or where builds of llama.cpp put them below it (bin, build/bin,
 * llama.cpp/bin). AG_E_NOT_FOUND names what was looked for. */
ag_code ag_cli_peer_find(const char *dir, ag_cli_peer *out, ag_err *err) AG_MUST_USE;

/* Take the measurement once; loads the model anew and takes as long as that and the test do.
 * AG_E_IO (a program cannot be run, or failed: its last words), AG_E_FORMAT (it answered something
 * else), AG_E_NOMEM. */
ag_code ag_cli_peer_take(const ag_cli_peer *p, const ag_cli_bench_test *t, ag_cli_bench_value *out,
                         ag_err *err) AG_MUST_USE;

#endif
