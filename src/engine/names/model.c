/* What a registered model is made of: its files, their digest, its architecture. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/limits.h"
#include "load/gguf.h"
#include "names/names.h"

#define MAX_DEPTH 8 /* of folders below a model's; real ones have one */

typedef struct model_file {
    const char *name; /* relative to the folder */
    const char *path;
    uint64_t bytes;
    int64_t modified;
} model_file;

typedef struct model_files {
    ag_arena arena; /* owns all names */
    model_file *v;  /* owned; in the order of names once collected */
    size_t n, room;
    bool single; /* one file by itself, not a set */
    uint64_t bytes;
    int64_t modified;
    ag_err *err;
} model_files;

static ag_code fail_memory(model_files *m) {
    return ag_fail(m->err, AG_E_NOMEM, "out of memory looking at the files of a model");
}

static void deinit(model_files *m) {
    ag_free(m->v);
    ag_arena_deinit(&m->arena);
}

/* ---- which files ----------------------------------------------------------------------------- */

/* "FOLDER/NAME" in the arena; NULL out of memory. FOLDER may be empty. */
static const char *join(model_files *m, const char *folder, const char *name) {
    size_t n = strlen(folder), k = strlen(name);
    char *path = ag_arena_get(&m->arena, n + k + 2);
    if (path)
        snprintf(path, n + k + 2, "%s%s%s", folder, n ? "/" : "", name);
    return path;
}

static bool has_control(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    return false;
}

static ag_code add_file(model_files *m, const char *path, const char *name, const struct stat *st) {
    if (has_control(name))
        return ag_fail(m->err, AG_E_FORMAT, "%s: a control character in a file's name", path);
    if (m->n == AG_MAX_MODEL_FILES)
        return ag_fail(m->err, AG_E_LIMIT, "%s: more than %u files", path, AG_MAX_MODEL_FILES);
    if (m->n == m->room) {
        size_t room = m->room ? 2 * m->room : 16;
        model_file *v = ag_realloc(AG_ROOM_NAMES, m->v, room, sizeof *v);
        if (!v)
            return fail_memory(m);
        m->v = v;
        m->room = room;
    }
    int64_t modified = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    m->v[m->n++] = (model_file){name, path, (uint64_t)st->st_size, modified};
    m->bytes += (uint64_t)st->st_size;
    if (modified > m->modified)
        m->modified = modified;
    return AG_OK;
}

static ag_code add_folder(model_files *m, const char *path, const char *inside, int depth) {
    ag_code code = AG_OK;
    DIR *dir = opendir(path);
    if (!dir)
        return ag_fail_errno(m->err, path, "open");
    if (depth > MAX_DEPTH)
        code = ag_fail(m->err, AG_E_LIMIT, "%s: folders nest too deeply for a model", path);
    for (struct dirent *e; !code && (e = readdir(dir));) {
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        const char *name = join(m, inside, e->d_name), *file = join(m, path, e->d_name);
        if (!name || !file)
            code = fail_memory(m);
        else if (stat(file, &st) != 0)
            code = ag_fail_errno(m->err, file, "look at it");
        else if (S_ISDIR(st.st_mode))
            code = add_folder(m, file, name, depth + 1);
        else if (S_ISREG(st.st_mode))
            code = add_file(m, file, name, &st);
    }
    closedir(dir);
    return code;
}

static ag_code add_path(model_files *m, const char *path) {
    struct stat st;
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (stat(path, &st) != 0)
        return ag_fail_errno(m->err, path, "open");
    if (!S_ISREG(st.st_mode))
        return ag_fail(m->err, AG_E_IO, "%s: not a regular file", path);
    return add_file(m, path, name, &st);
}

static ag_code add_split(model_files *m, const char *path, size_t prefix, uint32_t count) {
    ag_code code = AG_OK;
    for (uint32_t i = 1; i <= count && !code; i++) {
        char *part = ag_arena_get(&m->arena, prefix + 32);
        if (!part)
            return fail_memory(m);
        snprintf(part, prefix + 32, "%.*s-%05u-of-%05u.gguf", (int)prefix, path, i, count);
        code = add_path(m, part);
    }
    return code;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const model_file *)a)->name, ((const model_file *)b)->name);
}

/* The files of the model at `path`, which must live as long as *m. Deinit *m in any case. */
static ag_code collect(model_files *m, const char *path, ag_err *err) {
    size_t prefix;
    uint32_t no, count;
    struct stat st;
    ag_code code;
    *m = (model_files){.err = err};
    ag_arena_init(&m->arena, AG_ROOM_NAMES, AG_MAX_MODEL_NAMES_BYTES);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        code = add_folder(m, path, "", 0);
    } else if (ag_gguf_split_name(path, &prefix, &no, &count)) {
        code = add_split(m, path, prefix, count);
    } else {
        code = add_path(m, path);
        m->single = true;
    }
    if (!code && m->n)
        qsort(m->v, m->n, sizeof *m->v, by_name);
    return code;
}

/* ---- digest ---------------------------------------------------------------------------------- */

static ag_code digest_set(const model_files *m, ag_sha256_watch *watch,
                          char digest[AG_SHA256_TEXT]) {
    ag_sha256 all;
    ag_buf line;
    ag_code code = AG_OK;
    ag_sha256_init(&all);
    ag_buf_init(&line, AG_ROOM_NAMES, AG_MAX_MODEL_NAMES_BYTES);
    for (size_t i = 0; i < m->n && !code; i++) {
        uint64_t bytes;
        char one[AG_SHA256_TEXT];
        code = ag_sha256_file(m->v[i].path, watch, one, &bytes, m->err);
        line.n = 0;
        ag_buf_addf(&line, "%llu  %s  %s\n", (unsigned long long)bytes, one, m->v[i].name);
        if (!code)
            code = ag_buf_check(&line, "the list of a model's files", m->err);
        ag_sha256_add(&all, ag_buf_span(&line));
    }
    ag_buf_deinit(&line);
    ag_sha256_end(&all, digest);
    return code;
}

ag_code ag_names_digest(const char *path, ag_sha256_watch *watch, char digest[AG_SHA256_TEXT],
                        ag_err *err) {
    model_files m;
    ag_code code = collect(&m, path, err);
    if (watch)
        watch->total = m.bytes;
    if (!code && m.single)
        code = ag_sha256_file(path, watch, digest, NULL, err);
    else if (!code)
        code = digest_set(&m, watch, digest);
    deinit(&m);
    return code;
}

/* ---- description ----------------------------------------------------------------------------- */

/* Absolute, but with links as they are: a split set may be links to files of other names. A
 * config.json stands for its folder. */
static ag_code absolute(const char *path, char out[PATH_MAX], ag_err *err) {
    size_t n = 0, k = strlen(path), tail = strlen("config.json");
    const char *slash = strrchr(path, '/');
    if (strcmp(slash ? slash + 1 : path, "config.json") == 0)
        k -= tail;
    while (k > 1 && path[k - 1] == '/')
        k--;
    while (k > 1 && path[0] == '.' && path[1] == '/') {
        path += 2;
        k -= 2;
    }
    if (k == 1 && path[0] == '.')
        k = 0;
    if (path[0] != '/') {
        if (!getcwd(out, PATH_MAX))
            return ag_fail_errno(err, ".", "find the working directory");
        n = strlen(out);
    }
    if (n + k + 2 > PATH_MAX)
        return ag_fail(err, AG_E_LIMIT, "a path of %zu bytes is too long", n + k + 1);
    if (n && k && out[n - 1] != '/')
        out[n++] = '/';
    memcpy(out + n, path, k);
    out[n + k] = '\0';
    return AG_OK;
}

static void take_architecture(const ag_source *s, char out[AG_ARCH_TEXT]) {
    ag_span arch = {0};
    out[0] = '\0';
    if (ag_source_opt_str(s, "general.architecture", &arch, NULL) || arch.n >= AG_ARCH_TEXT)
        return;
    for (size_t i = 0; i < arch.n; i++)
        if (arch.p[i] < 0x20 || arch.p[i] > 0x7e)
            return;
    if (arch.n)
        memcpy(out, arch.p, arch.n);
    out[arch.n] = '\0';
}

ag_code ag_names_describe(const char *path, ag_name_entry *e, ag_err *err) {
    ag_source *s = NULL;
    model_files m = {0};
    *e = (ag_name_entry){.added = (int64_t)time(NULL)};
    ag_code code = absolute(path, e->path, err);
    if (!code)
        code = ag_source_open(path, &s, err);
    if (code)
        return code;
    take_architecture(s, e->architecture);
    ag_source_close(&s);
    code = collect(&m, e->path, err);
    e->bytes = m.bytes;
    e->modified = m.modified;
    deinit(&m);
    return code;
}

ag_code ag_names_is_current(const ag_name_entry *e, bool *current, ag_err *err) {
    model_files m;
    ag_code code = collect(&m, e->path, err);
    *current = !code && m.bytes == e->bytes && m.modified == e->modified;
    deinit(&m);
    return code ? ag_err_wrap(err, code, "model \"%s\"", e->name) : AG_OK;
}
