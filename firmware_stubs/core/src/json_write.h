/* SPDX-License-Identifier: Apache-2.0 */
/* Private: the pieces of JSON that the contract needs. */
#ifndef TIRTA_JSON_WRITE_H
#define TIRTA_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "writer.h"

/* Largest absolute number that tirta_json_number can write. */
#define JSON_NUMBER_MAX 9.0e12

/* Write text as it is: punctuation and keys known to be plain. */
void tirta_json_text(struct writer *w, const char *text);

/* Write a comma (unless this is the object's first key) and `"key":`. */
void tirta_json_key(struct writer *w, bool *first, const char *key);

/* Write a string with its quotes; whatever must be escaped is. */
void tirta_json_string(struct writer *w, const char *text);

void tirta_json_uint(struct writer *w, uint64_t value);

/* Write a number within +-JSON_NUMBER_MAX, in decimal, rounded to six digits after the point, or three from 9e9 up. */
void tirta_json_number(struct writer *w, double value);

#endif
