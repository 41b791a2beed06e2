/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private: JSON read where it lies. The whole text is checked once, strictly (RFC 8259, UTF-8, depth); after that a
 * value is a piece of the text and finding a key is a walk over its object, so that nothing need be stored.
 */
#ifndef TIRTA_JSON_READ_H
#define TIRTA_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tirta_result.h"

/* A checked value: from its first character up to behind its last. */
struct json {
    const char *at;
    const char *end;
};

/* Check a payload: TIRTA_OK, TIRTA_MALFORMED, TIRTA_TOO_LARGE or TIRTA_TOO_DEEP. */
enum tirta_result tirta_json_check(const char *text, size_t length, struct json *root);

/* As tirta_json_check, and the payload must be an object. */
enum tirta_result tirta_json_check_object(const char *text, size_t length, struct json *root);

bool tirta_json_is_object(struct json value);

/* Find the value of a key; of a key written twice the last one. `null` is the same as absent: false. */
bool tirta_json_find(struct json object, const char *key, struct json *value);

/* Step through an object's members: begin with *at = NULL, until it returns false. */
bool tirta_json_next(struct json object, const char **at, struct json *key, struct json *value);

/* Compare a string's content, escapes resolved, with `text`. False when the value is no string. */
bool tirta_json_string_is(struct json value, const char *text);

/*
 * Copy a string's content, escapes resolved, as UTF-8 ended by NUL. What does not fit into `capacity` is cut off
 * between two characters and `*cut` is set. False when the value is no string or holds U+0000.
 */
bool tirta_json_string_copy(struct json value, char *out, size_t capacity, bool *cut);

/* Read a whole number from `low` to `high`, written without fraction or exponent. */
bool tirta_json_whole(struct json value, uint64_t low, uint64_t high, uint64_t *number);

/* Read a number. False when the value is none or is too large for a double. */
bool tirta_json_read_number(struct json value, double *number);

#endif
