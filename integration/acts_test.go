package integration

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// An act is one way in which a guardian answers otherwise than it should.
type act struct {
	path    string // of the requests that it is about; the start is enough
	certain bool   // the answer shows by itself that its sender lied
	do      func(s *scene, w http.ResponseWriter, r *http.Request)
}

// A scene is one request that an act is done for.
type scene struct {
	*mouth
	round int
	acted func() // tells the story; done after the act at the latest
}

// acts are all of them by name. Those of key generation have a table of their own.
var acts = map[string]act{
	"nonce too short": {"/commit", true, edit(func(a answer) { a.list("nonces")[0] = a.text("nonces", 0)[2:] })},
	"nonce too long":  {"/commit", true, edit(func(a answer) { a.list("nonces")[0] = a.text("nonces", 0) + "00" })},
	"nonce no point":  {"/commit", true, edit(func(a answer) { a.last("nonces", strings.Repeat("05", 66)) })},
	"nonce zero":      {"/commit", true, edit(func(a answer) { a.list("nonces")[0] = strings.Repeat("00", 66) })},
	"nonces too few":  {"/commit", true, edit(func(a answer) { a["nonces"] = a.list("nonces")[1:] })},
	"nonces too many": {"/commit", true, edit(func(a answer) { a["nonces"] = append(a.list("nonces"), a.list("nonces")...) })},
	"no nonces":       {"/commit", true, edit(func(a answer) { a["nonces"] = nil })},
	"nonces null":     {"/commit", true, say(http.StatusOK, "null")},
	// Whoever gives nonces that are not its own, or not unused, cannot sign.
	"nonce repeated":          {"/commit", false, edit(func(a answer) { a.last("nonces", a.text("nonces", 0)) })},
	"nonces of before":        {"/commit", false, instead("nonces", func(s *scene) int { return s.id })},
	"nonces of another":       {"/commit", false, instead("nonces", func(s *scene) int { return 1 - s.id })},
	"signature wrong":         {"/sign", true, edit(func(a answer) { a.last("signatures", flipped(a.text("signatures", -1))) })},
	"signature zero":          {"/sign", true, edit(func(a answer) { a.list("signatures")[0] = strings.Repeat("00", 32) })},
	"signature out of range":  {"/sign", true, edit(func(a answer) { a.list("signatures")[0] = strings.Repeat("ff", 32) })},
	"signatures swapped":      {"/sign", true, edit(func(a answer) { slices.Reverse(a.list("signatures")) })},
	"signatures of another":   {"/sign", true, instead("signatures", func(s *scene) int { return 1 - s.id })},
	"signatures of before":    {"/sign", true, instead("signatures", func(s *scene) int { return s.id })},
	"signatures too few":      {"/sign", true, edit(func(a answer) { a["signatures"] = a.list("signatures")[1:] })},
	"signatures too many":     {"/sign", true, edit(func(a answer) { a["signatures"] = append(a.list("signatures"), a.list("signatures")[0]) })},
	"next nonces too few":     {"/sign", true, edit(func(a answer) { a["next"] = a.list("next")[1:] })},
	"next nonce no point":     {"/sign", true, edit(func(a answer) { a.list("next")[0] = strings.Repeat("05", 66) })},
	"unknown field":           {"/sign", true, edit(func(a answer) { a["more"] = 1 })},
	"not JSON":                {"/sign", true, say(http.StatusOK, "\x00\xff{{{")},
	"something behind":        {"/sign", true, say(http.StatusOK, "{}{}")},
	"empty":                   {"/sign", true, say(http.StatusOK, "")},
	"2 MiB":                   {"/sign", true, say(http.StatusOK, `{"signatures":["`+strings.Repeat("a", 2<<20)+`"]}`)},
	"500":                     {"/sign", true, say(http.StatusInternalServerError, "out of order")},
	"redirect":                {"/sign", true, say(http.StatusFound, "")},
	"error without an error":  {"/sign", true, say(http.StatusConflict, "{}")},
	"refuses":                 {"/sign", false, say(http.StatusConflict, `{"error":{"kind":"refused","message":"no\u001b[2J\n"}}`)},
	"fails":                   {"/sign", false, say(http.StatusConflict, `{"error":{"kind":"failed","message":"later"}}`)},
	"has no nonces":           {"/sign", false, say(http.StatusConflict, `{"error":{"kind":"no_nonces","message":""}}`)},
	"cuts the connection":     {"/sign", false, func(s *scene, _ http.ResponseWriter, _ *http.Request) { s.acted(); panic(http.ErrAbortHandler) }},
	"never ends the body":     {"/sign", false, endless},
	"never answers":           {"/commit", false, func(s *scene, _ http.ResponseWriter, r *http.Request) { s.acted(); <-r.Context().Done() }},
	"attestation forged":      {"/status", true, edit(attested(func(a answer) { a["signature"] = flipped(a["signature"].(string)) }))},
	"attests another head":    {"/status", true, edit(attested(func(a answer) { a["head"] = flipped(a["head"].(string)) }))},
	"attests what is to come": {"/status", true, edit(attested(func(a answer) { a["batch"] = a["batch"].(float64) + 1_000 }))},
	"attests for another":     {"/status", true, edit(attested(func(a answer) { a["guardian"] = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798" }))},
	"status not JSON":         {"/status", false, say(http.StatusOK, "\x00")},
	"status too long":         {"/status", false, say(http.StatusOK, `{"halted":"`+strings.Repeat("h", 2<<20)+`"}`)},
	"halted at great length":  {"/status", false, edit(func(a answer) { a["halted"] = strings.Repeat("\u001b\n", 1<<15) })},
	"dies before its nonces":  {"/commit", false, func(s *scene, _ http.ResponseWriter, _ *http.Request) { s.die() }},
	"dies after its nonces":   {"/commit", false, func(s *scene, w http.ResponseWriter, r *http.Request) { s.answerAndDie(w, r) }},
	"dies asked to sign":      {"/sign", false, func(s *scene, _ http.ResponseWriter, _ *http.Request) { s.die() }},
	"dies before it can speak": {"/sign", false, func(s *scene, _ http.ResponseWriter, r *http.Request) {
		s.honest.ServeHTTP(httptest.NewRecorder(), r)
		s.die()
	}},
	"dies after it signed": {"/sign", false, func(s *scene, w http.ResponseWriter, r *http.Request) { s.answerAndDie(w, r) }},
}

func init() {
	// Honest, but slow.
	acts["last"] = act{"/commit", false, func(s *scene, w http.ResponseWriter, r *http.Request) {
		s.stage.await(r.Context(), 5*time.Second, s.othersHaveActed)
		s.honest.ServeHTTP(w, r)
	}}
}

// othersHaveActed: everyone who is to act when it is asked for nonces, and else
// somebody, for not everyone is asked to sign.
func (s *scene) othersHaveActed() bool {
	asked := 0
	for _, name := range s.stage.orders().Acts {
		if acts[name].path == "/commit" && name != "last" {
			asked++
		}
	}
	return len(s.stage.acted(s.round)) >= max(1, asked)
}

// An answer is a JSON object that a guardian sends.
type answer map[string]any

func (a answer) list(name string) []any { return a[name].([]any) }

func (a answer) last(name, text string) { l := a.list(name); l[len(l)-1] = text }

// text is one of a list, of which −1 is the last.
func (a answer) text(name string, place int) string {
	l := a.list(name)
	return l[(place+len(l))%len(l)].(string)
}

// flipped changes a bit of a text in hex.
func flipped(text string) string {
	last := "1"
	if strings.HasSuffix(text, "1") {
		last = "0"
	}
	return text[:len(text)-1] + last
}

// attested edits the attestation in a status.
func attested(change func(answer)) func(answer) {
	return func(status answer) {
		if a, ok := status["attestation"].(map[string]any); ok {
			change(a)
		}
	}
}

// hear is the honest answer.
func (s *scene) hear(r *http.Request) (status int, a answer) {
	said := httptest.NewRecorder()
	s.honest.ServeHTTP(said, r)
	if err := json.Unmarshal(said.Body.Bytes(), &a); err != nil {
		panic(err) // it is honest
	}
	return said.Code, a
}

// edit sends the honest answer with a change, or as it is when it is an error.
func edit(change func(answer)) func(*scene, http.ResponseWriter, *http.Request) {
	return func(s *scene, w http.ResponseWriter, r *http.Request) {
		status, a := s.hear(r)
		if status == http.StatusOK {
			change(a)
		}
		send(w, status, a)
	}
}

func send(w http.ResponseWriter, status int, a answer) {
	raw, err := json.Marshal(a)
	if err != nil {
		panic(err) // it came out of JSON
	}
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

func say(status int, body string) func(*scene, http.ResponseWriter, *http.Request) {
	return func(_ *scene, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// instead sends a list that this guardian, or another that lies with it, gave in
// an answer before, in place of its own; as long as there is none, its own the
// other way round.
func instead(list string, whose func(*scene) int) func(*scene, http.ResponseWriter, *http.Request) {
	return func(s *scene, w http.ResponseWriter, r *http.Request) {
		raw, err := os.ReadFile(s.stage.path("%s-%d", list, whose(s)))
		var before []any
		if err == nil {
			err = json.Unmarshal(raw, &before)
		}
		status, a := s.hear(r)
		switch {
		case status != http.StatusOK:
		case err != nil:
			slices.Reverse(a.list(list))
		default:
			a[list] = before
		}
		send(w, status, a)
	}
}

// endless sends blanks for as long as somebody listens.
func endless(s *scene, w http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(w)
	for r.Context().Err() == nil {
		if _, err := w.Write(bytes.Repeat([]byte(" "), 16)); err != nil || flush.Flush() != nil {
			return
		}
		s.acted()
		pause(r.Context(), 5*time.Millisecond)
	}
}

// die ends the process as a power cut does.
func (s *scene) die() {
	s.acted()
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// answerAndDie gives the honest answer, and dies when it is out.
func (s *scene) answerAndDie(w http.ResponseWriter, r *http.Request) {
	s.honest.ServeHTTP(w, r)
	_ = http.NewResponseController(w).Flush()
	s.die()
}
