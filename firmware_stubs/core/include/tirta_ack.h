/* SPDX-License-Identifier: Apache-2.0 */
/* Acks: what became of a command, or of what a person did at the board. */
#ifndef TIRTA_ACK_H
#define TIRTA_ACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tirta_command.h"
#include "tirta_result.h"

enum tirta_ack_state {
    TIRTA_ACCEPTED = 0,
    TIRTA_RUNNING,
    TIRTA_DONE,         /* final */
    TIRTA_FAILED,       /* final */
    TIRTA_REJECTED,     /* final */
    TIRTA_INDETERMINATE /* final: restarted between beginning and finishing */
};

enum tirta_reason {
    TIRTA_NO_REASON = 0,
    TIRTA_REASON_EXPIRED,        /* rejected */
    TIRTA_REASON_UNSYNCHRONISED, /* rejected */
    TIRTA_REASON_INTERLOCK,      /* rejected */
    TIRTA_REASON_BUSY,           /* rejected */
    TIRTA_REASON_UNKNOWN_ACTION, /* rejected */
    TIRTA_REASON_OUT_OF_RANGE,   /* rejected */
    TIRTA_REASON_REPLAYED,       /* rejected */
    TIRTA_REASON_STOPPED,        /* done early */
    TIRTA_REASON_MAX_SECONDS,    /* done early */
    TIRTA_REASON_NO_FLOW,        /* failed */
    TIRTA_REASON_JAM,            /* failed */
    TIRTA_REASON_HOPPER_EMPTY,   /* failed */
    TIRTA_REASON_HARDWARE        /* failed */
};

struct tirta_ack {
    const char *id; /* the command's, or local-{boot}-{k} for what was done at the board */
    bool has_n;
    uint32_t n;
    enum tirta_ack_state state;
    enum tirta_reason reason;
    enum tirta_action action; /* told for acts at the board, otherwise TIRTA_NO_ACTION */
    uint8_t zone;             /* likewise; 0 leaves it out */
    struct tirta_amount result;
    bool has_ts; /* false while the clock is not synchronised */
    uint64_t ts; /* [ms since the Unix epoch] */
};

enum tirta_result tirta_ack_encode(const struct tirta_ack *ack, char *out, size_t capacity, size_t *length);

/* The contract's names; NULL for TIRTA_NO_REASON and for values that are none. */
const char *tirta_ack_state_name(enum tirta_ack_state state);
const char *tirta_reason_name(enum tirta_reason reason);

#endif
