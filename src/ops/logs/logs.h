/* Structured logs: one JSON object a line, in the field names of the Elastic Common Schema (ECS 8),
 * or plain lines for a terminal.
 *
 * A record is a fixed message with facts. It is written into a ring and leaves by the thread
 * `ag-log`, so that no request ever waits for a disk or a pipe: some milliseconds later, warnings
 * and errors at once. When the ring is full, records are dropped and counted, and the next record
 * that fits says how many. Prompts, answers, keys and token texts never go into a record.
 *
 *     AG_LOG(logs, INFO, "runtime", "model ready", AG_STR("model", name), AG_U64("ms", took));
 *
 * Thread: any, for everything but open and close. */
#ifndef AG_LOGS_LOGS_H
#define AG_LOGS_LOGS_H

#include "base/log.h"
#include "base/span.h"

#define AG_LOG_LINE_BYTES 16384u /* a longer line is cut: container runtimes split at 16 KiB */
#define AG_LOG_RULES      32     /* components with a level of their own */

typedef struct ag_logs ag_logs;

typedef enum ag_log_format { AG_LOG_JSON, AG_LOG_TEXT } ag_log_format;

typedef struct ag_logs_opts {
    const char *path;   /* appended to; NULL: standard error */
    const char *levels; /* "info", or "warn,sched=debug,http=info"; NULL: "info" */
    ag_log_format format;
    size_t ring_bytes;   /* 0: 1 MiB */
    const char *service; /* service.name; NULL: "autoglm" */
} ag_logs_opts;

typedef enum ag_fact_kind {
    AG_FACT_STR,
    AG_FACT_U64,
    AG_FACT_I64,
    AG_FACT_F64,
    AG_FACT_BOOL
} ag_fact_kind;

/* One "key": value. Keys are our own words, dotted as in ECS. */
typedef struct ag_fact {
    const char *key;
    ag_fact_kind kind;
    union {
        const char *str; /* NULL: the fact is left out */
        uint64_t u64;
        int64_t i64;
        double f64;
        bool flag;
    } v;
} ag_fact;

#define AG_STR(k, x)  ((ag_fact){.key = (k), .kind = AG_FACT_STR, .v.str = (x)})
#define AG_U64(k, x)  ((ag_fact){.key = (k), .kind = AG_FACT_U64, .v.u64 = (x)})
#define AG_I64(k, x)  ((ag_fact){.key = (k), .kind = AG_FACT_I64, .v.i64 = (x)})
#define AG_F64(k, x)  ((ag_fact){.key = (k), .kind = AG_FACT_F64, .v.f64 = (x)})
#define AG_BOOL(k, x) ((ag_fact){.key = (k), .kind = AG_FACT_BOOL, .v.flag = (x)})

/* The facts are an array of the call's own; without any, the array holds one that is left out. */
#define AG_LOG(logs, level, component, message, ...)                                               \
    ag_logs_put((logs), AG_LOG_##level, (component), (message),                                    \
                (const ag_fact[]){AG_STR("", NULL), ##__VA_ARGS__},                                \
                sizeof((const ag_fact[]){AG_STR("", NULL), ##__VA_ARGS__}) / sizeof(ag_fact))

/* AG_E_ARG (which part of `levels`), AG_E_IO (the file), AG_E_NOMEM. */
ag_code ag_logs_open(const ag_logs_opts *opts, ag_logs **out, ag_err *err) AG_MUST_USE;
/* Write out what is in the ring, then stop; a sink that takes nothing is given up after two
 * seconds. Accepts NULL. */
void ag_logs_close(ag_logs **l);
/* Open the file again, as after it was rotated; what is in the ring goes to the new one. On
 * failure the old one stays. */
ag_code ag_logs_reopen(ag_logs *l, ag_err *err) AG_MUST_USE;
/* Other levels from now on. AG_E_ARG leaves them as they are. */
ag_code ag_logs_set_levels(ag_logs *l, const char *levels, ag_err *err) AG_MUST_USE;
/* Is "warn,sched=debug" well formed? AG_E_ARG says what is wrong. */
ag_code ag_logs_check_levels(const char *levels, ag_err *err) AG_MUST_USE;

/* Would a record of this level be written? For callers whose facts cost something. NULL: no. */
bool ag_logs_wants(const ag_logs *l, ag_log_level level, const char *component);
/* Add a record; accepts l NULL. */
void ag_logs_put(ag_logs *l, ag_log_level level, const char *component, const char *message,
                 const ag_fact *facts, size_t n);
/* Wait until everything put before has been handed to the system. */
void ag_logs_flush(ag_logs *l);
/* Records dropped since opening. */
uint64_t ag_logs_dropped(const ag_logs *l);

/* The same as an ag_logger, for code that stands below (base/log.h). Valid as long as l. */
ag_logger ag_logs_logger(ag_logs *l, ag_log_level level);

/* A line on standard error at once, in the form of a log whose lines are there too: for who has no
 * log open. Lines of different processes do not mix. */
void ag_log_note(ag_log_format format, ag_log_level level, const char *component,
                 const char *message);

#endif
