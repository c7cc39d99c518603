//go:build tools

// Package tools pins what the dev cluster builds.
package tools

import (
	_ "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
)
