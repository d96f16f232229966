/* Version of libautoglm. The three numbers follow semantic versioning; CMakeLists.txt reads them
 * from here, so this is their only home. */
#ifndef AUTOGLM_VERSION_H
#define AUTOGLM_VERSION_H

#define AG_VERSION_MAJOR 0
#define AG_VERSION_MINOR 1
#define AG_VERSION_PATCH 0

#include "autoglm/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the library that is loaded, "0.1.0". A program that finds the library at run time
 * compares it with the header it was made from. Never NULL, constant. Any thread. */
AG_API const char *ag_version(void);

#ifdef __cplusplus
}
#endif
#endif
