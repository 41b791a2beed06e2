/* SPDX-License-Identifier: Apache-2.0 */
/* Ids of acts: plain enough to be stored, compared and sent back without escapes. */
#include "act_id.h"

#include <stddef.h>

#include "tirta_limits.h"

bool tirta_act_id_is_sound(const char *id) {
    if (id == NULL || id[0] == '\0') {
        return false;
    }
    for (size_t i = 0; i <= TIRTA_ID_MAX; i++) {
        const char c = id[i];
        if (c == '\0') {
            return true;
        }
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= ':') || c == '-' || c == '_' ||
              c == '.')) { /* ':' follows '9' in ASCII */
            return false;
        }
    }
    return false;
}
