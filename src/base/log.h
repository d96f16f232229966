/* Log records: a fixed message with key-value facts, handed to a callback. The library never
 * prints. Never put prompts, keys or the text of tokens into a record. */
#ifndef AG_BASE_LOG_H
#define AG_BASE_LOG_H

#include "base/error.h"

typedef enum ag_log_level { AG_LOG_ERROR, AG_LOG_WARN, AG_LOG_INFO, AG_LOG_DEBUG } ag_log_level;

typedef struct ag_logger {
    /* `line` is one line of text without a newline. May be called from any thread. NULL: silent. */
    void (*write)(void *ctx, ag_log_level level, const char *component, const char *line);
    void *ctx;
    ag_log_level level; /* records above it are dropped */
} ag_logger;

void ag_log(const ag_logger *log, ag_log_level level, const char *component, const char *fmt, ...)
    AG_PRINTF(4, 5);

#endif
