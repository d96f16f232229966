/* Exposition: https://prometheus.io/docs/instrumenting/exposition_formats/ and the
 * OpenMetrics 1.0.0 specification. They differ in the metadata's name of a counter (OpenMetrics
 * leaves "_total" out) and in the closing "# EOF". */
#include <math.h>
#include <stdio.h>

#include "base/json_out.h"
#include "metrics/series.h"

const char *ag_metrics_content_type(ag_metrics_format f) {
    return f.openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                         : "text/plain; version=0.0.4; charset=utf-8";
}

bool ag_metrics_wants_openmetrics(const char *accept) {
    return accept && strstr(accept, "application/openmetrics-text") != NULL;
}

/* How a family is shown this time: under its own name or vLLM's. */
typedef struct view {
    const ag_family_row *row;
    const char *name;
    bool vllm, openmetrics;
    ag_buf *out;
} view;

static const char *const type_names[] = {[AG_COUNTER] = "counter",
                                         [AG_SAMPLED] = "counter",
                                         [AG_GAUGE] = "gauge",
                                         [AG_INFO] = "gauge",
                                         [AG_HISTOGRAM] = "histogram"};

static void add_escaped(ag_buf *out, const char *text) {
    for (; *text; text++)
        if (*text == '\n')
            ag_buf_add(out, "\\n", 2);
        else {
            if (*text == '"' || *text == '\\')
                ag_buf_addc(out, '\\');
            ag_buf_addc(out, *text);
        }
}

static void add_label(const view *v, bool *first, ag_span name, const char *value) {
    ag_buf_addc(v->out, *first ? '{' : ',');
    *first = false;
    ag_buf_add(v->out, name.p, name.n);
    ag_buf_adds(v->out, "=\"");
    add_escaped(v->out, value);
    ag_buf_addc(v->out, '"');
}

/* {model="x",le="0.5"}; `le` may be NULL. */
static void add_labels(const view *v, const ag_metric *s, const char *le) {
    bool first = true;
    const char *at = v->row->labels;
    for (int i = 0; i < AG_MAX_LABELS && s->labels[i]; i++) {
        ag_span name = {at, strcspn(at, " ")};
        add_label(v, &first, v->vllm && i == 0 ? ag_str("model_name") : name, s->labels[i]);
        at += name.n + (at[name.n] == ' ');
    }
    if (v->vllm)
        add_label(v, &first, ag_str("engine"), "0");
    if (le)
        add_label(v, &first, ag_str("le"), le);
    if (!first)
        ag_buf_addc(v->out, '}');
}

static void add_number(ag_buf *out, double value) {
    ag_buf_addc(out, ' '); /* after a blank the JSON writer puts no comma */
    if (isfinite(value))
        ag_json_f64(out, value);
    else
        ag_buf_adds(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    ag_buf_addc(out, '\n');
}

static void add_sample(const view *v, const ag_metric *s, const char *suffix, const char *le,
                       double value) {
    ag_buf_adds(v->out, v->name);
    ag_buf_adds(v->out, suffix);
    add_labels(v, s, le);
    add_number(v->out, value);
}

/* A bucket's bound; OpenMetrics wants whole numbers as 80.0. */
static void write_bound(char le[32], double bound, bool openmetrics) {
    char digits[24];
    snprintf(digits, sizeof digits, "%g", bound);
    snprintf(le, 32, "%s%s", digits, openmetrics && !strpbrk(digits, ".e") ? ".0" : "");
}

/* The count is the sum of the buckets as they were read, so that +Inf equals it at any moment. */
static void add_histogram(const view *v, const ag_metric *s) {
    double count = 0;
    for (size_t i = 0; i <= v->row->n_bounds; i++) {
        char le[32] = "+Inf";
        if (i < v->row->n_bounds)
            write_bound(le, v->row->bounds[i], v->openmetrics);
        count += (double)atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
        add_sample(v, s, "_bucket", le, count);
    }
    add_sample(v, s, "_sum", NULL,
               (double)atomic_load_explicit(&s->sum, memory_order_relaxed) / AG_METRIC_SCALE);
    add_sample(v, s, "_count", NULL, count);
}

static void add_header(const view *v) {
    size_t n = strlen(v->name), total = strlen("_total");
    bool counter = v->row->type == AG_COUNTER || v->row->type == AG_SAMPLED;
    if (v->openmetrics && counter && n > total)
        n -= total;
    ag_buf_addf(v->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)n, v->name, v->row->help, (int)n,
                v->name, type_names[v->row->type]);
}

/* The shared series of a family with labels is there only when something went into it, and what
 * tells nothing is not. */
static bool is_shown(const ag_metrics *m, int f, const ag_metric *s) {
    bool always = s != m->families[f] && s->row->type != AG_INFO;
    return always || !s->labels[0] || ag_metric_value(s) != 0;
}

static void add_family(const ag_metrics *m, int f, const view *v) {
    bool begun = false;
    for (const ag_metric *s = m->families[f]; s; s = s->next) {
        if (!is_shown(m, f, s))
            continue;
        if (!begun)
            add_header(v);
        begun = true;
        if (v->row->type == AG_HISTOGRAM)
            add_histogram(v, s);
        else
            add_sample(v, s, "", NULL, ag_metric_value(s));
    }
}

void ag_metrics_write(ag_metrics *m, ag_metrics_format format, ag_buf *out) {
    for (size_t i = 0; i < m->n_scrapers; i++) /* registered before the first scrape */
        m->scrapers[i].fn(m->scrapers[i].ctx);
    pthread_mutex_lock(&m->lock);
    for (int f = 0; f < AG_M_COUNT; f++) {
        const ag_family_row *row = &ag_family_rows[f];
        view v = {.row = row, .name = row->name, .openmetrics = format.openmetrics, .out = out};
        add_family(m, f, &v);
        if (!format.vllm_names || !row->vllm)
            continue;
        v.name = row->vllm;
        v.vllm = true;
        add_family(m, f, &v);
    }
    pthread_mutex_unlock(&m->lock);
    if (format.openmetrics)
        ag_buf_adds(out, "# EOF\n");
}

void ag_metrics_document(ag_buf *out) {
    ag_buf_adds(out, "| name | type | labels | what | vLLM's name |\n|---|---|---|---|---|\n");
    for (int f = 0; f < AG_M_COUNT; f++) {
        const ag_family_row *row = &ag_family_rows[f];
        ag_buf_addf(out, "| `%s` | %s | %s | %s | %s%s%s |\n", row->name, type_names[row->type],
                    row->labels, row->help, row->vllm ? "`" : "", row->vllm ? row->vllm : "",
                    row->vllm ? "`" : "");
    }
}
