/* Weights mapped from an image are the bytes that packing makes, and are taken only for what they
 * were packed from: the same files, types and kernels. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/support.h"
#include "load/source.h"
#include "model/model.h"

static char root[] = "/tmp/ag_prepared_XXXXXX";
static char folder[64];
static ag_pool *pool;

typedef struct wish {
    const char *path, *tier, *quantize, *digest;
    int dtype;
    bool nodes; /* pages are bound to nodes */
} wish;

static wish plain(const char *path) { return (wish){.path = path, .dtype = AG_DTYPE_KEEP}; }

/* Load a model; were its weights mapped? They are compared with weights packed without images. */
static bool is_mapped(const wish *w) {
    ag_numa_plan nodes = {.how = w->nodes ? AG_NUMA_INTERLEAVE : AG_NUMA_NONE, .memory = 1};
    ag_source *src = NULL;
    ag_model m[2];
    ag_binding *plan = NULL;
    ag_err err = {0};
    assert_int_equal(ag_source_open(w->path, &src, &err), AG_OK);
    for (int i = 0; i < 2; i++) {
        ag_model_opts o = {.kernels = ag_kernels_get(w->tier),
                           .dtype = w->dtype,
                           .quantize = w->quantize ? ag_mix_find(w->quantize) : NULL,
                           .numa = &nodes};
        if (i == 1)
            o.images = (ag_image_store){
                .folder = folder, .max_bytes = (uint64_t)1 << 30, .digest = w->digest};
        assert_int_equal(ag_model_bind(src, &o, &m[i], &plan, &err), AG_OK);
        assert_int_equal(ag_model_load(&m[i], &plan, src, &o, pool, &err), AG_OK);
        ag_image_writer_wait(m[i].writer);
    }
    assert_null(m[0].image.contents);
    assert_int_equal(m[0].weight_bytes, m[1].weight_bytes);
    assert_memory_equal(m[0].weights, m[1].weights, m[0].weight_bytes);
    const ag_tensor *t;
    uint64_t row0;
    for (size_t i = 0; i < m[0].n_bound; i++)
        assert_int_equal(ag_model_matrix(&m[0], i, &t, &row0)->panels - m[0].weights,
                         ag_model_matrix(&m[1], i, &t, &row0)->panels - m[1].weights);
    bool mapped = m[1].image.contents != NULL;
    assert_true(mapped == !m[1].writer || w->nodes);
    ag_model_close(&m[1]);
    ag_model_close(&m[0]);
    ag_source_close(&src);
    return mapped;
}

static const char *copy_of(const char *path) {
    static char copy[100];
    char command[400];
    snprintf(copy, sizeof copy, "%s/copy.gguf", root);
    snprintf(command, sizeof command, "cp %s %s", path, copy);
    assert_int_equal(system(command), 0);
    return copy;
}

static int empty_folder(void **state) {
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void every_type_is_mapped_as_it_is_packed(void **state) {
    (void)state;
    for (int i = 0; type_names[i]; i++) {
        wish w = plain(model_path("tiny-llama3", type_names[i]));
        assert_false(is_mapped(&w));
        assert_true(is_mapped(&w));
    }
    wish experts = plain(model_path("tiny-qwen3-moe", "f32"));
    assert_false(is_mapped(&experts));
    assert_true(is_mapped(&experts));
}

static void other_kernels_and_types_have_images_of_their_own(void **state) {
    (void)state;
    const char *const *tiers;
    wish w = plain(model_path("tiny-llama3", "f32"));
    int n = ag_kernels_tiers(&tiers);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < n; i++) {
            wish other = w;
            other.tier = tiers[i];
            assert_int_equal(is_mapped(&other), round);
        }
        wish half = w, int8 = w;
        half.dtype = AG_T_F16;
        int8.quantize = "int8";
        assert_int_equal(is_mapped(&half), round);
        assert_int_equal(is_mapped(&int8), round);
    }
}

static void a_changed_file_has_another_image(void **state) {
    (void)state;
    wish w = plain(copy_of(model_path("tiny-llama3", "q8_0")));
    struct stat st;
    uint8_t byte;
    assert_false(is_mapped(&w));
    assert_true(is_mapped(&w));
    assert_int_equal(stat(w.path, &st), 0);
    int fd = open(w.path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, st.st_size - 100), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size - 100), 1);
    const struct timespec times[2] = {st.st_atim, st.st_mtim}; /* whoever hides it */
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
    assert_false(is_mapped(&w));
    assert_true(is_mapped(&w));
}

static void copies_with_one_digest_share_an_image(void **state) {
    (void)state;
    wish w = plain(model_path("tiny-llama3", "q8_0")), copy = plain(copy_of(w.path));
    w.digest = copy.digest = "6b1b36cbb04b41490bfc0ab2bfa26f86";
    assert_false(is_mapped(&w));
    assert_true(is_mapped(&copy));
    copy.digest = "another";
    assert_false(is_mapped(&copy));
}

static void a_damaged_image_is_replaced(void **state) {
    (void)state;
    char command[200];
    wish w = plain(model_path("tiny-llama3", "q4_k"));
    assert_false(is_mapped(&w));
    snprintf(command, sizeof command, "for f in %s/*.image; do printf x >> $f; done", folder);
    assert_int_equal(system(command), 0);
    assert_false(is_mapped(&w));
    assert_true(is_mapped(&w));
}

static void weights_that_are_bound_to_nodes_are_packed(void **state) {
    (void)state;
    wish w = plain(model_path("tiny-llama3", "q4_k"));
    assert_false(is_mapped(&w));
    w.nodes = true;
    assert_false(is_mapped(&w));
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(root) || ag_pool_new(2, &pool, NULL) != AG_OK)
        return -1;
    snprintf(folder, sizeof folder, "%s/images", root);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[64];
    ag_pool_free(&pool);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_type_is_mapped_as_it_is_packed, empty_folder),
        cmocka_unit_test_setup(other_kernels_and_types_have_images_of_their_own, empty_folder),
        cmocka_unit_test_setup(a_changed_file_has_another_image, empty_folder),
        cmocka_unit_test_setup(copies_with_one_digest_share_an_image, empty_folder),
        cmocka_unit_test_setup(a_damaged_image_is_replaced, empty_folder),
        cmocka_unit_test_setup(weights_that_are_bound_to_nodes_are_packed, empty_folder),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
