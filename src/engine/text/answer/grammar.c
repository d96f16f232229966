/* Grammars whose texts are calls: GBNF, with %json {schema} for JSON and <[id]> for control tokens.
 *
 * A text without some marker is written as the marker's automaton, a rule a state: what follows is
 * then decided by the character alone, and no rule is ever tried in vain. */
#include <stdio.h>

#include "base/json_out.h"
#include "base/utf8.h"
#include "text/answer/answer_parts.h"

typedef struct grammar {
    const ag_answer_format *f;
    const ag_tool_force *force;
    ag_buf rules; /* all but root */
    ag_err *err;
    ag_code code;
} grammar;

static void no_memory(grammar *g) {
    if (!g->code)
        g->code = ag_fail(g->err, AG_E_NOMEM, "out of memory for a grammar of tool calls");
}

static const char *step_text(const ag_answer_calls *calls, ag_step_op op) {
    for (size_t i = 0; i < AG_MAX_SCRIPT; i++)
        if (calls->script[i].op == op)
            return calls->script[i].text;
    return NULL;
}

/* ---- terminals ------------------------------------------------------------------------------- */

static void add_quoted(ag_buf *out, ag_span text) {
    if (text.n == 0)
        return;
    ag_buf_addc(out, '"');
    ag_escape_json(text, out); /* the escapes are the same, but \u00XX, which no marker has */
    ag_buf_adds(out, "\" ");
}

static int32_t control_id(const ag_answer_format *f, ag_span text) {
    for (size_t i = 0; i < f->n_tokens; i++)
        if (f->tokens[i].control && ag_span_is(text, f->tokens[i].text))
            return f->tokens[i].id;
    return -1;
}

/* The first control token in `text` at or after `from`: where, and how long; SIZE_MAX: none. */
static size_t find_control(const ag_answer_format *f, ag_span text, size_t from, size_t *n) {
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < f->n_tokens; i++) {
        ag_span token = ag_str(f->tokens[i].text);
        size_t at = f->tokens[i].control ? ag_span_find(text, token, from) : SIZE_MAX;
        if (at < first) {
            first = at;
            *n = token.n;
        }
    }
    return first;
}

/* Text as it has to be generated: control tokens by their ids. */
static void add_text(const grammar *g, ag_buf *out, ag_span text) {
    size_t from = 0, n = 0;
    for (;;) {
        size_t at = find_control(g->f, text, from, &n);
        if (at == SIZE_MAX)
            break;
        add_quoted(out, ag_span_sub(text, from, at));
        ag_buf_addf(out, "<[%d]> ", (int)control_id(g->f, ag_span_sub(text, at, at + n)));
        from = at + n;
    }
    add_quoted(out, ag_span_sub(text, from, text.n));
}

static int add_dumped(const char *text, size_t n, void *ctx) {
    return ag_buf_add((ag_buf *)ctx, text, n) ? 0 : -1;
}

static void add_json(ag_buf *out, const json_t *value) {
    json_dump_callback(value, add_dumped, out, JSON_ENCODE_ANY | JSON_COMPACT);
}

static void add_schema(ag_buf *out, const json_t *schema) {
    ag_buf_adds(out, "%json ");
    add_json(out, schema);
    ag_buf_addc(out, ' ');
}

/* Arguments are an object, also where the schema does not insist. */
static void add_arguments(grammar *g, const json_t *parameters) {
    json_t *schema = json_is_object(parameters) ? json_copy((json_t *)parameters) : json_object();
    if (!schema || (!json_object_get(schema, "type") &&
                    json_object_set_new(schema, "type", json_string("object")) != 0))
        no_memory(g);
    add_schema(&g->rules, schema);
    json_decref(schema);
}

/* ---- text up to a marker --------------------------------------------------------------------- */

typedef struct marker {
    uint32_t c[AG_MAX_MARKER];
    size_t n;
} marker;

static marker decode(const char *text) {
    marker m = {0};
    for (ag_span s = ag_str(text); s.n > 0;) {
        ag_utf8_step step = ag_utf8_next(s);
        m.c[m.n++] = step.cp;
        s = ag_span_sub(s, step.n, s.n);
    }
    return m;
}

/* The state after character c in state `at`: how much of the marker its last characters are. */
static size_t next_state(const marker *m, size_t at, uint32_t c) {
    for (size_t k = at + 1; k > 0; k--)
        if (m->c[k - 1] == c && memcmp(m->c, m->c + (at + 1 - k), (k - 1) * sizeof *m->c) == 0)
            return k;
    return 0;
}

static void add_character(ag_buf *out, uint32_t c) {
    char bytes[4];
    if (c < 0x80 && strchr("\\]\"[", (int)c))
        ag_buf_addc(out, '\\');
    ag_buf_add(out, bytes, ag_utf8_encode(c, bytes));
}

/* One rule: the text goes on from state `at`. With `whole` it ends with the marker, else before. */
static void add_state(ag_buf *out, const char *name, const marker *m, size_t at, bool whole) {
    ag_buf_addf(out, "%s-%zu ::= [^", name, at);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i <= at; i++) {
            size_t to = next_state(m, at, m->c[i]);
            bool seen = to == 0;
            for (size_t k = 0; k < i; k++)
                seen = seen || m->c[k] == m->c[i];
            if (seen)
                continue;
            if (pass == 0) {
                add_character(out, m->c[i]);
            } else if (to < m->n || whole) {
                ag_buf_adds(out, " | [");
                add_character(out, m->c[i]);
                ag_buf_addc(out, ']');
                if (to < m->n)
                    ag_buf_addf(out, " %s-%zu", name, to);
            }
        }
        if (pass == 0)
            ag_buf_addf(out, "] %s-0", name);
    }
    ag_buf_adds(out, whole ? "\n" : " | \"\"\n");
}

/* Rule NAME: any text that ends with the marker where it first occurs (`whole`), or any text
 * without it. */
static void add_until(grammar *g, const char *name, const char *text, bool whole) {
    int32_t id = control_id(g->f, ag_str(text));
    if (id >= 0) {
        ag_buf_addf(&g->rules, "%s ::= .* ", name);
        if (whole)
            ag_buf_addf(&g->rules, "<[%d]>", (int)id);
        ag_buf_adds(&g->rules, "\n");
        return;
    }
    marker m = decode(text);
    ag_buf_addf(&g->rules, "%s ::= %s-0\n", name, name);
    for (size_t i = 0; i < m.n; i++)
        add_state(&g->rules, name, &m, i, whole);
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* A parameter's schema, with the definitions that it may refer to. A new reference, or NULL. */
static json_t *with_definitions(const json_t *schema, const json_t *root) {
    static const char *const names[] = {"$defs", "definitions"};
    json_t *all = json_copy((json_t *)schema);
    for (size_t i = 0; all && i < 2; i++) {
        json_t *definitions = json_object_get(root, names[i]);
        if (definitions && json_is_object(all) &&
            json_object_set(all, names[i], definitions) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

/* A value between tags, and the rest of the pair. */
static void add_value(grammar *g, const json_t *function, const char *key, const json_t *schema) {
    const ag_written *w = &g->f->calls->written;
    const char *close = step_text(g->f->calls, AG_STEP_VALUE);
    const json_t *values = json_object_get(schema, "enum");
    unsigned kinds = ag_tool_kinds(function, ag_str(key));
    ag_buf *out = &g->rules;
    if (json_array_size(values) > 0) {
        ag_buf_adds(out, "( ");
        for (size_t i = 0; i < json_array_size(values); i++) {
            const json_t *v = json_array_get(values, i);
            ag_buf text;
            ag_buf_init(&text, AG_ROOM_TEXT, AG_MAX_TEXT_BYTES);
            if (json_is_string(v))
                ag_buf_add(&text, json_string_value(v), json_string_length(v));
            else
                add_json(&text, v);
            ag_buf_adds(out, i ? "| \"" : "\"");
            ag_escape_json(ag_buf_span(&text), out);
            ag_buf_adds(out, "\" ");
            if (text.failed)
                no_memory(g);
            ag_buf_deinit(&text);
        }
        ag_buf_adds(out, ") ");
        add_text(g, out, ag_str(w->value_end));
    } else if (kinds != AG_KIND_ANY && (kinds & AG_KIND_STRING)) {
        ag_buf_adds(out, "value ");
        const char *rest = strstr(w->value_end, close);
        AG_ASSERT(rest);
        add_text(g, out, ag_str(rest + strlen(close)));
    } else {
        json_t *all = with_definitions(schema, json_object_get(function, "parameters"));
        if (!all)
            no_memory(g);
        add_schema(out, all);
        json_decref(all);
        add_text(g, out, ag_str(w->value_end));
    }
}

static bool is_required(const json_t *parameters, const char *key) {
    const json_t *required = json_object_get(parameters, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (name && strcmp(name, key) == 0)
            return true;
    }
    return false;
}

static void add_pairs(grammar *g, const json_t *function, size_t tool) {
    const ag_written *w = &g->f->calls->written;
    const json_t *parameters = json_object_get(function, "parameters");
    json_t *properties = json_object_get(parameters, "properties");
    const char *key;
    json_t *schema;
    size_t n = 0;
    json_object_foreach(properties, key, schema) {
        ag_buf_addf(&g->rules, "pair-%zu-%zu ::= ", tool, n++);
        add_text(g, &g->rules, ag_str(w->key));
        add_quoted(&g->rules, ag_str(key));
        add_text(g, &g->rules, ag_str(w->value));
        add_value(g, function, key, schema);
        ag_buf_adds(&g->rules, "\n");
    }
    ag_buf_addf(&g->rules, "args-%zu ::= ", tool);
    n = 0;
    json_object_foreach(properties, key, schema) ag_buf_addf(
        &g->rules, "pair-%zu-%zu%s ", tool, n++, is_required(parameters, key) ? "" : "?");
    if (n == 0)
        ag_buf_adds(&g->rules, "\"\"");
    ag_buf_adds(&g->rules, "\n");
}

static void add_call(grammar *g, const json_t *function, size_t tool) {
    const ag_written *w = &g->f->calls->written;
    if (w->key) {
        add_pairs(g, function, tool);
    } else {
        ag_buf_addf(&g->rules, "args-%zu ::= ", tool);
        add_arguments(g, json_object_get(function, "parameters"));
        ag_buf_adds(&g->rules, "\n");
    }
    ag_buf_addf(&g->rules, "call-%zu ::= ", tool);
    add_quoted(&g->rules, ag_tool_name(function));
    add_text(g, &g->rules, ag_str(w->middle));
    ag_buf_addf(&g->rules, "args-%zu ", tool);
    add_text(g, &g->rules, ag_str(w->tail));
    ag_buf_adds(&g->rules, "\n");
}

static bool is_chosen(const ag_tool_force *force, const json_t *function) {
    return force->choice != AG_TOOL_NAMED || ag_span_eq(ag_tool_name(function), force->name);
}

static size_t place_of(const size_t *at, size_t tool) { return at ? at[tool] : tool; }

/* Rules for each tool and `head`, one of them with what stands before its name. */
static void add_calls(grammar *g) {
    size_t n_chosen = 0;
    ag_buf heads;
    ag_buf_init(&heads, AG_ROOM_TEXT, AG_MAX_TEXT_BYTES);
    for (size_t i = 0; i < json_array_size(g->force->tools) && !g->code; i++) {
        const json_t *function = ag_tool_function(g->force->tools, i);
        if (!ag_tool_name_ok(ag_tool_name(function)))
            g->code = ag_fail(g->err, AG_E_ARG,
                              "tools[%zu].function.name: expected 1 to %d letters, "
                              "digits, _ or -",
                              place_of(g->force->at, i), AG_MAX_TOOL_NAME);
        else if (is_chosen(g->force, function)) {
            add_call(g, function, i);
            ag_buf_addf(&heads, "%scall-%zu", n_chosen++ ? " | " : "", i);
        }
    }
    if (n_chosen == 0 && !g->code)
        g->code = ag_fail(g->err, AG_E_ARG, "tool_choice: there is no tool \"%.*s\"",
                          AG_SPAN(g->force->name));
    ag_buf_adds(&g->rules, "any-call ::= ");
    ag_buf_add(&g->rules, heads.p ? heads.p : "", heads.n);
    ag_buf_adds(&g->rules, "\n");
    if (!g->code)
        g->code = ag_buf_check(&heads, "a grammar of tool calls", g->err);
    ag_buf_deinit(&heads);
}

/* Rule `calls`: the whole of them, from `skip` bytes of the first one's opening on. */
static void add_all_calls(grammar *g, size_t skip) {
    const ag_written *w = &g->f->calls->written;
    ag_buf opening;
    ag_buf_init(&opening, AG_ROOM_TEXT, 256);
    ag_buf_adds(&opening, w->begin);
    if (!ag_buf_adds(&opening, w->head))
        no_memory(g);
    AG_ASSERT(g->code || skip == 0 ||
              ag_span_starts(ag_buf_span(&opening), ag_str(g->f->calls->open[0].text)));
    ag_buf_adds(&g->rules, "calls ::= ");
    add_text(g, &g->rules, ag_span_sub(ag_buf_span(&opening), skip, opening.n));
    ag_buf_adds(&g->rules, "any-call ");
    if (g->force->parallel && g->force->choice != AG_TOOL_NAMED) {
        ag_buf_adds(&g->rules, "( ");
        add_text(g, &g->rules, ag_str(w->sep));
        add_text(g, &g->rules, ag_str(w->head));
        ag_buf_adds(&g->rules, "any-call )* ");
    }
    add_text(g, &g->rules, ag_str(w->finish));
    ag_buf_adds(&g->rules, "\n");
    ag_buf_deinit(&opening);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Text or calls: where a marker starts calls, what follows it has to be one. */
static void add_choice(grammar *g, ag_buf *root) {
    const ag_answer_calls *calls = g->f->calls;
    const char *open = calls->open[0].text;
    switch (calls->bare) {
    case AG_BARE_NAME: /* any line may turn out to be a call, so text is not bound */
        add_all_calls(g, 0);
        ag_buf_adds(root, "( calls | .* )");
        break;
    case AG_BARE_OBJECT:
        add_all_calls(g, 0);
        ag_buf_adds(root, "( calls | ( [^{\\n ] .* )? )");
        break;
    default:
        add_all_calls(g, strlen(open));
        add_until(g, "plain", open, false);
        add_until(g, "before", open, true);
        ag_buf_adds(root, "( plain | before calls )");
    }
}

static void add_root(grammar *g, ag_buf *root) {
    ag_buf_adds(root, "root ::= ");
    if (g->f->think) {
        add_until(g, "thought", g->f->think->close, true);
        if (g->force->in_reasoning) {
            ag_buf_adds(root, "thought \"\\n\"? \"\\n\"? ");
        } else {
            ag_buf_adds(root, "\"\\n\"? ( ");
            add_text(g, root, ag_str(g->f->think->open));
            ag_buf_adds(root, "thought \"\\n\"? \"\\n\"? )? ");
        }
    }
    if (g->force->choice == AG_TOOL_AUTO) {
        add_choice(g, root);
    } else {
        add_all_calls(g, 0);
        ag_buf_adds(root, "calls");
    }
    ag_buf_adds(root, "\n");
}

ag_code ag_answer_tool_grammar(const ag_answer_format *f, const ag_tool_force *force, ag_buf *out,
                               ag_err *err) {
    ag_answer_format forced = ag_answer_format_forced(f);
    grammar g = {.f = &forced, .force = force, .err = err};
    if (json_array_size(force->tools) == 0)
        return ag_fail(err, AG_E_ARG, "tools: expected at least one");
    ag_buf_init(&g.rules, AG_ROOM_TEXT, AG_MAX_TEXT_BYTES);
    size_t start = out->n;
    add_calls(&g);
    add_root(&g, out);
    if (forced.calls->written.key)
        add_until(&g, "value", step_text(forced.calls, AG_STEP_VALUE), true);
    ag_buf_add(out, g.rules.p, g.rules.n);
    if (!g.code)
        g.code = ag_buf_check(&g.rules, "a grammar of tool calls", err);
    if (!g.code)
        g.code = ag_buf_check(out, "a grammar of tool calls", err);
    if (g.code && out->n > start)
        out->n = start;
    ag_buf_deinit(&g.rules);
    return g.code;
}

/* ---- what is wrong with a schema ------------------------------------------------------------- */

static ag_span line_of(ag_span text, size_t line) {
    for (; line > 1 && text.n; line--)
        text = ag_span_sub(text, ag_span_find(text, ag_str("\n"), 0) + 1, text.n);
    return ag_span_sub(text, 0, ag_span_find(text, ag_str("\n"), 0));
}

bool ag_answer_tool_blame(const json_t *tools, const size_t *at, ag_span text, ag_err *err) {
    char name[32] = "";
    int used = 0;
    size_t line = 0, tool = 0, pair = 0;
    if (sscanf(err->msg, "grammar: line %zu, %%json: #%n", &line, &used) != 1 || !used)
        return false;
    snprintf(name, sizeof name, "%.*s", AG_SPAN(line_of(text, line)));
    int n = sscanf(name, "pair-%zu-%zu", &tool, &pair); /* of one property; see add_pairs() */
    if (n != 2 && sscanf(name, "args-%zu", &tool) != 1)
        return false;
    ag_buf msg;
    ag_buf_init(&msg, AG_ROOM_TEXT, AG_MAX_TEXT_BYTES);
    ag_buf_addf(&msg, "tools[%zu].function.parameters: #", place_of(at, tool));
    if (n == 2) {
        const json_t *function = ag_tool_function(tools, tool);
        json_t *properties = json_object_get(json_object_get(function, "parameters"), "properties");
        void *one = json_object_iter(properties);
        while (one && pair-- > 0)
            one = json_object_iter_next(properties, one);
        char step[sizeof err->msg];
        ag_json_step(step, 0, sizeof step, one ? json_object_iter_key(one) : "");
        ag_buf_addf(&msg, "/properties%s", step);
    }
    ag_buf_adds(&msg, err->msg + used);
    if (ag_buf_cstr(&msg))
        ag_fail(err, err->code, "%s", msg.p);
    ag_buf_deinit(&msg);
    return true;
}
