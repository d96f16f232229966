#include "model/prepared.h"

#include <stdarg.h>
#include <stdio.h>

#include "autoglm/version.h"

/* Changes with what packing or re-encoding makes of the same weights, and with the sums of images;
 * so does every release. */
#define LAYOUT 2

static void add(ag_sha256 *to, const char *fmt, ...) AG_PRINTF(2, 3);
static void add(ag_sha256 *to, const char *fmt, ...) {
    char line[320];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    AG_ASSERT(n >= 0 && n < (int)sizeof line);
    ag_sha256_add(to, ag_span_of(line, (size_t)n));
}

static void add_matrix(ag_sha256 *to, const ag_plan_matrix *e) {
    const ag_matrix *m = e->field;
    ag_sha256_add(to, e->t->name);
    add(to, " %d %llu %d %d %d %d %zu %s %d %zu\n", (int)e->t->type, (unsigned long long)e->row0,
        m->rows, m->cols, e->turned, (int)e->as, e->at, m->ops->name, m->ops->panel,
        m->panel_bytes);
}

/* False when nothing tells the files from others. */
static bool make_key(ag_prepared *p, const ag_model *m, const ag_binding *plan,
                     const ag_source *src, const ag_model_opts *opts) {
    const char *digest = opts->images.digest;
    ag_sha256 s;
    ag_sha256_init(&s);
    add(&s, "layout %d version %d.%d.%d kernels %s\n", LAYOUT, AG_VERSION_MAJOR, AG_VERSION_MINOR,
        AG_VERSION_PATCH, m->kernels->isa);
    bool known = true;
    if (digest && *digest)
        add(&s, "digest %.64s\n", digest);
    else
        known = ag_source_identify(src, &s);
    for (size_t i = 0; i < plan->n_matrices; i++)
        add_matrix(&s, &plan->matrices[i]);
    ag_sha256_end(&s, p->key);
    return known;
}

/* Pages that are bound to nodes cannot come from a file, which all share. */
static bool are_of_use(const ag_model *m, const ag_model_opts *opts) {
    const ag_image_store *s = &opts->images;
    return s->folder && m->weight_bytes > 0 && m->weight_bytes >= s->min_bytes &&
           (!opts->numa || opts->numa->how == AG_NUMA_NONE);
}

void ag_prepared_find(ag_prepared *p, ag_model *m, const ag_binding *plan, const ag_source *src,
                      const ag_model_opts *opts, ag_pool *pool) {
    ag_err err = {0};
    *p = (ag_prepared){0};
    if (!are_of_use(m, opts) || !make_key(p, m, plan, src, opts)) {
        p->key[0] = '\0';
        return;
    }
    ag_code code =
        ag_image_open(opts->images.folder, p->key, m->weight_bytes, pool, &m->image, &err);
    if (!code) {
        m->weights = m->image.contents;
        ag_log(opts->log, AG_LOG_INFO, "image", "weights mapped from %s/%s.image",
               opts->images.folder, p->key);
    } else if (code != AG_E_NOT_FOUND) {
        ag_log(opts->log, AG_LOG_WARN, "image", "not used, so the weights are packed again: %s",
               err.msg);
    }
}

void ag_prepared_keep(const ag_prepared *p, ag_model *m, const ag_model_opts *opts) {
    ag_err err = {0};
    if (p->key[0] && ag_image_write(&opts->images, p->key, ag_span_of(m->weights, m->weight_bytes),
                                    opts->log, &m->writer, &err))
        ag_log(opts->log, AG_LOG_WARN, "image", "no prepared image is kept: %s", err.msg);
}
