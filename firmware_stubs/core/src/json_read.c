/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a checked JSON text. The check has been made: here only what the grammar allows is met. */
#include "json_read.h"

#include <float.h>
#include <string.h>

#include "json_check.h"

bool tirta_json_is_object(struct json value) {
    return *value.at == '{';
}

/* Return what follows the string that begins at `at`. */
static const char *skip_string(const char *at) {
    for (at++; *at != '"'; at++) {
        if (*at == '\\') {
            at++;
        }
    }
    return at + 1;
}

/* Return what follows the value that begins at `at`; a container is left by counting, without recursion. */
static const char *skip_value(const char *at, const char *end) {
    unsigned depth = 0;
    do {
        if (*at == '"') {
            at = skip_string(at);
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (*at == '}' || *at == ']') {
            depth--;
            at++;
        } else if (depth > 0u) {
            at++;
        } else {
            while (at < end && strchr(" \t\r\n,}]", *at) == NULL) {
                at++;
            }
        }
    } while (depth > 0u);
    return at;
}

bool tirta_json_next(struct json object, const char **at, struct json *key, struct json *value) {
    const char *from = tirta_json_skip_space(*at == NULL ? object.at + 1 : *at, object.end);
    if (*from == ',') {
        from = tirta_json_skip_space(from + 1, object.end);
    }
    if (*from == '}') {
        return false;
    }
    key->at = from;
    key->end = skip_string(from);
    from = tirta_json_skip_space(key->end, object.end); /* the colon */
    value->at = tirta_json_skip_space(from + 1, object.end);
    value->end = skip_value(value->at, object.end);
    *at = value->end;
    return true;
}

bool tirta_json_find(struct json object, const char *key, struct json *value) {
    const char *at = NULL;
    struct json name;
    struct json found;
    bool present = false;
    while (tirta_json_next(object, &at, &name, &found)) {
        if (tirta_json_string_is(name, key)) {
            *value = found;
            present = *found.at != 'n';
        }
    }
    return present;
}

/* Resolve what follows a backslash, which may be a pair of surrogates; return what follows it. */
static const char *resolve_escape(const char *at, const char *end, uint32_t *point) {
    static const char NAMES[] = "bfnrt";
    static const char MEANINGS[] = "\b\f\n\r\t";
    if (*at != 'u') {
        const char *const name = strchr(NAMES, *at);
        *point = (uint32_t)(name != NULL ? MEANINGS[name - NAMES] : *at);
        return at + 1;
    }
    uint32_t low = 0;
    (void)tirta_json_hex4(at + 1, end, point);
    at += 5;
    if (*point >= 0xd800u && *point <= 0xdbffu) {
        (void)tirta_json_hex4(at + 2, end, &low);
        *point = 0x10000u + ((*point - 0xd800u) << 10) + (low - 0xdc00u);
        at += 6;
    }
    return at;
}

/* Write a code point in UTF-8; return the number of bytes. */
static size_t put_utf8(uint32_t point, char *out) {
    if (point < 0x80u) {
        out[0] = (char)point;
        return 1u;
    }
    const unsigned more = point < 0x800u ? 1u : (point < 0x10000u ? 2u : 3u);
    static const uint8_t LEADS[] = {0u, 0xc0u, 0xe0u, 0xf0u};
    out[0] = (char)(LEADS[more] | (point >> (6u * more)));
    for (unsigned i = 1u; i <= more; i++) {
        out[i] = (char)(0x80u | ((point >> (6u * (more - i))) & 0x3fu));
    }
    return more + 1u;
}

/* Take one character of a string's content, escapes resolved, as UTF-8; return what follows it. */
static const char *take_character(const char *at, const char *end, char *out, size_t *length) {
    if (*at == '\\') {
        uint32_t point = 0;
        at = resolve_escape(at + 1, end, &point);
        *length = put_utf8(point, out);
        return at;
    }
    const uint8_t lead = (uint8_t)*at;
    *length = lead < 0x80u ? 1u : (lead < 0xe0u ? 2u : (lead < 0xf0u ? 3u : 4u));
    memcpy(out, at, *length);
    return at + *length;
}

bool tirta_json_string_is(struct json value, const char *text) {
    char character[4];
    size_t length = 0;
    if (*value.at != '"') {
        return false;
    }
    const char *const end = value.end - 1;
    for (const char *at = value.at + 1; at < end; text += length) {
        at = take_character(at, end, character, &length);
        if (character[0] == '\0' || strncmp(text, character, length) != 0) { /* neither goes past the end of `text` */
            return false;
        }
    }
    return *text == '\0';
}

bool tirta_json_string_copy(struct json value, char *out, size_t capacity, bool *cut) {
    char character[4];
    size_t length = 0;
    size_t used = 0;
    *cut = false;
    if (*value.at != '"') {
        return false;
    }
    const char *const end = value.end - 1;
    for (const char *at = value.at + 1; at < end;) {
        at = take_character(at, end, character, &length);
        if (character[0] == '\0') {
            return false; /* the copy would seem to end here */
        }
        if (*cut || used + length + 1u > capacity) {
            *cut = true;
            continue;
        }
        memcpy(out + used, character, length);
        used += length;
    }
    out[used] = '\0';
    return true;
}

bool tirta_json_whole(struct json value, uint64_t low, uint64_t high, uint64_t *number) {
    uint64_t sum = 0;
    for (const char *at = value.at; at < value.end; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        const uint64_t digit = (uint64_t)(*at - '0');
        if (sum > (high - digit) / 10u || digit > high) {
            return false;
        }
        sum = sum * 10u + digit;
    }
    *number = sum;
    return sum >= low;
}

/* Multiply by a power of ten. Right to the last bit up to 10^22 and 2^53; beyond, the last digits may be off. */
static double scale_by_ten(double number, int exponent) {
    static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    for (; exponent > 22; exponent -= 22) {
        number *= 1e22;
    }
    for (; exponent < -22; exponent += 22) {
        number /= 1e22;
    }
    return exponent >= 0 ? number * POWERS[exponent] : number / POWERS[-exponent];
}

/* Read an exponent, held within +-100000 so that it can be added to. */
static int read_exponent(const char *at, const char *end) {
    const bool negative = *at == '-';
    int exponent = 0;
    if (*at == '-' || *at == '+') {
        at++;
    }
    for (; at < end; at++) {
        exponent = exponent < 10000 ? exponent * 10 + (*at - '0') : exponent;
    }
    return negative ? -exponent : exponent;
}

bool tirta_json_read_number(struct json value, double *number) {
    const char *at = value.at;
    const bool negative = *at == '-';
    bool point = false;
    uint64_t digits = 0;
    int exponent = 0;
    if (negative) {
        at++;
    }
    if (*at < '0' || *at > '9') {
        return false;
    }
    for (; at < value.end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            point = true;
        } else if (digits < UINT64_MAX / 10u - 1u) {
            digits = digits * 10u + (uint64_t)(*at - '0');
            exponent -= point ? 1 : 0;
        } else {
            exponent += point ? 0 : 1; /* too many digits to count: this one only shifts */
        }
    }
    if (at < value.end) {
        exponent += read_exponent(at + 1, value.end);
    }
    const double magnitude = digits == 0u ? 0.0 : scale_by_ten((double)digits, exponent);
    *number = negative ? -magnitude : magnitude;
    return magnitude <= DBL_MAX;
}
