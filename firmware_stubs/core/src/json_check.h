/* SPDX-License-Identifier: Apache-2.0 */
/* Private: the pieces of JSON's grammar that both the check and the reading need. */
#ifndef TIRTA_JSON_CHECK_H
#define TIRTA_JSON_CHECK_H

#include <stdbool.h>
#include <stdint.h>

/* Return the first character from `at` on that is not white space, or `end`. */
const char *tirta_json_skip_space(const char *at, const char *end);

/* Read four hexadecimal digits; false when there are no four. */
bool tirta_json_hex4(const char *at, const char *end, uint32_t *unit);

#endif
