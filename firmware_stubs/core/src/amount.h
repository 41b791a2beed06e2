/* SPDX-License-Identifier: Apache-2.0 */
/* Private: amounts of acts, as ordered and as done. */
#ifndef TIRTA_AMOUNT_H
#define TIRTA_AMOUNT_H

#include <stdbool.h>

#include "json_read.h"
#include "tirta_command.h"
#include "writer.h"

/*
 * Read the amount of a command. False unless every key is one that the action takes, every number is within its limit,
 * and at least one is given: an amount half understood must not be half done.
 */
bool tirta_amount_read(struct json value, enum tirta_action action, struct tirta_amount *amount);

bool tirta_amount_is_empty(const struct tirta_amount *amount);

/* Whether each number given may be reported: 0 or more, and writable. */
bool tirta_amount_is_sound(const struct tirta_amount *amount);

/* Write an amount as an object. */
void tirta_amount_write(struct writer *w, const struct tirta_amount *amount);

#endif
