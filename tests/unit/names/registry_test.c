/* The registry: what goes in comes out, what is not one is refused, whatever was done to its file.
 */
#include "unit/test.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "names/names.h"

#define DIGEST "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static char folder[64];
static char path[96];

static void wipe(void) {
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char name[112];
        snprintf(name, sizeof name, "%s%s", path, tails[i]);
        unlink(name);
    }
}

static ag_names *must_open(ag_names_mode mode) {
    ag_names *n = NULL;
    ag_err err = {0};
    if (ag_names_open(path, mode, &n, &err))
        fail_msg("%s", err.msg);
    return n;
}

static ag_name_entry entry(const char *name) {
    ag_name_entry e = {.digest = DIGEST,
                       .architecture = "glm4",
                       .added = 1700000000,
                       .bytes = 123456789012,
                       .modified = 1700000000123456789};
    snprintf(e.name, sizeof e.name, "%s", name);
    snprintf(e.path, sizeof e.path, "/models/%s.gguf", name);
    return e;
}

static void add(ag_names *n, const char *name) {
    ag_name_entry e = entry(name);
    ag_err err = {0};
    if (ag_names_add(n, &e, false, &err))
        fail_msg("%s", err.msg);
}

static bool list_name(void *ctx, const ag_name_entry *e) {
    strcat(ctx, e->name);
    strcat(ctx, " ");
    return true;
}

static void what_is_added_is_found_listed_and_removed(void **state) {
    (void)state;
    ag_names *n = must_open(AG_NAMES_WRITE);
    ag_name_entry e = entry("glm-4-plus"), back;
    char all[256] = "";
    ag_err err = {0};
    assert_int_equal(ag_names_add(n, &e, false, NULL), AG_OK);
    add(n, "org/qwen3:0.6b");
    add(n, "all-minilm");
    ag_names_close(&n);
    assert_null(n);
    n = must_open(AG_NAMES_READ);
    assert_int_equal(ag_names_find(n, "glm-4-plus", &back, NULL), AG_OK);
    assert_string_equal(back.path, e.path);
    assert_string_equal(back.digest, e.digest);
    assert_string_equal(back.architecture, e.architecture);
    assert_true(back.added == e.added && back.bytes == e.bytes && back.modified == e.modified);
    assert_int_equal(ag_names_list(n, list_name, all, NULL), AG_OK);
    assert_string_equal(all, "all-minilm glm-4-plus org/qwen3:0.6b ");
    assert_int_equal(ag_names_remove(n, "glm-4-plus", &err), AG_E_IO); /* opened to read */
    ag_names_close(&n);
    n = must_open(AG_NAMES_WRITE);
    assert_int_equal(ag_names_remove(n, "glm-4-plus", NULL), AG_OK);
    assert_int_equal(ag_names_find(n, "glm-4-plus", &back, &err), AG_E_NOT_FOUND);
    assert_int_equal(ag_names_remove(n, "glm-4-plus", &err), AG_E_NOT_FOUND);
    ag_names_close(&n);
}

static void a_taken_name_is_replaced_only_when_asked(void **state) {
    (void)state;
    ag_names *n = must_open(AG_NAMES_WRITE);
    ag_name_entry e = entry("x"), back;
    ag_err err = {0};
    add(n, "x");
    strcpy(e.path, "/elsewhere");
    assert_int_equal(ag_names_add(n, &e, false, &err), AG_E_ARG);
    assert_non_null(strstr(err.msg, "\"x\" is taken"));
    assert_int_equal(ag_names_find(n, "x", &back, NULL), AG_OK);
    assert_string_equal(back.path, "/models/x.gguf");
    assert_int_equal(ag_names_add(n, &e, true, NULL), AG_OK);
    assert_int_equal(ag_names_find(n, "x", &back, NULL), AG_OK);
    assert_string_equal(back.path, "/elsewhere");
    ag_names_close(&n);
}

static void an_unknown_name_brings_the_near_ones_to_mind(void **state) {
    (void)state;
    ag_names *n = must_open(AG_NAMES_WRITE);
    ag_name_entry e;
    ag_err err = {0};
    const char *names[] = {"glm-4-air", "glm-4-plus", "glm-4-plus2", "glm-5-plus", "llama"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add(n, names[i]);
    assert_int_equal(ag_names_find(n, "glm-4-plsu", &e, &err), AG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "near: glm-4-plus, glm-4-plus2, glm-5-plus"));
    assert_int_equal(ag_names_find(n, "zebra", &e, &err), AG_E_NOT_FOUND);
    assert_null(strstr(err.msg, "near"));
    ag_names_close(&n);
}

static void only_names_are_names(void **state) {
    (void)state;
    static const char *const good[] = {"a", "glm-4-plus", "org/name", "qwen3:0.6b", "A_b.C-9/x:y"};
    static const char *const bad[] = {"",    "/abs", "./a",  "../a", "a/../b", "a/",  "a//b",
                                      "~/a", "a b",  "a\n",  "ä",    "-x",     ".x",  "a/.b",
                                      ":",   "a\\b", "a\"b", "a'b",  "a%00",   "a;b", "*"};
    char longest[AG_NAME_TEXT + 1];
    ag_err err = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(ag_name_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(ag_name_is_valid(bad[i]));
        assert_int_equal(ag_name_check(bad[i], &err), AG_E_ARG);
    }
    memset(longest, 'a', AG_NAME_TEXT);
    longest[AG_NAME_TEXT] = '\0';
    assert_false(ag_name_is_valid(longest));
    longest[AG_NAME_TEXT - 1] = '\0';
    assert_true(ag_name_is_valid(longest));
}

static void entries_that_are_not_valid_are_not_written(void **state) {
    (void)state;
    ag_names *n = must_open(AG_NAMES_WRITE);
    ag_err err = {0};
    ag_name_entry e = entry("x");
    strcpy(e.path, "relative");
    assert_int_equal(ag_names_add(n, &e, false, &err), AG_E_ARG);
    e = entry("x");
    e.digest[3] = 'G';
    assert_int_equal(ag_names_add(n, &e, false, &err), AG_E_ARG);
    e = entry("x");
    e.architecture[0] = '\n';
    assert_int_equal(ag_names_add(n, &e, false, &err), AG_E_ARG);
    e = entry("x y");
    assert_int_equal(ag_names_add(n, &e, false, &err), AG_E_ARG);
    ag_names_close(&n);
}

static void a_missing_or_empty_file(void **state) {
    (void)state;
    ag_names *n = NULL;
    ag_name_entry e;
    char all[8] = "";
    ag_err err = {0};
    assert_int_equal(ag_names_open(path, AG_NAMES_READ, &n, &err), AG_E_NOT_FOUND);
    assert_null(n);
    assert_int_equal(access(path, F_OK), -1); /* reading makes nothing */
    assert_int_equal(ag_names_open(folder, AG_NAMES_READ, &n, &err), AG_E_IO);
    assert_int_equal(ag_names_open("/nonexistent/x.db", AG_NAMES_WRITE, &n, &err), AG_E_IO);
    fclose(fopen(path, "w"));
    n = must_open(AG_NAMES_READ);
    assert_int_equal(ag_names_find(n, "x", &e, &err), AG_E_NOT_FOUND);
    assert_int_equal(ag_names_list(n, list_name, all, NULL), AG_OK);
    assert_string_equal(all, "");
    ag_names_close(&n);
    n = must_open(AG_NAMES_WRITE);
    add(n, "x");
    ag_names_close(&n);
}

static void sql(const char *text) {
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    sqlite3_close(db);
}

/* Databases that are sound but not ours. */
static void other_databases_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *sql;
        ag_code code;
    } cases[] = {
        {"CREATE TABLE other (a)", AG_E_FORMAT},
        {"PRAGMA user_version=1", AG_E_FORMAT},
        {"PRAGMA user_version=2", AG_E_UNSUPPORTED},
        {"CREATE TABLE models (name, path); PRAGMA user_version=1", AG_E_FORMAT},
        {"CREATE VIEW models AS SELECT 'x' AS name, '/etc/passwd' AS path, '' AS digest, '' AS "
         "architecture, 0 AS added, 0 AS bytes, 0 AS modified; PRAGMA user_version=1",
         AG_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int mode = AG_NAMES_READ; mode <= AG_NAMES_WRITE; mode++) {
            ag_names *n = NULL;
            ag_err err = {0};
            wipe();
            sql(cases[i].sql);
            assert_int_equal(ag_names_open(path, (ag_names_mode)mode, &n, &err), cases[i].code);
            assert_non_null(strstr(err.msg, path));
        }
    wipe();
    ag_names *n = must_open(AG_NAMES_WRITE);
    ag_names_close(&n);
    sql("CREATE TRIGGER t AFTER INSERT ON models BEGIN DELETE FROM models; END");
    assert_int_equal(ag_names_open(path, AG_NAMES_WRITE, &n, NULL), AG_E_FORMAT);
}

/* Rows that our own writer would not make. */
static void entries_of_a_hostile_file_are_checked(void **state) {
    (void)state;
    static const char *const rows[] = {
        "'../../etc', '/x', '', '', 0, 0, 0",
        "'x', 'relative', '', '', 0, 0, 0",
        "'x', '/x', 'abc', '', 0, 0, 0",
        "'x', '/x', '', char(27), 0, 0, 0",
        "'x', '/x', '', '', -1, 0, 0",
        "'x', '/x', '', '', 0, -1, 0",
        "'x', '/x'||char(0)||'y', '', '', 0, 0, 0",
        "'x', '/'||hex(zeroblob(4000)), '', '', 0, 0, 0",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256], all[256] = "";
        ag_err err = {0};
        ag_name_entry e;
        wipe();
        ag_names *n = must_open(AG_NAMES_WRITE);
        ag_names_close(&n);
        snprintf(text, sizeof text, "INSERT INTO models VALUES (%s)", rows[i]);
        sql(text);
        n = must_open(AG_NAMES_READ);
        assert_int_equal(ag_names_list(n, list_name, all, &err), AG_E_FORMAT);
        assert_non_null(strstr(err.msg, "damaged"));
        if (i > 0)
            assert_int_equal(ag_names_find(n, "x", &e, &err), AG_E_FORMAT);
        ag_names_close(&n);
    }
}

/* Use everything; each call gives an answer or a reason. */
static void use(void) {
    ag_names *n = NULL;
    for (int mode = AG_NAMES_READ; mode <= AG_NAMES_WRITE; mode++) {
        char all[4096] = "";
        ag_name_entry e, mine = entry("mine");
        ag_err err = {0};
        ag_code code = ag_names_open(path, (ag_names_mode)mode, &n, &err);
        if (!code)
            code = ag_names_find(n, "name-7", &e, &err);
        if (!code || code == AG_E_NOT_FOUND)
            code = ag_names_list(n, list_name, all, &err);
        if (!code && mode == AG_NAMES_WRITE)
            code = ag_names_add(n, &mine, true, &err);
        if (!code && mode == AG_NAMES_WRITE)
            code = ag_names_remove(n, "name-7", &err);
        assert_true(code == AG_OK || err.msg[0]);
        ag_names_close(&n);
    }
}

static void damaged_files_do_no_harm(void **state) {
    (void)state;
    ag_buf whole, bad;
    ag_names *n = must_open(AG_NAMES_WRITE);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "name-%d", i);
        add(n, name);
    }
    ag_names_close(&n);
    ag_buf_init(&whole, AG_ROOM_TEST, 1 << 20);
    ag_buf_init(&bad, AG_ROOM_TEST, 1 << 20);
    assert_int_equal(ag_file_read(path, &whole, NULL), AG_OK);
    for (size_t cut = 0; cut < whole.n; cut += 97) {
        wipe();
        assert_int_equal(ag_file_write(path, ag_span_sub(ag_buf_span(&whole), 0, cut), NULL),
                         AG_OK);
        use();
    }
    uint32_t random = 1;
    for (int i = 0; i < 300; i++) {
        bad.n = 0;
        ag_buf_add(&bad, whole.p, whole.n);
        for (int k = 0; k < 1 + i % 8; k++) {
            random = random * 1664525u + 1013904223u;
            bad.p[(random >> 8) % (i % 2 ? bad.n : 100)] = (char)(random >> 3);
        }
        wipe();
        assert_int_equal(ag_file_write(path, ag_buf_span(&bad), NULL), AG_OK);
        use();
    }
    ag_buf_deinit(&whole);
    ag_buf_deinit(&bad);
}

static void processes_may_write_at_once(void **state) {
    (void)state;
    enum { WRITERS = 4, EACH = 10 };
    for (int w = 0; w < WRITERS; w++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            for (int i = 0; i < EACH; i++) {
                ag_names *n = NULL;
                ag_name_entry e = entry("x");
                snprintf(e.name, sizeof e.name, "w%d-%d", w, i);
                ag_err err = {0};
                if (ag_names_open(path, AG_NAMES_WRITE, &n, &err) ||
                    ag_names_add(n, &e, false, &err)) {
                    fprintf(stderr, "writer %d, entry %d: %s\n", w, i, err.msg);
                    _exit(1);
                }
                ag_names_close(&n);
            }
            _exit(0);
        }
    }
    for (int w = 0; w < WRITERS; w++) {
        int status = 0;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    ag_names *n = must_open(AG_NAMES_READ);
    char all[4096] = "";
    assert_int_equal(ag_names_list(n, list_name, all, NULL), AG_OK);
    int count = 0;
    for (const char *p = all; (p = strchr(p, ' ')); p++)
        count++;
    assert_int_equal(count, WRITERS * EACH);
    ag_names_close(&n);
}

/* Root may write anywhere, so a child without its rights looks. */
static void a_reader_needs_no_writable_folder(void **state) {
    (void)state;
    ag_names *n = must_open(AG_NAMES_WRITE);
    add(n, "x");
    ag_names_close(&n);
    chmod(path, 0444);
    chmod(folder, 0555);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        ag_name_entry e;
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        _exit(ag_names_open(path, AG_NAMES_READ, &n, NULL) || ag_names_find(n, "x", &e, NULL));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    chmod(folder, 0755);
    assert_int_equal(status, 0);
}

static int set_up(void **state) {
    (void)state;
    /* In memory where possible: hundreds of files are synced. */
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/ag_names_XXXXXX", root);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a #%%3f?.db", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return rmdir(folder);
}

static int clean(void **state) {
    (void)state;
    wipe();
    return ag_mem_bytes(AG_ROOM_NAMES) == 0 ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_added_is_found_listed_and_removed, clean),
        cmocka_unit_test_teardown(a_taken_name_is_replaced_only_when_asked, clean),
        cmocka_unit_test_teardown(an_unknown_name_brings_the_near_ones_to_mind, clean),
        cmocka_unit_test_teardown(only_names_are_names, clean),
        cmocka_unit_test_teardown(entries_that_are_not_valid_are_not_written, clean),
        cmocka_unit_test_teardown(a_missing_or_empty_file, clean),
        cmocka_unit_test_teardown(other_databases_are_refused, clean),
        cmocka_unit_test_teardown(entries_of_a_hostile_file_are_checked, clean),
        cmocka_unit_test_teardown(damaged_files_do_no_harm, clean),
        cmocka_unit_test_teardown(processes_may_write_at_once, clean),
        cmocka_unit_test_teardown(a_reader_needs_no_writable_folder, clean),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
