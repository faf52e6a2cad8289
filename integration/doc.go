// Package integration tells stories about the whole bank on a real Bitcoin node
// and a real PostgreSQL. It holds tests only. The harnesses are:
//
//	bank_test.go      a bank inside the test's process
//	house_test.go     a bank and guardians that are processes of their own (process_test.go)
//	mouth_test.go     guardians whose answers are changed on their way out (acts_test.go)
//	usurper_test.go   whoever has the coordinator's key, and asks what it likes
//	history_test.go   whoever has the operator's key, and writes journals
//	door_test.go      a network that fails
//
// Each other file is a story.
package integration
