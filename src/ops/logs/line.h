/* A record as a line of bytes. Private to the room. */
#ifndef AG_LOGS_LINE_H
#define AG_LOGS_LINE_H

#include <time.h>

#include "logs/logs.h"

typedef struct ag_log_record {
    struct timespec at; /* wall clock */
    ag_log_level level;
    const char *component, *message, *service;
    const ag_fact *facts; /* [n] */
    size_t n;
    uint64_t n_dropped; /* records lost before this one */
} ag_log_record;

/* Append the record with its line end: at most AG_LOG_LINE_BYTES, cut without breaking the JSON. */
void ag_log_line(ag_buf *out, const ag_log_record *r, ag_log_format format);

#endif
