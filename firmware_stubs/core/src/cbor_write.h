/* SPDX-License-Identifier: Apache-2.0 */
/* Private: the pieces of CBOR (RFC 8949) that the contract needs. */
#ifndef TIRTA_CBOR_WRITE_H
#define TIRTA_CBOR_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "writer.h"

void tirta_cbor_uint(struct writer *w, uint64_t value);
void tirta_cbor_text(struct writer *w, const char *text);
void tirta_cbor_map(struct writer *w, uint64_t pairs);
void tirta_cbor_boolean(struct writer *w, bool value);

/* Write the shortest of half, single and double that holds the value exactly (section 4.1). */
void tirta_cbor_number(struct writer *w, double value);

/* An array whose length is not known yet, and its end (section 3.2.2). */
void tirta_cbor_array_begin(struct writer *w);
void tirta_cbor_array_end(struct writer *w);

#endif
