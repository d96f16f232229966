/* Load on a server that speaks OpenAI's API, and what its clients saw.
 *
 * Closed loop: each of C clients sends its next request when the last one was answered. Open loop:
 * requests arrive at random times of a given rate (a Poisson process), whether or not the server
 * keeps up; a request that finds no free client waits, and its times count from when it was due, so
 * that a slow server cannot hide its delays.
 *
 * Definitions, since tools differ: TTFT is from sending the request to the first token of content;
 * ITL the gap between two pieces of content as they arrived; TPOT (E2E - TTFT) / (tokens - 1);
 * goodput the requests a second that met all objectives.
 *
 * One thread and one libcurl multi handle, so that the load costs next to nothing of a machine that
 * it shares with the server. Thread: one. */
#ifndef AG_LOADTEST_LOADTEST_H
#define AG_LOADTEST_LOADTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

typedef enum ag_load_api { AG_LOAD_CHAT, AG_LOAD_COMPLETIONS, AG_LOAD_EMBEDDINGS } ag_load_api;

/* Zero is the default of every field unless it says otherwise. Everything is borrowed. */
typedef struct ag_load_opts {
    const char *base_url; /* "http://127.0.0.1:8000/v1" */
    const char *model;    /* required */
    const char *api_key;  /* NULL: none */
    ag_load_api api;
    bool whole;               /* answers in one piece instead of streamed */
    uint32_t clients;         /* requests at once, at most; 0: 8 */
    double rate;              /* requests a second, open loop; 0: closed loop */
    uint32_t requests;        /* to send; 0: 64, or as many as fit into duration_s */
    double duration_s;        /* stop starting requests after so long; 0: no limit */
    uint32_t warmup;          /* first requests that do not count */
    uint32_t prompt_words;    /* 0: 128 */
    uint32_t shared_words;    /* of these, the same in every request */
    const char *const *texts; /* prompts to take in turn instead of made ones */
    size_t n_texts;
    uint32_t max_tokens; /* 0: 64 */
    bool stop_early;     /* let the model end its answer; else ignore_eos is sent */
    float temperature;
    uint64_t seed;      /* of words and arrivals */
    double timeout_s;   /* of a request; 0: 600 */
    double slo_ttft_ms; /* 0: none; of streams only, whose tokens are seen to come */
    double slo_itl_ms;  /* every gap of an answer, likewise; 0: none */
    bool (*on_progress)(void *ctx, uint64_t done, uint64_t all); /* false stops; may be NULL */
    void *progress_ctx;
} ag_load_opts;

typedef struct ag_load_series {
    double *v; /* owned [n], sorted once a run is over */
    size_t n, room;
} ag_load_series;

typedef struct ag_load_result {
    double wall_s; /* first counted request sent to the last one answered */
    uint64_t sent, succeeded, failed, refused; /* refused: 429 or 503 */
    uint64_t met;                              /* succeeded and within all objectives */
    uint64_t prompt_tokens, cached_tokens, generated_tokens;
    ag_load_series ttft, itl, tpot, e2e; /* seconds, of requests that succeeded; but for e2e only
                                          * of streams: when tokens came is known of these alone */
    ag_load_series ended_at;             /* seconds after the start, for the plot */
    char first_error[256];               /* "" when nothing failed */
} ag_load_result;

/* Do answers come token by token? Objectives for tokens need that. Pure. */
bool ag_load_streams(const ag_load_opts *o);
/* AG_E_ARG (an option), AG_E_NOMEM, AG_E_UNSUPPORTED (libcurl does not start). Requests that fail
 * are counted, not an error. */
ag_code ag_load_run(const ag_load_opts *opts, ag_load_result *out, ag_err *err) AG_MUST_USE;
void ag_load_result_deinit(ag_load_result *r);

/* The value that a share q of the series does not exceed (nearest rank); 0 of an empty one. */
double ag_load_quantile(const ag_load_series *s, double q);
double ag_load_mean(const ag_load_series *s);

/* One JSON object: opts in short, counts, rates, and mean, p50, p90, p99, max of each series in
 * milliseconds; null of an empty one. */
void ag_load_json(const ag_load_opts *opts, const ag_load_result *r, ag_buf *out);
/* An SVG page: shares of TTFT and ITL (without streams: of requests) below a time, and answers a
 * second over the run. */
void ag_load_svg(const ag_load_opts *opts, const ag_load_result *r, ag_buf *out);

#endif
