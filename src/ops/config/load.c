/* From the four sources to one ag_config. Mistakes are collected, so that one run shows them all.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/near.h"
#include "config/value.h"
#include "config/yaml.h"

#define MAX_ARENA    ((size_t)64 << 20)
#define MAX_MISTAKES 100
#define MAX_ITEMS    1024 /* of a list */

#define MAX_ROWS 128

/* Where the file says something; line 0: it does not, or something later has the last word. */
typedef struct spot {
    int line, column;
} spot;

typedef struct loader {
    ag_config *c;
    ag_config_model *models; /* [AG_CONFIG_MODELS], in the arena */
    spot rows[MAX_ROWS], models_at[AG_CONFIG_MODELS];
    const char *file;
    ag_buf *mistakes;
    int n_mistakes;
    ag_err first; /* the first mistake */
} loader;

/* Note a mistake that `what` describes, in front of it the place. */
static void add_mistake(loader *l, ag_code code, const char *place, const char *key,
                        const char *what) {
    char line[sizeof l->first.msg];
    snprintf(line, sizeof line, "%s%s%s: %s", place, *place ? ": " : "", key, what);
    if (l->n_mistakes++ == 0)
        ag_fail(&l->first, code, "%s", line);
    if (l->mistakes && l->n_mistakes <= MAX_MISTAKES) {
        ag_buf_adds(l->mistakes, line);
        ag_buf_addc(l->mistakes, '\n');
    }
}

static void add_mistake_in_file(loader *l, spot at, const char *key, const char *what) {
    char text[300] = "";
    if (at.line)
        snprintf(text, sizeof text, "%.250s:%d:%d", l->file, at.line, at.column);
    add_mistake(l, AG_E_ARG, text, key, what);
}

static spot spot_of(const ag_yaml_node *n) { return (spot){n->line, n->column}; }

static void add_mistake_at(loader *l, const ag_yaml_node *n, const char *key, const char *what) {
    add_mistake_in_file(l, spot_of(n), key, what);
}

/* ---- rows ---------------------------------------------------------------------------------------
 */

static const ag_config_row *find_row(const ag_config_row *rows, const char *key) {
    for (; rows->key; rows++)
        if (!strcmp(rows->key, key))
            return rows;
    return NULL;
}

/* Where the value of a row of ag_config_rows came from last. */
static spot *spot_of_row(loader *l, const ag_config_row *row) {
    size_t i = (size_t)(row - ag_config_rows);
    AG_ASSERT(i < MAX_ROWS);
    return &l->rows[i];
}

static void add_mistake_of(loader *l, const char *key, const char *what) {
    add_mistake_in_file(l, *spot_of_row(l, find_row(ag_config_rows, key)), key, what);
}

static bool is_section(const ag_config_row *rows, const char *key) {
    size_t n = strlen(key);
    for (; rows->key; rows++)
        if (!strncmp(rows->key, key, n) && rows->key[n] == '.')
            return true;
    return false;
}

/* "unknown key; did you mean server.listen?" */
static void describe_unknown(const ag_config_row *rows, const char *key, char text[200]) {
    size_t best = SIZE_MAX;
    snprintf(text, 200, "unknown key");
    for (; rows->key; rows++) {
        size_t d = ag_near(ag_str(key), ag_str(rows->key));
        if (d < best) {
            best = d;
            snprintf(text, 200, "unknown key; did you mean %s?", rows->key);
        }
    }
}

static ag_code set_defaults(const ag_config_row *rows, void *base, ag_arena *arena, ag_err *err) {
    ag_code code = AG_OK;
    for (; rows->key && !code; rows++)
        code = ag_config_value_default(rows, base, arena, err);
    return code;
}

/* ---- the file
 * ------------------------------------------------------------------------------------
 */

static bool is_null(const ag_yaml_node *n) {
    return n->kind == AG_YAML_SCALAR && !n->quoted &&
           (!*n->text || !strcmp(n->text, "~") || !strcmp(n->text, "null"));
}

static ag_code set_from_list(const ag_config_row *row, const ag_yaml_node *n, void *base,
                             ag_arena *arena, ag_err *err) {
    const char *items[MAX_ITEMS];
    size_t n_items = 0;
    for (const ag_yaml_node *i = n->first; i; i = i->next) {
        if (i->kind != AG_YAML_SCALAR)
            return ag_fail(err, AG_E_ARG, "expected a list of texts");
        if (n_items == MAX_ITEMS)
            return ag_fail(err, AG_E_ARG, "more than %d entries", MAX_ITEMS);
        items[n_items++] = i->text;
    }
    return ag_config_value_set_list(row, items, n_items, base, arena, err);
}

static void set_from_node(loader *l, const ag_config_row *row, const char *key,
                          const ag_yaml_node *n, void *base) {
    ag_err err = {0};
    ag_code code = AG_OK;
    if (is_null(n))
        return;
    if (n->kind == AG_YAML_SCALAR)
        code = ag_config_value_set(row, n->text, base, &l->c->arena, &err);
    else if (n->kind == AG_YAML_LIST)
        code = set_from_list(row, n, base, &l->c->arena, &err);
    else
        code = ag_fail(&err, AG_E_ARG, "expected a value, found keys below it");
    if (code)
        add_mistake_at(l, n, key, err.msg);
}

/* One more model with the defaults; NULL when there are too many or no memory. */
static ag_config_model *add_model(loader *l, ag_err *err) {
    if (l->c->n_models == AG_CONFIG_MODELS) {
        ag_fail(err, AG_E_ARG, "more than %d models", AG_CONFIG_MODELS);
        return NULL;
    }
    ag_config_model *m = &l->models[l->c->n_models];
    if (set_defaults(ag_config_model_rows, m, &l->c->arena, err))
        return NULL;
    l->c->n_models++;
    return m;
}

static void read_model(loader *l, const ag_yaml_node *n, ag_config_model *m, int index) {
    for (const ag_yaml_node *i = n->first; i; i = i->next) {
        char key[200], what[200];
        snprintf(key, sizeof key, "models[%d].%.150s", index, i->key);
        const ag_config_row *row = find_row(ag_config_model_rows, i->key);
        if (row) {
            set_from_node(l, row, key, i, m);
            continue;
        }
        describe_unknown(ag_config_model_rows, i->key, what);
        add_mistake_at(l, i, key, what);
    }
}

static void read_models(loader *l, const ag_yaml_node *n) {
    int index = 0;
    if (n->kind != AG_YAML_LIST && !is_null(n))
        add_mistake_at(l, n, "models", "expected a list of models");
    for (const ag_yaml_node *i = n->first; i && n->kind == AG_YAML_LIST; i = i->next, index++) {
        ag_err err = {0};
        char key[40];
        snprintf(key, sizeof key, "models[%d]", index);
        ag_config_model *m = i->kind == AG_YAML_MAP ? add_model(l, &err) : NULL;
        if (m)
            l->models_at[m - l->models] = spot_of(i);
        if (m)
            read_model(l, i, m, index);
        else
            add_mistake_at(l, i, key, err.code ? err.msg : "expected the keys of a model");
    }
}

static void read_section(loader *l, const ag_yaml_node *n, const char *prefix) {
    for (const ag_yaml_node *i = n->first; i; i = i->next) {
        char key[200], what[200];
        snprintf(key, sizeof key, "%s%s%.100s", prefix, *prefix ? "." : "", i->key);
        const ag_config_row *row = find_row(ag_config_rows, key);
        if (row) {
            *spot_of_row(l, row) = spot_of(i);
            set_from_node(l, row, key, i, l->c);
        } else if (!strcmp(key, "models"))
            read_models(l, i);
        else if (i->kind == AG_YAML_MAP && is_section(ag_config_rows, key))
            read_section(l, i, key);
        else if (is_section(ag_config_rows, key) && !is_null(i))
            add_mistake_at(l, i, key, "expected keys below it");
        else if (!is_section(ag_config_rows, key)) {
            describe_unknown(ag_config_rows, key, what);
            add_mistake_at(l, i, key, what);
        }
    }
}

static ag_code read_file(loader *l, ag_err *err) {
    ag_buf text;
    ag_yaml_node *root = NULL;
    ag_buf_init(&text, AG_ROOM_OPS, AG_CONFIG_BYTES);
    ag_code code = ag_file_read(l->file, &text, err);
    if (!code)
        code = ag_yaml_parse(ag_buf_span(&text), l->file, &l->c->arena, &root, err);
    ag_buf_deinit(&text);
    if (!code && root && root->kind == AG_YAML_MAP)
        read_section(l, root, "");
    else if (!code && root && !is_null(root))
        add_mistake_at(l, root, "the file", "expected keys such as server and models");
    return code;
}

/* ---- environment and settings
 * --------------------------------------------------------------------
 */

static void read_environment(loader *l, const char *(*env)(const char *name)) {
    for (const ag_config_row *row = ag_config_rows; row->key; row++) {
        char name[80] = "AUTOGLM_";
        size_t n = strlen(name);
        for (const char *p = row->key; *p && n < sizeof name - 1; p++)
            name[n++] = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
        name[n] = '\0';
        const char *value = env(name);
        ag_err err = {0};
        if (value)
            *spot_of_row(l, row) = (spot){0};
        if (value && ag_config_value_set(row, value, l->c, &l->c->arena, &err))
            add_mistake(l, err.code, "environment", name, err.msg);
    }
}

static ag_code set_value(loader *l, const ag_config_row *row, const ag_config_setting *s,
                         void *base, ag_err *err) {
    return s->list.n ? ag_config_value_set_list(row, s->list.v, s->list.n, base, &l->c->arena, err)
                     : ag_config_value_set(row, s->value, base, &l->c->arena, err);
}

/* "models[0].context": an index one past the last adds a model. */
static ag_code set_in_model(loader *l, const ag_config_setting *s, ag_err *err) {
    unsigned index;
    int end = 0;
    if (sscanf(s->key, "models[%3u].%n", &index, &end) != 1 || !end)
        return ag_fail(err, AG_E_ARG, "expected models[N].KEY");
    const ag_config_row *row = find_row(ag_config_model_rows, s->key + end);
    char what[200];
    if (!row) {
        describe_unknown(ag_config_model_rows, s->key + end, what);
        return ag_fail(err, AG_E_ARG, "%s", what);
    }
    if (index > l->c->n_models)
        return ag_fail(err, AG_E_ARG, "there are %zu models only", l->c->n_models);
    ag_config_model *m = index < l->c->n_models ? &l->models[index] : add_model(l, err);
    return m ? set_value(l, row, s, m, err) : err->code;
}

static void apply_setting(loader *l, const ag_config_setting *s) {
    const ag_config_row *row = find_row(ag_config_rows, s->key);
    ag_err err = {0};
    char what[200];
    ag_code code;
    if (row) {
        *spot_of_row(l, row) = (spot){0};
        code = set_value(l, row, s, l->c, &err);
    } else if (!strncmp(s->key, "models[", 7)) {
        code = set_in_model(l, s, &err);
    } else {
        describe_unknown(ag_config_rows, s->key, what);
        code = ag_fail(&err, AG_E_ARG, "%s", what);
    }
    if (code)
        add_mistake(l, code, s->from, s->key, err.msg);
}

/* ---- what no single value shows
 * ------------------------------------------------------------------
 */

/* An address of numbers that no packet from outside reaches. A name is none, however it begins:
 * where "127.example.org" leads is for others to say. */
static bool is_loopback(ag_span host) {
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    bool in_brackets = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (in_brackets)
        host = ag_span_sub(host, 1, host.n - 1);
    if (host.n >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", AG_SPAN(host));
    if (in_brackets)
        return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    return inet_pton(AF_INET, text, &v4) == 1 && ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
}

bool ag_config_is_local(const char *address) {
    const char *colon = strrchr(address, ':');
    if (!strncmp(address, "unix:", 5))
        return true;
    if (!colon)
        return false;
    ag_span host = ag_span_of(address, (size_t)(colon - address));
    return ag_span_is(host, "localhost") || is_loopback(host);
}

static bool is_host_name(const char *s) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_.";
    return *s && !s[strspn(s, letters)];
}

static void check_hosts(loader *l) {
    for (size_t i = 0; i < l->c->hosts.n; i++) {
        char what[200];
        const char *name = l->c->hosts.v[i];
        snprintf(
            what, sizeof what,
            "\"%.80s\" is no host's name: letters, digits and -_. only, without scheme and port",
            name);
        if (!is_host_name(name))
            add_mistake_of(l, "server.hosts", what);
    }
}

static void check_server(loader *l) {
    const ag_config *c = l->c;
    if (!c->listen.n)
        add_mistake_of(l, "server.listen", "at least one address is needed");
    if (!c->tls_cert != !c->tls_key)
        add_mistake_of(l, c->tls_cert ? "server.tls_cert" : "server.tls_key",
                       c->tls_cert ? "a certificate needs its key: server.tls_key"
                                   : "a key needs its certificate: server.tls_cert");
    for (size_t i = 0; i < c->listen.n && !c->api_key_file; i++)
        if (!ag_config_is_local(c->listen.v[i])) {
            char what[200];
            snprintf(what, sizeof what,
                     "%.80s can be reached from outside: give server.api_key_file, or listen on "
                     "127.0.0.1",
                     c->listen.v[i]);
            add_mistake_of(l, "server.listen", what);
        }
    check_hosts(l);
}

static bool has_name(const ag_config_model *m, const char *name) {
    if (m->name && !strcmp(m->name, name))
        return true;
    for (size_t i = 0; i < m->aliases.n; i++)
        if (!strcmp(m->aliases.v[i], name))
            return true;
    return false;
}

static void add_mistake_of_model(loader *l, size_t model, const char *what) {
    char key[40];
    snprintf(key, sizeof key, "models[%zu]", model);
    add_mistake_in_file(l, l->models_at[model], key, what);
}

static void check_name(loader *l, size_t model, const char *name) {
    char what[200];
    if (!*name)
        add_mistake_of_model(l, model, "an alias is empty");
    for (size_t i = 0; i < model && *name; i++)
        if (has_name(&l->models[i], name)) {
            snprintf(what, sizeof what, "models[%zu] is called \"%.100s\" already", i, name);
            add_mistake_of_model(l, model, what);
        }
}

static void check_models(loader *l) {
    for (size_t i = 0; i < l->c->n_models; i++) {
        const ag_config_model *m = &l->models[i];
        if (!m->name || !*m->name)
            add_mistake_of_model(l, i, "name is missing");
        else
            check_name(l, i, m->name);
        if (!m->path || !*m->path)
            add_mistake_of_model(l, i, "path is missing");
        for (size_t k = 0; k < m->aliases.n; k++)
            check_name(l, i, m->aliases.v[k]);
    }
}

ag_code ag_config_load(const ag_config_sources *s, ag_config **out, ag_buf *mistakes, ag_err *err) {
    *out = NULL;
    ag_config *c = ag_calloc(AG_ROOM_OPS, 1, sizeof *c);
    if (!c)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the configuration");
    ag_arena_init(&c->arena, AG_ROOM_OPS, MAX_ARENA);
    loader l = {.c = c, .file = s->file, .mistakes = mistakes};
    l.models = ag_arena_array(&c->arena, AG_CONFIG_MODELS, sizeof *l.models);
    c->models = l.models;
    ag_code code = l.models ? set_defaults(ag_config_rows, c, &c->arena, err)
                            : ag_fail(err, AG_E_NOMEM, "out of memory for the configuration");
    if (!code && s->file)
        code = read_file(&l, err);
    if (!code && s->env)
        read_environment(&l, s->env);
    for (size_t i = 0; i < s->n_settings && !code; i++)
        apply_setting(&l, &s->settings[i]);
    if (!code) {
        check_server(&l);
        check_models(&l);
    }
    if (!code && l.n_mistakes)
        code = ag_fail(err, l.first.code, "%s", l.first.msg);
    else if (code && mistakes && err)
        ag_buf_addf(mistakes, "%s\n", err->msg);
    if (code)
        ag_config_free(&c);
    *out = c;
    return code;
}

void ag_config_free(ag_config **c) {
    if (!*c)
        return;
    ag_arena_deinit(&(*c)->arena);
    ag_free(*c);
    *c = NULL;
}
