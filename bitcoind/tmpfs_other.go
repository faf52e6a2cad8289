//go:build !linux

package bitcoind

import "os"

// tempDir is where nodes have their directories.
func tempDir() string { return os.TempDir() }
