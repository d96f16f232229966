/* autoglm inspect: what a model file or folder holds. Only headers are read. */
#include <stdio.h>

#include "base/utf8.h"
#include "cli/args.h"
#include "cli/facts.h"
#include "cli/out.h"
#include "cli/registry.h"
#include "model/config.h"
#include "text/tokenizer.h"

#define SHOWN_ELEMENTS 8 /* of an array's values */

static const char *const kv_names[AG_KV_TYPES] = {
    [AG_KV_F32] = "f32", [AG_KV_F16] = "f16", [AG_KV_BF16] = "bf16", [AG_KV_Q8_0] = "q8_0"};

/* Can this build run the model? If not, err says why. */
static bool can_run(const ag_source *g, const ag_cli_facts *f, ag_err *err) {
    ag_model_config config;
    ag_tokenizer *tokenizer = NULL;
    if (ag_model_config_read(g, &config, err))
        return false;
    for (int t = 0; t < AG_T_LIMIT; t++) {
        const ag_type_info *info = ag_type_find((uint32_t)t);
        if (f->by_type[t].tensors > 0 && !(info && info->decoded)) {
            ag_fail(err, AG_E_UNSUPPORTED, "tensors of type %s; supported are %s",
                    info ? info->name : "unknown", ag_type_supported());
            return false;
        }
    }
    if (ag_tokenizer_from_source(g, &tokenizer, err))
        return false;
    ag_tokenizer_free(&tokenizer);
    return true;
}

/* Context lengths worth showing: powers of two up to the model's own, and that. */
static size_t contexts(uint32_t most, uint32_t out[24]) {
    size_t n = 0;
    if (most == 0)
        most = 8192;
    for (uint32_t c = most > 131072 ? 8192 : 2048; c < most && n < 22; c *= 2)
        out[n++] = c;
    out[n++] = most;
    return n;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void row(const char *label) { ag_cli_out("  %-15s", label); }

static void name_row(const char *label, ag_span value) {
    if (value.n == 0)
        return;
    row(label);
    ag_cli_out_name(ag_span_sub(value, 0, 200));
    ag_cli_out(value.n > 200 ? "...\n" : "\n");
}

static void number_row(const char *label, uint32_t value, const char *unit) {
    if (value == 0)
        return;
    row(label);
    ag_cli_out("%u%s\n", value, unit);
}

static void count_text(uint64_t n, char text[32]) {
    static const char *const units[] = {"", " thousand", " million", " billion", " trillion"};
    double v = (double)n;
    int u = 0;
    for (; v >= 1000.0 && u < 4; u++)
        v /= 1000.0;
    snprintf(text, 32, u == 0 ? "%.0f%s" : "%.2f%s", v, units[u]);
}

static void print_types(const ag_cli_facts *f) {
    char size[AG_CLI_SIZE_TEXT];
    ag_cli_out("\n  %-8s %8s %16s %12s\n", "type", "tensors", "parameters", "bytes");
    for (int t = 0; t < AG_T_LIMIT; t++) {
        const ag_cli_type_sum *sum = &f->by_type[t];
        const ag_type_info *info = ag_type_find((uint32_t)t);
        if (sum->tensors > 0 && info)
            ag_cli_out("  %-8s %8u %16llu %12s%s\n", info->name, sum->tensors,
                       (unsigned long long)sum->params, ag_cli_size(sum->bytes, size),
                       info->decoded ? "" : "  (not decoded by this build)");
    }
}

static void print_memory(const ag_cli_facts *f) {
    static const ag_kv_type all[] = {AG_KV_F16, AG_KV_Q8_0, AG_KV_F32};
    const ag_kv_type *shown = f->encodes ? &all[2] : all;
    size_t n_shown = f->encodes ? 1 : sizeof all / sizeof *all;
    char size[AG_CLI_SIZE_TEXT];
    uint32_t ctx[24];
    if (ag_cli_kv_bytes(f, AG_KV_F16, 1) == 0)
        return;
    ag_cli_out("\n  Memory for one %s: weights (%s) and KV; working space comes on top\n",
               f->encodes ? "text" : "conversation", ag_cli_size(f->tensor_bytes, size));
    ag_cli_out("  %10s", "context");
    for (size_t k = 0; k < n_shown; k++)
        ag_cli_out("  %8s KV", kv_names[shown[k]]);
    ag_cli_out("\n");
    size_t n = contexts(f->ctx, ctx);
    for (size_t i = 0; i < n; i++) {
        ag_cli_out("  %10u", ctx[i]);
        for (size_t k = 0; k < n_shown; k++)
            ag_cli_out("  %11s",
                       ag_cli_size(f->tensor_bytes + ag_cli_kv_bytes(f, shown[k], ctx[i]), size));
        ag_cli_out("\n");
    }
}

static void print_value(const ag_value *v);

static void print_array(const ag_value *v) {
    uint64_t n = v->a.n < SHOWN_ELEMENTS ? v->a.n : SHOWN_ELEMENTS;
    size_t at = 0;
    ag_cli_out("[");
    for (uint64_t i = 0; i < n; i++) {
        ag_cli_out(i ? ", " : "");
        if (v->a.kind == AG_VALUE_STRING) {
            ag_cli_out("\"");
            ag_cli_out_name(ag_span_sub(ag_value_next_str(v, &at), 0, 60));
            ag_cli_out("\"");
        } else if (v->a.kind == AG_VALUE_F32 || v->a.kind == AG_VALUE_F64) {
            ag_cli_out("%g", ag_value_num(v, i));
        } else {
            ag_cli_out("%lld", (long long)ag_value_int(v, i));
        }
    }
    ag_cli_out(v->a.n > n ? ", ... %llu in all]" : "]", (unsigned long long)v->a.n);
}

static void print_value(const ag_value *v) {
    switch (v->kind) {
    case AG_VALUE_STRING:
        ag_cli_out_name(ag_span_sub(v->s, 0, 200));
        ag_cli_out(v->s.n > 200 ? "... (%zu bytes)" : "", v->s.n);
        break;
    case AG_VALUE_ARRAY:
        print_array(v);
        break;
    case AG_VALUE_F32:
    case AG_VALUE_F64:
        ag_cli_out("%.9g", v->f);
        break;
    case AG_VALUE_BOOL:
        ag_cli_out(v->u ? "true" : "false");
        break;
    case AG_VALUE_I8:
    case AG_VALUE_I16:
    case AG_VALUE_I32:
    case AG_VALUE_I64:
        ag_cli_out("%lld", (long long)v->i);
        break;
    default:
        ag_cli_out("%llu", (unsigned long long)v->u);
        break;
    }
}

static void print_keys(const ag_source *g) {
    ag_cli_out("\n  Keys\n");
    for (size_t i = 0; i < ag_source_n_keys(g); i++) {
        const ag_source_key *k = ag_source_key_at(g, i);
        ag_cli_out("    ");
        ag_cli_out_name(k->name);
        ag_cli_out(" = ");
        print_value(&k->value);
        ag_cli_out("\n");
    }
}

static void print_tensors(const ag_source *g) {
    ag_cli_out("\n  Tensors\n");
    for (size_t i = 0; i < ag_source_n_tensors(g); i++) {
        const ag_tensor *t = ag_source_tensor_at(g, i);
        const ag_type_info *info = ag_type_find((uint32_t)t->keep);
        ag_cli_out("    %-7s ", info ? info->name : "?");
        ag_cli_out_name(t->name);
        ag_cli_out(" [");
        for (int d = 0; d < t->n_dims; d++)
            ag_cli_out("%s%llu", d ? ", " : "", (unsigned long long)t->dim[d]);
        ag_cli_out("] %llu bytes\n", (unsigned long long)ag_cli_tensor_bytes(t));
    }
}

static void print_identity(const ag_source *g, const ag_cli_facts *f) {
    char text[32], size[AG_CLI_SIZE_TEXT];
    const ag_arch *arch = ag_arch_find(f->arch);
    ag_err err = {0};
    row("architecture");
    ag_cli_out_name(f->arch.n ? ag_span_sub(f->arch, 0, 100) : ag_str("not named"));
    ag_cli_out(arch ? " (%s)\n" : "\n", arch ? arch->families : "");
    row("runs here");
    if (can_run(g, f, &err)) {
        ag_cli_out("yes\n");
    } else {
        ag_cli_out("no: ");
        ag_cli_out_name(ag_str(err.msg));
        ag_cli_out("\n");
    }
    name_row("name", f->name);
    name_row("license", f->license);
    count_text(f->params, text);
    row("parameters");
    ag_cli_out("%s\n", text);
    const char *mixture = ag_cli_mixture(f);
    row("quantisation");
    ag_cli_out("%s (%.2f bits a parameter)\n",
               mixture ? mixture : ag_type_find((uint32_t)f->main_type)->name,
               f->params ? 8.0 * (double)f->tensor_bytes / (double)f->params : 0.0);
    row("file");
    ag_cli_out("%s, %s", ag_cli_size(ag_source_file_bytes(g), size), ag_source_format(g));
    ag_cli_out(f->n_files > 1 ? ", %u files\n" : "\n", f->n_files);
}

static void print_template_start(ag_span t) {
    ag_span line = ag_span_sub(t, 0, ag_span_find(t, ag_str("\n"), 0));
    bool cut = line.n > 60 || line.n < t.n;
    row("chat template");
    if (t.n == 0) {
        ag_cli_out("no\n");
        return;
    }
    ag_cli_out("yes, %zu bytes: ", t.n);
    ag_cli_out_name(ag_span_sub(line, 0, ag_utf8_valid_prefix(ag_span_sub(line, 0, 60))));
    ag_cli_out(cut ? " ... (--template shows it)\n" : "\n");
}

static void print_shape(const ag_cli_facts *f) {
    number_row("context", f->ctx, " tokens");
    number_row("window", f->window, " tokens in sliding layers");
    number_row("layers", f->layers, "");
    number_row("embedding", f->embd, "");
    number_row("feed forward", f->ff, "");
    if (f->heads > 0) {
        row("heads");
        ag_cli_out("%u query, %u key/value, size %u\n", f->heads, f->kv_heads, f->key_len);
    }
    if (f->experts > 0) {
        row("experts");
        ag_cli_out("%u, %u used for a token\n", f->experts, f->experts_used);
    }
    if (f->tokenizer.n > 0) {
        row("tokenizer");
        ag_cli_out_name(ag_span_sub(f->tokenizer, 0, 60));
        if (f->pre.n > 0) {
            ag_cli_out("/");
            ag_cli_out_name(ag_span_sub(f->pre, 0, 60));
        }
        ag_cli_out(", %llu tokens\n", (unsigned long long)f->vocab);
    }
}

static void print_all(const ag_cli_args *a, const ag_source *g, const ag_cli_facts *f) {
    ag_cli_out_name(ag_str(a->pos[0]));
    ag_cli_out("\n");
    print_identity(g, f);
    print_shape(f);
    print_template_start(f->chat_template);
    print_types(f);
    print_memory(f);
    if (a->list_keys)
        print_keys(g);
    if (a->list_tensors)
        print_tensors(g);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *json_u64(uint64_t v) {
    return json_integer((json_int_t)(v > INT64_MAX ? INT64_MAX : v));
}

static json_t *json_types(const ag_cli_facts *f) {
    json_t *list = json_array();
    for (int t = 0; t < AG_T_LIMIT; t++) {
        const ag_cli_type_sum *sum = &f->by_type[t];
        const ag_type_info *info = ag_type_find((uint32_t)t);
        if (sum->tensors == 0 || !info)
            continue;
        json_array_append_new(list,
                              json_pack("{s:s, s:i, s:o, s:o}", "type", info->name, "tensors",
                                        (int)sum->tensors, "parameters", json_u64(sum->params),
                                        "bytes", json_u64(sum->bytes)));
    }
    return list;
}

static json_t *json_memory(const ag_cli_facts *f) {
    uint32_t ctx[24];
    json_t *list = json_array();
    size_t n = ag_cli_kv_bytes(f, AG_KV_F16, 1) ? contexts(f->ctx, ctx) : 0;
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_pack("{s:I, s:o}", "context", (json_int_t)ctx[i], "weights",
                                json_u64(f->tensor_bytes));
        for (int k = 0; k < AG_KV_TYPES; k++) {
            char key[16];
            if (f->encodes && k != AG_KV_F32)
                continue;
            snprintf(key, sizeof key, "kv_%s", kv_names[k]);
            json_object_set_new(one, key, json_u64(ag_cli_kv_bytes(f, (ag_kv_type)k, ctx[i])));
        }
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *json_value(const ag_value *v) {
    switch (v->kind) {
    case AG_VALUE_STRING:
        return ag_cli_json_text(v->s);
    case AG_VALUE_F32:
    case AG_VALUE_F64: {
        json_t *real = json_real(v->f);
        return real ? real : json_null();
    }
    case AG_VALUE_BOOL:
        return json_boolean(v->u);
    case AG_VALUE_I8:
    case AG_VALUE_I16:
    case AG_VALUE_I32:
    case AG_VALUE_I64:
        return json_integer(v->i);
    case AG_VALUE_ARRAY:
        break;
    default:
        return json_u64(v->u);
    }
    json_t *list = json_array();
    size_t at = 0;
    for (uint64_t i = 0; i < v->a.n && i < SHOWN_ELEMENTS; i++) {
        json_t *one = NULL;
        if (v->a.kind == AG_VALUE_STRING)
            one = ag_cli_json_text(ag_value_next_str(v, &at));
        else if (v->a.kind == AG_VALUE_F32 || v->a.kind == AG_VALUE_F64)
            one = json_real(ag_value_num(v, i));
        else
            one = json_integer(ag_value_int(v, i));
        json_array_append_new(list, one ? one : json_null());
    }
    return json_pack("{s:o, s:o}", "n", json_u64(v->a.n), "first", list);
}

static json_t *json_keys(const ag_source *g) {
    json_t *list = json_array();
    for (size_t i = 0; i < ag_source_n_keys(g); i++) {
        const ag_source_key *k = ag_source_key_at(g, i);
        json_array_append_new(list, json_pack("{s:o, s:o}", "key", ag_cli_json_text(k->name),
                                              "value", json_value(&k->value)));
    }
    return list;
}

static json_t *json_tensors(const ag_source *g) {
    json_t *list = json_array();
    for (size_t i = 0; i < ag_source_n_tensors(g); i++) {
        const ag_tensor *t = ag_source_tensor_at(g, i);
        const ag_type_info *info = ag_type_find((uint32_t)t->keep);
        json_t *dims = json_array();
        for (int d = 0; d < t->n_dims; d++)
            json_array_append_new(dims, json_u64(t->dim[d]));
        json_array_append_new(list,
                              json_pack("{s:o, s:s, s:o, s:o}", "name", ag_cli_json_text(t->name),
                                        "type", info ? info->name : "?", "shape", dims, "bytes",
                                        json_u64(ag_cli_tensor_bytes(t))));
    }
    return list;
}

static void add_number(json_t *o, const char *key, uint64_t v) {
    json_object_set_new(o, key, v ? json_u64(v) : json_null());
}

static void add_text(json_t *o, const char *key, ag_span s) {
    json_object_set_new(o, key, s.n ? ag_cli_json_text(s) : json_null());
}

static json_t *json_all(const ag_cli_args *a, const ag_source *g, const ag_cli_facts *f) {
    const char *mixture = ag_cli_mixture(f);
    ag_err err = {0};
    json_t *o = json_object();
    add_text(o, "path", ag_str(a->pos[0]));
    add_text(o, "architecture", f->arch);
    bool runs = can_run(g, f, &err);
    json_object_set_new(o, "supported", json_boolean(runs));
    add_text(o, "reason", ag_str(err.msg));
    add_text(o, "name", f->name);
    add_text(o, "license", f->license);
    add_number(o, "parameters", f->params);
    add_text(o, "quantisation",
             ag_str(mixture ? mixture : ag_type_find((uint32_t)f->main_type)->name));
    add_number(o, "file_bytes", ag_source_file_bytes(g));
    add_number(o, "tensor_bytes", f->tensor_bytes);
    add_number(o, "files", f->n_files);
    add_text(o, "format", ag_str(ag_source_format(g)));
    add_number(o, "context_length", f->ctx);
    add_number(o, "sliding_window", f->window);
    add_number(o, "layers", f->layers);
    add_number(o, "embedding", f->embd);
    add_number(o, "feed_forward", f->ff);
    add_number(o, "heads", f->heads);
    add_number(o, "kv_heads", f->kv_heads);
    add_number(o, "head_size", f->key_len);
    add_number(o, "experts", f->experts);
    add_number(o, "experts_used", f->experts_used);
    add_number(o, "vocabulary", f->vocab);
    add_text(o, "tokenizer", f->tokenizer);
    add_text(o, "pre_tokenizer", f->pre);
    json_object_set_new(o, "chat_template", json_boolean(f->chat_template.n > 0));
    if (a->show_template)
        add_text(o, "template", f->chat_template);
    json_object_set_new(o, "tensors_by_type", json_types(f));
    json_object_set_new(o, "memory", json_memory(f));
    if (a->list_keys)
        json_object_set_new(o, "keys", json_keys(g));
    if (a->list_tensors)
        json_object_set_new(o, "tensors", json_tensors(g));
    return o;
}

int ag_cli_inspect(const ag_cli_args *a) {
    ag_source *g = NULL;
    ag_err err = {0};
    char path[PATH_MAX];
    ag_cli_facts f;
    int status = ag_cli_resolve(a, a->pos[0], path);
    if (status)
        return status;
    if (ag_source_open(path, &g, &err))
        return ag_cli_fail(&err);
    ag_cli_facts_read(g, &f);
    if (a->json) {
        ag_cli_out_json(json_all(a, g, &f));
    } else if (!a->show_template) {
        print_all(a, g, &f);
    } else if (f.chat_template.n > 0) {
        ag_cli_out_text(f.chat_template);
        ag_cli_out(f.chat_template.p[f.chat_template.n - 1] == '\n' ? "" : "\n");
    } else {
        ag_cli_note("%s: the model has no chat template", a->pos[0]);
        status = AG_CLI_FAILED;
    }
    ag_source_close(&g);
    return status;
}
