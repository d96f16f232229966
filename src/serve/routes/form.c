/* The form that an answer is asked to have: response_format, structured_outputs and their older
 * names; tools and tool_choice. */
#include <stdio.h>

#include "base/limits.h"
#include "routes/gen.h"

/* ---- structure ------------------------------------------------------------------------------- */

typedef struct form {
    ag_gen *g;
    ag_arena *arena;
    ag_problem *p;
} form;

/* Only one form at a time: which fields would win is nobody's guess. */
static bool set(const form *f, ag_structure_kind kind, const char *text, size_t len,
                const char *param) {
    ag_structure *s = &f->g->structure;
    if (s->kind != AG_STRUCTURE_NONE)
        return ag_problem_bad(f->p, param, "%s and %s both ask for a form of the answer; give one",
                              f->g->structure_param, param);
    *s = (ag_structure){.kind = kind, .text = text, .len = len};
    f->g->structure_param = param;
    return true;
}

/* A JSON value as the structure's text; schemas may also come as text. */
static bool set_json(const form *f, ag_structure_kind kind, const json_t *value,
                     const char *param) {
    if (json_is_string(value))
        return set(f, kind, json_string_value(value), json_string_length(value), param);
    size_t n = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    char *text = n ? ag_arena_get(f->arena, n) : NULL;
    if (!text || json_dumpb(value, text, n, JSON_COMPACT | JSON_ENCODE_ANY) != n)
        return ag_problem_memory(f->p, param);
    return set(f, kind, text, n, param);
}

static bool read_response_format(const form *f) {
    const json_t *format = f->g->response_format;
    const char *type = json_string_value(json_object_get(format, "type"));
    if (!format || (type && strcmp(type, "text") == 0))
        return true;
    if (type && strcmp(type, "json_object") == 0) {
        const json_t *schema =
            json_object_get(format, "schema"); /* as llama.cpp's clients say it */
        return json_is_object(schema)
                   ? set_json(f, AG_STRUCTURE_JSON_SCHEMA, schema, "response_format.schema")
                   : set(f, AG_STRUCTURE_JSON_OBJECT, NULL, 0, "response_format");
    }
    if (type && strcmp(type, "json_schema") == 0) {
        const json_t *schema = json_object_get(json_object_get(format, "json_schema"), "schema");
        if (!json_is_object(schema) && !json_is_boolean(schema))
            return ag_problem_bad(f->p, "response_format.json_schema.schema",
                                  "response_format.json_schema.schema must be an object, it is %s",
                                  ag_field_kind_name(schema));
        return set_json(f, AG_STRUCTURE_JSON_SCHEMA, schema, "response_format.json_schema.schema");
    }
    return ag_problem_bad(f->p, "response_format.type",
                          "response_format.type must be text, json_object or json_schema");
}

typedef struct structured {
    bool first, json_object;
    json_t *json, *choice;
    const char *regex, *grammar;
} structured;

#define AT(field) offsetof(structured, field)
static const ag_field structured_fields[] = {
    {.name = "json", .kind = AG_FIELD_ANY, .at = AT(json)},
    {.name = "regex", .kind = AG_FIELD_TEXT, .at = AT(regex)},
    {.name = "choice", .kind = AG_FIELD_ARRAY, .at = AT(choice)},
    {.name = "grammar", .kind = AG_FIELD_TEXT, .at = AT(grammar)},
    {.name = "json_object", .kind = AG_FIELD_BOOL, .at = AT(json_object)},
    {0},
};

static bool add_all(const form *f, const structured *s, const char *names[4]) {
    return (!s->json || set_json(f, AG_STRUCTURE_JSON_SCHEMA, s->json, names[0])) &&
           (!s->regex || set(f, AG_STRUCTURE_REGEX, s->regex, strlen(s->regex), names[1])) &&
           (!s->choice || set_json(f, AG_STRUCTURE_CHOICE, s->choice, names[2])) &&
           (!s->grammar || set(f, AG_STRUCTURE_GRAMMAR, s->grammar, strlen(s->grammar), names[3]));
}

static bool read_structured(const form *f) {
    static const char *names[] = {"structured_outputs.json", "structured_outputs.regex",
                                  "structured_outputs.choice", "structured_outputs.grammar"};
    static const char *older[] = {"guided_json", "guided_regex", "guided_choice", "guided_grammar"};
    static const char *bare[] = {"json_schema", "regex", "", "grammar"}; /* llama.cpp's, SGLang's */
    const ag_gen *g = f->g;
    structured s = {.json = g->guided_json,
                    .regex = g->guided_regex,
                    .choice = g->guided_choice,
                    .grammar = g->guided_grammar};
    if (!add_all(f, &s, older))
        return false;
    s = (structured){.json = g->json_schema, .regex = g->regex, .grammar = g->grammar};
    if (!add_all(f, &s, bare))
        return false;
    s = (structured){0};
    if (g->structured && !ag_fields_read(structured_fields, g->structured, "structured_outputs.",
                                         &s, f->arena, NULL, f->p))
        return false;
    if (s.json_object &&
        !set(f, AG_STRUCTURE_JSON_OBJECT, NULL, 0, "structured_outputs.json_object"))
        return false;
    return add_all(f, &s, names);
}

/* ---- tools ----------------------------------------------------------------------------------- */

static const char *name_of(const json_t *tools, size_t i) {
    const json_t *function = json_object_get(json_array_get(tools, i), "function");
    return json_string_value(json_object_get(function, "name"));
}

static bool has_tool(const json_t *tools, const char *name) {
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const char *own = name_of(tools, i);
        if (own && strcmp(own, name) == 0)
            return true;
    }
    return false;
}

/* The names of a list as the keys of an object: both lists may be long. NULL: out of memory. */
static json_t *names_of(const json_t *tools) {
    json_t *names = json_object();
    for (size_t i = 0; names && i < json_array_size(tools); i++) {
        const char *name = name_of(tools, i);
        if (name && json_object_set_new(names, name, json_true())) {
            json_decref(names);
            return NULL;
        }
    }
    return names;
}

static bool check_tool(const form *f, const json_t *tool, size_t i) {
    char param[AG_PARAM_TEXT];
    const json_t *function = json_object_get(tool, "function");
    const char *name = json_string_value(json_object_get(function, "name"));
    const json_t *schema = json_object_get(function, "parameters");
    if (schema && !json_is_object(schema) && !json_is_null(schema)) {
        snprintf(param, sizeof param, "tools[%zu].function.parameters", i);
        return ag_problem_bad(f->p, param, "%s must be a JSON Schema, an object; it is %s", param,
                              ag_field_kind_name(schema));
    }
    if (json_is_object(tool) && name && *name)
        return true;
    snprintf(param, sizeof param, "tools[%zu]", i);
    return ag_problem_bad(
        f->p, param, "%s must be {\"type\": \"function\", \"function\": {\"name\": ...}}", param);
}

static bool check_allowed(const form *f, const json_t *list) {
    json_t *known = names_of(f->g->tools);
    if (!known)
        return ag_problem_memory(f->p, "the tools");
    size_t i = 0, n = json_array_size(list);
    while (i < n && name_of(list, i) && json_object_get(known, name_of(list, i)))
        i++;
    json_decref(known);
    return i == n ||
           ag_problem_bad(f->p, "tool_choice.allowed_tools.tools",
                          "tool_choice.allowed_tools.tools[%zu] names no tool of tools", i);
}

/* Take the others out, and remember where those that stay were. */
static bool keep_tools(const form *f, const json_t *list) {
    json_t *tools = f->g->tools, *names = names_of(list);
    size_t n = json_array_size(tools), kept = 0;
    size_t *at = ag_arena_array(f->arena, n, sizeof *at);
    bool fine = names && (at || !n);
    for (size_t i = 0; fine && i < n; i++)
        if (json_object_get(names, name_of(tools, i))) {
            fine = json_array_set(tools, kept, json_array_get(tools, i)) == 0;
            at[kept++] = i;
        }
    while (fine && n > kept)
        json_array_remove(tools, --n);
    json_decref(names);
    f->g->tools_at = at;
    return fine || ag_problem_memory(f->p, "the tools");
}

/* {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [...]}}: the other tools are
 * left out. The mode is the choice among those that stay; NULL: *p. */
static const json_t *allow_tools(const form *f, const json_t *allowed) {
    const json_t *list = json_object_get(allowed, "tools"),
                 *mode = json_object_get(allowed, "mode");
    const char *word = json_string_value(mode);
    if (!json_is_array(list) || !word || (strcmp(word, "auto") && strcmp(word, "required"))) {
        ag_problem_bad(f->p, "tool_choice.allowed_tools",
                       "tool_choice.allowed_tools must have a mode (auto or required) and tools");
        return NULL;
    }
    return check_allowed(f, list) && keep_tools(f, list) ? mode : NULL;
}

/* "auto", "none", "required", {"type": "function", "function": {"name": ...}}, allowed_tools */
static bool read_choice(const form *f) {
    ag_gen *g = f->g;
    const json_t *choice = g->tool_choice, *allowed = json_object_get(choice, "allowed_tools");
    if (allowed && !(choice = allow_tools(f, allowed)))
        return false;
    bool tools = json_array_size(g->tools) > 0;
    const char *word = json_string_value(choice);
    g->tools_wish = tools ? AG_TOOLS_AUTO : AG_TOOLS_NONE;
    if (!choice || (word && strcmp(word, "auto") == 0))
        return true;
    if (word && strcmp(word, "none") == 0) {
        g->tools_wish = AG_TOOLS_NONE;
        return true;
    }
    const char *name =
        json_string_value(json_object_get(json_object_get(choice, "function"), "name"));
    if (!name && !(word && strcmp(word, "required") == 0))
        return ag_problem_bad(f->p, "tool_choice",
                              "tool_choice must be auto, none, required or a function's name in "
                              "{\"type\": \"function\", \"function\": {\"name\": ...}}");
    if (!tools)
        return ag_problem_bad(f->p, "tool_choice", "tool_choice needs tools");
    if (name && !has_tool(g->tools, name))
        return ag_problem_bad(f->p, "tool_choice", "tool_choice names \"%.80s\", which no tool is",
                              name);
    g->tools_wish = name ? AG_TOOLS_NAMED : AG_TOOLS_REQUIRED;
    g->tool_name = name;
    return true;
}

bool ag_gen_form(ag_gen *g, ag_arena *arena, ag_problem *p) {
    form f = {g, arena, p};
    for (size_t i = 0; i < json_array_size(g->tools); i++)
        if (!check_tool(&f, json_array_get(g->tools, i), i))
            return false;
    return read_response_format(&f) && read_structured(&f) && read_choice(&f);
}
