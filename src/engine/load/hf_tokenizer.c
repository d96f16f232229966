/* A tokenizer from the files of a folder: which of them count, the special tokens they name, the
 * chat template. The vocabulary itself is read by the other hf_tokenizer_*.c. */
#include "load/hf_tokenizer.h"

#include <stdio.h>

#include "base/limits.h"
#include "load/hf_parts.h"
#include "load/hf_tokenizer_parts.h"

#define MAX_FILE_BYTES ((size_t)256 << 20) /* the largest tokenizer.json has about 35 MB */
#define MAX_SIDE_BYTES ((size_t)16 << 20)  /* the others; a config may list 100,000 added tokens */

/* ---- JSON ------------------------------------------------------------------------------------ */

bool ag_hf_str(const json_t *object, const char *key, ag_span *out) {
    const json_t *s = json_object_get(object, key);
    if (!json_is_string(s))
        return false;
    *out = ag_span_of(json_string_value(s), json_string_length(s));
    return true;
}

bool ag_hf_is(const json_t *object, const char *key, const char *value) {
    ag_span s;
    return ag_hf_str(object, key, &s) && ag_span_is(s, value);
}

bool ag_hf_flag(const json_t *object, const char *key, bool missing) {
    const json_t *b = json_object_get(object, key);
    return json_is_boolean(b) ? json_is_true(b) : missing;
}

/* Parse a file's bytes; *out stays NULL when there is no such file. */
static ag_code parse_json(const char *name, ag_span bytes, json_t **out, ag_err *err) {
    return bytes.p ? ag_json_parse(bytes, name, out, err) : AG_OK;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* Room for `id`. Ids may leave holes, but a file cannot make us take much more memory than its own
 * size: far-off ids come after many others or not at all. */
static ag_code make_room(ag_hf_vocab *v, int64_t id, ag_span text, ag_err *err) {
    if (id < 0 || id >= AG_MAX_VOCAB || (size_t)id > 8 * v->n_listed + ((size_t)1 << 19))
        return ag_fail(err, AG_E_LIMIT, "token \"%.*s\" has the id %lld, which is out of range",
                       AG_SPAN(ag_span_sub(text, 0, 60)), (long long)id);
    size_t need = (size_t)id + 1;
    if (need > v->room) {
        size_t room = need > 2 * v->room ? need : 2 * v->room;
        ag_hf_token *tokens = ag_realloc(AG_ROOM_LOAD, v->tokens, room, sizeof *tokens);
        if (!tokens)
            return ag_fail(err, AG_E_NOMEM, "out of memory for %zu tokens", room);
        memset(tokens + v->room, 0, (room - v->room) * sizeof *tokens); /* holes */
        v->tokens = tokens;
        v->room = room;
    }
    if (need > v->n)
        v->n = need;
    return AG_OK;
}

ag_code ag_hf_add_token(ag_hf_vocab *v, ag_span text, int64_t id, uint8_t type, ag_err *err) {
    ag_code code = make_room(v, id, text, err);
    if (code != AG_OK)
        return code;
    ag_hf_token *t = &v->tokens[id];
    if (t->type != AG_HF_HOLE)
        return ag_fail(err, AG_E_FORMAT, "the tokens \"%.*s\" and \"%.*s\" both have the id %lld",
                       AG_SPAN(ag_span_sub(t->text, 0, 60)), AG_SPAN(ag_span_sub(text, 0, 60)),
                       (long long)id);
    bool fresh;
    code = ag_map_add(&v->ids, text, (uint64_t)id, &fresh, err);
    if (code == AG_OK && !fresh)
        code = ag_fail(err, AG_E_FORMAT, "the token \"%.*s\" has the ids %lld and %lld",
                       AG_SPAN(ag_span_sub(text, 0, 60)), (long long)ag_hf_find(v, text),
                       (long long)id);
    if (code == AG_OK) {
        *t = (ag_hf_token){.text = text, .type = type};
        v->n_listed++;
    }
    return code;
}

int64_t ag_hf_find(const ag_hf_vocab *v, ag_span text) {
    uint64_t id;
    return ag_map_find(&v->ids, text, &id) ? (int64_t)id : -1;
}

ag_code ag_hf_add_added(ag_hf_vocab *v, const json_t *token, int64_t id, ag_err *err) {
    ag_span text;
    if (!ag_hf_str(token, "content", &text))
        return ag_fail(err, AG_E_FORMAT, "the added token %lld has no text", (long long)id);
    if (ag_hf_flag(token, "single_word", false))
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "the added token \"%.*s\" is a single_word, which is not supported",
                       AG_SPAN(ag_span_sub(text, 0, 60)));
    ag_code code = AG_OK;
    if (ag_hf_find(v, text) != id || text.n == 0)
        code = ag_hf_add_token(v, text, id, AG_HF_NORMAL, err);
    if (code != AG_OK)
        return code;
    ag_hf_token *t = &v->tokens[id];
    t->type = ag_hf_flag(token, "special", false) ? AG_HF_CONTROL : AG_HF_USER_DEFINED;
    t->lstrip = ag_hf_flag(token, "lstrip", false);
    t->rstrip = ag_hf_flag(token, "rstrip", false);
    return AG_OK;
}

/* added_tokens.json: {"text": id}; tokenizer_config.json: {"added_tokens_decoder": {"id": {...}}}.
 * Only what tokenizer.json does not have is new. */
static ag_code add_from_sides(ag_hf_vocab *v, json_t *config, json_t *added, ag_err *err) {
    const char *key;
    json_t *value;
    ag_code code = AG_OK;
    json_object_foreach(json_object_get(config, "added_tokens_decoder"), key, value) {
        char *end;
        int64_t id = strtoll(key, &end, 10);
        if (*end || end == key)
            return ag_fail(err, AG_E_FORMAT, "tokenizer_config.json: \"%.60s\" is no token id",
                           key);
        ag_span text;
        bool known = ag_hf_str(value, "content", &text) && ag_hf_find(v, text) >= 0;
        bool taken = id >= 0 && (size_t)id < v->n && v->tokens[id].type != AG_HF_HOLE;
        bool restates = known && (v->kind != AG_HF_BPE || v->bare) && ag_hf_find(v, text) == id &&
                        v->tokens[id].type == AG_HF_NORMAL; /* in tokenizer.model, vocab.* */
        if (restates || (!known && !taken))
            code = ag_hf_add_added(v, value, id, err);
        if (code != AG_OK)
            return ag_err_wrap(err, code, "tokenizer_config.json");
    }
    json_object_foreach(added, key, value) {
        if (!json_is_integer(value))
            return ag_fail(err, AG_E_FORMAT, "added_tokens.json: the id of \"%.60s\" is no integer",
                           key);
        if (ag_hf_find(v, ag_str(key)) < 0 && *key)
            code =
                ag_hf_add_token(v, ag_str(key), json_integer_value(value), AG_HF_USER_DEFINED, err);
        if (code != AG_OK)
            return ag_err_wrap(err, code, "added_tokens.json");
    }
    return AG_OK;
}

/* ---- special tokens -------------------------------------------------------------------------- */

/* A special token that one of the files names, as text or as an object. */
static bool named_token(const json_t *file, const char *name, ag_span *text) {
    const json_t *token = json_object_get(file, name);
    return ag_hf_str(file, name, text) || (token && ag_hf_str(token, "content", text));
}

static void read_specials(ag_hf_vocab *v, const json_t *config, const json_t *map) {
    const struct {
        const char *name;
        int64_t *id;
    } all[] = {{"bos_token", &v->bos},  {"eos_token", &v->eos}, {"unk_token", &v->unk},
               {"pad_token", &v->pad},  {"sep_token", &v->sep}, {"cls_token", &v->cls},
               {"mask_token", &v->mask}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        ag_span text;
        bool named =
            named_token(config, all[i].name, &text) || named_token(map, all[i].name, &text);
        int64_t id = named ? ag_hf_find(v, text) : -1;
        if (id < 0 || *all[i].id == id)
            continue;
        bool by_template = (all[i].id == &v->bos && v->adds_bos) ||
                           (all[i].id == &v->eos && v->adds_eos); /* what is put around counts */
        if (!by_template || *all[i].id < 0)
            *all[i].id = id;
    }
    v->adds_bos = ag_hf_flag(config, "add_bos_token", v->adds_bos) && v->bos >= 0;
    v->adds_eos = ag_hf_flag(config, "add_eos_token", v->adds_eos) && v->eos >= 0;
}

/* ---- the chat template ----------------------------------------------------------------------- */

static ag_code put_template(ag_source *s, const char *name, ag_span text, ag_err *err) {
    if (text.n > AG_MAX_TEMPLATE_BYTES)
        return ag_fail(err, AG_E_LIMIT, "the chat template has %zu bytes; up to %zu are taken",
                       text.n, AG_MAX_TEMPLATE_BYTES);
    return ag_hf_put_str(s, name, text, err);
}

/* A list of {"name", "template"}: the one called default is the template. */
static ag_code put_named_templates(ag_source *s, const json_t *list, ag_err *err) {
    enum { MAX_NAMED = 64 };
    ag_span names[MAX_NAMED];
    size_t n = 0;
    ag_code code = AG_OK;
    for (size_t i = 0; i < json_array_size(list) && code == AG_OK; i++) {
        const json_t *one = json_array_get(list, i);
        ag_span name, text;
        if (!ag_hf_str(one, "name", &name) || !ag_hf_str(one, "template", &text))
            return ag_fail(err, AG_E_FORMAT,
                           "tokenizer_config.json: chat template %zu has no name or no text", i);
        if (ag_span_is(name, "default")) {
            code = put_template(s, "tokenizer.chat_template", text, err);
            continue;
        }
        if (n == MAX_NAMED)
            return ag_fail(err, AG_E_LIMIT,
                           "tokenizer_config.json: more than %d named chat templates", MAX_NAMED);
        char key[128];
        snprintf(key, sizeof key, "tokenizer.chat_template.%.*s",
                 AG_SPAN(ag_span_sub(name, 0, 80)));
        code = put_template(s, key, text, err);
        names[n++] = name;
    }
    if (code == AG_OK && n > 0)
        code = ag_hf_put_strs(s, "tokenizer.chat_templates", names, n, err);
    return code;
}

/* A file of its own wins over the configuration, as in the reference. */
static ag_code write_template(ag_source *s, const ag_hf_tokenizer_files *files,
                              const json_t *config, ag_err *err) {
    if (files->template_jinja.n > 0)
        return put_template(s, "tokenizer.chat_template", files->template_jinja, err);
    const json_t *in_config = json_object_get(config, "chat_template");
    if (json_is_array(in_config))
        return put_named_templates(s, in_config, err);
    ag_span text;
    if (ag_hf_str(config, "chat_template", &text))
        return put_template(s, "tokenizer.chat_template", text, err);
    json_t *file = NULL;
    ag_code code = parse_json("chat_template.json", files->template_json, &file, err);
    if (code == AG_OK && ag_hf_str(file, "chat_template", &text))
        code = put_template(s, "tokenizer.chat_template", text, err);
    json_decref(file);
    return code;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* vocab.txt: a token a line, the line's number is its id. */
static ag_code read_vocab_txt(ag_hf_vocab *v, ag_span bytes, const json_t *config, ag_err *err) {
    v->kind = AG_HF_WPM;
    v->lowercase = ag_hf_flag(config, "do_lower_case", true);
    v->strip_accents = ag_hf_flag(config, "strip_accents", v->lowercase);
    v->cjk_spaces = ag_hf_flag(config, "tokenize_chinese_chars", true);
    v->adds_bos = v->adds_eos = true;
    ag_code code = AG_OK;
    int64_t id = 0;
    for (size_t at = 0; at < bytes.n && code == AG_OK; id++) {
        const char *end = memchr(bytes.p + at, '\n', bytes.n - at);
        size_t to = end ? (size_t)(end - bytes.p) : bytes.n;
        ag_span line = ag_span_sub(bytes, at, to);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        code = ag_hf_add_token(v, line, id, AG_HF_NORMAL, err);
        at = to + 1;
    }
    static const char *const specials[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    int64_t *ids[] = {&v->pad, &v->unk, &v->cls, &v->sep, &v->mask};
    for (size_t i = 0; i < 5 && code == AG_OK; i++) {
        *ids[i] = ag_hf_find(v, ag_str(specials[i]));
        if (*ids[i] >= 0)
            v->tokens[*ids[i]].type = AG_HF_CONTROL;
    }
    return code == AG_OK ? code : ag_err_wrap(err, code, "vocab.txt");
}

typedef struct trees {
    json_t *tokenizer, *vocab, *config, *map, *added, *generation;
} trees;

static ag_code parse_trees(const ag_hf_tokenizer_files *f, trees *t, ag_err *err) {
    ag_code code = parse_json("tokenizer.json", f->tokenizer_json, &t->tokenizer, err);
    if (code == AG_OK && f->vocab_json.p && f->merges_txt.p)
        code = ag_hf_vocab_model(f->vocab_json, f->merges_txt, &t->vocab, err);
    if (code == AG_OK)
        code = parse_json("tokenizer_config.json", f->tokenizer_config, &t->config, err);
    if (code == AG_OK)
        code = parse_json("special_tokens_map.json", f->special_tokens_map, &t->map, err);
    if (code == AG_OK)
        code = parse_json("added_tokens.json", f->added_tokens, &t->added, err);
    if (code == AG_OK)
        code = parse_json("generation_config.json", f->generation_config, &t->generation, err);
    return code;
}

static ag_code read_vocab(ag_hf_vocab *v, const ag_hf_tokenizer_files *f, const trees *t,
                          ag_err *err) {
    if (t->tokenizer)
        return ag_hf_read_json(v, t->tokenizer, err);
    if (f->tokenizer_model.p)
        return ag_hf_read_model(v, f->tokenizer_model, err);
    if (t->vocab)
        return ag_hf_read_vocab_model(v, t->vocab, t->config, err);
    if (f->vocab_txt.p)
        return read_vocab_txt(v, f->vocab_txt, t->config, err);
    return ag_fail(err, AG_E_NOT_FOUND,
                   "the folder holds no tokenizer: tokenizer.json, tokenizer.model, vocab.json with"
                   " merges.txt, or vocab.txt");
}

ag_code ag_hf_tokenizer_parse(ag_source *s, const ag_hf_tokenizer_files *f, ag_err *err) {
    ag_hf_vocab v = {.bos = -1, .eos = -1, .unk = -1, .pad = -1, .sep = -1, .cls = -1, .mask = -1};
    v.made = &s->made;
    trees t = {0};
    ag_code code = ag_map_init(&v.ids, AG_ROOM_LOAD, f->tokenizer_json.n / 64, err);
    if (code == AG_OK)
        code = parse_trees(f, &t, err);
    if (code == AG_OK)
        code = read_vocab(&v, f, &t, err);
    if (code == AG_OK)
        code = add_from_sides(&v, t.config, t.added, err);
    if (code == AG_OK && v.bare)
        ag_hf_mark_specials(&v, t.config, t.map);
    if (code == AG_OK)
        read_specials(&v, t.config, t.map);
    if (code == AG_OK && v.n == 0)
        code = ag_fail(err, AG_E_FORMAT, "the vocabulary is empty");
    if (code == AG_OK)
        code = ag_hf_write_stops(&v, t.generation, s, err);
    if (code == AG_OK)
        code = ag_hf_write_sampling(t.generation, s, err);
    if (code == AG_OK)
        code = ag_hf_write_keys(&v, s, err);
    if (code == AG_OK)
        code = write_template(s, f, t.config, err);
    json_decref(t.tokenizer);
    json_decref(t.vocab);
    json_decref(t.config);
    json_decref(t.map);
    json_decref(t.added);
    json_decref(t.generation);
    ag_map_deinit(&v.ids);
    ag_free(v.tokens);
    return code;
}

/* ---- a folder -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t cap, at; /* largest size; where its bytes go */
} file_list[] = {
#define FILE_ROW(name, field, cap)                                                                 \
    { name, cap, offsetof(ag_hf_tokenizer_files, field) }
    FILE_ROW("tokenizer.json", tokenizer_json, MAX_FILE_BYTES),
    FILE_ROW("tokenizer.model", tokenizer_model, MAX_FILE_BYTES),
    FILE_ROW("vocab.json", vocab_json, MAX_FILE_BYTES),
    FILE_ROW("merges.txt", merges_txt, MAX_FILE_BYTES),
    FILE_ROW("vocab.txt", vocab_txt, MAX_FILE_BYTES),
    FILE_ROW("tokenizer_config.json", tokenizer_config, MAX_SIDE_BYTES),
    FILE_ROW("special_tokens_map.json", special_tokens_map, MAX_SIDE_BYTES),
    FILE_ROW("added_tokens.json", added_tokens, MAX_SIDE_BYTES),
    FILE_ROW("generation_config.json", generation_config, MAX_SIDE_BYTES),
    FILE_ROW("chat_template.jinja", template_jinja, AG_MAX_TEMPLATE_BYTES),
    FILE_ROW("chat_template.json", template_json, MAX_SIDE_BYTES),
};
#define N_FILES  (sizeof file_list / sizeof file_list[0])
#define N_VOCABS 5 /* leading files that hold a vocabulary */

/* Is there a vocabulary among the first of them? vocab.json is half of one. */
static bool has_vocab(const ag_buf *bytes) {
    return bytes[0].n || bytes[1].n || (bytes[2].n && bytes[3].n);
}

static ag_code read_file(const char *folder, size_t i, ag_buf *b, ag_err *err) {
    ag_buf path;
    ag_buf_init(&path, AG_ROOM_LOAD, 1 << 16);
    ag_buf_addf(&path, "%s/%s", folder, file_list[i].name);
    const char *p = ag_buf_cstr(&path);
    ag_code code = ag_buf_check(&path, "path", err);
    if (code == AG_OK && !p)
        code = ag_fail(err, AG_E_NOMEM, "out of memory for a path");
    if (code == AG_OK)
        code = ag_file_read(p, b, err);
    ag_buf_deinit(&path);
    return code;
}

ag_code ag_hf_tokenizer_read(ag_source *s, const char *folder, ag_err *err) {
    ag_buf bytes[N_FILES];
    ag_hf_tokenizer_files files = {0};
    for (size_t i = 0; i < N_FILES; i++)
        ag_buf_init(&bytes[i], AG_ROOM_LOAD, file_list[i].cap);
    ag_code code = AG_OK;
    for (size_t i = 0; i < N_FILES && code == AG_OK; i++) {
        if (i < N_VOCABS && has_vocab(bytes)) /* the other forms say nothing new */
            continue;
        ag_err why = {0};
        code = read_file(folder, i, &bytes[i], &why);
        if (code == AG_E_NOT_FOUND)
            code = AG_OK;
        else if (code != AG_OK)
            ag_fail(err, code, "%s", why.msg);
        else
            *(ag_span *)((char *)&files + file_list[i].at) =
                ag_span_of(bytes[i].p ? bytes[i].p : "", bytes[i].n);
    }
    if (code == AG_OK) {
        code = ag_hf_tokenizer_parse(s, &files, err);
        if (code != AG_OK)
            ag_err_wrap(err, code, "%s", folder);
    }
    for (size_t i = 0; i < N_FILES; i++)
        ag_buf_deinit(&bytes[i]);
    return code;
}
