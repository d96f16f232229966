/* What the serving process may open, from its configuration.
 *
 * Files that may be replaced while it serves (configuration, keys, certificates, models) are
 * allowed with the folder they lie in, since a rule is about a file and its successor is another
 * one. A folder that belongs to everybody (/etc, a home) is not: then the file alone, and a
 * successor is taken up by a restart. Where a path is a symbolic link, the same goes for where it
 * leads. */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "autoglm/models.h"
#include "base/arena.h"
#include "cli/out.h"
#include "cli/serve.h"
#include "load/gguf.h"
#include "load/image.h"

#define MAX_PATHS 4096

typedef struct list {
    ag_arena arena; /* owns the texts */
    ag_sandbox_path v[MAX_PATHS];
    size_t n;
    bool full; /* of paths, or no memory */
} list;

static void add(list *l, const char *path, ag_sandbox_may may, bool optional) {
    const char *kept = ag_arena_strndup(&l->arena, path, strlen(path));
    l->full |= !kept || l->n == MAX_PATHS;
    if (!l->full)
        l->v[l->n++] = (ag_sandbox_path){kept, may, optional};
}

/* The folder that a path lies in. */
static void folder_of(const char *path, char folder[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(folder, PATH_MAX, ".");
    else
        snprintf(folder, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static bool is_one_of(const char *const *names, const char *name) {
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* Do things of others lie there? Of absolute paths: the root, what every system has in it, and the
 * folders just below those that hold one for each user or program. */
static bool is_shared(const char *folder) {
    static const char *const top[] = {"",      "bin", "boot",  "dev", "etc",  "home", "lib",
                                      "lib64", "mnt", "media", "opt", "proc", "root", "run",
                                      "sbin",  "srv", "sys",   "tmp", "usr",  "var",  NULL};
    static const char *const holders[] = {"home", "usr", "var", NULL};
    char real[PATH_MAX], *second;
    if (!realpath(folder, real))
        return true;
    second = strchr(real + 1, '/');
    if (!second)
        return is_one_of(top, real + 1);
    *second++ = '\0';
    return !strchr(second, '/') && is_one_of(holders, real + 1);
}

static void add_here(list *l, const char *path) {
    char folder[PATH_MAX];
    folder_of(path, folder);
    if (is_shared(folder))
        add(l, path, AG_SANDBOX_READ, false);
    else
        add(l, folder, AG_SANDBOX_READ, false);
}

static void add_file(list *l, const char *path) {
    char real[PATH_MAX];
    if (!path)
        return;
    add_here(l, path);
    if (realpath(path, real) && strcmp(real, path) != 0)
        add_here(l, real);
}

/* A folder, and the places where links in it lead: a hub's cache is made of them. */
static void add_folder(list *l, const char *path) {
    DIR *dir = opendir(path);
    struct stat st;
    add(l, path, AG_SANDBOX_READ, false);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char name[PATH_MAX], real[PATH_MAX];
        int n = snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (n < (int)sizeof name && lstat(name, &st) == 0 && S_ISLNK(st.st_mode) &&
            realpath(name, real))
            add_here(l, real);
    }
    if (dir)
        closedir(dir);
}

/* Of a split set, every part: where the folder is not allowed whole. */
static void add_parts(list *l, const char *path) {
    size_t prefix;
    uint32_t no, count;
    if (!ag_gguf_split_name(path, &prefix, &no, &count))
        return;
    for (uint32_t i = 1; i <= count; i++) {
        char part[PATH_MAX];
        int n = snprintf(part, sizeof part, "%.*s-%05u-of-%05u.gguf", (int)prefix, path, i, count);
        if (n < (int)sizeof part)
            add_file(l, part);
    }
}

static void add_model(list *l, const ag_config *c, const ag_config_model *m) {
    ag_model_ref *ref = NULL;
    struct stat st;
    ag_err err;
    ag_code code = ag_model_resolve(m->path, c->registry, &ref, &err); /* else loading says why */
    const char *path = code ? m->path : ref->path;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        add_folder(l, path);
    else if (!code || strchr(path, '/')) {
        add_file(l, path);
        add_parts(l, path);
    }
    ag_model_ref_free(&ref);
    if (m->chat_template)
        add(l, m->chat_template, AG_SANDBOX_READ, false);
}

/* What the engine and the metrics read of the system. */
static void add_system(list *l) {
    static const char *const paths[] = {"/proc/self", "/sys/devices/system/cpu",
                                        "/sys/devices/system/node", "/sys/fs/cgroup"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        add(l, paths[i], AG_SANDBOX_READ, true);
}

/* Of a server that opened its sockets itself, and so removes their files. */
static void add_sockets(list *l, const ag_config *c) {
    char folder[PATH_MAX];
    for (size_t i = 0; i < c->listen.n; i++)
        if (!strncmp(c->listen.v[i], "unix:", 5)) {
            folder_of(c->listen.v[i] + 5, folder);
            add(l, folder, AG_SANDBOX_REMOVE, true);
        }
}

static void fill(list *l, const ag_cli_args *a, const ag_config *c, bool supervised) {
    char folder[PATH_MAX];
    add_file(l, a->config);
    add_file(l, c->api_key_file);
    add_file(l, c->tls_cert);
    add_file(l, c->tls_key);
    for (size_t i = 0; i < c->n_models; i++)
        add_model(l, c, &c->models[i]);
    if (c->registry) {
        folder_of(c->registry, folder);
        add(l, folder, AG_SANDBOX_READ, true);
    }
    if (c->log_file) { /* the folder: after a rotation the file is made anew */
        folder_of(c->log_file, folder);
        add(l, folder, AG_SANDBOX_WRITE, false);
    }
    if (ag_image_is_folder(c->image_cache) &&
        ag_image_make_folder(c->image_cache, NULL) == AG_OK) /* else a model's start says why */
        add(l, c->image_cache, AG_SANDBOX_KEEP, true);
    if (!supervised)
        add_sockets(l, c);
    add_system(l);
}

int ag_cli_serve_sandbox(const ag_cli_args *a, const ag_config *c, bool supervised,
                         ag_sandbox *out) {
    static list l; /* a hundred KiB, once; paths in *out point into it */
    ag_err err = {0};
    *out = (ag_sandbox){0};
    if (!strcmp(c->sandbox, "off"))
        return AG_CLI_DONE;
    tzset();             /* templates tell the time; the file of the time zone is read now */
    json_object_seed(0); /* and /dev/urandom: or names in requests could be made to collide */
    ag_arena_init(&l.arena, AG_ROOM_CLI, (size_t)1 << 22);
    fill(&l, a, c, supervised);
    if (l.full) {
        ag_fail(&err, AG_E_LIMIT, "server.sandbox: more than %d paths to allow", MAX_PATHS);
        return ag_cli_fail(&err);
    }
    if (ag_sandbox_enter(l.v, l.n, !strcmp(c->sandbox, "required"), out, &err))
        return ag_cli_fail(&err);
    return AG_CLI_DONE;
}
