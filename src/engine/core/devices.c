#include "core/devices.h"

#include <stdio.h>

#include "base/limits.h"
#include "load/json.h"

#define MAX_TEXT ((size_t)1 << 20) /* 4096 layers, each with its name and device */

/* What this build and machine have. */
static const char *const devices[] = {"cpu"};
#define N_DEVICES (sizeof devices / sizeof *devices)

/* Words of Hugging Face for "spread it over what is there". */
static const char *const automatic[] = {"", "auto", "balanced", "balanced_low_0", "sequential"};

/* Parts of a model: its layers, and behind them these. */
enum { EMBED, NORM, OUTPUT, N_ENDS };

/* How wide the name was that gave a part its device; the narrowest wins. */
typedef enum width { NONE, ALL, BODY, LAYERS, ONE } width;

typedef struct part {
    int device;
    width width;
} part;

typedef struct placement {
    part parts[AG_MAX_LAYERS + N_ENDS]; /* layers, then the ends */
    int n_layers;
    ag_err *err;
} placement;

static part *end_of(placement *p, int end) { return &p->parts[p->n_layers + end]; }

/* ---- devices --------------------------------------------------------------------------------- */

static ag_code find_device(ag_span name, int *device, ag_err *err) {
    char list[64] = "";
    size_t at = 0;
    for (size_t i = 0; i < N_DEVICES; i++) {
        if (ag_span_is(name, devices[i])) {
            *device = (int)i;
            return AG_OK;
        }
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", devices[i]);
    }
    return ag_fail(err, AG_E_UNSUPPORTED, "device_map: %.*s is not present; present: %s",
                   AG_SPAN(ag_span_sub(name, 0, 60)), list);
}

/* ---- modules --------------------------------------------------------------------------------- */

typedef struct module {
    int first, last; /* parts; none when last < first */
    width width;
} module;

static const struct {
    const char *name;
    int end; /* N_ENDS: no weights, or none that is computed with */
} ends[] = {
    {"embed_tokens", EMBED}, {"wte", EMBED},
    {"embeddings", EMBED},   {"embedding", EMBED},
    {"token_embd", EMBED},   {"norm", NORM},
    {"ln_f", NORM},          {"final_layernorm", NORM},
    {"output_norm", NORM},   {"encoder.final_layernorm", NORM},
    {"lm_head", OUTPUT},     {"output_layer", OUTPUT},
    {"output", OUTPUT},      {"rotary_emb", N_ENDS},
    {"pooler", N_ENDS},      {"rotary_pos_emb", N_ENDS},
};

/* Does `s` begin with the module `name`, alone or with more behind a dot? Then take it off. */
static bool take_name(ag_span *s, const char *name) {
    size_t n = strlen(name);
    if (!ag_span_starts(*s, ag_str(name)) || (s->n > n && s->p[n] != '.'))
        return false;
    *s = ag_span_sub(*s, n + (s->n > n), s->n);
    return true;
}

/* Take a number off; past INT_MAX it stays at a value that no layer has. */
static bool take_number(ag_span *s, int *out) {
    size_t i = 0;
    int v = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++)
        v = v > (int)AG_MAX_LAYERS ? v : v * 10 + (s->p[i] - '0');
    *s = ag_span_sub(*s, i, s->n);
    *out = v;
    return i > 0;
}

/* "3" or "3-5", of layers that there are. */
static ag_code read_layers(placement *p, ag_span name, ag_span s, module *m) {
    *m = (module){.width = ONE};
    bool good = take_number(&s, &m->first);
    m->last = m->first;
    if (good && s.n > 0 && *s.p == '-') {
        s = ag_span_sub(s, 1, s.n);
        good = take_number(&s, &m->last);
    }
    if (good && s.n > 0 && *s.p == '.')
        return ag_fail(p->err, AG_E_ARG,
                       "device_map: \"%.*s\" is a part of a layer; a layer is whole on one device, "
                       "so name the layer",
                       AG_SPAN(name));
    if (!good || s.n > 0 || m->last < m->first)
        return ag_fail(p->err, AG_E_ARG,
                       "device_map: \"%.*s\" names no layers; expected a number or a range as 0-11",
                       AG_SPAN(name));
    if (m->last >= p->n_layers)
        return ag_fail(p->err, AG_E_ARG,
                       "device_map: \"%.*s\" is past the last layer; the model has layers 0-%d",
                       AG_SPAN(name), p->n_layers - 1);
    return AG_OK;
}

static ag_code find_module(placement *p, ag_span name, module *m) {
    static const char *const around[] = {"model", "language_model", "transformer", "bert",
                                         "roberta"};
    static const char *const stacks[] = {"layers", "blk",           "h",
                                         "blocks", "encoder.layer", "encoder.layers"};
    ag_span s = name;
    name = ag_span_sub(name, 0, 60); /* in messages */
    *m = (module){0, p->n_layers + N_ENDS - 1, ALL};
    if (s.n == 0 || ag_span_is(s, "*"))
        return AG_OK;
    m->width = BODY;
    for (size_t i = 0; i < sizeof around / sizeof *around;) {
        i = take_name(&s, around[i]) ? 0 : i + 1;
        if (s.n == 0)
            return AG_OK;
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ag_span_is(s, ends[i].name)) {
            bool is_part = ends[i].end < N_ENDS;
            int at = p->n_layers + ends[i].end;
            *m = (module){at, is_part ? at : at - 1, ONE};
            return AG_OK;
        }
    bool is_stack = false;
    for (size_t i = 0; i < sizeof stacks / sizeof *stacks && !is_stack; i++)
        is_stack = take_name(&s, stacks[i]);
    if ((is_stack && s.n == 0) || ag_span_is(s, "encoder")) {
        *m = (module){0, p->n_layers - 1, LAYERS};
        return AG_OK;
    }
    if (is_stack || (s.n > 0 && *s.p >= '0' && *s.p <= '9'))
        return read_layers(p, name, s, m);
    return ag_fail(p->err, AG_E_ARG,
                   "device_map: \"%.*s\" is no module; known are layers (model.layers.0, blk.0, 0 "
                   "or 0-11), model.embed_tokens, model.norm, lm_head and \"\" for the rest",
                   AG_SPAN(name));
}

static ag_code place(placement *p, ag_span name, ag_span device) {
    module m;
    int d = 0;
    ag_code code = find_device(device, &d, p->err);
    if (!code)
        code = find_module(p, name, &m);
    for (int i = m.first; !code && i <= m.last; i++) {
        part *x = &p->parts[i];
        if (x->width == m.width && i < p->n_layers)
            return ag_fail(p->err, AG_E_ARG, "device_map: layer %d is named twice", i);
        if (x->width == m.width)
            return ag_fail(p->err, AG_E_ARG, "device_map: what \"%.*s\" names is named twice",
                           AG_SPAN(ag_span_sub(name, 0, 60)));
        if (x->width < m.width)
            *x = (part){d, m.width};
    }
    return code;
}

/* ---- the forms of a map ---------------------------------------------------------------------- */

static ag_code read_json(placement *p, const char *map) {
    json_t *root = NULL, *v;
    const char *name;
    ag_code code = ag_json_parse(ag_str(map), "device_map", &root, p->err);
    if (code == AG_E_FORMAT) /* an option, not a file */
        return ag_err_wrap(p->err, AG_E_ARG, "wrong option");
    json_object_foreach(root, name, v) {
        char number[32];
        ag_span device = ag_span_of(json_string_value(v), json_string_length(v));
        if (json_is_integer(v)) {
            snprintf(number, sizeof number, "cuda:%lld", (long long)json_integer_value(v));
            device = ag_str(number);
        } else if (!json_is_string(v)) {
            code = ag_fail(p->err, AG_E_ARG,
                           "device_map: the device of \"%.60s\" is %s; expected a string as \"cpu\""
                           " or a number",
                           name, ag_json_kind(v));
        }
        if (!code)
            code = place(p, ag_str(name), device);
        if (code)
            break;
    }
    json_decref(root);
    return code;
}

static ag_span trimmed(ag_span s) {
    while (s.n > 0 && *s.p == ' ')
        s = ag_span_sub(s, 1, s.n);
    while (s.n > 0 && s.p[s.n - 1] == ' ')
        s.n--;
    return s;
}

static ag_code read_pairs(placement *p, ag_span map) {
    ag_code code = AG_OK;
    for (size_t at = 0; at < map.n && !code;) {
        size_t end = ag_span_find(map, ag_str(","), at);
        ag_span pair = ag_span_sub(map, at, end);
        size_t mid = ag_span_find(pair, ag_str("="), 0);
        at = end == SIZE_MAX ? map.n : end + 1;
        if (mid == SIZE_MAX)
            return ag_fail(p->err, AG_E_ARG,
                           "device_map: expected MODULE=DEVICE as 0-11=cpu, found \"%.*s\"",
                           AG_SPAN(ag_span_sub(pair, 0, 60)));
        code = place(p, trimmed(ag_span_sub(pair, 0, mid)),
                     trimmed(ag_span_sub(pair, mid + 1, pair.n)));
    }
    return code;
}

static ag_code read_map(placement *p, const char *map) {
    ag_span s = trimmed(ag_str(map));
    for (size_t i = 0; i < sizeof automatic / sizeof *automatic; i++)
        if (ag_span_is(s, automatic[i]))
            return place(p, ag_str(""), ag_str(devices[0]));
    if (s.n > MAX_TEXT)
        return ag_fail(p->err, AG_E_ARG, "device_map: longer than %zu bytes", MAX_TEXT);
    if (*s.p == '{')
        return read_json(p, map);
    if (ag_span_find(s, ag_str("="), 0) != SIZE_MAX)
        return read_pairs(p, s);
    return place(p, ag_str(""), s);
}

/* ---- the result ------------------------------------------------------------------------------ */

/* Every layer has its device; the ends get theirs. */
static ag_code complete(placement *p) {
    for (int i = 0; i < p->n_layers; i++) {
        int last = i;
        while (last + 1 < p->n_layers && p->parts[last + 1].width == NONE)
            last++;
        if (p->parts[i].width == NONE)
            return ag_fail(p->err, AG_E_ARG,
                           "device_map: layers %d-%d have no device; name them, or \"\" for all "
                           "that is not named",
                           i, last);
    }
    for (int end = EMBED; end < N_ENDS; end++)
        if (end_of(p, end)->width == NONE)
            *end_of(p, end) = p->parts[end == EMBED ? 0 : p->n_layers - 1];
    return AG_OK;
}

static void write_pairs(placement *p, bool has_output, ag_buf *out) {
    ag_buf_addf(out, "token_embd=%s", devices[end_of(p, EMBED)->device]);
    for (int i = 0, last; i < p->n_layers; i = last + 1) {
        for (last = i; last + 1 < p->n_layers; last++)
            if (p->parts[last + 1].device != p->parts[i].device)
                break;
        ag_buf_addf(out, ",%d", i);
        if (last > i)
            ag_buf_addf(out, "-%d", last);
        ag_buf_addf(out, "=%s", devices[p->parts[i].device]);
    }
    if (has_output)
        ag_buf_addf(out, ",output_norm=%s,output=%s", devices[end_of(p, NORM)->device],
                    devices[end_of(p, OUTPUT)->device]);
}

ag_code ag_device_map_resolve(const char *map, int n_layers, bool has_output, char **out,
                              ag_err *err) {
    *out = NULL;
    AG_ASSERT(n_layers > 0 && n_layers <= (int)AG_MAX_LAYERS);
    placement *p = ag_calloc(AG_ROOM_CORE, 1, sizeof *p);
    if (!p)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the device map");
    p->n_layers = n_layers;
    p->err = err;
    ag_code code = read_map(p, map ? map : "");
    if (!code)
        code = complete(p);
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_CORE, MAX_TEXT);
    if (!code) {
        write_pairs(p, has_output, &text);
        code = ag_buf_check(&text, "the device map", err);
    }
    if (!code && !(*out = ag_strndup(AG_ROOM_CORE, text.p, text.n)))
        code = ag_fail(err, AG_E_NOMEM, "out of memory for the device map");
    ag_buf_deinit(&text);
    ag_free(p);
    return code;
}
