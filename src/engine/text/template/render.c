/* One render: contexts to values, execution, and the output handed over whole. */
#include "base/limits.h"
#include "text/template/filter.h"

#define DEFAULT_STEPS  20000000u
#define DEFAULT_DEPTH  600u
#define DEFAULT_MEMORY ((size_t)256 << 20)

static void add_context(tpl_run *r, const json_t *json, bool user) {
    tpl_value members = json ? ag_tpl_from_json(r, json, user) : tpl_none();
    if (members.kind != TPL_DICT)
        return;
    for (size_t i = 0; i < members.d->n && !tpl_failed(r); i++)
        ag_tpl_dict_set(r, r->context, members.d->e[i].key, members.d->e[i].value);
}

/* Append b to out and marks, both or none. */
static ag_code hand_over(const tpl_builder *b, ag_buf *out, ag_buf *marks, ag_err *err) {
    bool over = out->failed || b->n > out->cap - out->n ||
                (marks && (marks->failed || b->n > marks->cap - marks->n));
    if (over)
        return ag_fail(err, AG_E_LIMIT, "the rendered prompt has %zu bytes, more than its buffer",
                       b->n);
    if (!ag_buf_reserve(out, b->n) || (marks && !ag_buf_reserve(marks, b->n))) {
        out->failed = false; /* nothing was appended; the caller may use the buffer again */
        if (marks)
            marks->failed = false;
        return ag_fail(err, AG_E_NOMEM, "out of memory for the rendered prompt");
    }
    ag_buf_add(out, b->p, b->n);
    if (marks && b->n) {
        if (b->marks)
            memcpy(marks->p + marks->n, b->marks, b->n);
        else
            memset(marks->p + marks->n, b->taint == TPL_MARKED, b->n);
        marks->n += b->n;
    }
    return AG_OK;
}

ag_code ag_template_render_marked(const ag_template *t, const json_t *trusted, const json_t *user,
                                  const ag_template_limits *limits, ag_buf *out, ag_buf *marks,
                                  ag_err *err) {
    static const ag_template_limits defaults = {0};
    if ((trusted && !json_is_object(trusted)) || (user && !json_is_object(user)))
        return ag_fail(err, AG_E_ARG, "the context of a chat template must be an object");
    if (!limits)
        limits = &defaults;
    tpl_run r = {
        .err = err,
        .t = t,
        .line = 1,
        .steps_left = limits->steps ? limits->steps : DEFAULT_STEPS,
        .depth_left = limits->depth ? limits->depth : DEFAULT_DEPTH,
        .output_cap = limits->output_bytes ? limits->output_bytes : AG_MAX_RENDERED_BYTES,
        .now = limits->now,
    };
    ag_arena_init(&r.arena, AG_ROOM_TEXT,
                  limits->memory_bytes ? limits->memory_bytes : DEFAULT_MEMORY);
    tpl_builder b = {.r = &r, .cap = r.output_cap};
    tpl_value context = ag_tpl_dict(&r, 16);
    r.context = context.d;
    r.out = &b;
    if (!tpl_failed(&r)) {
        add_context(&r, user, true);
        add_context(&r, trusted, false);
        ag_tpl_scope_open(&r, t->root.unset, t->root.n_unset);
        ag_tpl_exec(&r, &t->root.body);
    }
    ag_code code = r.code != AG_OK ? r.code : hand_over(&b, out, marks, err);
    ag_arena_deinit(&r.arena);
    return code;
}

ag_code ag_template_render(const ag_template *t, const json_t *context,
                           const ag_template_limits *limits, ag_buf *out, ag_err *err) {
    return ag_template_render_marked(t, context, NULL, limits, out, NULL, err);
}
