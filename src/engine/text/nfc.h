/* Unicode normalisation form C, in linear time. Reentrant. */
#ifndef AG_TEXT_NFC_H
#define AG_TEXT_NFC_H

#include "base/span.h"

/* The valid UTF-8 `text` in NFC: `text` itself when nothing can change (most text), otherwise put
 * into `buf`, which is emptied first and must outlive *out. AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_nfc(ag_span text, ag_buf *buf, ag_span *out, ag_err *err) AG_MUST_USE;

#endif
