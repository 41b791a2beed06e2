/* SPDX-License-Identifier: Apache-2.0 */
/* Commands, parsed into what a device can act on. */
#include "tirta_command.h"

#include <string.h>

#include "act_id.h"
#include "amount.h"
#include "json_read.h"

static const char *const ACTIONS[] = {NULL, "irrigate", "feed", "aerate", "stop", "ping"};

#define ACTION_COUNT (sizeof ACTIONS / sizeof ACTIONS[0])

const char *tirta_action_name(enum tirta_action action) {
    const size_t index = (size_t)action;
    return index < ACTION_COUNT ? ACTIONS[index] : NULL;
}

static enum tirta_action find_action(struct json root) {
    struct json value;
    if (tirta_json_find(root, "action", &value)) {
        for (size_t i = 1; i < ACTION_COUNT; i++) {
            if (tirta_json_string_is(value, ACTIONS[i])) {
                return (enum tirta_action)i;
            }
        }
    }
    return TIRTA_NO_ACTION;
}

/* The id, without which nothing can be acked. */
static bool read_id(struct json root, struct tirta_command *command) {
    struct json value;
    bool cut = false;
    return tirta_json_find(root, "id", &value) &&
           tirta_json_string_copy(value, command->id, sizeof command->id, &cut) && !cut &&
           tirta_act_id_is_sound(command->id);
}

static bool read_time(struct json root, const char *key, uint64_t *time) {
    struct json value;
    return tirta_json_find(root, key, &value) && tirta_json_whole(value, 0u, TIRTA_TIME_MAX, time);
}

/* The zone if there is one; false when there is one and it is none that can be. */
static bool read_zone(struct json root, struct tirta_command *command) {
    struct json value;
    uint64_t number = 0;
    if (tirta_json_find(root, "zone", &value) && !tirta_json_whole(value, 1u, TIRTA_ZONE_MAX, &number)) {
        return false;
    }
    command->zone = (uint8_t)number;
    return true;
}

/* What only an act has, which opens or turns something. */
static bool read_act(struct json root, struct tirta_command *command) {
    struct json value;
    if (!command->has_n || command->zone == 0u) {
        return false;
    }
    if (!tirta_json_find(root, "amount", &value) || !tirta_amount_read(value, command->action, &command->amount)) {
        return false;
    }
    return tirta_json_find(root, "max_seconds", &value) && tirta_json_read_number(value, &command->max_seconds) &&
           command->max_seconds > 0.0 && command->max_seconds <= (double)TIRTA_DAY_SECONDS;
}

enum tirta_result tirta_command_parse(const char *text, size_t length, struct tirta_command *command) {
    struct json root;
    struct json value;
    uint64_t number = 0;
    if (command == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    memset(command, 0, sizeof *command);
    const enum tirta_result checked = tirta_json_check_object(text, length, &root);
    if (checked != TIRTA_OK) {
        return checked;
    }
    if (!read_id(root, command)) {
        return TIRTA_MALFORMED;
    }
    command->action = find_action(root);
    const bool is_act = command->action != TIRTA_STOP && command->action != TIRTA_PING;
    if (is_act && tirta_json_find(root, "n", &value) && tirta_json_whole(value, 1u, UINT32_MAX, &number)) {
        command->has_n = true;
        command->n = (uint32_t)number;
    }
    if (command->action == TIRTA_NO_ACTION) {
        return TIRTA_UNKNOWN_ACTION;
    }
    if (!read_time(root, "issued", &command->issued) || !read_time(root, "expires", &command->expires) ||
        !read_zone(root, command) || (is_act && !read_act(root, command))) {
        return TIRTA_OUT_OF_RANGE;
    }
    return TIRTA_OK;
}
