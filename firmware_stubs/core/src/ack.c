/* SPDX-License-Identifier: Apache-2.0 */
/* Acks, written. */
#include "tirta_ack.h"

#include "act_id.h"
#include "amount.h"
#include "json_write.h"

static const char *const STATES[] = {"accepted", "running", "done", "failed", "rejected", "indeterminate"};
static const char *const REASONS[] = {
    NULL,       "expired", "unsynchronised", "interlock", "busy", "unknown-action", "out-of-range",
    "replayed", "stopped", "max-seconds",    "no-flow",   "jam",  "hopper-empty",   "hardware",
};

#define STATE_COUNT (sizeof STATES / sizeof STATES[0])
#define REASON_COUNT (sizeof REASONS / sizeof REASONS[0])

const char *tirta_ack_state_name(enum tirta_ack_state state) {
    const size_t index = (size_t)state;
    return index < STATE_COUNT ? STATES[index] : NULL;
}

const char *tirta_reason_name(enum tirta_reason reason) {
    const size_t index = (size_t)reason;
    return index < REASON_COUNT ? REASONS[index] : NULL;
}

static enum tirta_result check_ack(const struct tirta_ack *ack) {
    if (ack == NULL || !tirta_act_id_is_sound(ack->id) || tirta_ack_state_name(ack->state) == NULL ||
        (ack->reason != TIRTA_NO_REASON && tirta_reason_name(ack->reason) == NULL) ||
        (ack->action != TIRTA_NO_ACTION && tirta_action_name(ack->action) == NULL)) {
        return TIRTA_BAD_ARGUMENT;
    }
    if (ack->zone > TIRTA_ZONE_MAX || !tirta_amount_is_sound(&ack->result) ||
        (ack->has_ts && ack->ts > TIRTA_TIME_MAX)) {
        return TIRTA_OUT_OF_RANGE;
    }
    return TIRTA_OK;
}

static void write_ack(struct writer *w, const struct tirta_ack *ack) {
    bool first = true;
    tirta_write_byte(w, '{');
    tirta_json_key(w, &first, "id");
    tirta_json_string(w, ack->id);
    if (ack->has_n) {
        tirta_json_key(w, &first, "n");
        tirta_json_uint(w, ack->n);
    }
    tirta_json_key(w, &first, "state");
    tirta_json_string(w, tirta_ack_state_name(ack->state));
    if (ack->reason != TIRTA_NO_REASON) {
        tirta_json_key(w, &first, "reason");
        tirta_json_string(w, tirta_reason_name(ack->reason));
    }
    if (ack->action != TIRTA_NO_ACTION) {
        tirta_json_key(w, &first, "action");
        tirta_json_string(w, tirta_action_name(ack->action));
    }
    if (ack->zone != 0u) {
        tirta_json_key(w, &first, "zone");
        tirta_json_uint(w, ack->zone);
    }
    if (!tirta_amount_is_empty(&ack->result)) {
        tirta_json_key(w, &first, "result");
        tirta_amount_write(w, &ack->result);
    }
    if (ack->has_ts) {
        tirta_json_key(w, &first, "ts");
        tirta_json_uint(w, ack->ts);
    }
    tirta_write_byte(w, '}');
}

enum tirta_result tirta_ack_encode(const struct tirta_ack *ack, char *out, size_t capacity, size_t *length) {
    const enum tirta_result checked = check_ack(ack);
    if (checked != TIRTA_OK) {
        return checked;
    }
    if (out == NULL || length == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    struct writer w = tirta_writer_over(out, capacity);
    write_ack(&w, ack);
    return tirta_writer_finish(&w, length);
}
