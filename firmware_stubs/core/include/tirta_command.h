/* SPDX-License-Identifier: Apache-2.0 */
/* Commands: what the platform asks a device to do. */
#ifndef TIRTA_COMMAND_H
#define TIRTA_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tirta_limits.h"
#include "tirta_result.h"

enum tirta_action {
    TIRTA_NO_ACTION = 0,
    TIRTA_IRRIGATE,
    TIRTA_FEED,
    TIRTA_AERATE,
    TIRTA_STOP,
    TIRTA_PING
};

/* What to do, or what was truly done. */
struct tirta_amount {
    bool has_seconds;
    bool has_litres;
    bool has_grams;
    double seconds; /* [s] */
    double litres;  /* [L] */
    double grams;   /* [g] */
};

struct tirta_command {
    char id[TIRTA_ID_MAX + 1u];
    bool has_n; /* never with stop and ping, always with the others */
    uint32_t n;
    enum tirta_action action;
    uint8_t zone; /* 0: none given; a stop then means all zones */
    struct tirta_amount amount;
    double max_seconds; /* the device ends the act then by itself; 0 with stop and ping [s] */
    uint64_t issued;    /* [ms since the Unix epoch] */
    uint64_t expires;   /* last instant at which the act may begin [ms since the Unix epoch] */
};

/*
 * Parse a command. TIRTA_OK says that it is well formed, not that it may be done: expiry, `n`, the ledger, the zones
 * and the limits of this device are the caller's to judge.
 *
 * After TIRTA_UNKNOWN_ACTION and TIRTA_OUT_OF_RANGE the fields id, has_n and n may be read and the command is to be
 * acked as rejected with tirta_code() for its reason. After any other failure there is nothing to ack.
 */
enum tirta_result tirta_command_parse(const char *text, size_t length, struct tirta_command *command);

/* The contract's name of an action; NULL for TIRTA_NO_ACTION and for a value that is none. */
const char *tirta_action_name(enum tirta_action action);

#endif
