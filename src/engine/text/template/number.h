/* Numbers as text, independent of the locale. */
#ifndef AG_TEXT_TEMPLATE_NUMBER_H
#define AG_TEXT_TEMPLATE_NUMBER_H

#include "text/template/value.h"

#define TPL_NUMBER_TEXT 64 /* room for the text of any integer or repr of a float */

/* Decimal text of an integer; returns its length. */
size_t ag_tpl_int_text(tpl_int i, char out[TPL_NUMBER_TEXT]);
/* repr(f): the shortest text that reads back as the same number ("1.0", "1e+20", "inf"). */
size_t ag_tpl_float_text(double f, char out[TPL_NUMBER_TEXT]);
/* snprintf of one double with the C locale. `fmt` is a format for it with a `*` precision. */
size_t ag_tpl_float_format(char *out, size_t room, const char *fmt, int precision, double f);
/* The number that all of `s` spells, as Python's int(s, base) and float(s) accept it. */
bool ag_tpl_parse_int(ag_span s, unsigned base, tpl_int *out);
bool ag_tpl_parse_float(ag_span s, double *out);

#endif
