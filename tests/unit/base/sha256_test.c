/* SHA-256 against the standard's examples; files, and what is told of them. */
#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/sha256.h"

static char folder[] = "/tmp/ag_sha256_XXXXXX";

static const char *path_of(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void known_digests(void **state) {
    (void)state;
    static const struct {
        const char *text, *digest;
    } cases[] = {/* FIPS 180-2, appendix B */
                 {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                 {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                 {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    ag_sha256 s;
    char text[AG_SHA256_TEXT];
    ag_sha256_init(&s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].text);
        for (size_t cut = 0; cut <= n; cut++) {
            ag_sha256_add(&s, ag_span_of(cases[i].text, cut));
            ag_sha256_add(&s, ag_span_of(cases[i].text + cut, n - cut));
            ag_sha256_end(&s, text);
            assert_string_equal(text, cases[i].digest);
        }
    }
    assert_true(ag_sha256_is_text(ag_str(text)));
    text[5] = 'A';
    assert_false(ag_sha256_is_text(ag_str(text)));
    assert_false(ag_sha256_is_text(ag_str("248d")));
}

typedef struct seen {
    uint64_t done, total;
    int calls, give_up_at;
} seen;

static bool tell(void *ctx, uint64_t done, uint64_t total) {
    seen *s = ctx;
    assert_true(done > s->done);
    *s = (seen){done, total, s->calls + 1, s->give_up_at};
    return s->calls != s->give_up_at;
}

/* A million letters a: the standard's third example, and more than one read. */
static void a_file_is_hashed_and_told(void **state) {
    (void)state;
    ag_buf bytes;
    char text[AG_SHA256_TEXT];
    uint64_t n = 0;
    seen s = {0};
    ag_sha256_watch watch = {.tell = tell, .ctx = &s, .total = 3000000};
    ag_buf_init(&bytes, AG_ROOM_TEST, 4000000);
    assert_true(ag_buf_reserve(&bytes, 3000000));
    memset(bytes.p, 'a', 3000000);
    const char *path = path_of("a");
    assert_int_equal(ag_file_write(path, ag_span_of(bytes.p, 1000000), NULL), AG_OK);
    assert_int_equal(ag_sha256_file(path, NULL, text, &n, NULL), AG_OK);
    assert_string_equal(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_int_equal(n, 1000000);
    assert_int_equal(ag_file_write(path, ag_span_of(bytes.p, 3000000), NULL), AG_OK);
    assert_int_equal(ag_sha256_file(path, &watch, text, NULL, NULL), AG_OK);
    assert_true(s.calls >= 3 && s.done == 3000000 && s.total == 3000000);
    s = (seen){.give_up_at = 2};
    watch.done = 0;
    ag_err err = {0};
    assert_int_equal(ag_sha256_file(path, &watch, text, NULL, &err), AG_E_CANCELLED);
    assert_int_equal(s.calls, 2);
    ag_buf_deinit(&bytes);
}

static void what_is_no_file_is_refused(void **state) {
    (void)state;
    char text[AG_SHA256_TEXT];
    ag_err err = {0};
    assert_int_equal(ag_sha256_file(path_of("absent"), NULL, text, NULL, &err), AG_E_NOT_FOUND);
    assert_int_equal(ag_sha256_file(folder, NULL, text, NULL, &err), AG_E_IO);
    const char *pipe_path = path_of("pipe");
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(ag_sha256_file(pipe_path, NULL, text, NULL, &err), AG_E_IO);
    unlink(pipe_path);
}

static void faults_are_errors(void **state) {
    (void)state;
    const char *path = path_of("a");
    char text[AG_SHA256_TEXT];
    ag_fault kinds[] = {AG_FAULT_READ, AG_FAULT_ALLOC};
    ag_code codes[] = {AG_E_IO, AG_E_NOMEM};
    for (int i = 0; i < 2; i++) {
        ag_err err = {0};
        ag_fault_arm(kinds[i], 1, false);
        assert_int_equal(ag_sha256_file(path, NULL, text, NULL, &err), codes[i]);
        assert_non_null(strstr(err.msg, path));
        ag_fault_arm(kinds[i], 0, false);
    }
    assert_int_equal(ag_mem_bytes(AG_ROOM_BASE), 0);
}

static int set_up(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path_of("a"));
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digests),
        cmocka_unit_test(a_file_is_hashed_and_told),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(faults_are_errors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
