#include "text/unicode.h"

#include "text/unicode_classes.inc"
