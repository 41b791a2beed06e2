/* SPDX-License-Identifier: Apache-2.0 */
/* Status: what a device says of itself, retained; and the last will. */
#ifndef TIRTA_DEVICE_STATUS_H
#define TIRTA_DEVICE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tirta_ack.h"
#include "tirta_result.h"

/* A record's place: its boot and its number in it. */
struct tirta_position {
    uint32_t boot;
    uint32_t seq;
};

struct tirta_ledger_entry {
    const char *id;
    enum tirta_ack_state state;
};

/* A zeroed one is the last will. */
struct tirta_device_status {
    bool online;
    const char *kind; /* NULL leaves it out */
    const char *fw;   /* NULL leaves it out */
    bool has_boot;
    uint32_t boot;
    uint8_t zones; /* 0 leaves it out */
    bool has_n;
    uint32_t n;                              /* highest number taken; 0 before the first */
    const struct tirta_ledger_entry *ledger; /* newest first */
    size_t ledger_count;                     /* up to TIRTA_LEDGER_MAX */
    bool has_oldest;
    struct tirta_position oldest; /* oldest record still in the outbox */
    bool has_last;
    struct tirta_position last; /* last record of the boot before this one */
    bool has_rssi;
    int8_t rssi; /* [dBm] */
    bool has_ts;
    uint64_t ts; /* now, by the clock that commands are judged by; left out while it is not known [ms since the Unix epoch] */
};

enum tirta_result tirta_device_status_encode(const struct tirta_device_status *status, char *out, size_t capacity,
                                             size_t *length);

#endif
