/* What this machine can do at most, measured in the process that uses it: the read bandwidth of
 * memory, and the rates of the multiply-add instructions that kernels are made of. */
#ifndef AG_CLI_LIMITS_H
#define AG_CLI_LIMITS_H

#include "base/error.h"

typedef struct ag_cli_limits {
    double read_bytes; /* a second, from memory, by all threads together */
    double int8_ops;   /* a second; a multiply-add counts as two */
    double float_ops;
    double bf16_ops; /* of bfloat16 with float32 sums; without AMX, as of floats */
} ag_cli_limits;

/* Takes about two thirds of a second on n_threads threads that it starts and ends. AG_E_NOMEM,
 * AG_E_IO (a thread cannot be started). */
ag_code ag_cli_limits_measure(int n_threads, ag_cli_limits *out, ag_err *err) AG_MUST_USE;

#endif
