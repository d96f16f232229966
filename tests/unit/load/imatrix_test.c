/* Files of importances: there and back, and what is refused. */
#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "load/imatrix.h"

static char path[] = "/tmp/ag_imatrix_XXXXXX";

static ag_imatrix *make(void) {
    ag_imatrix *im = NULL;
    ag_imatrix_entry *e;
    assert_int_equal(ag_imatrix_new(&im, NULL), AG_OK);
    im->n_windows = 3;
    im->window = 512;
    assert_int_equal(ag_imatrix_add(im, ag_str("blk.0.ffn_up.weight"), 4, 1, &e, NULL), AG_OK);
    for (int i = 0; i < 4; i++)
        e->squares[i] = i * 10;
    e->counts[0] = 5;
    assert_int_equal(ag_imatrix_add(im, ag_str("blk.0.ffn_up_exps.weight"), 2, 3, &e, NULL), AG_OK);
    for (int i = 0; i < 6; i++)
        e->squares[i] = i;
    e->counts[0] = 1;
    e->counts[2] = 2;
    return im;
}

static ag_tensor tensor(const char *name, uint64_t cols, uint64_t slices) {
    return (ag_tensor){.name = ag_str(name), .n_dims = 3, .dim = {cols, 8, slices, 1}};
}

static void a_file_comes_back_as_it_was(void **state) {
    (void)state;
    ag_imatrix *im = make(), *back = NULL;
    float w[4] = {0};
    assert_int_equal(ag_imatrix_write(im, path, ag_str("text"), NULL), AG_OK);
    assert_int_equal(ag_imatrix_read(path, &back, NULL), AG_OK);
    assert_int_equal(back->n, 2);
    assert_int_equal(back->n_windows, 3);
    assert_int_equal(back->window, 512);
    ag_tensor up = tensor("blk.0.ffn_up.weight", 4, 1);
    assert_true(ag_imatrix_weights(back, &up, 0, w));
    assert_true(w[0] == 0 && w[1] == 2 && w[3] == 6);
    ag_tensor exps = tensor("blk.0.ffn_up_exps.weight", 2, 3);
    assert_true(ag_imatrix_weights(back, &exps, 2, w));
    assert_true(w[0] == 2 && w[1] == 2.5f);
    assert_true(ag_imatrix_weights(back, &exps, 1, w)); /* an expert that was never chosen */
    assert_true(w[0] == 1 && w[1] == 1);
    up = tensor("blk.0.ffn_up.weight", 8, 1);
    assert_false(ag_imatrix_weights(back, &up, 0, w));
    up = tensor("blk.1.ffn_up.weight", 4, 1);
    assert_false(ag_imatrix_weights(back, &up, 0, w));
    exps = tensor("blk.0.ffn_up_exps.weight", 2, 4);
    assert_false(ag_imatrix_weights(back, &exps, 3, w));
    ag_imatrix_free(&back);
    ag_imatrix_free(&im);
}

/* Every truncation and every changed byte of a file ends in an answer or a reason. */
static void spoiled_files_do_no_harm(void **state) {
    (void)state;
    ag_imatrix *im = make(), *back = NULL;
    ag_buf bytes;
    ag_buf_init(&bytes, AG_ROOM_TEST, 1 << 16);
    assert_int_equal(ag_imatrix_write(im, path, ag_str("text"), NULL), AG_OK);
    assert_int_equal(ag_file_read(path, &bytes, NULL), AG_OK);
    for (size_t n = 1; n < bytes.n; n++) {
        assert_int_equal(ag_file_write(path, ag_span_of(bytes.p, n), NULL), AG_OK);
        ag_err err = {0};
        if (ag_imatrix_read(path, &back, &err) == AG_OK)
            assert_true(n + 32 > bytes.n); /* only padding is gone */
        else
            assert_true(err.msg[0]);
        ag_imatrix_free(&back);
    }
    for (size_t i = 0; i < bytes.n; i++) {
        char was = bytes.p[i];
        bytes.p[i] = (char)(was ^ (1 << i % 8));
        assert_int_equal(ag_file_write(path, ag_buf_span(&bytes), NULL), AG_OK);
        if (ag_imatrix_read(path, &back, NULL) == AG_OK)
            assert_true(back->n > 0);
        ag_imatrix_free(&back);
        bytes.p[i] = was;
    }
    ag_buf_deinit(&bytes);
    ag_imatrix_free(&im);
}

static void numbers_that_cannot_be_are_refused(void **state) {
    (void)state;
    ag_imatrix *im = make(), *back = NULL;
    ag_imatrix_entry *e;
    ag_err err = {0};
    im->entries[0].squares[2] = -1;
    assert_int_equal(ag_imatrix_write(im, path, ag_str(""), NULL), AG_OK);
    assert_int_equal(ag_imatrix_read(path, &back, &err), AG_E_FORMAT);
    assert_non_null(strstr(err.msg, "blk.0.ffn_up.weight.in_sum2"));
    assert_int_equal(ag_imatrix_add(im, ag_str("blk.0.ffn_up.weight"), 4, 1, &e, NULL),
                     AG_E_FORMAT);
    ag_imatrix_free(&im);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    size_t held = ag_mem_bytes(AG_ROOM_LOAD);
    ag_imatrix *im = make();
    assert_int_equal(ag_imatrix_write(im, path, ag_str("text"), NULL), AG_OK);
    for (long n = 1;; n++) {
        ag_imatrix *back = NULL;
        ag_fault_arm(AG_FAULT_ALLOC, n, false);
        ag_code code = ag_imatrix_read(path, &back, NULL);
        if (!code)
            code = ag_imatrix_write(back, path, ag_str("text"), NULL);
        bool fired = ag_fault_fired(AG_FAULT_ALLOC);
        ag_fault_arm(AG_FAULT_ALLOC, 0, false);
        ag_imatrix_free(&back);
        if (!fired) {
            assert_int_equal(code, AG_OK);
            break;
        }
    }
    ag_imatrix_free(&im);
    assert_int_equal(ag_mem_bytes(AG_ROOM_LOAD), held);
}

static int set_up(void **state) {
    (void)state;
    return mkstemp(path) >= 0 ? 0 : -1;
}
static int tear_down(void **state) {
    (void)state;
    return unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_comes_back_as_it_was),
        cmocka_unit_test(numbers_that_cannot_be_are_refused),
        cmocka_unit_test(spoiled_files_do_no_harm),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
