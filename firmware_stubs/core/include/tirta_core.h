/* SPDX-License-Identifier: Apache-2.0 */
/* The whole core: topics and payloads of the wire contract, version 1. No allocation, no I/O, no global state. */
#ifndef TIRTA_CORE_H
#define TIRTA_CORE_H

#include "tirta_ack.h"
#include "tirta_command.h"
#include "tirta_device_status.h"
#include "tirta_limits.h"
#include "tirta_notice.h"
#include "tirta_result.h"
#include "tirta_telemetry.h"
#include "tirta_topic.h"

#endif
