// Package integration tells stories about the whole bank on a real Bitcoin node
// and a real PostgreSQL. It holds tests only; bank_test.go is the harness, each
// other file is a story.
package integration
