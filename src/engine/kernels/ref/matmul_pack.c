/* Packs rows of file blocks into panels (kernels/panel.h). Plain C for every ISA: it runs once, at
 * load, and is bound by memory. */
#include <string.h>

#include "kernels/half.h"
#include "kernels/panel.h"
#include "kernels/ref/matmul.h"
#include "kernels/ref/split.h"

#define INLINE static inline __attribute__((always_inline))

INLINE void pack_head(const ag_qformat *f, int panel, const ag_split *s, int row, uint8_t *head) {
    if (f->scales == AG_QS_E8M0) {
        head[row] = (uint8_t)s->d;
        return;
    }
    memcpy(head + 2 * row, &s->d, 2);
    if (f->min)
        memcpy(head + 2 * panel + 2 * row, &s->m, 2);
    if (f->scales == AG_QS_F16)
        return;
    uint8_t *sc = head + ag_qf_scales_at(f) * panel + row;
    for (int j = 0; j < (ag_qf_halves(f) ? 16 : 8); j++)
        sc[j * panel] = f->scales == AG_QS_U4_H ? (uint8_t)(s->sc[j] | s->mn[j] << 4) : s->sc[j];
    for (int j = 0; f->scales == AG_QS_U8 && j < 8; j++)
        sc[(8 + j) * panel] = s->mn[j];
}

/* `width` bits of each integer of n quads, from bit `used` on, side by side in one word. */
INLINE uint32_t join(const uint32_t *quads, int n, int used, int width) {
    const uint32_t mask = ((1u << width) - 1) * 0x01010101u;
    uint32_t word = 0;
    for (int j = 0; j < n; j++)
        word |= (quads[j] >> used & mask) << width * j;
    return word;
}

/* The 32 integers of one row into its bytes of the group: a quad is a word, whose four integers go
 * the same way, so no byte order shows. */
INLINE void pack_group(const ag_qformat *f, int panel, const uint8_t u[32], int row, uint8_t *out) {
    const int vec = 4 * panel;
    uint32_t quads[8], words[8];
    int n = 0, used = 0; /* words made; bits of the integers that lie in them already */
    memcpy(quads, u, sizeof quads);
    if (f->bits == 8)
        for (; n < 8; n++)
            words[n] = quads[n];
    if (ag_qf_nibbles(f)) {
        for (; n < 4; n++)
            words[n] = (quads[n] & 0x0f0f0f0fu) | (quads[n + 4] & 0x0f0f0f0fu) << 4;
        used = 4;
    }
    if (ag_qf_pairs(f)) {
        words[n++] = join(quads, 4, used, 2);
        words[n++] = join(quads + 4, 4, used, 2);
        used += 2;
    }
    if (ag_qf_bits(f))
        words[n++] = join(quads, 8, used, 1);
    for (int j = 0; j < n; j++)
        memcpy(out + vec * j + 4 * row, &words[j], 4);
}

INLINE void pack_quant(const ag_qformat *f, int panel, const uint8_t *src, int rows, int cols,
                       uint8_t *out) {
    const ag_type_info *info = ag_type_find((uint32_t)f->type);
    const size_t row_bytes = ag_type_bytes(f->type, (size_t)cols);
    const size_t bytes = ag_qf_panel_bytes(f, panel, cols), unit = ag_qf_unit_bytes(f) * panel;
    memset(out + bytes - 64, 0, 64); /* the padding */
    for (int at = 0; at < cols; at += f->unit, out += unit) {
        for (int row = 0; row < panel; row++) {
            ag_split s;
            if (row < rows)
                ag_split_block(f->type, src + row * row_bytes, &s);
            else
                memset(&s, 0, sizeof s);
            pack_head(f, panel, &s, row, out);
            for (int g = 0; g < f->unit / 32; g++)
                pack_group(f, panel, s.u + 32 * g, row,
                           out + (f->head + g * ag_qf_group_bytes(f)) * panel);
        }
        src += info->bytes;
    }
}

INLINE void pack_float(int item, int panel, const uint8_t *src, int rows, int cols, uint8_t *out) {
    const size_t row_bytes = (size_t)cols * (size_t)item;
    memset(out, 0, ag_float_panel_bytes(item, panel, cols));
    for (int row = 0; row < rows; row++)
        for (int k = 0; k < cols; k++)
            memcpy(out + ((size_t)k * panel + row) * item, src + row * row_bytes + (size_t)k * item,
                   item);
}

INLINE void pack_bf16(int panel, const uint8_t *src, int rows, int cols, uint8_t *out) {
    memset(out, 0, ag_bf16_panel_bytes(panel, cols));
    for (int row = 0; row < rows; row++)
        for (int k = 0; k < cols; k++) {
            uint16_t h;
            memcpy(&h, src + ((size_t)row * (size_t)cols + (size_t)k) * 2, 2);
            h = ag_bf16_weight(h);
            memcpy(out + ((size_t)(k / 2 * panel + row) * 2 + k % 2) * 2, &h, 2);
        }
}

#define QUANT(id, P, ...)                                                                          \
    static size_t bytes_##id##_##P(int cols) {                                                     \
        return ag_qf_panel_bytes(&(const ag_qformat)__VA_ARGS__, P, cols);                         \
    }                                                                                              \
    static void pack_##id##_##P(const void *src, int rows, int cols, void *panel) {                \
        pack_quant(&(const ag_qformat)__VA_ARGS__, P, src, rows, cols, panel);                     \
    }
#define QUANT_BOTH(id, ...)                                                                        \
    QUANT(id, 8, AG_QFORMAT(id, __VA_ARGS__))                                                      \
    QUANT(id, 16, AG_QFORMAT(id, __VA_ARGS__))
AG_QFORMAT_MAP(QUANT_BOTH)

#define FLOAT(id, item, P)                                                                         \
    static size_t bytes_##id##_##P(int cols) { return ag_float_panel_bytes(item, P, cols); }       \
    static void pack_##id##_##P(const void *src, int rows, int cols, void *panel) {                \
        pack_float(item, P, src, rows, cols, panel);                                               \
    }
FLOAT(F32, 4, 8)
FLOAT(F32, 4, 16)
FLOAT(F16, 2, 8)
FLOAT(F16, 2, 16)
#define BF16_PANEL(P)                                                                              \
    static size_t bytes_BF16_##P(int cols) { return ag_bf16_panel_bytes(P, cols); }                \
    static void pack_BF16_##P(const void *src, int rows, int cols, void *panel) {                  \
        pack_bf16(P, src, rows, cols, panel);                                                      \
    }
BF16_PANEL(8)
BF16_PANEL(16)

#define ROW(id, P)      [AG_T_##id] = {bytes_##id##_##P, pack_##id##_##P},
#define ROW_8(id, ...)  ROW(id, 8)
#define ROW_16(id, ...) ROW(id, 16)

const ag_packer ag_k_pack_8[AG_T_LIMIT] = {ROW(F32, 8) ROW(F16, 8) ROW(BF16, 8)
                                               AG_QFORMAT_MAP(ROW_8)};
const ag_packer ag_k_pack_16[AG_T_LIMIT] = {ROW(F32, 16) ROW(F16, 16) ROW(BF16, 16)
                                                AG_QFORMAT_MAP(ROW_16)};
