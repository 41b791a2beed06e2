/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON's grammar (RFC 8259), one function a rule. Each takes the text from `at` on and returns what follows, or NULL
 * with the reason in `state`. Recursion ends at TIRTA_DEPTH_MAX.
 */
#include "json_check.h"

#include <string.h>

#include "json_read.h"
#include "tirta_limits.h"

struct state {
    const char *end;
    enum tirta_result fault;
};

static const char *check_value(struct state *s, const char *at, unsigned depth);

static const char *fail(struct state *s, enum tirta_result fault) {
    s->fault = fault;
    return NULL;
}

const char *tirta_json_skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
        at++;
    }
    return at;
}

bool tirta_json_hex4(const char *at, const char *end, uint32_t *unit) {
    if (end - at < 4) {
        return false;
    }
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        const char c = at[i];
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint32_t)(c - 'a') + 10u;
        } else if (c >= 'A' && c <= 'F') {
            digit = (uint32_t)(c - 'A') + 10u;
        } else {
            return false;
        }
        *unit = *unit * 16u + digit;
    }
    return true;
}

/* One character outside ASCII, by the table of well-formed sequences (Unicode, table 3-7). */
static const char *check_utf8(struct state *s, const char *at) {
    const uint8_t lead = (uint8_t)*at;
    unsigned more;
    uint8_t low = 0x80u;
    uint8_t high = 0xbfu;
    if (lead >= 0xc2u && lead <= 0xdfu) {
        more = 1u;
    } else if (lead >= 0xe0u && lead <= 0xefu) {
        more = 2u;
        low = lead == 0xe0u ? 0xa0u : low;   /* no longer form than needed */
        high = lead == 0xedu ? 0x9fu : high; /* no half of a surrogate pair */
    } else if (lead >= 0xf0u && lead <= 0xf4u) {
        more = 3u;
        low = lead == 0xf0u ? 0x90u : low;
        high = lead == 0xf4u ? 0x8fu : high; /* up to U+10FFFF */
    } else {
        return fail(s, TIRTA_MALFORMED);
    }
    for (at++; more > 0u; more--, at++) {
        if (at == s->end || (uint8_t)*at < low || (uint8_t)*at > high) {
            return fail(s, TIRTA_MALFORMED);
        }
        low = 0x80u;
        high = 0xbfu;
    }
    return at;
}

/* What follows a backslash. */
static const char *check_escape(struct state *s, const char *at) {
    uint32_t unit = 0;
    if (at == s->end) {
        return fail(s, TIRTA_MALFORMED);
    }
    if (*at != 'u') {
        return *at != '\0' && strchr("\"\\/bfnrt", *at) != NULL ? at + 1 : fail(s, TIRTA_MALFORMED);
    }
    at++;
    if (!tirta_json_hex4(at, s->end, &unit) || (unit >= 0xdc00u && unit <= 0xdfffu)) {
        return fail(s, TIRTA_MALFORMED);
    }
    at += 4;
    if (unit < 0xd800u || unit > 0xdbffu) {
        return at;
    }
    if (s->end - at < 6 || at[0] != '\\' || at[1] != 'u' || !tirta_json_hex4(at + 2, s->end, &unit) || unit < 0xdc00u ||
        unit > 0xdfffu) {
        return fail(s, TIRTA_MALFORMED); /* the second half of the pair is missing */
    }
    return at + 6;
}

static const char *check_string(struct state *s, const char *at) {
    at++; /* the quote that brought us here */
    while (at != NULL && at < s->end) {
        const uint8_t c = (uint8_t)*at;
        if (c == '"') {
            return at + 1;
        }
        if (c < 0x20u) {
            return fail(s, TIRTA_MALFORMED);
        }
        if (c == '\\') {
            at = check_escape(s, at + 1);
        } else {
            at = c < 0x80u ? at + 1 : check_utf8(s, at);
        }
    }
    return fail(s, TIRTA_MALFORMED);
}

/* At least one digit. */
static const char *check_digits(struct state *s, const char *at) {
    const char *const first = at;
    while (at < s->end && *at >= '0' && *at <= '9') {
        at++;
    }
    return at > first ? at : fail(s, TIRTA_MALFORMED);
}

static const char *check_number(struct state *s, const char *at) {
    if (*at == '-') {
        at++;
    }
    if (at < s->end && *at == '0') {
        at++; /* and no digit after it */
    } else {
        at = check_digits(s, at);
    }
    if (at != NULL && at < s->end && *at == '.') {
        at = check_digits(s, at + 1);
    }
    if (at != NULL && at < s->end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < s->end && (*at == '+' || *at == '-')) {
            at++;
        }
        at = check_digits(s, at);
    }
    return at;
}

static const char *check_word(struct state *s, const char *at, const char *word) {
    const size_t length = strlen(word);
    if ((size_t)(s->end - at) < length || memcmp(at, word, length) != 0) {
        return fail(s, TIRTA_MALFORMED);
    }
    return at + length;
}

/* `"key" :` and the space up to the value. */
static const char *check_key(struct state *s, const char *at) {
    if (at == s->end || *at != '"') {
        return fail(s, TIRTA_MALFORMED);
    }
    at = check_string(s, at);
    if (at == NULL) {
        return NULL;
    }
    at = tirta_json_skip_space(at, s->end);
    return at < s->end && *at == ':' ? tirta_json_skip_space(at + 1, s->end) : fail(s, TIRTA_MALFORMED);
}

static const char *check_container(struct state *s, const char *at, unsigned depth) {
    const bool object = *at == '{';
    const char close = object ? '}' : ']';
    if (depth == TIRTA_DEPTH_MAX) {
        return fail(s, TIRTA_TOO_DEEP);
    }
    at = tirta_json_skip_space(at + 1, s->end);
    if (at < s->end && *at == close) {
        return at + 1;
    }
    for (;;) {
        if (object) {
            at = check_key(s, at);
        }
        if (at != NULL) {
            at = check_value(s, at, depth + 1u);
        }
        if (at == NULL) {
            return NULL;
        }
        at = tirta_json_skip_space(at, s->end);
        if (at < s->end && *at == close) {
            return at + 1;
        }
        if (at == s->end || *at != ',') {
            return fail(s, TIRTA_MALFORMED);
        }
        at = tirta_json_skip_space(at + 1, s->end);
    }
}

static const char *check_value(struct state *s, const char *at, unsigned depth) {
    if (at == s->end) {
        return fail(s, TIRTA_MALFORMED);
    }
    switch (*at) {
    case '{':
    case '[': return check_container(s, at, depth);
    case '"': return check_string(s, at);
    case 't': return check_word(s, at, "true");
    case 'f': return check_word(s, at, "false");
    case 'n': return check_word(s, at, "null");
    default: return check_number(s, at);
    }
}

enum tirta_result tirta_json_check(const char *text, size_t length, struct json *root) {
    if (text == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    if (length > TIRTA_PAYLOAD_MAX) {
        return TIRTA_TOO_LARGE;
    }
    struct state s = {.end = text + length, .fault = TIRTA_OK};
    root->at = tirta_json_skip_space(text, s.end);
    root->end = check_value(&s, root->at, 0u);
    if (root->end == NULL) {
        return s.fault;
    }
    return tirta_json_skip_space(root->end, s.end) == s.end ? TIRTA_OK : TIRTA_MALFORMED;
}

enum tirta_result tirta_json_check_object(const char *text, size_t length, struct json *root) {
    const enum tirta_result checked = tirta_json_check(text, length, root);
    if (checked != TIRTA_OK) {
        return checked;
    }
    return tirta_json_is_object(*root) ? TIRTA_OK : TIRTA_MALFORMED;
}
