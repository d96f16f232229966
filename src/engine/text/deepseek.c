/* Steps of DeepSeek's first tokenizers: lists of ranges instead of Unicode properties. */
#include "text/pretokenize.h"
#include "text/unicode.h"

typedef struct range {
    uint32_t first, last;
} range;

/* Letters of scripts with case, as the published tokenizer.json lists them; ASCII is not here. */
static const range letters[] = {
    {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},       {0xF8, 0x1BA},
    {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
    {0x376, 0x376},     {0x377, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},
    {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},     {0x38E, 0x3A1},
    {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},     {0x531, 0x556},
    {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},   {0x1C90, 0x1CBA},
    {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},
    {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},
    {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},
    {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},   {0x1FBE, 0x1FBE},
    {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},   {0x1FD6, 0x1FDB},
    {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},
    {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},
    {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212A, 0x212D},
    {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},   {0x2145, 0x2149},
    {0x214E, 0x214E},   {0x2183, 0x2183},   {0x2184, 0x2184},   {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF2},   {0x2CF3, 0x2CF3},
    {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},
    {0xA78B, 0xA78E},   {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},
    {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3},
    {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF},
    {0x1E900, 0x1E943},
};

static bool is_letter(uint32_t cp) {
    if (cp < 0x80)
        return (cp | 0x20) >= 'a' && (cp | 0x20) <= 'z';
    size_t low = 0, high = sizeof letters / sizeof letters[0];
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (cp > letters[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < sizeof letters / sizeof letters[0] && cp >= letters[low].first;
}

/* [!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002] */
static bool is_punct(uint32_t cp) {
    return (cp >= '!' && cp <= '/') || (cp >= ':' && cp <= '~') || (cp >= 0xFF01 && cp <= 0xFF0F) ||
           (cp >= 0xFF1A && cp <= 0xFF5E) || (cp >= 0x2018 && cp <= 0x201F) ||
           (cp >= 0x3000 && cp <= 0x3002);
}

/* [\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff] */
static bool is_cjk(uint32_t cp) {
    return (cp >= 0x0800 && cp <= 0x9FA5) || (cp >= 0xAC00 && cp <= 0xD7FF);
}

/* [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff] */
static bool is_cjk_or_kana(uint32_t cp) {
    return (cp >= 0x4E00 && cp <= 0x9FA5) || (cp >= 0x3040 && cp <= 0x30FF);
}

/* [set]+, or \s?[set]+ with `space`. */
static inline bool find_set(const uint8_t *p, size_t at, size_t n, bool (*in)(uint32_t), bool space,
                            size_t *from, size_t *to) {
    size_t white_at = SIZE_MAX, len;
    uint32_t cp;
    for (; at < n; at += len) {
        cp = ag_char_at(p + at, &len);
        if (in(cp))
            break;
        white_at = space && AG_IN(AG_SET_WHITE, ag_unicode_entry(cp) & 15) ? at : SIZE_MAX;
    }
    if (at == n)
        return false;
    *from = white_at != SIZE_MAX ? white_at : at;
    while (at < n && in(ag_char_at(p + at, &len)))
        at += len;
    *to = at;
    return true;
}

bool ag_find_deepseek_word(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    return find_set(p, at, n, is_letter, true, from, to);
}
bool ag_find_deepseek_punct(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    return find_set(p, at, n, is_punct, true, from, to);
}
bool ag_find_cjk_or_kana(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    return find_set(p, at, n, is_cjk_or_kana, false, from, to);
}
bool ag_find_cjk(const uint8_t *p, size_t at, size_t n, size_t *from, size_t *to) {
    return find_set(p, at, n, is_cjk, false, from, to);
}
