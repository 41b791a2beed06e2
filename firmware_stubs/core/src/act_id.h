/* SPDX-License-Identifier: Apache-2.0 */
/* Private: what may be the id of an act. */
#ifndef TIRTA_ACT_ID_H
#define TIRTA_ACT_ID_H

#include <stdbool.h>

/* 1 to TIRTA_ID_MAX of A-Z a-z 0-9 - _ . : and nothing else; looked at only as far as that. */
bool tirta_act_id_is_sound(const char *id);

#endif
