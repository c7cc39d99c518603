//go:build tools

// Package tools pins what the dev cluster builds.
package tools

import (
	_ "github.com/coredns/coredns"
)
