/* Opening a Hugging Face folder: which files, in which order, and what is wrong when one is not
 * there. */
#include "load/hf.h"

#include <dirent.h>
#include <sys/stat.h>

#include "load/hf_parts.h"

#define INDEX  "model.safetensors.index.json"
#define SINGLE "model.safetensors"

static bool is_config(const char *path) {
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, "config.json") == 0;
}

bool ag_hf_is_folder(const char *path) {
    struct stat st;
    return is_config(path) || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

/* The path of a file of the folder, in `name`; NULL (with the failure noted) when out of memory. */
static const char *in_folder(const ag_hf *h, const char *file, ag_buf *name) {
    name->n = 0;
    ag_buf_addf(name, "%s/%s", h->folder, file);
    const char *s = ag_buf_cstr(name);
    if (ag_buf_check(name, "a path", h->err))
        return NULL;
    if (!s)
        ag_fail(h->err, AG_E_NOMEM, "out of memory while opening %s", h->folder);
    return s;
}

static bool exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

/* Does a folder hold a file whose name ends so? */
static bool has_tail(const char *folder, const char *tail) {
    DIR *dir = opendir(folder);
    bool found = false;
    for (struct dirent *e; dir && !found && (e = readdir(dir));)
        found = ag_span_ends(ag_str(e->d_name), ag_str(tail));
    if (dir)
        closedir(dir);
    return found;
}

/* What a person may want to know about weights that are not there. */
static const char *hint(const ag_hf *h, ag_buf *name) {
    const char *cache = in_folder(h, ".cache/huggingface/download", name);
    if (has_tail(h->folder, ".incomplete") || (cache && has_tail(cache, ".incomplete")))
        return "; a download is incomplete (*.incomplete): finish it";
    if (has_tail(h->folder, ".gguf"))
        return "; the folder holds GGUF files: name one of them instead";
    if (has_tail(h->folder, ".bin") || has_tail(h->folder, ".pth") || has_tail(h->folder, ".pt"))
        return "; pickled weights (.bin, .pth) are not read: convert them to safetensors";
    return "";
}

/* ---- shards ---------------------------------------------------------------------------------- */

static ag_code add_shard(ag_hf *h, const char *file, ag_buf *name) {
    const char *path = in_folder(h, file, name);
    if (!path)
        return h->err->code;
    ag_code code = ag_source_add_file(h->s, path, (ag_span){0}, h->err);
    if (code == AG_E_NOT_FOUND) {
        ag_buf more;
        ag_buf_init(&more, AG_ROOM_LOAD, 4096 + 64);
        code = ag_fail(h->err, code, "%s: shard %s is missing%s", h->folder, file, hint(h, &more));
        ag_buf_deinit(&more);
    }
    int i = (int)h->s->n_files - 1;
    return code ? code : ag_st_parse(&h->st, h->s->files[i].bytes, i, h->s->files[i].path, h->err);
}

/* Only plain names: a path could lead anywhere. */
static bool is_plain_name(const char *s) {
    return *s && *s != '.' && !strchr(s, '/') && strlen(s) < 256;
}

/* The number of a shard in h->s->files, opened when first met. */
static ag_code shard_of(ag_hf *h, ag_map *seen, const char *file, uint64_t *no, ag_buf *name) {
    if (ag_map_find(seen, ag_str(file), no))
        return AG_OK;
    if (!is_plain_name(file))
        return ag_fail(h->err, AG_E_FORMAT, "%s/" INDEX ": \"%.64s\" is not a file name", h->folder,
                       file);
    if (h->s->n_files >= AG_MAX_SHARDS)
        return ag_fail(h->err, AG_E_LIMIT, "%s/" INDEX ": more than %u shards", h->folder,
                       AG_MAX_SHARDS);
    ag_code code = add_shard(h, file, name);
    *no = h->s->n_files - 1;
    return code ? code : ag_map_add(seen, ag_str(file), *no, NULL, h->err);
}

static ag_code open_shards(ag_hf *h, const json_t *map, ag_buf *name) {
    ag_map seen;
    ag_code code = ag_map_init(&seen, AG_ROOM_LOAD, 64, h->err);
    const char *tensor;
    json_t *file;
    if (!code && json_object_size(map) == 0)
        code = ag_fail(h->err, AG_E_FORMAT,
                       "%s/" INDEX ": weight_map should be an object with "
                       "the file of each tensor",
                       h->folder);
    json_object_foreach((json_t *)map, tensor, file) {
        uint64_t no = 0;
        if (!code && !json_is_string(file))
            code =
                ag_fail(h->err, AG_E_FORMAT, "%s/" INDEX ": the file of %.128s is %s, not a name",
                        h->folder, tensor, ag_json_kind(file));
        if (!code)
            code = shard_of(h, &seen, json_string_value(file), &no, name);
        const ag_st_tensor *x = code ? NULL : ag_st_find(&h->st, ag_str(tensor));
        if (!code && (!x || x->file != (int)no))
            code = ag_fail(h->err, AG_E_FORMAT,
                           "%s: tensor %.128s is not in %s, where " INDEX " puts it", h->folder,
                           tensor, json_string_value(file));
        if (code)
            break;
    }
    ag_map_deinit(&seen);
    return code;
}

static ag_code open_weights(ag_hf *h, ag_buf *name) {
    const char *path = in_folder(h, INDEX, name);
    if (!path)
        return h->err->code;
    if (exists(path)) {
        json_t *index;
        ag_code code = ag_json_read(path, AG_MAX_INDEX_BYTES, &index, h->err);
        if (!code)
            code = open_shards(h, json_object_get(index, "weight_map"), name);
        json_decref(index);
        return code;
    }
    path = in_folder(h, SINGLE, name);
    if (!path)
        return h->err->code;
    if (exists(path))
        return add_shard(h, SINGLE, name);
    return ag_fail(h->err, AG_E_NOT_FOUND, "%s: neither " SINGLE " nor " INDEX " is there%s",
                   h->folder, hint(h, name));
}

/* ---- the folder ------------------------------------------------------------------------------ */

static ag_code read_all(ag_hf *h, ag_buf *name) {
    const char *path = in_folder(h, "config.json", name);
    if (!path)
        return h->err->code;
    ag_code code = ag_json_read(path, AG_MAX_CONFIG_BYTES, &h->root, h->err);
    if (code == AG_E_NOT_FOUND)
        code = ag_fail(h->err, code, "%s: is a directory without config.json, so not a model%s",
                       h->folder, hint(h, name));
    if (!code)
        code = ag_st_init(&h->st, &h->s->made, h->err);
    if (!code)
        code = ag_hf_config_read(h);
    if (!code)
        code = ag_hf_quant_config(h);
    if (!code)
        code = open_weights(h, name);
    if (!code)
        code = ag_hf_weights_read(h);
    if (code)
        return code;
    /* A folder without one opens, like a GGUF file without: who needs a tokenizer says so. */
    code = ag_hf_tokenizer_read(h->s, h->folder, h->err);
    return code == AG_E_NOT_FOUND ? AG_OK : code;
}

/* The folder that `path` names, without slashes at its end. */
static ag_code folder_of(const char *path, ag_buf *out, ag_err *err) {
    size_t n = strlen(path);
    if (is_config(path))
        n -= strlen("config.json");
    while (n > 1 && path[n - 1] == '/')
        n--;
    ag_buf_add(out, n ? path : ".", n ? n : 1);
    if (!ag_buf_cstr(out) && !out->failed)
        return ag_fail(err, AG_E_NOMEM, "out of memory while opening %s", path);
    return ag_buf_check(out, "a path", err);
}

ag_code ag_hf_open(const char *path, ag_source **out, ag_err *err) {
    *out = NULL;
    ag_err own;
    ag_hf h = {.err = err ? err : &own};
    ag_buf folder, name;
    ag_buf_init(&folder, AG_ROOM_LOAD, 4096);
    ag_buf_init(&name, AG_ROOM_LOAD, 4096 + 512);
    ag_code code = folder_of(path, &folder, h.err);
    if (!code)
        code = ag_source_new(path, "Hugging Face folder", &h.s, h.err);
    h.folder = folder.p;
    if (!code)
        code = read_all(&h, &name);
    json_decref(h.root);
    ag_st_deinit(&h.st);
    ag_buf_deinit(&folder);
    ag_buf_deinit(&name);
    if (code)
        ag_source_close(&h.s);
    *out = h.s;
    return code;
}

ag_code ag_hf_open_bytes(ag_span config, ag_span weights, ag_source **out, ag_err *err) {
    *out = NULL;
    ag_err own;
    ag_hf h = {.err = err ? err : &own, .folder = "(memory)"};
    ag_code code;
    if ((code = ag_source_new(NULL, "Hugging Face folder", &h.s, h.err)) ||
        (code = ag_source_add_file(h.s, NULL, weights, h.err)) ||
        (code = ag_json_parse(config, "config.json", &h.root, h.err)) ||
        (code = ag_st_init(&h.st, &h.s->made, h.err)) || (code = ag_hf_config_read(&h)) ||
        (code = ag_hf_quant_config(&h)) ||
        (code = ag_st_parse(&h.st, weights, 0, "(memory)", h.err)))
        goto out;
    code = ag_hf_weights_read(&h);
out:
    json_decref(h.root);
    ag_st_deinit(&h.st);
    if (code)
        ag_source_close(&h.s);
    *out = h.s;
    return code;
}
