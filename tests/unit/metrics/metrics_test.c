/* Metrics: exact text, both formats, vLLM's names, bounds on series, counting from many threads. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "metrics/metrics.h"
#include "unit/test.h"

static ag_metrics *new_metrics(void) {
    ag_metrics *m;
    assert_int_equal(ag_metrics_new(&m, NULL), AG_OK);
    return m;
}

static ag_buf written(ag_metrics *m, ag_metrics_format f) {
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, 16 << 20);
    ag_metrics_write(m, f, &out);
    assert_non_null(ag_buf_cstr(&out));
    return out;
}

static void expect(ag_metrics *m, ag_metrics_format f, const char *text) {
    ag_buf out = written(m, f);
    if (!strstr(out.p, text))
        fail_msg("not found: %s\nin: %s", text, out.p);
    ag_buf_deinit(&out);
}

static void a_counter_is_written_with_its_labels_escaped(void **state) {
    (void)state;
    ag_metrics *m = new_metrics();
    ag_metric *s = ag_metrics_get(m, AG_M_REJECTED, "a\"b\\c\nd", "queue_full", NULL);
    ag_metric_add(s, 3);
    assert_ptr_equal(s, ag_metrics_get(m, AG_M_REJECTED, "a\"b\\c\nd", "queue_full", NULL));
    expect(m, (ag_metrics_format){0},
           "# HELP autoglm_requests_rejected_total Inference requests refused, by reason.\n"
           "# TYPE autoglm_requests_rejected_total counter\n"
           "autoglm_requests_rejected_total{model=\"a\\\"b\\\\c\\nd\",reason=\"queue_full\"} 3\n");
    expect(m, (ag_metrics_format){.openmetrics = true},
           "# TYPE autoglm_requests_rejected counter\nautoglm_requests_rejected_total{");
    ag_metrics_free(&m);
}

static void buckets_are_cumulative_and_end_in_the_count(void **state) {
    (void)state;
    ag_metrics *m = new_metrics();
    ag_metric *s = ag_metrics_get(m, AG_M_ITL, "m", NULL, NULL);
    const double seen[] = {-1, 0.01, 0.0100001, 0.3, 1000, NAN};
    for (size_t i = 0; i < 6; i++)
        ag_metric_observe(s, seen[i]);
    ag_metrics_format f = {.vllm_names = true};
    expect(m, f,
           "autoglm_inter_token_latency_seconds_bucket{model=\"m\",le=\"0.01\"} 3\n"
           "autoglm_inter_token_latency_seconds_bucket{model=\"m\",le=\"0.025\"} 4\n");
    expect(m, f,
           "le=\"80\"} 5\nautoglm_inter_token_latency_seconds_bucket{model=\"m\",le=\"+Inf\"} 6\n"
           "autoglm_inter_token_latency_seconds_sum{model=\"m\"} 1000.32\n"
           "autoglm_inter_token_latency_seconds_count{model=\"m\"} 6\n");
    expect(
        m, f,
        "\nvllm:inter_token_latency_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"+Inf\"} 6\n");
    expect(m, (ag_metrics_format){.openmetrics = true}, "le=\"80.0\"} 5\n");
    assert_true(ag_metric_value(s) == 6);
    ag_metrics_free(&m);
}

static void buckets_that_others_count_are_shown(void **state) {
    (void)state;
    ag_metrics *m = new_metrics();
    ag_metric *s = ag_metrics_get(m, AG_M_STEP_ROWS, "m", NULL, NULL);
    const uint64_t counts[15] = {[0] = 5, [3] = 2, [14] = 1};
    ag_metric_set_buckets(s, counts, 15, 9021);
    ag_metric_set_buckets(s, counts, 15, 9021); /* set, not added */
    ag_metrics_format f = {.vllm_names = true};
    expect(m, f,
           "le=\"4\"} 5\nautoglm_step_rows_bucket{model=\"m\",le=\"8\"} 7\n"
           "autoglm_step_rows_bucket{model=\"m\",le=\"16\"} 7\n");
    expect(m, f,
           "le=\"8192\"} 7\nautoglm_step_rows_bucket{model=\"m\",le=\"+Inf\"} 8\n"
           "autoglm_step_rows_sum{model=\"m\"} 9021\nautoglm_step_rows_count{model=\"m\"} 8\n");
    expect(m, f,
           "# TYPE vllm:iteration_tokens_total histogram\n"
           "vllm:iteration_tokens_total_bucket{model_name=\"m\",engine=\"0\",le=\"1\"} 5\n");
    ag_metrics_free(&m);
}

static void openmetrics_ends_in_eof(void **state) {
    (void)state;
    ag_metrics *m = new_metrics();
    ag_buf out = written(m, (ag_metrics_format){.openmetrics = true});
    assert_true(ag_span_ends(ag_buf_span(&out), ag_str("\n# EOF\n")));
    ag_buf_deinit(&out);
    out = written(m, (ag_metrics_format){0});
    assert_null(strstr(out.p, "EOF"));
    assert_null(strstr(out.p, "other")); /* nothing was shared yet */
    ag_buf_deinit(&out);
    ag_metrics_free(&m);
    assert_true(ag_metrics_wants_openmetrics("application/openmetrics-text; version=1.0.0, */*"));
    assert_false(ag_metrics_wants_openmetrics("text/plain"));
    assert_false(ag_metrics_wants_openmetrics(NULL));
}

static void too_many_label_values_share_one_series(void **state) {
    (void)state;
    ag_metrics *m = new_metrics();
    char name[32];
    for (int i = 0; i < AG_MAX_SERIES + 100; i++) {
        snprintf(name, sizeof name, "m%d", i);
        ag_metric_add(ag_metrics_get(m, AG_M_PROMPT_TOKENS, name, NULL, NULL), 1);
    }
    expect(m, (ag_metrics_format){0}, "autoglm_prompt_tokens_total{model=\"other\"} 100\n");
    ag_metrics_free(&m);
}

static void what_is_told_anew_replaces_what_was_told(void **state) {
    (void)state;
    const ag_metrics_format plain = {0};
    ag_metrics *m = new_metrics();
    char blocks[16];
    for (int i = 0; i < 2 * AG_MAX_SERIES; i++) { /* each is gone with the next */
        snprintf(blocks, sizeof blocks, "%d", i);
        ag_metrics_tell(m, AG_M_KV_INFO, "a", "32", blocks);
    }
    ag_metrics_tell(m, AG_M_KV_INFO, "b", "32", "7");
    expect(m, plain,
           "# TYPE autoglm_kv_cache_info gauge\n"
           "autoglm_kv_cache_info{model=\"a\",block_size=\"32\",num_gpu_blocks=\"511\"} 1\n"
           "autoglm_kv_cache_info{model=\"b\",block_size=\"32\",num_gpu_blocks=\"7\"} 1\n# HELP");
    ag_metrics_tell(m, AG_M_KV_INFO, "a", NULL, NULL);
    expect(m, plain, "# TYPE autoglm_kv_cache_info gauge\nautoglm_kv_cache_info{model=\"b\"");
    ag_metrics_tell(m, AG_M_KV_INFO, "b", NULL, NULL);
    ag_buf out = written(m, plain);
    assert_null(strstr(out.p, "autoglm_kv_cache_info")); /* a family without series is not there */
    ag_buf_deinit(&out);
    ag_metrics_tell(m, AG_M_KV_INFO, "a", "32", "8");
    expect(m, plain, "{model=\"a\",block_size=\"32\",num_gpu_blocks=\"8\"} 1\n");
    for (int i = 0; i < 2 * AG_MAX_SERIES; i++) { /* nothing is told of those beyond */
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        ag_metrics_tell(m, AG_M_KV_INFO, name, "32", "9");
    }
    out = written(m, plain);
    assert_non_null(strstr(out.p, "{model=\"m0\""));
    assert_null(strstr(out.p, "other"));
    ag_buf_deinit(&out);
    ag_metrics_free(&m);
}

static void the_process_shows_itself(void **state) {
    (void)state;
    ag_metrics *m = new_metrics();
    ag_metrics_on_scrape(m, ag_metrics_scrape_process, m);
    ag_buf out = written(m, (ag_metrics_format){0});
    const char *rss = strstr(out.p, "\nprocess_resident_memory_bytes ");
    const char *start = strstr(out.p, "\nprocess_start_time_seconds ");
    assert_in_range(atof(strchr(rss + 1, ' ')), 100000, 1e12);
    assert_in_range(atof(strchr(start + 1, ' ')), time(NULL) - 100, time(NULL) + 1);
    ag_buf_deinit(&out);
    ag_metrics_free(&m);
}

static void *count(void *m) {
    ag_metric *s = ag_metrics_get(m, AG_M_REQUESTS_STARTED, "m", NULL, NULL);
    ag_metric *h = ag_metrics_get(m, AG_M_TTFT, "m", NULL, NULL);
    for (int i = 0; i < 50000; i++) {
        ag_metric_add(s, 1);
        ag_metric_observe(h, 0.001);
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state) {
    (void)state;
    ag_metrics *m = new_metrics();
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, count, m), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_true(ag_metric_value(ag_metrics_get(m, AG_M_REQUESTS_STARTED, "m", NULL, NULL)) ==
                200000);
    expect(m, (ag_metrics_format){0}, "autoglm_time_to_first_token_seconds_sum{model=\"m\"} 200\n");
    ag_metrics_free(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_is_written_with_its_labels_escaped),
        cmocka_unit_test(buckets_are_cumulative_and_end_in_the_count),
        cmocka_unit_test(buckets_that_others_count_are_shown),
        cmocka_unit_test(openmetrics_ends_in_eof),
        cmocka_unit_test(too_many_label_values_share_one_series),
        cmocka_unit_test(what_is_told_anew_replaces_what_was_told),
        cmocka_unit_test(the_process_shows_itself),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
