/* What a model is made of: files, digest, whether they changed. */
#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "names/names.h"

static char folder[64];

/* The smallest GGUF file: one key. */
static const char gguf[] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\24\0\0\0\0\0\0\0"
                           "general.architecture\10\0\0\0\4\0\0\0\0\0\0\0glm4";

static const char *at(const char *name) {
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text, size_t n) {
    ag_err err = {0};
    const char *path = at(name);
    if (ag_file_make_parents(path, &err) || ag_file_write(path, ag_span_of(text, n), &err))
        fail_msg("%s", err.msg);
}

static void digest_of(const char *name, char digest[AG_SHA256_TEXT]) {
    ag_err err = {0};
    if (ag_names_digest(at(name), NULL, digest, &err))
        fail_msg("%s", err.msg);
}

/* SHA-256 of text, by the room below. */
static void sha(const char *text, char digest[AG_SHA256_TEXT]) {
    ag_sha256 s;
    ag_sha256_init(&s);
    ag_sha256_add(&s, ag_str(text));
    ag_sha256_end(&s, digest);
}

static void one_file_is_its_bytes(void **state) {
    (void)state;
    char digest[AG_SHA256_TEXT], want[AG_SHA256_TEXT];
    put("m.gguf", "abc", 3);
    digest_of("m.gguf", digest);
    sha("abc", want);
    assert_string_equal(digest, want);
}

static void a_folder_is_the_list_of_its_files(void **state) {
    (void)state;
    char digest[AG_SHA256_TEXT], want[AG_SHA256_TEXT], list[1024], a[AG_SHA256_TEXT],
        b[AG_SHA256_TEXT], c[AG_SHA256_TEXT];
    put("hf/b.json", "bb", 2);
    put("hf/1_Pooling/config.json", "c", 1);
    put("hf/a", "aaa", 3);
    put("hf/.git/x", "no", 2);
    put("hf/.hidden", "no", 2);
    sha("aaa", a);
    sha("bb", b);
    sha("c", c);
    snprintf(list, sizeof list, "1  %s  1_Pooling/config.json\n3  %s  a\n2  %s  b.json\n", c, a, b);
    sha(list, want);
    digest_of("hf", digest);
    assert_string_equal(digest, want);
    ag_sha256_watch watch = {0};
    assert_int_equal(ag_names_digest(at("hf/"), &watch, digest, NULL), AG_OK);
    assert_string_equal(digest, want);
    assert_true(watch.total == 6 && watch.done == 6);
}

static void a_split_set_is_the_list_of_its_parts(void **state) {
    (void)state;
    char digest[AG_SHA256_TEXT], want[AG_SHA256_TEXT], list[512], a[AG_SHA256_TEXT],
        b[AG_SHA256_TEXT];
    ag_err err = {0};
    put("s-00001-of-00002.gguf", "a", 1);
    assert_int_equal(ag_names_digest(at("s-00001-of-00002.gguf"), NULL, digest, &err),
                     AG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "s-00002-of-00002.gguf"));
    put("s-00002-of-00002.gguf", "bb", 2);
    sha("a", a);
    sha("bb", b);
    snprintf(list, sizeof list, "1  %s  s-00001-of-00002.gguf\n2  %s  s-00002-of-00002.gguf\n", a,
             b);
    sha(list, want);
    for (int i = 1; i <= 2; i++) {
        digest_of(i == 1 ? "s-00001-of-00002.gguf" : "s-00002-of-00002.gguf", digest);
        assert_string_equal(digest, want);
    }
}

static void odd_folders_are_refused(void **state) {
    (void)state;
    char digest[AG_SHA256_TEXT], deep[64] = "deep";
    ag_err err = {0};
    put("odd/a\nb", "x", 1);
    assert_int_equal(ag_names_digest(at("odd"), NULL, digest, &err), AG_E_FORMAT);
    for (int i = 0; i < 10; i++)
        strcat(deep, "/d");
    strcat(deep, "/f");
    put(deep, "x", 1);
    assert_int_equal(ag_names_digest(at("deep"), NULL, digest, &err), AG_E_LIMIT);
    mkdir(at("loop"), 0755);
    assert_int_equal(symlink(".", at("loop/l")), 0);
    assert_int_equal(ag_names_digest(at("loop"), NULL, digest, &err), AG_E_LIMIT);
    assert_int_equal(ag_names_digest(at("absent"), NULL, digest, &err), AG_E_NOT_FOUND);
}

static void a_model_is_described(void **state) {
    (void)state;
    ag_name_entry e;
    ag_err err = {0};
    char here[256], want[320];
    put("g/m.gguf", gguf, sizeof gguf - 1);
    if (ag_names_describe(at("g/m.gguf"), &e, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(e.path, at("g/m.gguf"));
    assert_string_equal(e.architecture, "glm4");
    assert_int_equal(e.bytes, sizeof gguf - 1);
    assert_true(e.added > 1700000000 && e.modified > 1700000000ll * 1000000000);
    assert_string_equal(e.name, "");
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(at("g")), 0);
    snprintf(want, sizeof want, "%s", at("g/m.gguf"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ag_names_describe(i ? "././m.gguf" : "m.gguf", &e, NULL), AG_OK);
        assert_string_equal(e.path, want);
    }
    assert_int_equal(chdir(here), 0);
    put("text", "hello", 5);
    assert_int_equal(ag_names_describe(at("text"), &e, &err), AG_E_FORMAT);
    assert_int_equal(ag_names_describe(at("absent"), &e, &err), AG_E_NOT_FOUND);
}

static void a_change_is_seen(void **state) {
    (void)state;
    ag_name_entry e;
    ag_err err = {0};
    bool current = false;
    put("c.gguf", gguf, sizeof gguf - 1);
    assert_int_equal(ag_names_describe(at("c.gguf"), &e, NULL), AG_OK);
    strcpy(e.name, "glm");
    assert_int_equal(ag_names_is_current(&e, &current, NULL), AG_OK);
    assert_true(current);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1700000000}};
    assert_int_equal(utimensat(0, at("c.gguf"), times, 0), 0);
    assert_int_equal(ag_names_is_current(&e, &current, NULL), AG_OK);
    assert_false(current);
    unlink(at("c.gguf"));
    assert_int_equal(ag_names_is_current(&e, &current, &err), AG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "\"glm\""));
}

/* Each allocation and read fails in turn: a reason, and nothing kept. */
static void faults_are_errors(void **state) {
    (void)state;
    for (int kind = AG_FAULT_ALLOC; kind <= AG_FAULT_MMAP; kind++)
        for (long n = 1;; n++) {
            ag_name_entry e;
            ag_err err = {0};
            char digest[AG_SHA256_TEXT];
            ag_fault_arm((ag_fault)kind, n, false);
            ag_code code = ag_names_describe(at("g/m.gguf"), &e, &err);
            if (!code)
                code = ag_names_digest(at("hf"), NULL, digest, &err);
            bool fired = ag_fault_fired((ag_fault)kind);
            ag_fault_arm((ag_fault)kind, 0, false);
            assert_int_equal(ag_mem_bytes(AG_ROOM_NAMES), 0);
            assert_true(!code || err.msg[0]);
            if (!fired) {
                assert_int_equal(code, AG_OK);
                break;
            }
        }
}

static int set_up(void **state) {
    (void)state;
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/ag_model_XXXXXX", root);
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file_is_its_bytes),
        cmocka_unit_test(a_folder_is_the_list_of_its_files),
        cmocka_unit_test(a_split_set_is_the_list_of_its_parts),
        cmocka_unit_test(odd_folders_are_refused),
        cmocka_unit_test(a_model_is_described),
        cmocka_unit_test(a_change_is_seen),
        cmocka_unit_test(faults_are_errors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
