#include "cli/gen_pages.h"

#include "cli/out.h"
#include "config/config.h"
#include "metrics/metrics.h"

#define MAX_PAGE ((size_t)1 << 20)

static void print_page(const char *intro, void (*make)(ag_buf *out)) {
    ag_buf page;
    ag_buf_init(&page, AG_ROOM_CLI, MAX_PAGE);
    make(&page);
    ag_cli_out("%s", intro);
    ag_cli_out_bytes(ag_buf_span(&page));
    ag_buf_deinit(&page);
}

void ag_cli_gen_config(void) {
    print_page(
        "# Configuration\n\n"
        "`autoglm serve --config FILE` reads one YAML file. Made by `autoglm gen config` from the "
        "table in `src/ops/config/table.c`; deploy/config.schema.json, from the same table, lets "
        "editors complete and check.\n\n"
        "Later sources win: the defaults below, the file, the environment, the command line. "
        "`server.drain_timeout` is `AUTOGLM_SERVER_DRAIN_TIMEOUT` in the environment and `--set "
        "server.drain_timeout=10s` on the command line; keys of models are set as `--set "
        "models[0].context=4096`. `autoglm check FILE` tells every mistake with its line and "
        "column, `autoglm check --print FILE` shows what would be in force.\n\n"
        "```yaml\n"
        "server:\n"
        "  listen: [\"127.0.0.1:8000\"]\n"
        "  drain_timeout: 30s\n"
        "log: {level: \"info,sched=debug\"}\n"
        "models:\n"
        "  - name: smollm2\n"
        "    path: models/SmolLM2-135M-Instruct.Q4_1.gguf\n"
        "    aliases: [default]\n"
        "```\n\n"
        "Durations are written with their unit (`250ms 10s 5m 1h`), sizes as `4096 64KiB 32MiB "
        "2GiB`, lists in YAML's form or as text that is split at commas (an element with a comma, "
        "such as a socket's path, needs YAML's form). `null` means the default. Anchors, "
        "tags and duplicate keys are refused. A reload (SIGHUP) applies what says so in the column "
        "`reload`; other changes wait for a restart, or for SIGUSR2, which takes them up without "
        "refusing anybody, but for those of `server.listen`, `server.supervise`, "
        "`server.flight_dir`, `server.stall_timeout` and `server.drain_*`: the supervisor holds "
        "these from its start.\n\n",
        ag_config_document);
}

void ag_cli_gen_metrics(void) {
    print_page(
        "# Metrics\n\n"
        "`GET /metrics`: Prometheus text, or OpenMetrics where `Accept` asks for it. Made by "
        "`autoglm gen metrics` from the table in `src/ops/metrics/families.h`. With "
        "`metrics.vllm_names` what vLLM has too is shown a second time under its name, with "
        "its labels `model_name` and `engine`, so that dashboards made for it go on "
        "working.\n\n"
        "The ledger: for each model `autoglm_requests_started_total` equals the sum of "
        "`autoglm_requests_finished_total` over its outcomes plus "
        "`autoglm_requests_in_flight`, and tokens here are the tokens of `usage`.\n\n"
        "Scale on `autoglm_queue_wait_predicted_seconds`, not on processor use: a full batch "
        "uses every core and may still have no one waiting.\n\n",
        ag_metrics_document);
}

void ag_cli_gen_schema(void) {
    print_page("", ag_config_schema);
    ag_cli_out("\n");
}
