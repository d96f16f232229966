/* Every metric of the server, one row each: from it come the enum, the HELP and TYPE lines, the
 * names that vLLM's dashboards know, and the table in docs/metrics.md.
 *
 * X(id, name, vllm name or NULL, type, labels, buckets, help)
 *   labels: space-separated, at most AG_MAX_LABELS; a family with "model" first is exported under
 * its vllm name too (labels model_name and engine) where that is asked for. type SAMPLED: a counter
 * that somebody else counts; its total is set before each scrape. INFO: a gauge that is 1 and tells
 * by its labels; of each value of the first one there is one series, or none. */
#ifndef AG_METRICS_FAMILIES_H
#define AG_METRICS_FAMILIES_H

/* Bucket bounds, named by what they measure. Those of latencies are vLLM's, so that dashboards and
 * alerts made for it read the same. */
#define AG_BUCKETS_TTFT                                                                            \
    .001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160,    \
        640, 2560
#define AG_BUCKETS_ITL                                                                             \
    .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80
#define AG_BUCKETS_LATENCY                                                                         \
    .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680
#define AG_BUCKETS_TOKENS                                                                          \
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000
#define AG_BUCKETS_CHOICES 1, 2, 5, 10, 20, 50, 100
/* Those of ag_engine_stats.n_steps_of; vLLM's are among them. */
#define AG_BUCKETS_ROWS 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192
#define AG_BUCKETS_HTTP .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300

#define AG_FAMILY_MAP(X)                                                                           \
    /* the ledger: started = finished (all outcomes) + in flight */                                \
    X(REQUESTS_STARTED, "autoglm_requests_started_total", NULL, COUNTER, "model", NONE,            \
      "Inference requests taken in, refused ones included.")                                       \
    X(REQUESTS_FINISHED, "autoglm_requests_finished_total", NULL, COUNTER, "model outcome", NONE,  \
      "Inference requests that ended: succeeded, failed, aborted or rejected.")                    \
    X(REQUESTS_IN_FLIGHT, "autoglm_requests_in_flight", NULL, GAUGE, "model", NONE,                \
      "Inference requests taken in and not ended.")                                                \
    X(REQUEST_SUCCESS, "autoglm_request_success_total", "vllm:request_success_total", COUNTER,     \
      "model finished_reason", NONE, "Answers that came to their end, by why they ended.")         \
    X(REJECTED, "autoglm_requests_rejected_total", NULL, COUNTER, "model reason", NONE,            \
      "Inference requests refused, by reason.")                                                    \
    X(PROMPT_TOKENS, "autoglm_prompt_tokens_total", "vllm:prompt_tokens_total", COUNTER, "model",  \
      NONE, "Tokens of prompts, as counted in usage.")                                             \
    X(CACHED_TOKENS, "autoglm_prompt_cached_tokens_total", NULL, COUNTER, "model", NONE,           \
      "Tokens of prompts found in the prefix cache, as counted in usage.")                         \
    X(GENERATION_TOKENS, "autoglm_generation_tokens_total", "vllm:generation_tokens_total",        \
      COUNTER, "model", NONE, "Tokens generated, as counted in usage.")                            \
    /* latencies */                                                                                \
    X(TTFT, "autoglm_time_to_first_token_seconds", "vllm:time_to_first_token_seconds", HISTOGRAM,  \
      "model", TTFT, "From the request being read to its first token.")                            \
    X(ITL, "autoglm_inter_token_latency_seconds", "vllm:inter_token_latency_seconds", HISTOGRAM,   \
      "model", ITL, "Between two tokens of an answer.")                                            \
    X(E2E, "autoglm_request_duration_seconds", "vllm:e2e_request_latency_seconds", HISTOGRAM,      \
      "model", LATENCY, "From the request being read to its last token.")                          \
    X(INFERENCE, "model_inference_duration_seconds", "vllm:request_inference_time_seconds",        \
      HISTOGRAM, "model", LATENCY,                                                                 \
      "Computing time of a request: prefill and decode, without waiting.")                         \
    X(QUEUE_TIME, "autoglm_request_queue_seconds", "vllm:request_queue_time_seconds", HISTOGRAM,   \
      "model", LATENCY, "Waiting before the first step.")                                          \
    X(PREFILL_TIME, "autoglm_request_prefill_seconds", "vllm:request_prefill_time_seconds",        \
      HISTOGRAM, "model", LATENCY, "From the first step to the first token.")                      \
    X(DECODE_TIME, "autoglm_request_decode_seconds", "vllm:request_decode_time_seconds",           \
      HISTOGRAM, "model", LATENCY, "From the first token to the last.")                            \
    X(REQUEST_PROMPT, "autoglm_request_prompt_tokens", "vllm:request_prompt_tokens", HISTOGRAM,    \
      "model", TOKENS, "Tokens of a prompt.")                                                      \
    X(REQUEST_GENERATION, "autoglm_request_generation_tokens", "vllm:request_generation_tokens",   \
      HISTOGRAM, "model", TOKENS, "Tokens generated for a request.")                               \
    X(REQUEST_N, "autoglm_request_params_n", "vllm:request_params_n", HISTOGRAM, "model", CHOICES, \
      "Answers that a request asks for.")                                                          \
    X(REQUEST_MAX, "autoglm_request_params_max_tokens", "vllm:request_params_max_tokens",          \
      HISTOGRAM, "model", TOKENS, "max_tokens of requests that say it.")                           \
    /* the engine, read at each scrape */                                                          \
    X(RUNNING, "autoglm_sequences_running", "vllm:num_requests_running", GAUGE, "model", NONE,     \
      "Sequences in the batch.")                                                                   \
    X(WAITING, "autoglm_sequences_waiting", "vllm:num_requests_waiting", GAUGE, "model", NONE,     \
      "Sequences in the line.")                                                                    \
    X(PAUSED, "autoglm_sequences_paused", NULL, GAUGE, "model", NONE,                              \
      "Sequences held back because their reader is slow.")                                         \
    X(KV_USAGE, "autoglm_kv_cache_usage_ratio", "vllm:kv_cache_usage_perc", GAUGE, "model", NONE,  \
      "Share of KV blocks in use by running sequences, 0 to 1.")                                   \
    X(KV_BLOCKS, "autoglm_kv_blocks", NULL, GAUGE, "model state", NONE,                            \
      "KV blocks: total, used, cached.")                                                           \
    X(KV_INFO, "autoglm_kv_cache_info", "vllm:cache_config_info", INFO,                            \
      "model block_size num_gpu_blocks", NONE,                                                     \
      "1; tokens of a KV block and blocks in all, under vLLM's names.")                            \
    X(QUEUE_WAIT, "autoglm_queue_wait_predicted_seconds", NULL, GAUGE, "model", NONE,              \
      "How long a request that came now would wait: what to scale on.")                            \
    X(PREFIX_QUERIES, "autoglm_prefix_cache_queries_total", "vllm:prefix_cache_queries_total",     \
      SAMPLED, "model", NONE, "Tokens of prompts looked up in the prefix cache.")                  \
    X(PREFIX_HITS, "autoglm_prefix_cache_hits_total", "vllm:prefix_cache_hits_total", SAMPLED,     \
      "model", NONE, "Tokens of prompts found in the prefix cache.")                               \
    X(PREEMPTIONS, "autoglm_preemptions_total", "vllm:num_preemptions_total", SAMPLED, "model",    \
      NONE, "Sequences sent back to the line because KV ran out.")                                 \
    X(STEP_ROWS, "autoglm_step_rows", "vllm:iteration_tokens_total", HISTOGRAM, "model", ROWS,     \
      "Tokens computed in a step, of prompts and of answers; _count are the steps.")               \
    X(STEP_SECONDS, "autoglm_step_seconds_total", NULL, SAMPLED, "model", NONE,                    \
      "Time spent in steps.")                                                                      \
    X(SPEC_DRAFTED, "autoglm_speculation_drafted_tokens_total",                                    \
      "vllm:spec_decode_num_draft_tokens_total", SAMPLED, "model", NONE,                           \
      "Tokens proposed by speculation.")                                                           \
    X(SPEC_ACCEPTED, "autoglm_speculation_accepted_tokens_total",                                  \
      "vllm:spec_decode_num_accepted_tokens_total", SAMPLED, "model", NONE,                        \
      "Tokens proposed by speculation that were right.")                                           \
    /* models */                                                                                   \
    X(MODEL_STATE, "autoglm_model_state", NULL, GAUGE, "model state", NONE,                        \
      "1 for the state that a model is in.")                                                       \
    X(MODEL_LOAD, "autoglm_model_load_seconds", NULL, GAUGE, "model", NONE,                        \
      "How long the last loading took.")                                                           \
    X(MODEL_BYTES, "autoglm_model_memory_bytes", NULL, GAUGE, "model kind", NONE,                  \
      "Memory of a model: weights, kv, scratch.")                                                  \
    X(MODEL_UNLOADS, "autoglm_model_unloads_total", NULL, SAMPLED, "model reason", NONE,           \
      "Times that a model was unloaded: idle, or because another needed its memory.")              \
    X(MEMORY_BUDGET, "autoglm_memory_budget_bytes", NULL, GAUGE, "", NONE,                         \
      "Memory that all models together may take.")                                                 \
    X(MEMORY, "autoglm_memory_bytes", NULL, GAUGE, "part", NONE,                                   \
      "Memory held by each part of the program.")                                                  \
    /* HTTP */                                                                                     \
    X(HTTP_REQUESTS, "autoglm_http_requests_total", NULL, COUNTER, "route code", NONE,             \
      "HTTP answers, by route and status code; 0: the client left first.")                         \
    X(HTTP_DURATION, "autoglm_http_request_duration_seconds", NULL, HISTOGRAM, "route", HTTP,      \
      "From the first byte of a request to the last byte of its answer.")                          \
    X(HTTP_CONNECTIONS, "autoglm_http_connections", NULL, GAUGE, "", NONE, "Open connections.")    \
    X(HTTP_TURNED_AWAY, "autoglm_http_connections_refused_total", NULL, SAMPLED, "", NONE,         \
      "Connections closed at once: their address had server.max_per_address.")                     \
    X(HTTP_SENT, "autoglm_http_sent_bytes_total", NULL, COUNTER, "", NONE,                         \
      "Bytes of answers handed to the system.")                                                    \
    /* the process */                                                                              \
    X(BUILD, "autoglm_build_info", NULL, GAUGE, "version", NONE, "1; what is running.")            \
    X(LOG_DROPPED, "autoglm_log_records_dropped_total", NULL, SAMPLED, "", NONE,                   \
      "Log records lost to a full ring.")                                                          \
    X(RESTARTS, "autoglm_restarts_total", NULL, SAMPLED, "reason", NONE,                           \
      "Servers started in another's place by this supervisor: after a crash, killed, exit or "     \
      "stall, or as an upgrade.")                                                                  \
    X(RELOADS, "autoglm_config_reloads_total", NULL, COUNTER, "outcome", NONE,                     \
      "Configuration reloads: applied or refused.")                                                \
    X(CPU, "process_cpu_seconds_total", NULL, SAMPLED, "", NONE,                                   \
      "Processor time, user and system.")                                                          \
    X(RSS, "process_resident_memory_bytes", NULL, GAUGE, "", NONE, "Resident memory.")             \
    X(VIRTUAL, "process_virtual_memory_bytes", NULL, GAUGE, "", NONE, "Address space.")            \
    X(FDS, "process_open_fds", NULL, GAUGE, "", NONE, "Open file descriptors.")                    \
    X(MAX_FDS, "process_max_fds", NULL, GAUGE, "", NONE, "Most file descriptors allowed.")         \
    X(THREADS, "process_threads", NULL, GAUGE, "", NONE, "Threads.")                               \
    X(START, "process_start_time_seconds", NULL, GAUGE, "", NONE, "Start, in seconds since 1970.")

typedef enum ag_family {
#define AG_FAMILY_ENUM(id, name, vllm, type, labels, buckets, help) AG_M_##id,
    AG_FAMILY_MAP(AG_FAMILY_ENUM)
#undef AG_FAMILY_ENUM
        AG_M_COUNT
} ag_family;

#endif
