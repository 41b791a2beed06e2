/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound of the wire contract that the core keeps; see docs/mqtt-contract.md. */
#ifndef TIRTA_LIMITS_H
#define TIRTA_LIMITS_H

#define TIRTA_PAYLOAD_MAX 65536u         /* a payload [bytes] */
#define TIRTA_DEPTH_MAX 4u               /* containers inside one another */
#define TIRTA_RECORDS_MAX 500u           /* records in a payload */
#define TIRTA_NAME_MAX 64u               /* name of a site, a device, a kind or a quantity [characters] */
#define TIRTA_ID_MAX 64u                 /* id of an act [characters] */
#define TIRTA_TOPIC_MAX 148u             /* tirta/v1/ + name + / + name + / + telemetry [characters] */
#define TIRTA_ZONE_MAX 64u               /* zones are 1 to this */
#define TIRTA_LEDGER_MAX 16u             /* acts told in a status */
#define TIRTA_ERROR_CODE_MAX 32u         /* code of an error [characters] */
#define TIRTA_ERROR_DETAIL_MAX 200u      /* detail of an error kept here; a longer one is cut [bytes] */
#define TIRTA_DAY_SECONDS 86400u         /* most of an amount in seconds, of max_seconds and of telemetry_s [s] */
#define TIRTA_AMOUNT_MAX 1000000.0       /* most litres or grams in a command [L, g] */
#define TIRTA_TIME_MAX 9007199254740992u /* 2^53, last instant that a double holds exactly [ms since 1970] */

#endif
