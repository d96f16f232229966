/* Character classes for pre-tokenizers, from a compact table of Unicode 16.
 *
 * The text must be valid UTF-8: the caller repairs it once, everything behind trusts it.
 * Reentrant. */
#ifndef AG_TEXT_UNICODE_H
#define AG_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ag_class {
    AG_CLASS_OTHER,   /* controls, formats, private use, unassigned */
    AG_CLASS_UPPER,   /* Lu, Lt */
    AG_CLASS_LOWER,   /* Ll */
    AG_CLASS_LETTER,  /* Lm, Lo: letters without case */
    AG_CLASS_MARK,    /* M */
    AG_CLASS_NUMBER,  /* N */
    AG_CLASS_SPACE,   /* White_Space, but for \r and \n */
    AG_CLASS_NEWLINE, /* \r and \n */
    AG_CLASS_PUNCT,   /* P */
    AG_CLASS_SYMBOL,  /* S */
} ag_class;

/* Sets of classes, one bit each. */
#define AG_SET(c)      (1u << AG_CLASS_##c)
#define AG_SET_L       (AG_SET(UPPER) | AG_SET(LOWER) | AG_SET(LETTER))
#define AG_SET_LM      (AG_SET_L | AG_SET(MARK))
#define AG_SET_N       AG_SET(NUMBER)
#define AG_SET_WHITE   (AG_SET(SPACE) | AG_SET(NEWLINE))
#define AG_SET_PS      (AG_SET(PUNCT) | AG_SET(SYMBOL))
#define AG_IN(set, cl) (((set) >> (cl)) & 1u)

#define AG_UNICODE_TABLE_END 0x33480u
/* Bit of a row's entry: NFC may change it or its neighbours. The reference's NFC is that of Unicode
 * 9, so younger marks and compositions do not have it. */
#define AG_UNICODE_NOT_NFC 0x20
extern const uint16_t ag_unicode_page[AG_UNICODE_TABLE_END / 64];
extern const char ag_unicode_rows[];

/* Entry of a character: its class in the low four bits, AG_UNICODE_NOT_NFC. */
static inline unsigned ag_unicode_entry(uint32_t cp) {
    if (cp >= AG_UNICODE_TABLE_END) /* beyond lie only the variation selectors */
        return cp >= 0xE0100 && cp <= 0xE01EF ? AG_CLASS_MARK : AG_CLASS_OTHER;
    return (unsigned)ag_unicode_rows[ag_unicode_page[cp >> 6] * 64u + (cp & 63)];
}

/* Decode the character at p, which starts one, and set its length. */
static inline uint32_t ag_char_at(const uint8_t *p, size_t *n) {
    if (p[0] < 0x80) {
        *n = 1;
        return p[0];
    }
    if (p[0] < 0xE0) {
        *n = 2;
        return (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    }
    if (p[0] < 0xF0) {
        *n = 3;
        return (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    }
    *n = 4;
    return (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

/* Class of the character at p, and its length. */
static inline ag_class ag_class_at(const uint8_t *p, size_t *n) {
    if (p[0] < 0x80) {
        *n = 1;
        return (ag_class)(ag_unicode_rows[p[0]] & 15);
    }
    return (ag_class)(ag_unicode_entry(ag_char_at(p, n)) & 15);
}

#endif
