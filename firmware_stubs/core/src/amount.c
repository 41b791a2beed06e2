/* SPDX-License-Identifier: Apache-2.0 */
/* Seconds, litres and grams of an act. */
#include "amount.h"

#include "json_write.h"
#include "tirta_limits.h"

static bool takes_seconds(enum tirta_action action) {
    return action == TIRTA_IRRIGATE || action == TIRTA_AERATE;
}

static bool takes_litres(enum tirta_action action) {
    return action == TIRTA_IRRIGATE;
}

static bool takes_grams(enum tirta_action action) {
    return action == TIRTA_FEED;
}

static bool keys_are_known(struct json object, enum tirta_action action) {
    const char *at = NULL;
    struct json key;
    struct json value;
    while (tirta_json_next(object, &at, &key, &value)) {
        if (!(takes_seconds(action) && tirta_json_string_is(key, "seconds")) &&
            !(takes_litres(action) && tirta_json_string_is(key, "litres")) &&
            !(takes_grams(action) && tirta_json_string_is(key, "grams"))) {
            return false;
        }
    }
    return true;
}

/* Read one number if it is there; false when it is there and is none, or outside 0 (excluded) to `high`. */
static bool read_part(struct json object, const char *key, double high, bool *has, double *number) {
    struct json value;
    *has = tirta_json_find(object, key, &value);
    *number = 0.0;
    if (!*has) {
        return true;
    }
    return tirta_json_read_number(value, number) && *number > 0.0 && *number <= high;
}

bool tirta_amount_read(struct json value, enum tirta_action action, struct tirta_amount *amount) {
    return tirta_json_is_object(value) && keys_are_known(value, action) &&
           read_part(value, "seconds", (double)TIRTA_DAY_SECONDS, &amount->has_seconds, &amount->seconds) &&
           read_part(value, "litres", TIRTA_AMOUNT_MAX, &amount->has_litres, &amount->litres) &&
           read_part(value, "grams", TIRTA_AMOUNT_MAX, &amount->has_grams, &amount->grams) &&
           !tirta_amount_is_empty(amount);
}

bool tirta_amount_is_empty(const struct tirta_amount *amount) {
    return !amount->has_seconds && !amount->has_litres && !amount->has_grams;
}

static bool part_is_sound(bool has, double number) {
    return !has || (number >= 0.0 && number <= JSON_NUMBER_MAX);
}

bool tirta_amount_is_sound(const struct tirta_amount *amount) {
    return part_is_sound(amount->has_seconds, amount->seconds) && part_is_sound(amount->has_litres, amount->litres) &&
           part_is_sound(amount->has_grams, amount->grams);
}

void tirta_amount_write(struct writer *w, const struct tirta_amount *amount) {
    bool first = true;
    tirta_write_byte(w, '{');
    if (amount->has_seconds) {
        tirta_json_key(w, &first, "seconds");
        tirta_json_number(w, amount->seconds);
    }
    if (amount->has_litres) {
        tirta_json_key(w, &first, "litres");
        tirta_json_number(w, amount->litres);
    }
    if (amount->has_grams) {
        tirta_json_key(w, &first, "grams");
        tirta_json_number(w, amount->grams);
    }
    tirta_write_byte(w, '}');
}
