//go:build tools

// Package tools names what tests/conform/test_h2spec.py builds, so that go.mod keeps its modules.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
