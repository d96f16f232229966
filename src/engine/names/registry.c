/* The registry file: opening it, and its four statements.
 *
 * A hostile database could bring views, triggers or generated columns of its own. So before any of
 * our statements runs, the schema must be word for word the one written here, and nothing else.
 * What SQLite does with damaged pages is bounded by a budget of its virtual machine's steps, and
 * values are checked as they come out. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/near.h"
#include "names/names.h"

#define VERSION        1          /* user_version: of the table's form */
#define APPLICATION_ID 0x41474c4d /* "AGLM" */
#define BUSY_MS        5000
#define STEPS_AT_ONCE  1000 /* between two looks at the budget */
#define STEPS_MAX      20000
#define NEAR_SHOWN     3
#define TEXT_OF(x)     #x
#define DIGITS(x)      TEXT_OF(x)

#define TABLE                                                                                      \
    "CREATE TABLE models ("                                                                        \
    "name TEXT NOT NULL PRIMARY KEY, path TEXT NOT NULL, digest TEXT NOT NULL, "                   \
    "architecture TEXT NOT NULL, added INTEGER NOT NULL, bytes INTEGER NOT NULL, "                 \
    "modified INTEGER NOT NULL) STRICT, WITHOUT ROWID"
#define COLUMNS "name, path, digest, architecture, added, bytes, modified"

struct ag_names {
    sqlite3 *db;
    char *path;
    bool is_new;    /* no table yet: a reader sees an empty registry */
    uint32_t steps; /* thousands that the call in hand has used */
};

/* ---- errors ---------------------------------------------------------------------------------- */

static ag_code fail_db(const ag_names *n, const char *doing, ag_err *err) {
    const char *why = sqlite3_errmsg(n->db);
    switch (sqlite3_errcode(n->db) & 0xff) {
    case SQLITE_NOMEM:
        return ag_fail(err, AG_E_NOMEM, "registry %s: out of memory", n->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ag_fail(err, AG_E_AGAIN, "registry %s: locked by another process; try again",
                       n->path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
        return ag_fail(err, AG_E_IO, "registry %s: cannot %s: %s", n->path, doing, why);
    case SQLITE_INTERRUPT:
        why = "reading it takes too long";
        break;
    default:
        break;
    }
    return ag_fail(err, AG_E_FORMAT,
                   "registry %s: damaged or not a registry (%s); move it away and add the names "
                   "again",
                   n->path, why);
}

static ag_code fail_value(const ag_names *n, const char *column, ag_err *err) {
    return ag_fail(err, AG_E_FORMAT, "registry %s: damaged: an entry has no valid %s", n->path,
                   column);
}

/* ---- statements ------------------------------------------------------------------------------ */

static int count_steps(void *ctx) {
    ag_names *n = ctx;
    return ++n->steps > STEPS_MAX;
}

static ag_code prepare(ag_names *n, const char *sql, sqlite3_stmt **st, ag_err *err) {
    n->steps = 0;
    return sqlite3_prepare_v2(n->db, sql, -1, st, NULL) == SQLITE_OK ? AG_OK
                                                                     : fail_db(n, "read", err);
}

/* Run a statement that gives no rows worth reading. */
static ag_code run(ag_names *n, const char *sql, ag_err *err) {
    n->steps = 0;
    return sqlite3_exec(n->db, sql, NULL, NULL, NULL) == SQLITE_OK ? AG_OK
                                                                   : fail_db(n, "write", err);
}

static bool bind_text(sqlite3_stmt *st, int at, const char *text) {
    return sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC) == SQLITE_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Exactly our table, or nothing at all (is_new). */
static ag_code check_schema(ag_names *n, ag_err *err) {
    sqlite3_stmt *st = NULL;
    int rc, found = 0, version = 0;
    bool ours = true;
    ag_code code = prepare(n, "PRAGMA user_version", &st, err);
    if (!code && sqlite3_step(st) != SQLITE_ROW)
        code = fail_db(n, "read", err);
    if (!code)
        version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    st = NULL;
    if (!code && version > VERSION)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "registry %s: written by a newer version of autoglm (form %d, known is %d)",
                       n->path, version, VERSION);
    if (!code)
        code = prepare(n, "SELECT type, name, sql FROM sqlite_schema", &st, err);
    while (!code && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        if (rc != SQLITE_ROW) {
            code = fail_db(n, "read", err);
            break;
        }
        const char *type = (const char *)sqlite3_column_text(st, 0);
        const char *sql = (const char *)sqlite3_column_text(st, 2);
        ours = ours && type && sql && strcmp(type, "table") == 0 && strcmp(sql, TABLE) == 0;
        found++;
    }
    sqlite3_finalize(st);
    n->is_new = found == 0 && version == 0;
    if (!code && !n->is_new && !(ours && found == 1 && version == VERSION))
        code = ag_fail(err, AG_E_FORMAT, "registry %s: a database, but not a registry of models",
                       n->path);
    return code;
}

static ag_code make_table(ag_names *n, ag_err *err) {
    /* Another process may do the same at this moment: look again under the lock. */
    ag_code code = run(n, "BEGIN IMMEDIATE", err);
    if (code)
        return code;
    code = check_schema(n, err);
    if (!code && n->is_new)
        code = run(n,
                   TABLE ";PRAGMA user_version=" DIGITS(VERSION) ";PRAGMA application_id=" DIGITS(
                       APPLICATION_ID),
                   err);
    if (code)
        (void)sqlite3_exec(n->db, "ROLLBACK", NULL, NULL, NULL);
    else
        code = run(n, "COMMIT", err);
    n->is_new = code != AG_OK;
    return code;
}

/* What every connection gets before it reads a byte of the file. */
static ag_code set_up(ag_names *n, ag_err *err) {
    sqlite3_extended_result_codes(n->db, 1);
    sqlite3_busy_timeout(n->db, BUSY_MS);
    sqlite3_progress_handler(n->db, STEPS_AT_ONCE, count_steps, n);
    sqlite3_limit(n->db, SQLITE_LIMIT_LENGTH, 65536);
    sqlite3_limit(n->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_db_config(n->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(n->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(n->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(n->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    return run(n, "PRAGMA cell_size_check=ON;PRAGMA mmap_size=0", err);
}

/* file:PATH?immutable=1, with the bytes escaped that mean something in a URI. */
static ag_code immutable_uri(const char *path, ag_buf *uri, ag_err *err) {
    ag_buf_adds(uri, "file:");
    for (const char *p = path; *p; p++)
        if (strchr("?#%", *p))
            ag_buf_addf(uri, "%%%02x", (unsigned char)*p);
        else
            ag_buf_addc(uri, *p);
    ag_buf_adds(uri, "?immutable=1");
    (void)ag_buf_cstr(uri);
    return ag_buf_check(uri, "the path of the registry", err);
}

static ag_code connect(ag_names *n, const char *name, int flags, ag_err *err) {
    int rc = sqlite3_open_v2(name, &n->db, flags | SQLITE_OPEN_EXRESCODE, NULL);
    if (!n->db)
        return ag_fail(err, AG_E_NOMEM, "registry %s: out of memory", n->path);
    ag_code code = rc == SQLITE_OK ? set_up(n, err) : fail_db(n, "open", err);
    /* One transaction, so that version and schema are of the same moment. */
    if (!code)
        code = run(n, "BEGIN", err);
    if (!code)
        code = check_schema(n, err);
    if (!code)
        code = run(n, "COMMIT", err);
    return code;
}

/* Opened to write where that is allowed: the last to close takes away the files that SQLite puts
 * beside the registry for readers, which one opened to read cannot. Writing is then switched off.
 *
 * A registry in a folder that this process may not write to cannot get those files. Nobody else
 * writes there either, unless such a file exists already. */
static ag_code connect_reader(ag_names *n, ag_err *err) {
    struct stat st;
    ag_buf uri;
    ag_code code = connect(n, n->path, SQLITE_OPEN_READWRITE, err);
    if (code != AG_E_IO)
        return code ? code : run(n, "PRAGMA query_only=ON", err);
    ag_buf_init(&uri, AG_ROOM_NAMES, 3 * PATH_MAX);
    ag_buf_addf(&uri, "%s-wal", n->path);
    const char *wal = ag_buf_cstr(&uri);
    bool is_quiet = wal && (stat(wal, &st) != 0 || st.st_size == 0);
    uri.n = 0;
    if (is_quiet && immutable_uri(n->path, &uri, err) == AG_OK) {
        sqlite3_close_v2(n->db);
        n->db = NULL;
        code = connect(n, uri.p, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err);
    }
    ag_buf_deinit(&uri);
    return code;
}

static ag_code connect_writer(ag_names *n, ag_err *err) {
    ag_code code = connect(n, n->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (!code && n->is_new)
        code = make_table(n, err);
    /* The switch does not wait for other processes and is not possible on some network file
     * systems: then SQLite's other journal serves until the next writer comes. */
    if (!code)
        (void)sqlite3_exec(n->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    return code;
}

/* What SQLite would not say clearly. */
static ag_code check_file(const char *path, ag_names_mode mode, ag_err *err) {
    struct stat st;
    if (stat(path, &st) != 0)
        return errno == ENOENT && mode == AG_NAMES_WRITE ? AG_OK : ag_fail_errno(err, path, "open");
    if (!S_ISREG(st.st_mode))
        return ag_fail(err, AG_E_IO, "registry %s: not a regular file", path);
    if (access(path, mode == AG_NAMES_WRITE ? R_OK | W_OK : R_OK) != 0)
        return ag_fail_errno(err, path, mode == AG_NAMES_WRITE ? "write" : "open");
    return AG_OK;
}

ag_code ag_names_open(const char *path, ag_names_mode mode, ag_names **out, ag_err *err) {
    *out = NULL;
    ag_code code = check_file(path, mode, err);
    if (code)
        return code;
    ag_names *n = ag_calloc(AG_ROOM_NAMES, 1, sizeof *n);
    if (n)
        n->path = ag_strndup(AG_ROOM_NAMES, path, strlen(path));
    if (!n || !n->path)
        code = ag_fail(err, AG_E_NOMEM, "registry %s: out of memory", path);
    else
        code = mode == AG_NAMES_WRITE ? connect_writer(n, err) : connect_reader(n, err);
    if (code)
        ag_names_close(&n);
    *out = n;
    return code;
}

void ag_names_close(ag_names **np) {
    ag_names *n = np ? *np : NULL;
    if (!n)
        return;
    sqlite3_close_v2(n->db);
    ag_free(n->path);
    ag_free(n);
    *np = NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool is_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool ag_name_is_valid(const char *name) {
    size_t n = 0;
    for (bool begins = true; name[n]; n++) {
        char c = name[n];
        if (n + 1 >= AG_NAME_TEXT || !(is_alnum(c) || (!begins && strchr("._-/:", c))))
            return false;
        begins = c == '/';
    }
    return n > 0 && name[n - 1] != '/';
}

ag_code ag_name_check(const char *name, ag_err *err) {
    if (ag_name_is_valid(name))
        return AG_OK;
    return ag_fail(
        err, AG_E_ARG,
        "\"%.*s\" cannot name a model: a name is 1 to %d of the characters A-Z a-z 0-9 . "
        "_ - : and /, each part between slashes begins with a letter or digit",
        AG_NAME_TEXT, name, AG_NAME_TEXT - 1);
}

static bool is_architecture(const char *s) {
    for (; *s; s++)
        if (*s < 0x20 || *s > 0x7e)
            return false;
    return true;
}

/* Copy a column's text; false when it does not fit or holds a zero byte. */
static bool take_text(sqlite3_stmt *st, int at, char *to, size_t room) {
    const char *text = (const char *)sqlite3_column_text(st, at);
    size_t n = (size_t)sqlite3_column_bytes(st, at);
    if (!text || n >= room || strlen(text) != n)
        return false;
    memcpy(to, text, n + 1);
    return true;
}

/* The column of an entry that is not valid; NULL when all are. */
static const char *bad_column(const ag_name_entry *e) {
    if (!ag_name_is_valid(e->name))
        return "name";
    if (e->path[0] != '/')
        return "path";
    if (e->digest[0] && !ag_sha256_is_text(ag_str(e->digest)))
        return "digest";
    if (!is_architecture(e->architecture))
        return "architecture";
    if (e->added < 0)
        return "time of adding";
    return e->bytes > INT64_MAX ? "size" : NULL;
}

static ag_code read_entry(const ag_names *n, sqlite3_stmt *st, ag_name_entry *e, ag_err *err) {
    const char *bad = !take_text(st, 0, e->name, sizeof e->name)                   ? "name"
                      : !take_text(st, 1, e->path, sizeof e->path)                 ? "path"
                      : !take_text(st, 2, e->digest, sizeof e->digest)             ? "digest"
                      : !take_text(st, 3, e->architecture, sizeof e->architecture) ? "architecture"
                                                                                   : NULL;
    e->added = sqlite3_column_int64(st, 4);
    e->bytes = (uint64_t)sqlite3_column_int64(st, 5);
    e->modified = sqlite3_column_int64(st, 6);
    if (!bad)
        bad = bad_column(e);
    return bad ? fail_value(n, bad, err) : AG_OK;
}

/* ---- the four statements --------------------------------------------------------------------- */

ag_code ag_names_add(ag_names *n, const ag_name_entry *e, bool replace, ag_err *err) {
    sqlite3_stmt *st = NULL;
    ag_code code = ag_name_check(e->name, err);
    const char *bad = code ? NULL : bad_column(e);
    if (bad)
        code = ag_fail(err, AG_E_ARG, "the entry for \"%s\" has no valid %s", e->name, bad);
    if (code || (code = prepare(n,
                                replace ? "REPLACE INTO models (" COLUMNS ") VALUES (?,?,?,?,?,?,?)"
                                        : "INSERT INTO models (" COLUMNS ") VALUES (?,?,?,?,?,?,?)",
                                &st, err)))
        return code;
    bool bound = bind_text(st, 1, e->name) && bind_text(st, 2, e->path) &&
                 bind_text(st, 3, e->digest) && bind_text(st, 4, e->architecture) &&
                 sqlite3_bind_int64(st, 5, e->added) == SQLITE_OK &&
                 sqlite3_bind_int64(st, 6, (int64_t)e->bytes) == SQLITE_OK &&
                 sqlite3_bind_int64(st, 7, e->modified) == SQLITE_OK;
    int rc = bound ? sqlite3_step(st) : SQLITE_NOMEM;
    if (rc == SQLITE_CONSTRAINT_PRIMARYKEY)
        code = ag_fail(err, AG_E_ARG, "registry %s: the name \"%s\" is taken", n->path, e->name);
    else if (rc != SQLITE_DONE)
        code = fail_db(n, "write", err);
    sqlite3_finalize(st);
    return code;
}

typedef struct near_names {
    const char *wanted;
    char name[NEAR_SHOWN][AG_NAME_TEXT];
    size_t edits[NEAR_SHOWN]; /* ascending */
    int n;
} near_names;

static bool note_near(void *ctx, const ag_name_entry *e) {
    near_names *near = ctx;
    size_t d = ag_near(ag_str(near->wanted), ag_str(e->name));
    int at = near->n;
    while (at > 0 && near->edits[at - 1] > d)
        at--;
    if (d == SIZE_MAX || at == NEAR_SHOWN)
        return true;
    near->n = near->n < NEAR_SHOWN ? near->n + 1 : NEAR_SHOWN;
    for (int i = near->n - 1; i > at; i--) {
        memcpy(near->name[i], near->name[i - 1], AG_NAME_TEXT);
        near->edits[i] = near->edits[i - 1];
    }
    memcpy(near->name[at], e->name, AG_NAME_TEXT);
    near->edits[at] = d;
    return true;
}

static ag_code fail_unknown(ag_names *n, const char *name, ag_err *err) {
    near_names near = {.wanted = name};
    char list[NEAR_SHOWN * (AG_NAME_TEXT + 2) + 32] = "";
    int at = 0;
    ag_code code = ag_names_list(n, note_near, &near, err);
    if (code)
        return code;
    for (int i = 0; i < near.n; i++)
        at += snprintf(list + at, sizeof list - (size_t)at, "%s%s",
                       i ? ", " : "; near: ", near.name[i]);
    return ag_fail(err, AG_E_NOT_FOUND, "the registry %s has no name \"%.*s\"%s", n->path,
                   AG_NAME_TEXT, name, list);
}

ag_code ag_names_find(ag_names *n, const char *name, ag_name_entry *e, ag_err *err) {
    sqlite3_stmt *st = NULL;
    if (n->is_new)
        return fail_unknown(n, name, err);
    ag_code code = prepare(n, "SELECT " COLUMNS " FROM models WHERE name = ?", &st, err);
    if (code)
        return code;
    int rc = bind_text(st, 1, name) ? sqlite3_step(st) : SQLITE_NOMEM;
    if (rc == SQLITE_ROW)
        code = read_entry(n, st, e, err);
    else if (rc != SQLITE_DONE)
        code = fail_db(n, "read", err);
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? fail_unknown(n, name, err) : code;
}

ag_code ag_names_remove(ag_names *n, const char *name, ag_err *err) {
    sqlite3_stmt *st = NULL;
    ag_code code = prepare(n, "DELETE FROM models WHERE name = ?", &st, err);
    if (code)
        return code;
    if (!bind_text(st, 1, name) || sqlite3_step(st) != SQLITE_DONE)
        code = fail_db(n, "write", err);
    sqlite3_finalize(st);
    return code || sqlite3_changes(n->db) ? code : fail_unknown(n, name, err);
}

ag_code ag_names_list(ag_names *n, bool (*each)(void *ctx, const ag_name_entry *e), void *ctx,
                      ag_err *err) {
    sqlite3_stmt *st = NULL;
    ag_name_entry e;
    int rc = SQLITE_ROW;
    bool more = true;
    if (n->is_new)
        return AG_OK;
    ag_code code = prepare(n, "SELECT " COLUMNS " FROM models ORDER BY name", &st, err);
    for (uint32_t i = 0; !code && more && (rc = sqlite3_step(st)) == SQLITE_ROW; i++) {
        if (i == AG_MAX_NAMES)
            code =
                ag_fail(err, AG_E_LIMIT, "registry %s: more than %u names", n->path, AG_MAX_NAMES);
        else if ((code = read_entry(n, st, &e, err)) == AG_OK)
            more = each(ctx, &e);
    }
    if (!code && rc != SQLITE_ROW && rc != SQLITE_DONE)
        code = fail_db(n, "read", err);
    sqlite3_finalize(st);
    return code;
}
