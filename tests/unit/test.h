/* What every unit test includes: cmocka and its required headers. */
#ifndef AG_TESTS_TEST_H
#define AG_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
