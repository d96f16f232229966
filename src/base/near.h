/* What someone may have meant who wrote a word that is not known. Any thread. */
#ifndef AG_BASE_NEAR_H
#define AG_BASE_NEAR_H

#include "base/span.h"

#define AG_NEAR_MAX 128 /* bytes of a word; longer ones are near to nothing */

/* Edits between a word as written and one that is known (insert, delete, replace, swap neighbours;
 * an abbreviation of three letters or more counts as one), or SIZE_MAX when they are too many for
 * the known word to be suggested. */
size_t ag_near(ag_span written, ag_span known);

#endif
