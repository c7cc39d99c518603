//go:build tools

// Package tools pins what the dev cluster builds.
package tools

import (
	_ "helm.sh/helm/v3/cmd/helm"
)
