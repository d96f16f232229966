#include "hub/choose.h"

#include <stdio.h>
#include <strings.h>

#include "base/limits.h"

#define PREFERRED "Q4_K_M"

/* ---- GGUF sets ------------------------------------------------------------------------------- */

/* A path as a GGUF file: what its set is called, and which part of how many it is. */
typedef struct part {
    ag_span set; /* without "-00001-of-00003.gguf" or ".gguf" */
    unsigned no, of;
} part;

static bool number_of(ag_span s, unsigned *v) {
    *v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        *v = *v * 10 + (unsigned)(s.p[i] - '0');
    }
    return s.n == 5;
}

static bool is_gguf(ag_span path) {
    return path.n > 5 && strncasecmp(path.p + path.n - 5, ".gguf", 5) == 0;
}

/* False for other files than GGUF. */
static bool part_of(ag_span path, part *p) {
    const size_t tail = strlen("-00001-of-00003");
    if (!is_gguf(path))
        return false;
    *p = (part){.set = ag_span_sub(path, 0, path.n - 5), .no = 1, .of = 1};
    if (p->set.n <= tail)
        return true;
    ag_span t = ag_span_sub(p->set, p->set.n - tail, p->set.n);
    unsigned no, of;
    if (t.p[0] == '-' && ag_span_starts(ag_span_sub(t, 6, t.n), ag_str("-of-")) &&
        number_of(ag_span_sub(t, 1, 6), &no) && number_of(ag_span_sub(t, 10, 15), &of) && no > 0 &&
        no <= of && of <= AG_MAX_GGUF_SPLITS)
        *p = (part){.set = ag_span_sub(p->set, 0, p->set.n - tail), .no = no, .of = of};
    return true;
}

/* Where the last part of a path begins. */
static size_t base_at(ag_span path) {
    size_t at = path.n;
    while (at > 0 && path.p[at - 1] != '/')
        at--;
    return at;
}

/* GGUF files that are no model by themselves. */
static bool is_helper(ag_span path) {
    ag_span base = ag_span_sub(path, base_at(path), path.n);
    return (base.n >= 6 && strncasecmp(base.p, "mmproj", 6) == 0) ||
           ag_span_find(base, ag_str("imatrix"), 0) != SIZE_MAX;
}

/* Parts of the sets that count, the first part standing for the whole. */
static bool is_model(const ag_hub_file *f, part *p) {
    ag_span path = ag_str(f->path);
    return part_of(path, p) && p->no == 1 && !is_helper(path);
}

/* Does the name hold this word, between separators, in any case? A quantisation goes on with _K and
 * _M, so an underscore separates in front only. */
static bool has_word(ag_span name, ag_span word) {
    for (size_t i = 0; i + word.n <= name.n; i++) {
        if (strncasecmp(name.p + i, word.p, word.n) != 0)
            continue;
        bool starts = i == 0 || strchr("-._/", name.p[i - 1]);
        bool ends = i + word.n == name.n || strchr("-./", name.p[i + word.n]);
        if (starts && ends)
            return true;
    }
    return false;
}

/* ---- results --------------------------------------------------------------------------------- */

static ag_code no_memory(ag_err *err) {
    return ag_fail(err, AG_E_NOMEM, "out of memory for a list of files");
}

static ag_code make_room(ag_hub_listing *l, size_t n, ag_hub_choice *out, ag_err *err) {
    out->files = ag_arena_array(&l->arena, n ? n : 1, sizeof *out->files);
    return out->files ? AG_OK : no_memory(err);
}

static ag_code take_set(ag_hub_listing *l, const part *p, ag_hub_choice *out, ag_err *err) {
    ag_code code = make_room(l, p->of, out, err);
    for (size_t i = 0; !code && i < l->n; i++) {
        part q;
        if (part_of(ag_str(l->files[i].path), &q) && q.of == p->of && ag_span_eq(q.set, p->set) &&
            out->n < p->of)
            out->files[out->n++] = &l->files[i];
    }
    if (!code && out->n != p->of)
        code = ag_fail(err, AG_E_FORMAT, "%.*s: the repository has %zu of its %u parts",
                       AG_SPAN(p->set), out->n, p->of);
    return code;
}

/* How many bytes all sets' names begin with, up to a separator. */
static size_t common_start(const ag_hub_listing *l) {
    ag_span first = {0};
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        part p;
        if (!is_model(&l->files[i], &p))
            continue;
        if (!first.p) {
            first = p.set;
            n = first.n;
        }
        size_t same = 0;
        while (same < n && same < p.set.n && first.p[same] == p.set.p[same])
            same++;
        n = same;
    }
    while (n > 0 && !strchr("-./", first.p[n - 1]))
        n--;
    return n < first.n ? n : base_at(first);
}

/* "Q4_K_M, Q8_0": what distinguishes the sets that hold `word` (n == 0: all), as far as it fits. */
static void list_sets(const ag_hub_listing *l, ag_span word, char *to, size_t room) {
    size_t from = common_start(l), at = 0, left = 0;
    to[0] = '\0';
    for (size_t i = 0; i < l->n; i++) {
        part p;
        if (!is_model(&l->files[i], &p) || (word.n && !has_word(p.set, word)))
            continue;
        ag_span name = word.n ? p.set : ag_span_sub(p.set, from, p.set.n);
        if (at + name.n + 24 > room) {
            left++;
            continue;
        }
        at += (size_t)snprintf(to + at, room - at, "%s%.*s", at ? ", " : "", AG_SPAN(name));
    }
    if (left)
        snprintf(to + at, room - at, "%s%zu more", at ? ", and " : "", left);
}

/* ---- by quantisation ------------------------------------------------------------------------- */

static size_t count_sets(const ag_hub_listing *l, ag_span word, part *found) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        part p;
        if (is_model(&l->files[i], &p) && (!word.n || has_word(p.set, word)) && n++ == 0)
            *found = p;
    }
    return n;
}

static ag_code choose_quant(ag_hub_listing *l, ag_span word, ag_hub_choice *out, ag_err *err) {
    char names[320];
    part p;
    size_t n = count_sets(l, word, &p), all;
    if (n == 1)
        return take_set(l, &p, out, err);
    list_sets(l, n ? word : (ag_span){0}, names, sizeof names);
    if (n > 1)
        return ag_fail(err, AG_E_ARG, "%zu GGUF models are called %.*s: name one of %s", n,
                       (int)(word.n < 60 ? word.n : 60), word.p, names);
    all = count_sets(l, (ag_span){0}, &p);
    if (all == 0)
        return ag_fail(err, AG_E_NOT_FOUND, "no file is called %.*s, and there are no GGUF files",
                       (int)(word.n < 200 ? word.n : 200), word.p);
    return ag_fail(err, AG_E_NOT_FOUND, "no file is called %.*s; GGUF files there are: %s",
                   (int)(word.n < 60 ? word.n : 60), word.p, names);
}

/* Nothing was named and there is no folder to take. */
static ag_code choose_gguf(ag_hub_listing *l, ag_hub_choice *out, ag_err *err) {
    char names[320];
    part p;
    size_t all = count_sets(l, (ag_span){0}, &p);
    if (all == 0)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "neither config.json with safetensors files nor GGUF files: nothing in it "
                       "runs here");
    if (all == 1 || count_sets(l, ag_str(PREFERRED), &p) == 1)
        return take_set(l, &p, out, err);
    list_sets(l, (ag_span){0}, names, sizeof names);
    return ag_fail(err, AG_E_ARG,
                   "several GGUF models, and which one in " PREFERRED " is not clear: "
                   "name one of %s",
                   names);
}

/* ---- folders --------------------------------------------------------------------------------- */

static const char *const beside_weights[] = {
    "1_Pooling/config.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "generation_config.json",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "merges.txt",
    "modules.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
};

#define INDEX  "model.safetensors.index.json"
#define SINGLE "model.safetensors"

static bool is_shard(ag_span path) {
    return ag_span_find(path, ag_str("/"), 0) == SIZE_MAX &&
           ag_span_ends(path, ag_str(".safetensors"));
}

/* "model-00001-of-00002.safetensors": what an index usually names. */
static bool is_model_shard(ag_span path) {
    return is_shard(path) && ag_span_starts(path, ag_str("model-"));
}

static bool is_beside(ag_span path) {
    for (size_t i = 0; i < sizeof beside_weights / sizeof *beside_weights; i++)
        if (ag_span_is(path, beside_weights[i]))
            return true;
    return false;
}

/* With an index come the shards that it names: those called model-, or else (rarely) all. Without
 * one the weights are a single file. */
static ag_code choose_folder(ag_hub_listing *l, ag_hub_choice *out, ag_err *err) {
    bool has_index = ag_hub_listing_find(l, ag_str(INDEX)) != NULL, has_usual = false;
    ag_code code = make_room(l, l->n, out, err);
    for (size_t i = 0; i < l->n; i++)
        has_usual |= is_model_shard(ag_str(l->files[i].path));
    for (size_t i = 0; !code && i < l->n; i++) {
        ag_span path = ag_str(l->files[i].path);
        bool is_weight = !has_index  ? ag_span_is(path, SINGLE)
                         : has_usual ? is_model_shard(path)
                                     : is_shard(path);
        if (is_weight || is_beside(path) || (has_index && ag_span_is(path, INDEX)))
            out->files[out->n++] = &l->files[i];
    }
    out->is_folder = true;
    return code;
}

static bool has_folder(const ag_hub_listing *l) {
    return ag_hub_listing_find(l, ag_str("config.json")) &&
           (ag_hub_listing_find(l, ag_str(SINGLE)) || ag_hub_listing_find(l, ag_str(INDEX)));
}

/* ---- all ------------------------------------------------------------------------------------- */

ag_code ag_hub_choose(ag_hub_listing *l, const char *want, ag_hub_choice *out, ag_err *err) {
    *out = (ag_hub_choice){0};
    if (!want[0])
        return has_folder(l) ? choose_folder(l, out, err) : choose_gguf(l, out, err);
    const ag_hub_file *f = ag_hub_listing_find(l, ag_str(want));
    part p;
    if (!f)
        return choose_quant(l, ag_str(want), out, err);
    if (part_of(ag_str(f->path), &p) && p.of > 1)
        return take_set(l, &p, out, err);
    ag_code code = make_room(l, 1, out, err);
    if (!code)
        out->files[out->n++] = f;
    return code;
}
