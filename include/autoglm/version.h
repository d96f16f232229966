/* Version of libautoglm. The three numbers follow semantic versioning; CMakeLists.txt reads them
 * from here, so this is their only home. */
#ifndef AUTOGLM_VERSION_H
#define AUTOGLM_VERSION_H

#define AG_VERSION_MAJOR 0
#define AG_VERSION_MINOR 1
#define AG_VERSION_PATCH 0

#endif
