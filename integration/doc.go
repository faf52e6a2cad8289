// Package integration tells stories about the whole bank on a real Bitcoin node
// and a real PostgreSQL. It holds tests only. The harnesses are:
//
//	bank_test.go      a bank inside the test's process
//	house_test.go     a bank and guardians that are processes of their own (process_test.go)
//	mouth_test.go     guardians whose answers are changed on their way out (acts_test.go)
//	usurper_test.go   whoever has the coordinator's key, and asks what it likes
//	history_test.go   whoever has the operator's key, and writes journals
//	door_test.go      a network that fails
//	boundary_test.go  a bank kept exactly between two steps of a settlement
//	faults_test.go    what strikes it there, and at random moments
//	judge_test.go     who says whether the bank kept its promises (evidence_test.go)
//
// Each other file is a story.
package integration
