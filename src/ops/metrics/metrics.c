#include "metrics/metrics.h"

#include "base/mem.h"
#include "metrics/series.h"

static const double ttft[] = {AG_BUCKETS_TTFT}, itl[] = {AG_BUCKETS_ITL},
                    latency[] = {AG_BUCKETS_LATENCY}, tokens[] = {AG_BUCKETS_TOKENS},
                    choices[] = {AG_BUCKETS_CHOICES}, rows[] = {AG_BUCKETS_ROWS},
                    http[] = {AG_BUCKETS_HTTP};

#define BOUNDS_TTFT    ttft, sizeof ttft / sizeof *ttft
#define BOUNDS_ITL     itl, sizeof itl / sizeof *itl
#define BOUNDS_LATENCY latency, sizeof latency / sizeof *latency
#define BOUNDS_TOKENS  tokens, sizeof tokens / sizeof *tokens
#define BOUNDS_CHOICES choices, sizeof choices / sizeof *choices
#define BOUNDS_ROWS    rows, sizeof rows / sizeof *rows
#define BOUNDS_HTTP    http, sizeof http / sizeof *http
#define BOUNDS_NONE    NULL, 0

const ag_family_row ag_family_rows[AG_M_COUNT] = {
#define AG_FAMILY_ROW(id, name, vllm, type, labels, buckets, help)                                 \
    {name, vllm, labels, help, AG_##type, BOUNDS_##buckets},
    AG_FAMILY_MAP(AG_FAMILY_ROW)
#undef AG_FAMILY_ROW
};

static void free_series(ag_metric *s) {
    while (s) {
        ag_metric *next = s->next;
        for (int i = 0; i < AG_MAX_LABELS; i++)
            ag_free(s->labels[i]);
        ag_free(s);
        s = next;
    }
}

static ag_metric *new_series(const ag_family_row *row, const char *const labels[AG_MAX_LABELS]) {
    ag_metric *s =
        ag_calloc(AG_ROOM_OPS, 1, sizeof *s + (row->n_bounds + 1) * sizeof(_Atomic uint64_t));
    if (!s)
        return NULL;
    s->row = row;
    for (int i = 0; i < AG_MAX_LABELS && labels[i]; i++) {
        s->labels[i] = ag_strndup(AG_ROOM_OPS, labels[i], strlen(labels[i]));
        if (!s->labels[i]) {
            free_series(s);
            return NULL;
        }
    }
    return s;
}

static int n_labels(const ag_family_row *row) {
    int n = row->labels[0] != '\0';
    for (const char *p = row->labels; *p; p++)
        n += *p == ' ';
    return n;
}

/* Each family begins with the series that everything beyond AG_MAX_SERIES shares. It is shown only
 * once it has counted something, and of a family without labels it is the only one. */
ag_code ag_metrics_new(ag_metrics **out, ag_err *err) {
    *out = NULL;
    ag_metrics *m = ag_calloc(AG_ROOM_OPS, 1, sizeof *m);
    if (!m)
        return ag_fail(err, AG_E_NOMEM, "out of memory for metrics");
    pthread_mutex_init(&m->lock, NULL);
    for (int f = 0; f < AG_M_COUNT; f++) {
        const char *others[AG_MAX_LABELS] = {0};
        for (int i = 0; i < n_labels(&ag_family_rows[f]); i++)
            others[i] = "other";
        m->families[f] = new_series(&ag_family_rows[f], others);
        if (!m->families[f]) {
            ag_metrics_free(&m);
            return ag_fail(err, AG_E_NOMEM, "out of memory for metrics");
        }
    }
    *out = m;
    return AG_OK;
}

void ag_metrics_free(ag_metrics **mp) {
    ag_metrics *m = *mp;
    if (!m)
        return;
    *mp = NULL;
    for (int f = 0; f < AG_M_COUNT; f++)
        free_series(m->families[f]);
    pthread_mutex_destroy(&m->lock);
    ag_free(m);
}

static bool has_labels(const ag_metric *s, const char *const labels[AG_MAX_LABELS]) {
    for (int i = 0; i < AG_MAX_LABELS && labels[i]; i++)
        if (strcmp(s->labels[i], labels[i]) != 0)
            return false;
    return true;
}

/* The list keeps the order in which series came; with the lock held. */
static ag_metric *find_or_add(ag_metrics *m, ag_family f, const char *const labels[AG_MAX_LABELS]) {
    ag_metric *other = m->families[f], *last = other;
    for (; last; last = last->next) {
        if (has_labels(last, labels))
            return last;
        if (!last->next)
            break;
    }
    ag_metric *s = m->n_series[f] < AG_MAX_SERIES ? new_series(other->row, labels) : NULL;
    if (!s)
        return other;
    last->next = s;
    m->n_series[f]++;
    return s;
}

ag_metric *ag_metrics_get(ag_metrics *m, ag_family family, const char *a, const char *b,
                          const char *c) {
    const char *labels[AG_MAX_LABELS] = {a, b, c};
    int n = n_labels(&ag_family_rows[family]);
    for (int i = 0; i < AG_MAX_LABELS; i++)
        AG_ASSERT((labels[i] != NULL) == (i < n));
    pthread_mutex_lock(&m->lock);
    ag_metric *s = find_or_add(m, family, labels);
    pthread_mutex_unlock(&m->lock);
    return s;
}

/* Other labels but for the first; false: out of memory, it is as it was. With the lock held. */
static bool relabel(ag_metric *s, const char *const labels[AG_MAX_LABELS]) {
    char *fresh[AG_MAX_LABELS] = {0};
    for (int i = 1; i < AG_MAX_LABELS && labels[i]; i++) {
        fresh[i] = ag_strndup(AG_ROOM_OPS, labels[i], strlen(labels[i]));
        if (!fresh[i]) {
            for (; i > 0; i--)
                ag_free(fresh[i]);
            return false;
        }
    }
    for (int i = 1; i < AG_MAX_LABELS; i++) {
        ag_free(s->labels[i]);
        s->labels[i] = fresh[i];
    }
    return true;
}

void ag_metrics_tell(ag_metrics *m, ag_family family, const char *a, const char *b, const char *c) {
    const char *labels[AG_MAX_LABELS] = {a, b, c};
    AG_ASSERT(ag_family_rows[family].type == AG_INFO);
    pthread_mutex_lock(&m->lock);
    ag_metric *s = m->families[family]->next;
    while (s && strcmp(s->labels[0], a) != 0)
        s = s->next;
    bool told = b && (!s || has_labels(s, labels) || relabel(s, labels));
    if (told && !s)
        s = find_or_add(m, family, labels);
    if (s && s != m->families[family]) /* what several share could not be taken back */
        ag_metric_set(s, told);
    pthread_mutex_unlock(&m->lock);
}

void ag_metric_add(ag_metric *s, uint64_t n) {
    atomic_fetch_add_explicit(&s->value, n, memory_order_relaxed);
}

void ag_metric_set(ag_metric *s, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    atomic_store_explicit(&s->value, bits, memory_order_relaxed);
}

void ag_metric_observe(ag_metric *s, double value) {
    if (!(value > 0))
        value = 0;
    size_t i = 0;
    while (i < s->row->n_bounds && value > s->row->bounds[i])
        i++;
    atomic_fetch_add_explicit(&s->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->sum, (uint64_t)(value * AG_METRIC_SCALE + 0.5),
                              memory_order_relaxed);
}

void ag_metric_set_buckets(ag_metric *s, const uint64_t *counts, size_t n, double sum) {
    AG_ASSERT(s->row->type == AG_HISTOGRAM && n == s->row->n_bounds + 1);
    for (size_t i = 0; i < n; i++)
        atomic_store_explicit(&s->buckets[i], counts[i], memory_order_relaxed);
    atomic_store_explicit(&s->sum, (uint64_t)(sum * AG_METRIC_SCALE + 0.5), memory_order_relaxed);
}

double ag_metric_value(const ag_metric *s) {
    uint64_t bits = atomic_load_explicit(&s->value, memory_order_relaxed);
    double value = 0;
    switch (s->row->type) {
    case AG_COUNTER:
        return (double)bits;
    case AG_GAUGE:
    case AG_INFO:
    case AG_SAMPLED:
        memcpy(&value, &bits, sizeof value);
        return value;
    case AG_HISTOGRAM:
        for (size_t i = 0; i <= s->row->n_bounds; i++)
            value += (double)atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
        return value;
    }
    AG_NEVER();
}

void ag_metrics_on_scrape(ag_metrics *m, void (*fn)(void *ctx), void *ctx) {
    pthread_mutex_lock(&m->lock);
    AG_ASSERT(m->n_scrapers < AG_MAX_SCRAPERS);
    m->scrapers[m->n_scrapers].fn = fn;
    m->scrapers[m->n_scrapers].ctx = ctx;
    m->n_scrapers++;
    pthread_mutex_unlock(&m->lock);
}
