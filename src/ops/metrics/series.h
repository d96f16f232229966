/* What a series holds. Private to the room. */
#ifndef AG_METRICS_SERIES_H
#define AG_METRICS_SERIES_H

#include <pthread.h>
#include <stdatomic.h>

#include "metrics/metrics.h"

typedef enum ag_metric_type {
    AG_COUNTER,
    AG_SAMPLED,
    AG_GAUGE,
    AG_INFO,
    AG_HISTOGRAM
} ag_metric_type;

typedef struct ag_family_row {
    const char *name, *vllm, *labels, *help;
    ag_metric_type type;
    const double *bounds; /* [n_bounds] ascending */
    size_t n_bounds;
} ag_family_row;

extern const ag_family_row ag_family_rows[AG_M_COUNT];

/* Sums are kept in millionths, so that one atomic integer holds them exactly. */
#define AG_METRIC_SCALE 1e6

struct ag_metric {
    const ag_family_row *row;
    ag_metric *next;             /* of the family; constant once it is listed */
    char *labels[AG_MAX_LABELS]; /* owned; NULL beyond the family's own; those of INFO change */
    _Atomic uint64_t value;      /* a count, or the bits of a double */
    _Atomic uint64_t sum;        /* of a histogram, in millionths */
    _Atomic uint64_t buckets[];  /* [n_bounds + 1], not cumulative */
};

#define AG_MAX_SCRAPERS 8

struct ag_metrics {
    pthread_mutex_t lock;            /* guards the lists, their counts and the scrapers */
    ag_metric *families[AG_M_COUNT]; /* owned */
    size_t n_series[AG_M_COUNT];
    struct {
        void (*fn)(void *ctx);
        void *ctx;
    } scrapers[AG_MAX_SCRAPERS];
    size_t n_scrapers;
};

#endif
