/* Building errors: see include/autoglm/error.h for the public part. */
#ifndef AG_BASE_ERROR_H
#define AG_BASE_ERROR_H

#include "autoglm/error.h"

/* Record a failure and return its code, so that `return ag_fail(err, AG_E_IO, ...)` reads well.
 * `err` may be NULL. The message is truncated to fit on a character boundary. */
ag_code ag_fail(ag_err *err, ag_code code, const char *fmt, ...) AG_PRINTF(3, 4);

/* Put context in front of the message already in `err`: "context: message". Returns err's code. */
ag_code ag_err_wrap(ag_err *err, ag_code code, const char *fmt, ...) AG_PRINTF(3, 4);

/* AG_ASSERT guards our own invariants, never input; it stays on in release builds outside
 * kernels. AG_NEVER marks a branch that cannot be taken and says why the default exists. */
_Noreturn void ag_assert_failed(const char *expr, const char *file, int line);
#define AG_ASSERT(e) ((e) ? (void)0 : ag_assert_failed(#e, __FILE__, __LINE__))
#define AG_NEVER()   ag_assert_failed("unreachable", __FILE__, __LINE__)

#endif
