/* Quantised checkpoints: the configuration, and the parts of each weight found, checked against
 * each other and put together. Everything that reading later trusts is checked here. */
#include "load/hf_quant.h"

#include <stdio.h>

/* ---- configuration --------------------------------------------------------------------------- */

#define SUPPORTED "gptq, awq, compressed-tensors, fp8"

static ag_code unsupported(const ag_hf *h, const char *what, const char *found, const char *known) {
    return ag_fail(h->err, AG_E_UNSUPPORTED,
                   "%s/config.json: quantization_config: %s \"%.48s\" is not supported; "
                   "supported: %s",
                   h->folder, what, found ? found : "(not given)", known);
}

static ag_code read_gptq(ag_hf_keys *k) {
    ag_hf_quant *q = &k->h->quant;
    const char *format = ag_hf_cfg_str(k, "checkpoint_format");
    q->method = AG_HFQ_GPTQ;
    q->bits = ag_hf_cfg_u32(k, "bits", 4);
    q->zero_is_kept = format && strcmp(format, "gptq_v2") == 0;
    if (format && !q->zero_is_kept && strcmp(format, "gptq") != 0)
        return unsupported(k->h, "checkpoint_format", format, "gptq, gptq_v2");
    if (q->bits != 4 && q->bits != 8)
        return ag_fail(k->h->err, AG_E_UNSUPPORTED,
                       "%s/config.json: GPTQ of %u bits is not supported; supported: 4, 8",
                       k->h->folder, q->bits);
    return AG_OK;
}

static ag_code read_awq(ag_hf_keys *k) {
    const char *version = ag_hf_cfg_str(k, "version");
    k->h->quant.method = AG_HFQ_AWQ;
    k->h->quant.bits = ag_hf_cfg_u32(k, "bits", 4);
    if (version && strcmp(version, "gemm") != 0 && strcmp(version, "GEMM") != 0)
        return unsupported(k->h, "AWQ version", version, "gemm");
    if (k->h->quant.bits != 4)
        return ag_fail(k->h->err, AG_E_UNSUPPORTED,
                       "%s/config.json: AWQ of %u bits is not supported; supported: 4",
                       k->h->folder, k->h->quant.bits);
    return AG_OK;
}

static ag_code read_packed(ag_hf_keys *k) {
    static const char *const known[] = {"pack-quantized", "int-quantized", "float-quantized",
                                        "naive-quantized", "dense"};
    const char *format = ag_hf_cfg_str(k, "format");
    k->h->quant.method = AG_HFQ_PACKED;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!format || strcmp(format, known[i]) == 0)
            return k->code;
    return unsupported(k->h, "format", format, "pack-quantized, int-quantized, float-quantized");
}

static ag_code read_fp8(ag_hf_keys *k) {
    ag_hf_quant *q = &k->h->quant;
    const json_t *block = ag_hf_cfg_list(k, "weight_block_size");
    q->method = AG_HFQ_FP8;
    for (size_t i = 0; i < 2; i++) {
        json_int_t n = block ? json_integer_value(json_array_get(block, i)) : 128;
        if (n < 1 || n > 1 << 20)
            return ag_fail(
                k->h->err, AG_E_FORMAT,
                "%s/config.json: weight_block_size should be two numbers like [128, 128]",
                k->h->folder);
        q->block[i] = (uint32_t)n;
    }
    return AG_OK;
}

ag_code ag_hf_quant_config(ag_hf *h) {
    const json_t *v = json_object_get(h->root, "quantization_config");
    if (!json_is_object(v))
        v = json_object_get(h->text, "quantization_config");
    if (!json_is_object(v))
        v = json_object_get(h->root, "compression_config");
    if (!json_is_object(v))
        return AG_OK;
    ag_hf_keys k = {.h = h, .from = v};
    const char *method = ag_hf_cfg_str(&k, "quant_method");
    const json_t *group = json_object_get(v, "group_size");
    if (!(json_is_integer(group) && json_integer_value(group) == -1)) /* -1: a whole row */
        h->quant.group = ag_hf_cfg_u32(&k, "group_size", 128);
    h->quant.block[0] = h->quant.block[1] = 128;
    ag_code code;
    if (method && strcmp(method, "gptq") == 0)
        code = read_gptq(&k);
    else if (method && strcmp(method, "awq") == 0)
        code = read_awq(&k);
    else if (method && strcmp(method, "compressed-tensors") == 0)
        code = read_packed(&k);
    else if (method && strcmp(method, "fp8") == 0)
        code = read_fp8(&k);
    else
        code = unsupported(h, "quant_method", method, SUPPORTED);
    return k.code ? k.code : code;
}

/* ---- parts ----------------------------------------------------------------------------------- */

typedef struct parts {
    ag_hf *h;
    ag_span stem;
    ag_hf_quantised q;
    ag_code code; /* the first failure sticks */
} parts;

/* The part `ending` of the module, marked used; NULL when absent. */
static ag_st_tensor *find(parts *p, const char *ending) {
    char name[512];
    int n = snprintf(name, sizeof name, "%.*s.%s", AG_SPAN(p->stem), ending);
    ag_st_tensor *x = ag_st_find(&p->h->st, ag_span_of(name, (size_t)n));
    if (x)
        x->used = true;
    return x;
}

static ag_st_tensor *need(parts *p, const char *ending) {
    ag_st_tensor *x = find(p, ending);
    if (!x && !p->code)
        p->code = ag_fail(p->h->err, AG_E_FORMAT, "%s: tensor %.*s.%s is missing", p->h->folder,
                          AG_SPAN(p->stem), ending);
    return x;
}

static ag_hf_part part_of(const ag_st_tensor *x) {
    return (ag_hf_part){x->data, x->type, x->file, x->at, x->bytes};
}

/* A part of two dimensions (or, for b == 0, one) and of one of two types. */
static void check(parts *p, const ag_st_tensor *x, ag_st_type type, uint64_t a, uint64_t b) {
    if (p->code || !x)
        return;
    bool shape = x->dim[0] == a && x->n_dims == (b ? 2 : 1) && (!b || x->dim[1] == b);
    if (!shape || x->type != type)
        p->code = ag_fail(p->h->err, AG_E_FORMAT,
                          "%s is %s [%llu, %llu], expected %s [%llu, %llu]: does the group size in "
                          "config.json fit?",
                          x->name.p, ag_st_type_name(x->type), (unsigned long long)x->dim[0],
                          (unsigned long long)x->dim[1], ag_st_type_name(type),
                          (unsigned long long)a, (unsigned long long)(b ? b : 1));
}

static bool is_float(const ag_st_tensor *x) {
    return x->type == AG_ST_F32 || x->type == AG_ST_F16 || x->type == AG_ST_BF16;
}

static void check_scale(parts *p, const ag_st_tensor *x, uint64_t a, uint64_t b) {
    if (x && !p->code && !is_float(x))
        p->code =
            ag_fail(p->h->err, AG_E_UNSUPPORTED, "%s is of dtype %s; supported: F32, F16, BF16",
                    x->name.p, ag_st_type_name(x->type));
    else
        check(p, x, x ? x->type : AG_ST_F32, a, b);
}

static void check_sizes(parts *p) {
    const ag_hf_quantised *q = &p->q;
    if (!p->code && (q->rows == 0 || q->cols == 0 || q->rows > AG_MAX_DIM || q->cols > AG_MAX_DIM))
        p->code = ag_fail(p->h->err, AG_E_FORMAT, "a weight of %llu rows and %llu columns",
                          (unsigned long long)q->rows, (unsigned long long)q->cols);
}

/* Are all zeros the middle? Then codes are symmetric, whatever the configuration says. */
static bool all_middle(const ag_hf_quantised *q) {
    if (!q->zero.data)
        return true;
    if (q->layout == AG_LAY_GPTQ || q->layout == AG_LAY_AWQ) { /* whole words, no padding */
        uint32_t stored = (uint32_t)(q->middle - q->zero_add), word, want = 0;
        for (int k = 0; k < q->per; k++)
            want |= stored << q->bits * k;
        for (size_t i = 0; i + 4 <= q->zero.bytes; i += 4) {
            memcpy(&word, q->zero.data + i, sizeof word);
            if (word != want)
                return false;
        }
        return true;
    }
    for (uint64_t g = 0; g < q->n_groups; g++)
        for (uint64_t o = 0; o < q->rows; o++)
            if (ag_hf_quant_zero(q, g, o) != q->middle)
                return false;
    return true;
}

/* Columns' groups, when they are given one by one (act-order). */
static void read_index(parts *p, ag_st_tensor *x) {
    ag_hf_quantised *q = &p->q;
    q->ordered = true;
    check(p, x, AG_ST_I32, q->cols, 0);
    for (uint64_t i = 0; x && !p->code && i < q->cols; i++) {
        uint32_t g;
        memcpy(&g, x->data + i * 4, sizeof g);
        q->ordered = q->ordered && g == i / q->group;
        if (g >= q->n_groups)
            p->code =
                ag_fail(p->h->err, AG_E_FORMAT, "%s: column %llu is in group %d of %llu", x->name.p,
                        (unsigned long long)i, (int)g, (unsigned long long)q->n_groups);
    }
    if (x && !p->code)
        q->index = part_of(x);
}

static void set_groups(parts *p) {
    ag_hf_quantised *q = &p->q;
    q->group = p->h->quant.group ? p->h->quant.group : q->cols;
    q->n_groups = (q->cols + q->group - 1) / (q->group ? q->group : 1);
}

/* ---- the methods ----------------------------------------------------------------------------- */

static void open_gptq(parts *p) {
    ag_hf_quantised *q = &p->q;
    ag_st_tensor *w = need(p, "qweight"), *s = need(p, "scales"), *z = need(p, "qzeros"),
                 *x = find(p, "g_idx");
    if (p->code)
        return;
    q->layout = AG_LAY_GPTQ;
    q->bits = (int)p->h->quant.bits;
    q->per = 32 / q->bits;
    q->middle = 1 << (q->bits - 1);
    q->zero_add = p->h->quant.zero_is_kept ? 0 : 1;
    q->cols = w->dim[0] * (uint64_t)q->per;
    q->rows = w->dim[1];
    check_sizes(p);
    set_groups(p);
    check(p, w, AG_ST_I32, w->dim[0], q->rows);
    if (!p->code && q->rows % (uint64_t)q->per)
        p->code = ag_fail(p->h->err, AG_E_FORMAT, "%s: %llu rows do not fill words of %d",
                          w->name.p, (unsigned long long)q->rows, q->per);
    check_scale(p, s, q->n_groups, q->rows);
    check(p, z, AG_ST_I32, q->n_groups, q->rows / (uint64_t)q->per);
    if (p->code)
        return;
    q->codes = part_of(w);
    q->scale = part_of(s);
    q->zero = part_of(z);
    read_index(p, x);
}

static void open_awq(parts *p) {
    ag_hf_quantised *q = &p->q;
    ag_st_tensor *w = need(p, "qweight"), *s = need(p, "scales"), *z = need(p, "qzeros");
    if (p->code)
        return;
    q->layout = AG_LAY_AWQ;
    q->bits = 4;
    q->per = q->middle = 8;
    q->cols = w->dim[0];
    q->rows = w->dim[1] * 8;
    q->ordered = true;
    check_sizes(p);
    set_groups(p);
    check(p, w, AG_ST_I32, q->cols, q->rows / 8);
    check_scale(p, s, q->n_groups, q->rows);
    check(p, z, AG_ST_I32, q->n_groups, q->rows / 8);
    if (p->code)
        return;
    q->codes = part_of(w);
    q->scale = part_of(s);
    q->zero = part_of(z);
}

/* compressed-tensors, int4 and int8 in words: the shape is a tensor of its own. */
static void open_packed(parts *p) {
    ag_hf_quantised *q = &p->q;
    ag_st_tensor *w = need(p, "weight_packed"), *s = need(p, "weight_scale"),
                 *shape = need(p, "weight_shape"), *z = find(p, "weight_zero_point"),
                 *x = find(p, "weight_g_idx");
    if (p->code)
        return;
    int64_t out_in[2];
    bool wide = shape->type == AG_ST_I64 && shape->bytes == 16;
    if (wide) {
        memcpy(out_in, shape->data, sizeof out_in);
    } else if (shape->type == AG_ST_I32 && shape->bytes == 8) {
        int32_t narrow[2];
        memcpy(narrow, shape->data, sizeof narrow);
        out_in[0] = narrow[0];
        out_in[1] = narrow[1];
    } else {
        check(p, shape, AG_ST_I64, 2, 0);
        return;
    }
    q->layout = AG_LAY_PACKED;
    q->rows = out_in[0] > 0 ? (uint64_t)out_in[0] : 0;
    q->cols = out_in[1] > 0 ? (uint64_t)out_in[1] : 0;
    check_sizes(p);
    if (p->code)
        return;
    q->bits = w->dim[1] == (q->cols + 7) / 8 ? 4 : 8;
    q->per = 32 / q->bits;
    q->middle = 1 << (q->bits - 1);
    check(p, w, AG_ST_I32, q->rows, (q->cols + (uint64_t)q->per - 1) / (uint64_t)q->per);
    check_scale(p, s, q->rows, s->n_dims == 2 ? s->dim[1] : 0);
    q->n_groups = s->dim[1];
    q->block_rows = 1;
    if (!p->code && (q->n_groups == 0 || q->cols % q->n_groups))
        p->code = ag_fail(p->h->err, AG_E_FORMAT, "%s: %llu columns in %llu groups", s->name.p,
                          (unsigned long long)q->cols, (unsigned long long)q->n_groups);
    if (p->code)
        return;
    q->group = q->cols / q->n_groups;
    check(p, z, AG_ST_I32, (q->rows + (uint64_t)q->per - 1) / (uint64_t)q->per, q->n_groups);
    if (p->code)
        return;
    q->codes = part_of(w);
    q->scale = part_of(s);
    if (z)
        q->zero = part_of(z);
    read_index(p, x);
}

/* One number, one a row, one a group of a row, or (FP8) one a block: from the shape. */
static void set_scale(parts *p, const ag_st_tensor *s, bool blocks) {
    ag_hf_quantised *q = &p->q;
    uint64_t a = s->n_dims > 0 ? s->dim[0] : 1, b = s->n_dims > 1 ? s->dim[1] : 1;
    const uint32_t *size = p->h->quant.block;
    q->n_groups = 1;
    q->group = q->cols;
    q->block_rows = 1;
    bool fits = s->n_dims <= 2;
    if (blocks || (q->layout == AG_LAY_FP8 && a != q->rows && a * b != 1)) {
        q->block_rows = size[0];
        q->group = size[1];
        q->n_groups = (q->cols + size[1] - 1) / size[1];
        fits = fits && a == (q->rows + size[0] - 1) / size[0] && b == q->n_groups;
    } else if (a == 1 && b == 1) {
        q->block_rows = q->rows;
    } else {
        q->n_groups = b;
        q->group = b ? q->cols / b : 0;
        fits = fits && a == q->rows && b && q->cols % b == 0;
    }
    if (!p->code && !fits)
        p->code = ag_fail(p->h->err, AG_E_FORMAT,
                          "%s [%llu, %llu] does not fit a weight of [%llu, %llu]: is the block or "
                          "group size in config.json right?",
                          s->name.p, (unsigned long long)a, (unsigned long long)b,
                          (unsigned long long)q->rows, (unsigned long long)q->cols);
    if (!p->code && !is_float(s))
        p->code =
            ag_fail(p->h->err, AG_E_UNSUPPORTED, "%s is of dtype %s; supported: F32, F16, BF16",
                    s->name.p, ag_st_type_name(s->type));
    q->scale = part_of(s);
}

/* FP8 and int8 in a tensor named "weight". */
static void open_bytes(parts *p) {
    ag_hf_quantised *q = &p->q;
    ag_st_tensor *w = need(p, "weight"), *inv = find(p, "weight_scale_inv");
    ag_st_tensor *s = p->code || inv ? inv : need(p, "weight_scale");
    ag_st_tensor *z = find(p, "weight_zero_point");
    if (p->code)
        return;
    if (w->type != AG_ST_F8_E4M3 && w->type != AG_ST_I8) {
        p->code = ag_fail(p->h->err, AG_E_UNSUPPORTED, "%s is of dtype %s; supported: F8_E4M3, I8",
                          w->name.p, ag_st_type_name(w->type));
        return;
    }
    q->layout = w->type == AG_ST_I8 ? AG_LAY_INT8 : AG_LAY_FP8;
    q->bits = 8;
    q->per = 1;
    q->ordered = true;
    q->rows = w->dim[0];
    q->cols = w->dim[1];
    check(p, w, w->type, q->rows, q->cols);
    check_sizes(p);
    if (p->code)
        return;
    set_scale(p, s, inv != NULL);
    q->codes = part_of(w);
    if (z && q->layout == AG_LAY_INT8) {
        check(p, z, AG_ST_I8, q->rows, z->n_dims == 2 ? q->n_groups : 0);
        if (!p->code && z->n_dims == 1 && q->n_groups != 1)
            check(p, z, AG_ST_I8, q->rows, q->n_groups);
        q->zero = part_of(z);
    }
}

ag_code ag_hf_quant_weight(ag_hf *h, ag_span stem, ag_span ending, ag_tensor *t) {
    parts p = {.h = h, .stem = stem};
    if (ag_span_is(ending, "weight_packed") && h->quant.method == AG_HFQ_PACKED)
        open_packed(&p);
    else if (ag_span_is(ending, "weight") && h->quant.method != AG_HFQ_NONE)
        open_bytes(&p);
    else if (ag_span_is(ending, "qweight") && h->quant.method == AG_HFQ_AWQ)
        open_awq(&p);
    else if (ag_span_is(ending, "qweight") && h->quant.method == AG_HFQ_GPTQ)
        open_gptq(&p);
    else
        return ag_fail(h->err, AG_E_FORMAT,
                       "quantised, but quantization_config in config.json names another method or "
                       "none");
    ag_hf_quantised *q = p.code ? NULL : ag_arena_get(&h->s->made, sizeof *q);
    if (!p.code && !q)
        p.code = ag_fail(h->err, AG_E_NOMEM, "out of memory while opening %s", h->folder);
    if (p.code)
        return p.code;
    p.q.centred = all_middle(&p.q);
    *q = p.q;
    *t = (ag_tensor){.type = AG_T_F32,
                     .keep = ag_hf_quant_keep(q),
                     .n_dims = 2,
                     .dim = {q->cols, q->rows, 1, 1},
                     .bytes = (size_t)(q->rows * q->cols * sizeof(float)),
                     .file = q->codes.file,
                     .file_at = q->codes.at,
                     .view = &ag_hf_quant_view,
                     .state = q};
    return AG_OK;
}
