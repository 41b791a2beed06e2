/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON without printf: on many boards its floating point is left out to save 10 KiB of flash, and its decimal point
 * follows the locale.
 */
#include "json_write.h"

#include <string.h>

void tirta_json_text(struct writer *w, const char *text) {
    tirta_write_bytes(w, text, strlen(text));
}

void tirta_json_key(struct writer *w, bool *first, const char *key) {
    tirta_json_text(w, *first ? "\"" : ",\"");
    *first = false;
    tirta_json_text(w, key);
    tirta_json_text(w, "\":");
}

void tirta_json_string(struct writer *w, const char *text) {
    static const char HEX[] = "0123456789abcdef";
    tirta_write_byte(w, '"');
    for (; *text != '\0'; text++) {
        const uint8_t c = (uint8_t)*text;
        if (c == '"' || c == '\\') {
            tirta_write_byte(w, '\\');
            tirta_write_byte(w, c);
        } else if (c < 0x20u) {
            tirta_json_text(w, "\\u00");
            tirta_write_byte(w, (uint8_t)HEX[c >> 4]);
            tirta_write_byte(w, (uint8_t)HEX[c & 15u]);
        } else {
            tirta_write_byte(w, c);
        }
    }
    tirta_write_byte(w, '"');
}

/* Write `value` with at least `digits` digits, zeros in front. */
static void write_digits(struct writer *w, uint64_t value, unsigned digits) {
    uint8_t text[20]; /* 2^64 has 20 digits */
    unsigned at = sizeof text;
    do {
        text[--at] = (uint8_t)('0' + value % 10u);
        value /= 10u;
    } while (at > 0u && (value > 0u || sizeof text - at < digits));
    tirta_write_bytes(w, text + at, sizeof text - at);
}

void tirta_json_uint(struct writer *w, uint64_t value) {
    write_digits(w, value, 1u);
}

void tirta_json_number(struct writer *w, double value) {
    unsigned decimals = 6u;
    uint64_t scale = 1000000u;
    const double magnitude = value < 0.0 ? -value : value;
    if (magnitude >= 9.0e9) { /* times 10^6 it would leave the whole numbers that a double holds exactly */
        decimals = 3u;
        scale = 1000u;
    }
    const uint64_t scaled = (uint64_t)(magnitude * (double)scale + 0.5);
    if (value < 0.0 && scaled > 0u) {
        tirta_write_byte(w, '-');
    }
    write_digits(w, scaled / scale, 1u);
    uint64_t fraction = scaled % scale;
    if (fraction == 0u) {
        return;
    }
    while (fraction % 10u == 0u) {
        fraction /= 10u;
        decimals--;
    }
    tirta_write_byte(w, '.');
    write_digits(w, fraction, decimals);
}
