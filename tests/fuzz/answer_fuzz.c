/* Answers of models, in every format: however the text is cut, the same comes out, and the
 * arguments of calls that ended are JSON objects. The first byte chooses the format, the second the
 * modes and the cuts; the rest is the answer. */
#include "base/utf8.h"
#include "unit/text/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char *const templates[] = {
    GLM4, GLM45,   HERMES,    CODER,    SEED,       MINIMAX, LLAMA,   JSON,     MISTRAL,    KIMI,
    PHI,  GRANITE, MINISTRAL, DEEPSEEK, DEEPSEEK31, PLAIN,   COMMAND, NEMOTRON, FUNCTIONARY};
#define N_TEMPLATES (sizeof templates / sizeof *templates)

static json_t *tools; /* made once; a fuzzer's process ends without giving it back */

static size_t one(void *state) {
    (void)state;
    return 1;
}
static size_t some(void *state) { return 1 + ag_rng_u64((ag_rng *)state) % 9; }

static void check(const ag_answer_opts *o, ag_span text, uint64_t seed) {
    answer_log whole, bytes, pieces;
    ag_rng rng;
    ag_rng_init(&rng, seed);
    parse_pieces(o, text, NULL, NULL, &whole);
    parse_pieces(o, text, one, NULL, &bytes);
    parse_pieces(o, text, some, &rng, &pieces);
    AG_ASSERT(ag_span_eq(ag_buf_span(&whole.text), ag_buf_span(&bytes.text)));
    AG_ASSERT(ag_span_eq(ag_buf_span(&whole.text), ag_buf_span(&pieces.text)));
    AG_ASSERT(ag_span_eq(ag_buf_span(&whole.ids), ag_buf_span(&pieces.ids)));
    AG_ASSERT(ag_utf8_is_valid(ag_buf_span(&whole.text)));
    log_deinit(&whole);
    log_deinit(&bytes);
    log_deinit(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    if (n < 2)
        return 0;
    if (!tools)
        tools = json_loads(answer_tools, 0, NULL);
    AG_ASSERT(tools);
    ag_answer_format f = ag_answer_format_detect(ag_str(templates[p[0] % N_TEMPLATES]), NULL, NULL);
    ag_answer_opts o = {.format = &f,
                        .tools = p[1] & 1 ? NULL : tools,
                        .reasoning = (ag_reasoning_mode)((p[1] >> 1) % 3),
                        .arguments = (ag_arguments_mode)(p[1] >> 3 & 1),
                        .in_reasoning = p[1] >> 4 & 1,
                        .seed = p[1]};
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_TEST, (size_t)64 << 20);
    ag_utf8_repair(ag_span_of(p + 2, n - 2), &text);
    check(&o, ag_buf_span(&text), p[1]);
    ag_buf_deinit(&text);
    return 0;
}
