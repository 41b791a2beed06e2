// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools pins the version of influxd that the tests are run against.
package tools

import _ "github.com/influxdata/influxdb/v2/cmd/influxd"
