/* generation_config.json: where answers end, and how its makers would have tokens chosen. */
#include "load/hf_tokenizer_parts.h"

#define MAX_STOPS 64u

/* Ends of generation: a number or a list of them. */
static size_t read_stops(const json_t *generation, const ag_hf_vocab *v, uint32_t *stops) {
    const json_t *ids = json_object_get(generation, "eos_token_id");
    size_t n = json_is_array(ids) ? json_array_size(ids) : json_is_integer(ids), n_stops = 0;
    for (size_t i = 0; i < n && n_stops < MAX_STOPS; i++) {
        const json_t *one = json_is_array(ids) ? json_array_get(ids, i) : ids;
        json_int_t id = json_is_integer(one) ? json_integer_value(one) : -1;
        if (id >= 0 && (size_t)id < v->n && v->tokens[id].type != AG_HF_HOLE)
            stops[n_stops++] = (uint32_t)id;
    }
    return n_stops;
}

ag_code ag_hf_write_stops(ag_hf_vocab *v, const json_t *generation, ag_source *s, ag_err *err) {
    uint32_t stops[MAX_STOPS];
    size_t n = read_stops(generation, v, stops), n_rest = 0;
    if (v->eos < 0 && n > 0)
        v->eos = stops[0];
    for (size_t i = 0; i < n; i++)
        if (stops[i] != v->eos)
            stops[n_rest++] = stops[i];
    ag_code code = AG_OK;
    if (n_rest > 0)
        code = ag_hf_put_u32(s, "tokenizer.ggml.eot_token_id", stops[0], err);
    if (code == AG_OK && n_rest > 1)
        code = ag_hf_put_u32(s, "tokenizer.ggml.eom_token_id", stops[1], err);
    if (code == AG_OK && n_rest > 2)
        code = ag_hf_put_u32s(s, "autoglm.tokenizer.stop_token_ids", stops + 2, n_rest - 2, err);
    return code;
}

ag_code ag_hf_write_sampling(const json_t *generation, ag_source *s, ag_err *err) {
    static const char *const rows[][2] = {
        {"temperature", "general.sampling.temp"},
        {"top_p", "general.sampling.top_p"},
        {"min_p", "general.sampling.min_p"},
        {"repetition_penalty", "general.sampling.penalty_repeat"}};
    /* Greedy is temperature 0; what stands beside it means nothing then. */
    if (json_is_false(json_object_get(generation, "do_sample")))
        return ag_hf_put_f32(s, "general.sampling.temp", 0, err);
    ag_code code = AG_OK;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && code == AG_OK; i++) {
        const json_t *v = json_object_get(generation, rows[i][0]);
        if (json_is_number(v)) /* null, as some write it, is nothing */
            code = ag_hf_put_f32(s, rows[i][1], json_number_value(v), err);
    }
    const json_t *top_k = json_object_get(generation, "top_k");
    if (code == AG_OK && json_is_integer(top_k))
        code = ag_hf_put_i64(s, "general.sampling.top_k", json_integer_value(top_k), err);
    return code;
}
