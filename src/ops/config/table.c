/* Every key of the configuration, once. */
#include "config/config.h"

#define AT(field)   offsetof(ag_config, field)
#define AT_MODEL(f) offsetof(ag_config_model, f)
#define MS_DAY      86400000.0
#define BYTES_GIB   1073741824.0
#define HOT         .hot = true
#define RANGE(a, b) .min = (a), .max = (b)

const ag_config_row ag_config_rows[] = {
    {"server.listen", AG_CONFIG_LIST, AT(listen), "127.0.0.1:8000",
     .help = "Addresses: HOST:PORT, [IPV6]:PORT or unix:PATH (mode 0660: of its user and group). "
             "Beyond loopback keys are required."},
    {"server.api_key_file", AG_CONFIG_PATH, AT(api_key_file), NULL, HOT,
     .help = "File of API keys, a line each: KEY, NAME KEY or NAME KEY WEIGHT. NAME is the tenant, "
             "WEIGHT its share under load (1). A reload reads it again."},
    {"server.tls_cert", AG_CONFIG_PATH, AT(tls_cert), NULL,
     .help = "Certificate chain, PEM; read again when the file changes."},
    {"server.tls_key", AG_CONFIG_PATH, AT(tls_key), NULL, .help = "Its private key, PEM."},
    {"server.cors_origin", AG_CONFIG_TEXT, AT(cors_origin), NULL,
     .help = "Origin whose pages may call the server from a browser; \"*\": any."},
    {"server.hosts", AG_CONFIG_LIST, AT(hosts), NULL,
     .help = "Names that requests may call a server without keys by, beside localhost and the "
             "machine's own; addresses always may."},
    {"server.reasoning", AG_CONFIG_CHOICE, AT(reasoning), "inline",
     .choices = "inline split hidden",
     .help = "What a model thinks, where a request does not say: in content as it wrote it, in "
             "reasoning_content, or not shown."},
    {"server.truncate_prompt", AG_CONFIG_CHOICE, AT(truncate_prompt), "none",
     .choices = "none left right middle",
     .help = "Where a prompt beyond the context is cut, where a request does not say; none: it is "
             "refused."},
    {"server.head_bytes", AG_CONFIG_SIZE, AT(head_bytes), "32KiB", RANGE(1024, 1048576),
     .help = "Most bytes of a request line with its headers."},
    {"server.body_bytes", AG_CONFIG_SIZE, AT(body_bytes), "32MiB", RANGE(1024, BYTES_GIB),
     .help = "Most bytes of a request body."},
    {"server.max_headers", AG_CONFIG_COUNT, AT(max_headers), "100", RANGE(8, 1000),
     .help = "Most headers of a request."},
    {"server.max_connections", AG_CONFIG_COUNT, AT(max_connections), "4096", RANGE(1, 100000),
     .help = "Most open connections, as far as the process may have descriptors; then whoever is "
             "idle for longest makes room."},
    {"server.max_per_address", AG_CONFIG_COUNT, AT(max_per_address), "0", RANGE(0, 100000),
     .help = "Most open connections of one address; 0: no limit of its own."},
    {"server.head_timeout", AG_CONFIG_DURATION, AT(head_timeout), "10s", RANGE(100, MS_DAY),
     .help = "Time for a whole head, from its first byte."},
    {"server.body_timeout", AG_CONFIG_DURATION, AT(body_timeout), "30s", RANGE(100, MS_DAY),
     .help = "How long a body may stop coming."},
    {"server.idle_timeout", AG_CONFIG_DURATION, AT(idle_timeout), "75s", RANGE(100, MS_DAY),
     .help = "How long an idle connection is kept."},
    {"server.send_timeout", AG_CONFIG_DURATION, AT(send_timeout), "60s", RANGE(100, MS_DAY),
     .help = "How long a client may take nothing of its answer."},
    {"server.request_timeout", AG_CONFIG_DURATION, AT(request_timeout), "10m", RANGE(0, MS_DAY),
     .help = "Longest time for a request; X-Request-Timeout-Ms shortens it. 0: no limit."},
    {"server.drain_delay", AG_CONFIG_DURATION, AT(drain_delay), "0s", RANGE(0, MS_DAY),
     .help = "After SIGTERM: still accepting, but not ready, so that balancers look elsewhere."},
    {"server.drain_timeout", AG_CONFIG_DURATION, AT(drain_timeout), "30s", RANGE(0, MS_DAY),
     .help = "After that: time for running answers to end."},
    {"server.supervise", AG_CONFIG_BOOL, AT(supervise), "true",
     .help = "Run under a supervisor that restarts the server after a crash or stall."},
    {"server.sandbox", AG_CONFIG_CHOICE, AT(sandbox), "auto", .choices = "auto required off",
     .help =
         "Confine the serving process to its files and to the system calls it needs: as far as the "
         "system can, or else do not start, or not at all."},
    {"server.stall_timeout", AG_CONFIG_DURATION, AT(stall_timeout), "30s", RANGE(1000, MS_DAY),
     .help = "A server whose heartbeat is older has stalled."},
    {"server.flight_dir", AG_CONFIG_PATH, AT(flight_dir), NULL,
     .help =
         "Folder for the stacks of a server that crashed or stalled, of the last 16 times; absent: "
         "none are kept."},
    {"log.level", AG_CONFIG_LEVELS, AT(log_level), "info", HOT,
     .help = "error, warn, info or debug; others for components: \"warn,sched=debug\"."},
    {"log.format", AG_CONFIG_CHOICE, AT(log_format), "json", .choices = "json text",
     .help = "One JSON object a line (ECS), or plain lines."},
    {"log.file", AG_CONFIG_PATH, AT(log_file), NULL,
     .help = "Appended to, opened again on SIGHUP; absent: standard error."},
    {"metrics.enabled", AG_CONFIG_BOOL, AT(metrics), "true", .help = "Serve /metrics."},
    {"metrics.vllm_names", AG_CONFIG_BOOL, AT(metrics_vllm_names), "true",
     .help = "Show what vLLM has too a second time under its name."},
    {"engine.threads", AG_CONFIG_COUNT, AT(threads), "0", RANGE(0, 1024),
     .help = "Threads that compute; 0: one per physical core available."},
    {"engine.isa", AG_CONFIG_CHOICE, AT(isa), "auto",
     .choices = "auto ref avx2 avx512 vnni amx neon dotprod i8mm",
     .help = "Most CPU instructions used; `autoglm version` lists them."},
    {"engine.numa", AG_CONFIG_TEXT, AT(numa), "auto",
     .help = "On machines with several memory nodes: auto, off, interleave or a node's number."},
    {"engine.memory_fraction", AG_CONFIG_NUMBER, AT(memory_fraction), "0.7", RANGE(0.01, 1),
     .help =
         "Of the machine's or cgroup's memory, for weights, KV caches and working memory of all "
         "models together."},
    {"engine.memory_bytes", AG_CONFIG_SIZE, AT(memory_bytes), "0", RANGE(0, 1e15),
     .help = "The same in bytes; 0: memory_fraction says it."},
    {"engine.registry", AG_CONFIG_PATH, AT(registry), NULL,
     .help = "Registry of model names; absent: that of `autoglm models`."},
    {"engine.image_cache", AG_CONFIG_PATH, AT(image_cache), NULL,
     .help = "Folder where packed weights are kept, so that the next start maps them, or off; "
             "absent: images/ in the user's cache folder."},
    {"engine.image_cache_size", AG_CONFIG_SIZE, AT(image_cache_size), "32GiB", RANGE(0, 1e15),
     .help = "Of all packed weights there; the longest unused go first. 0: 32GiB."},
    {"engine.max_queued_requests", AG_CONFIG_COUNT, AT(max_queued_requests), "512",
     RANGE(1, 1000000), .help = "Requests of one model that may wait; more are refused (503)."},
    {"engine.max_queued_tokens", AG_CONFIG_COUNT, AT(max_queued_tokens), "0", RANGE(0, 1e12),
     .help = "Tokens of one model's waiting prompts; 0: as many as its KV cache holds, eightfold."},
    {"engine.max_queue_time", AG_CONFIG_DURATION, AT(max_queue_time), "0s", RANGE(0, MS_DAY),
     .help = "Longest wait before the first step; 0: the request's own timeout."},
    {"engine.itl_target", AG_CONFIG_DURATION, AT(itl_target), "0ms", RANGE(0, 60000),
     .help =
         "Time of a step while answers stream: prompts are cut to fit it. 0: 1.65 times that of "
         "a step without prompts; where several are read 1.75 to 4 times, or up to 13 times "
         "below 250 ms."},
    {NULL},
};

const ag_config_row ag_config_model_rows[] = {
    {"name", AG_CONFIG_TEXT, AT_MODEL(name), NULL, .help = "As clients name it. Required."},
    {"path", AG_CONFIG_TEXT, AT_MODEL(path), NULL,
     .help = "GGUF file, Hugging Face folder or registered name. Required."},
    {"aliases", AG_CONFIG_LIST, AT_MODEL(aliases), NULL, .help = "Other names for it."},
    {"load", AG_CONFIG_CHOICE, AT_MODEL(load), "start", .choices = "start lazy",
     .help =
         "At start, or at its first use; a lazy model nobody uses is unloaded when another needs "
         "its memory."},
    {"idle_unload", AG_CONFIG_DURATION, AT_MODEL(idle_unload), "0s", RANGE(0, MS_DAY * 30),
     .help = "Unload it when nobody used it for so long; its next use loads it again. 0: never."},
    {"context", AG_CONFIG_COUNT, AT_MODEL(context), "0", RANGE(0, 134217728),
     .help = "Tokens of one sequence; 0: the model's own, cut to what fits."},
    {"sequences", AG_CONFIG_COUNT, AT_MODEL(sequences), "0", RANGE(0, 4096),
     .help = "Sequences that run at once; 0: 16, of an encoder 64."},
    {"kv_tokens", AG_CONFIG_COUNT, AT_MODEL(kv_tokens), "0", RANGE(0, 1e12),
     .help = "Tokens of KV in all sequences; 0: as many as needed and fit."},
    {"batch_tokens", AG_CONFIG_COUNT, AT_MODEL(batch_tokens), "0", RANGE(0, 65536),
     .help = "Most tokens of a step; 0: 512."},
    {"kv_type", AG_CONFIG_CHOICE, AT_MODEL(kv_type), "f16", .choices = "f16 f32 bf16 q8_0",
     .help = "Numbers of the KV cache."},
    {"dtype", AG_CONFIG_CHOICE, AT_MODEL(dtype), "auto", .choices = "auto f32 f16 bf16",
     .help = "Re-encode the weights while loading."},
    {"quantize", AG_CONFIG_TEXT, AT_MODEL(quantize), NULL,
     .help = "Quantise while loading: int8, q4_k_m, ..."},
    {"device_map", AG_CONFIG_TEXT, AT_MODEL(device_map), "auto", .help = "Layers to devices."},
    {"chat_template", AG_CONFIG_PATH, AT_MODEL(chat_template), NULL,
     .help = "File with a Jinja template in place of the model's own."},
    {"generation_config", AG_CONFIG_CHOICE, AT_MODEL(generation_config), "auto",
     .choices = "auto none",
     .help = "Sampling that a request does not ask for: as the model's file advises, or none of "
             "that."},
    {NULL},
};
