package api

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/daobank/daobank/ledger"
)

// Fields are the members of one JSON object that have not been taken yet. An
// order is read through them and not through struct tags, because whoever signs
// needs to be told which field is wrong, missing or not part of the order.
// After the first error every take does nothing, so a decoder checks once.
type fields struct {
	what string // the object, for messages
	raw  map[string]json.RawMessage
	err  error
}

func malformed(format string, args ...any) *ledger.Error {
	return &ledger.Error{Code: ledger.CodeMalformed, Message: fmt.Sprintf(format, args...)}
}

// readFields reads an object that fills data exactly.
func readFields(what string, data []byte) *fields {
	f := &fields{what: what}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&f.raw); err != nil {
		f.err = malformed("%s is not a JSON object: %v", what, err)
	} else if f.raw == nil {
		f.err = malformed("%s is null: send a JSON object", what)
	} else if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		f.err = malformed("something follows %s: send one JSON object and nothing else", what)
	}
	return f
}

// take decodes a field that must be there.
func (f *fields) take(name string, into any) {
	if f.err != nil {
		return
	}
	raw, ok := f.raw[name]
	delete(f.raw, name)
	switch {
	case !ok:
		f.err = malformed("%s has no field %q: add it", f.what, name)
	case string(raw) == "null": // which encoding/json takes for "leave as it is"
		f.err = malformed("%s has null as its %q: give it a value", f.what, name)
	default:
		f.err = fieldError(f.what, name, json.Unmarshal(raw, into))
	}
}

// has reports whether a field that may be left out is there and not yet taken.
func (f *fields) has(name string) bool {
	_, ok := f.raw[name]
	return ok
}

// done returns the first error; fields that nobody took are one.
func (f *fields) done() error {
	if f.err == nil && len(f.raw) > 0 {
		unknown := slices.Sorted(maps.Keys(f.raw))[0]
		f.err = malformed("%s has a field %.40q, which is not part of it: leave it out", f.what, unknown)
	}
	return f.err
}

func fieldError(what, name string, err error) error {
	var refusal *ledger.Error
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return &ledger.Error{Code: refusal.Code, Message: fmt.Sprintf("the field %q of %s: %s", name, what, refusal.Message)}
	case errors.As(err, &kind):
		return malformed("the field %q of %s cannot be %s: see docs/api.md for its form", name, what, kind.Value)
	}
	return malformed("the field %q of %s: %v", name, what, err)
}

// satoshis reads an amount. Neither a fraction nor an exponent nor a text is
// one; what does not fit into an int64 is out of range like any other sum that
// cannot exist.
type satoshis ledger.Amount

func (s *satoshis) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return &ledger.Error{Code: ledger.CodeAmount,
			Message: "the amount must be above zero and at most 21,000,000 BTC"}
	case err != nil:
		return malformed("%.40s is not a whole number of satoshis: write an integer without point, exponent or quotes", text)
	}
	*s = satoshis(n)
	return nil
}

// hexBytes is a byte string in hex digits.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode([]byte{}, b), nil }

func (b *hexBytes) UnmarshalText(text []byte) error {
	data, err := hex.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("want hex digits: %w", err)
	}
	*b = data
	return nil
}
