/* Quantised weights of checkpoints: packed here by the layouts' formulas, read back as float32
 * exactly and as blocks within their rounding. */
#include "unit/load/folder.h"

#include <math.h>

#include "kernels/half.h"
#include "kernels/types.h"

enum { OUT = 64, IN = 96, GROUP = 32, GROUPS = IN / GROUP };

#define NAME "model.layers.0.mlp.down_proj"
#define GGUF "blk.0.ffn_down.weight"

static const char config[] =
    "{\"architectures\":[\"Qwen2ForCausalLM\"],\"hidden_size\":64,\"intermediate_size\":96,"
    "\"num_hidden_layers\":1,\"num_attention_heads\":2,\"quantization_config\":%s}";

/* What a weight is made of, and the values it stands for. */
typedef struct made {
    int q[OUT][IN];              /* codes */
    int zero[OUT][GROUPS];       /* in codes' terms */
    uint16_t scale[OUT][GROUPS]; /* f16 */
    int group[IN];
    float want[OUT][IN];
} made;

static made m;

static uint32_t random_state = 1;
static uint32_t rnd(uint32_t n) {
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

/* bits; zero < 0: random ones; order: columns' groups are mixed. */
static void make(int bits, int zero, bool order) {
    for (int i = 0; i < IN; i++)
        m.group[i] = order ? (int)rnd(GROUPS) : i / GROUP;
    for (int o = 0; o < OUT; o++) {
        for (int g = 0; g < GROUPS; g++) {
            m.zero[o][g] = zero >= 0 ? zero : 1 + (int)rnd((1u << bits) - 1);
            m.scale[o][g] = ag_f32_to_f16(0.001f + (float)rnd(1000) * 1e-5f);
        }
        for (int i = 0; i < IN; i++) {
            m.q[o][i] = (int)rnd(1u << bits);
            m.want[o][i] =
                ag_f16_to_f32(m.scale[o][m.group[i]]) * (float)(m.q[o][i] - m.zero[o][m.group[i]]);
        }
    }
}

static folder f;

static void begin(const char *quantization) {
    char text[1024];
    folder_new(&f);
    int n = snprintf(text, sizeof text, config, quantization);
    folder_put(&f, "config.json", ag_span_of(text, (size_t)n));
}

/* Put v into element k (from the low bits) of words of `bits`. */
static void pack(uint32_t *words, int k, int bits, int v) {
    int per = 32 / bits;
    words[k / per] |= (uint32_t)v << bits * (k % per);
}

/* Reads all rows as F32 (equal to the bit) and as the default type (within `error` of a scale). */
static void check(ag_type keep, double error) {
    folder_write(&f, "model.safetensors");
    ag_source *s = folder_open(&f);
    const ag_tensor *t = ag_source_find_tensor(s, GGUF);
    assert_non_null(t);
    assert_int_equal(t->type, AG_T_F32);
    assert_int_equal(t->keep, keep);
    assert_int_equal(t->dim[0], IN);
    assert_int_equal(t->dim[1], OUT);
    static float got[OUT][IN];
    static uint8_t blocks[OUT * IN * 4];
    for (int row = 0; row < OUT; row += 5) {
        size_t n = OUT - row < 5 ? (size_t)(OUT - row) : 5;
        (void)ag_tensor_read(t, (uint64_t)row, n, AG_T_F32, got[row]);
    }
    assert_memory_equal(got, m.want, sizeof got);
    (void)ag_tensor_read(t, 0, OUT, keep, blocks);
    ag_type_decode(keep, blocks, got[0], OUT * IN);
    for (int o = 0; o < OUT; o++)
        for (int i = 0; i < IN; i++) {
            double step = (double)ag_f16_to_f32(m.scale[o][m.group[i]]);
            if (!(fabs((double)got[o][i] - (double)m.want[o][i]) <= error * step))
                fail_msg("[%d, %d] as %s: %g, expected %g", o, i, ag_type_find(keep)->name,
                         (double)got[o][i], (double)m.want[o][i]);
        }
    ag_source_close(&s);
    folder_free(&f);
}

/* ---- GPTQ ------------------------------------------------------------------------------------ */

static void add_gptq(int bits, int minus) {
    static uint32_t w[IN * OUT], z[GROUPS * OUT];
    static uint16_t s[GROUPS][OUT];
    static int32_t index[IN];
    int per = 32 / bits;
    memset(w, 0, sizeof w);
    memset(z, 0, sizeof z);
    for (int o = 0; o < OUT; o++) {
        for (int i = 0; i < IN; i++)
            w[i / per * OUT + o] |= (uint32_t)m.q[o][i] << bits * (i % per);
        for (int g = 0; g < GROUPS; g++) {
            pack(z + g * (OUT / per), o, bits, m.zero[o][g] - minus);
            s[g][o] = m.scale[o][g];
        }
    }
    for (int i = 0; i < IN; i++)
        index[i] = m.group[i];
    char shape[64];
    snprintf(shape, sizeof shape, "%d,%d", IN / per, OUT);
    folder_tensor(&f, NAME ".qweight", "I32", shape, w, (size_t)(IN / per * OUT) * 4);
    snprintf(shape, sizeof shape, "%d,%d", GROUPS, OUT / per);
    folder_tensor(&f, NAME ".qzeros", "I32", shape, z, (size_t)(GROUPS * OUT / per) * 4);
    folder_tensor(&f, NAME ".scales", "F16", "3,64", s, sizeof s);
    folder_tensor(&f, NAME ".g_idx", "I32", "96", index, sizeof index);
}

static void gptq(int bits, int zero, bool order, bool v2, ag_type keep, double error) {
    char text[256];
    snprintf(text, sizeof text,
             "{\"quant_method\":\"gptq\",\"bits\":%d,\"group_size\":32,\"desc_act\":%s%s}", bits,
             order ? "true" : "false", v2 ? ",\"checkpoint_format\":\"gptq_v2\"" : "");
    begin(text);
    make(bits, zero, order);
    add_gptq(bits, v2 ? 0 : 1);
    check(keep, error);
}

static void gptq_weights_are_what_their_codes_say(void **state) {
    (void)state;
    gptq(4, 8, false, false, AG_T_Q4_0, 0);
    gptq(4, 8, false, true, AG_T_Q4_0, 0);
    gptq(4, -1, false, false, AG_T_Q4_1, 0.01);
    gptq(8, 128, false, false, AG_T_Q8_0, 0);
    gptq(8, -1, false, true, AG_T_Q8_0, 1.1);
    gptq(4, 8, true, false, AG_T_Q8_0, 1);
}

/* ---- AWQ ------------------------------------------------------------------------------------- */

static void awq_weights_are_what_their_codes_say(void **state) {
    (void)state;
    static const int column[8] = {0, 2, 4, 6, 1, 3, 5, 7}; /* of nibble k */
    for (int zero = -1; zero <= 8; zero += 9) {
        begin("{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32,\"version\":\"gemm\"}");
        make(4, zero, false);
        static uint32_t w[IN][OUT / 8], z[GROUPS][OUT / 8];
        static uint16_t s[GROUPS][OUT];
        memset(w, 0, sizeof w);
        memset(z, 0, sizeof z);
        for (int word = 0; word < OUT / 8; word++)
            for (int k = 0; k < 8; k++) {
                int o = 8 * word + column[k];
                for (int i = 0; i < IN; i++)
                    w[i][word] |= (uint32_t)m.q[o][i] << 4 * k;
                for (int g = 0; g < GROUPS; g++) {
                    z[g][word] |= (uint32_t)m.zero[o][g] << 4 * k;
                    s[g][o] = m.scale[o][g];
                }
            }
        folder_tensor(&f, NAME ".qweight", "I32", "96,8", w, sizeof w);
        folder_tensor(&f, NAME ".qzeros", "I32", "3,8", z, sizeof z);
        folder_tensor(&f, NAME ".scales", "F16", "3,64", s, sizeof s);
        check(zero < 0 ? AG_T_Q4_1 : AG_T_Q4_0, zero < 0 ? 0.01 : 0);
    }
}

/* ---- compressed-tensors ---------------------------------------------------------------------- */

static void packed(int bits, int zero, bool order, ag_type keep, double error) {
    int per = 32 / bits;
    char shape[64];
    begin("{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\"}");
    make(bits, zero, order);
    static uint32_t w[OUT * IN], z[OUT * GROUPS];
    static int32_t index[IN];
    static const int64_t sizes[2] = {OUT, IN};
    memset(w, 0, sizeof w);
    memset(z, 0, sizeof z);
    for (int o = 0; o < OUT; o++) {
        for (int i = 0; i < IN; i++)
            pack(w + o * (IN / per), i, bits, m.q[o][i]);
        for (int g = 0; g < GROUPS; g++) /* packed along the rows */
            z[o / per * GROUPS + g] |= (uint32_t)m.zero[o][g] << bits * (o % per);
    }
    for (int i = 0; i < IN; i++)
        index[i] = m.group[i];
    snprintf(shape, sizeof shape, "%d,%d", OUT, IN / per);
    folder_tensor(&f, NAME ".weight_packed", "I32", shape, w, (size_t)(OUT * IN / per) * 4);
    folder_tensor(&f, NAME ".weight_scale", "F16", "64,3", m.scale, sizeof m.scale);
    folder_tensor(&f, NAME ".weight_shape", "I64", "2", sizes, sizeof sizes);
    snprintf(shape, sizeof shape, "%d,%d", OUT / per, GROUPS);
    if (zero < 0)
        folder_tensor(&f, NAME ".weight_zero_point", "I32", shape, z,
                      (size_t)(OUT / per * GROUPS) * 4);
    if (order)
        folder_tensor(&f, NAME ".weight_g_idx", "I32", "96", index, sizeof index);
    check(keep, error);
}

static void packed_weights_are_what_their_codes_say(void **state) {
    (void)state;
    packed(4, 8, false, AG_T_Q4_0, 0);
    packed(4, -1, false, AG_T_Q4_1, 0.01);
    packed(8, 128, false, AG_T_Q8_0, 0);
    packed(4, 8, true, AG_T_Q8_0, 1);
}

/* One scale a row, in F32: blocks round it to f16. */
static void int8_weights_are_scaled_by_row(void **state) {
    (void)state;
    begin("{\"quant_method\":\"compressed-tensors\",\"format\":\"int-quantized\"}");
    static int8_t w[OUT][IN];
    static float s[OUT];
    for (int o = 0; o < OUT; o++) {
        s[o] = 0.001f + (float)rnd(1000) * 1e-5f;
        for (int g = 0; g < GROUPS; g++)
            m.scale[o][g] = ag_f32_to_f16(s[o]);
        for (int i = 0; i < IN; i++) {
            m.group[i] = 0;
            w[o][i] = (int8_t)(rnd(256) - 128);
            m.want[o][i] = s[o] * (float)w[o][i];
        }
    }
    folder_tensor(&f, NAME ".weight", "I8", "64,96", w, sizeof w);
    folder_tensor(&f, NAME ".weight_scale", "F32", "64,1", s, sizeof s);
    check(AG_T_Q8_0, 128.0 / 2048);
}

/* ---- FP8 ------------------------------------------------------------------------------------- */

static float e4m3(int c) {
    float v =
        (c & 120) ? ldexpf(1 + (float)(c & 7) / 8, (c >> 3 & 15) - 7) : ldexpf((float)(c & 7), -9);
    return c & 128 ? -v : v;
}

/* block_rows, block_cols: what shares a scale. */
static void fp8(const char *quantization, const char *scale, const char *shape, int rows,
                int cols) {
    begin(quantization);
    static uint8_t w[OUT][IN];
    static float s[OUT * IN];
    int across = (IN + cols - 1) / cols, down = (OUT + rows - 1) / rows;
    for (int i = 0; i < across * down; i++)
        s[i] = 0.01f + (float)rnd(1000) * 1e-4f;
    for (int o = 0; o < OUT; o++)
        for (int i = 0; i < IN; i++) {
            w[o][i] = (uint8_t)rnd(256);
            if ((w[o][i] & 127) == 127)
                w[o][i] = 0;
            m.group[i] = 0;
            m.want[o][i] = e4m3(w[o][i]) * s[o / rows * across + i / cols];
        }
    for (int o = 0; o < OUT; o++) /* a step of Q8_0: 448 * the largest scale / 127 / 2 and f16 */
        m.scale[o][0] = ag_f32_to_f16(448 * 0.11f / 127);
    folder_tensor(&f, NAME ".weight", "F8_E4M3", "64,96", w, sizeof w);
    folder_tensor(&f, scale, "F32", shape, s, (size_t)(across * down) * 4);
    check(AG_T_Q8_0, 0.6);
}

static void fp8_weights_are_scaled_by_tensor_row_or_block(void **state) {
    (void)state;
    const char *ct = "{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\"}";
    fp8(ct, NAME ".weight_scale", "", OUT, IN);
    fp8(ct, NAME ".weight_scale", "1", OUT, IN);
    fp8(ct, NAME ".weight_scale", "64,1", 1, IN);
    fp8("{\"quant_method\":\"fp8\",\"weight_block_size\":[40,80]}", NAME ".weight_scale_inv", "2,2",
        40, 80);
}

/* ---- what is wrong --------------------------------------------------------------------------- */

static void refused(ag_code code, const char *text) {
    folder_write(&f, "model.safetensors");
    folder_refused(&f, code, text);
    folder_free(&f);
}

#define GPTQ(more) "{\"quant_method\":\"gptq\",\"bits\":4" more "}"

static void wrong_pieces_are_named(void **state) {
    (void)state;
    static uint32_t zeros[OUT * IN];
    make(4, 8, false);
    begin(GPTQ(",\"group_size\":64"));
    add_gptq(4, 1);
    refused(AG_E_FORMAT, "does the group size in config.json fit?");
    begin(GPTQ(",\"group_size\":32"));
    folder_tensor(&f, NAME ".qweight", "I32", "12,64", zeros, 12 * 64 * 4);
    refused(AG_E_FORMAT, NAME ".scales is missing");
    begin(GPTQ(",\"group_size\":32"));
    folder_tensor(&f, NAME ".scales", "F16", "3,64", zeros, 3 * 64 * 2);
    refused(AG_E_FORMAT, NAME ".scales belongs to no weight");
    begin(GPTQ(",\"group_size\":32"));
    m.group[5] = 3;
    add_gptq(4, 1);
    refused(AG_E_FORMAT, "column 5 is in group 3 of 3");
    begin(GPTQ(",\"group_size\":32,\"checkpoint_format\":\"marlin\""));
    refused(AG_E_UNSUPPORTED, "checkpoint_format \"marlin\" is not supported");
    begin("{\"quant_method\":\"gptq\",\"bits\":3}");
    refused(AG_E_UNSUPPORTED, "GPTQ of 3 bits");
    begin("{\"quant_method\":\"bitsandbytes\"}");
    refused(AG_E_UNSUPPORTED, "supported: gptq, awq, compressed-tensors, fp8");
    begin("{\"quant_method\":\"fp8\"}");
    folder_tensor(&f, NAME ".weight", "F8_E4M3", "64,96", zeros, 64 * 96);
    refused(AG_E_FORMAT, NAME ".weight_scale is missing");
    begin("{\"quant_method\":\"fp8\",\"weight_block_size\":[32,32]}");
    folder_tensor(&f, NAME ".weight", "F8_E4M3", "64,96", zeros, 64 * 96);
    folder_tensor(&f, NAME ".weight_scale_inv", "F32", "1,1", zeros, 4);
    refused(AG_E_FORMAT, "does not fit a weight of [64, 96]");
    begin("{\"quant_method\":\"fp8\",\"weight_block_size\":[0,32]}");
    refused(AG_E_FORMAT, "weight_block_size");
    begin("null");
    folder_tensor(&f, NAME ".qweight", "I32", "12,64", zeros, 12 * 64 * 4);
    refused(AG_E_FORMAT, "quantization_config in config.json names another method or none");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gptq_weights_are_what_their_codes_say),
        cmocka_unit_test(awq_weights_are_what_their_codes_say),
        cmocka_unit_test(packed_weights_are_what_their_codes_say),
        cmocka_unit_test(int8_weights_are_scaled_by_row),
        cmocka_unit_test(fp8_weights_are_scaled_by_tensor_row_or_block),
        cmocka_unit_test(wrong_pieces_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
