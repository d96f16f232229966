/* Counters, gauges and histograms, written as Prometheus text (0.0.4) or OpenMetrics (1.0.0).
 *
 * A family is a row of families.h; a series is a family with values for its labels. Who counts asks
 * for a series once (ag_metrics_get, under a mutex) and then counts with one relaxed atomic add. A
 * family holds at most AG_MAX_SERIES; further label values share a series named "other", so that
 * nothing from outside can make it grow.
 *
 * Thread: any. */
#ifndef AG_METRICS_METRICS_H
#define AG_METRICS_METRICS_H

#include "base/span.h"
#include "metrics/families.h"

#define AG_MAX_LABELS 3
#define AG_MAX_SERIES 256

typedef struct ag_metrics ag_metrics;
typedef struct ag_metric ag_metric; /* a series; lives as long as its ag_metrics */

/* AG_E_NOMEM. */
ag_code ag_metrics_new(ag_metrics **out, ag_err *err) AG_MUST_USE;
void ag_metrics_free(ag_metrics **m);

/* The series of these label values, in the family's order (AG_MAX_LABELS of them, NULL beyond the
 * family's own). Never NULL. */
ag_metric *ag_metrics_get(ag_metrics *m, ag_family family, const char *a, const char *b,
                          const char *c);

/* INFO: what is told of `a` is this from now on, in place of what was told before; b NULL: nothing.
 * Beyond AG_MAX_SERIES, and out of memory, nothing is told. */
void ag_metrics_tell(ag_metrics *m, ag_family family, const char *a, const char *b, const char *c);

void ag_metric_add(ag_metric *s, uint64_t n);       /* COUNTER */
void ag_metric_set(ag_metric *s, double value);     /* GAUGE, SAMPLED */
void ag_metric_observe(ag_metric *s, double value); /* HISTOGRAM; negative counts as 0 */
/* HISTOGRAM of which somebody else counts: the observations in each of the n buckets of the family,
 * the one beyond its last bound included, and the sum of all. */
void ag_metric_set_buckets(ag_metric *s, const uint64_t *counts, size_t n, double sum);
/* What it shows: a counter's total, a gauge's value, a histogram's number of observations. */
double ag_metric_value(const ag_metric *s);

/* Called before each scrape, to set gauges from what others count; at most 8. From the thread that
 * scrapes. */
void ag_metrics_on_scrape(ag_metrics *m, void (*fn)(void *ctx), void *ctx);
/* The process's own gauges, from /proc; register it with ctx the ag_metrics. */
void ag_metrics_scrape_process(void *metrics);

typedef struct ag_metrics_format {
    bool openmetrics; /* else Prometheus text */
    bool vllm_names;  /* the families that have one, a second time under it */
} ag_metrics_format;

/* "application/openmetrics-text; version=1.0.0; charset=utf-8" or the text one. */
const char *ag_metrics_content_type(ag_metrics_format f);
/* Does an Accept header ask for OpenMetrics? NULL: no. */
bool ag_metrics_wants_openmetrics(const char *accept);
/* Append everything. The buffer's own failure is the only one. */
void ag_metrics_write(ag_metrics *m, ag_metrics_format f, ag_buf *out);
/* The rows of families.h as a Markdown table, for docs/metrics.md. */
void ag_metrics_document(ag_buf *out);

#endif
