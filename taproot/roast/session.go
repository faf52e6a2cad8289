package roast

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/daobank/daobank/taproot/frost"
)

// A session is one attempt of t signers to sign all messages.
type session struct {
	number     int
	signers    []frost.ID // ascending
	given      map[frost.ID][]frost.PublicNonce
	aggregates []frost.AggregateNonce // by message
	parts      map[frost.ID][]frost.PartialSignature
	checked    map[frost.ID]bool // whose parts are known to be right
	lost       bool              // a signer failed or lied: it cannot end well

	values []*frost.Session // by message; nil until prepared
}

// addNonces sums the nonces given, message by message. It returns instead whoever
// gave a nonce that is none, with the first message for which it is.
func (s *session) addNonces(messages int) (liars map[frost.ID]int, err error) {
	s.aggregates = make([]frost.AggregateNonce, messages)
	errs := make([]error, messages)
	inParallel(messages, func(i int) {
		nonces := make(map[frost.ID]frost.PublicNonce, len(s.signers))
		for _, id := range s.signers {
			nonces[id] = s.given[id][i]
		}
		s.aggregates[i], errs[i] = frost.NonceAgg(nonces)
	})
	liars = make(map[frost.ID]int)
	for i, err := range errs {
		var culprit *frost.CulpritError
		if err != nil && !errors.As(err, &culprit) {
			return nil, fmt.Errorf("roast: session %d, message %d: %w", s.number, i, err)
		}
		if err == nil {
			continue
		}
		for _, id := range culprit.IDs {
			if _, known := liars[id]; !known {
				liars[id] = i
			}
		}
	}
	return liars, nil
}

// prepare computes the values that checking needs. It is apart from making the
// session so that the signers already work meanwhile.
func (s *session) prepare(group *frost.Group, messages []Message, keys []*frost.Tweaked) error {
	if s.values != nil {
		return nil
	}
	values := make([]*frost.Session, len(messages))
	err := tryInParallel(len(messages), func(i int) (err error) {
		values[i], err = frost.NewSession(group, frost.SessionParams{Signers: s.signers,
			AggregateNonce: s.aggregates[i], Tweaked: keys[i], Message: messages[i].Digest[:]})
		return err
	})
	if err != nil {
		return fmt.Errorf("roast: session %d: %w", s.number, err)
	}
	s.values = values
	return nil
}

// outcome is what came of a session that all have answered.
type outcome struct {
	signatures []frost.Signature
	culprits   map[frost.ID]int // whose parts are wrong, and the first message for which they are
	cancel     bool             // the nonces of some message cancel out
}

func (o *outcome) good() bool { return len(o.culprits) == 0 && !o.cancel }

// aggregate makes the signatures, or finds every signer whose parts are wrong. The
// signatures are checked first, the parts only of a message whose signature is wrong.
func (s *session) aggregate() (*outcome, error) {
	o := &outcome{signatures: make([]frost.Signature, len(s.values)), culprits: make(map[frost.ID]int)}
	wrong, errs := make([][]frost.ID, len(s.values)), make([]error, len(s.values))
	inParallel(len(s.values), func(i int) {
		var err error
		if o.signatures[i], err = s.sum(i); err != nil {
			wrong[i], errs[i] = s.culprits(i, err)
		}
	})
	for i := range errs {
		if errors.Is(errs[i], ErrNoncesCancel) {
			o.cancel, errs[i] = true, nil
		}
	}
	if err := cmp.Or(errs...); err != nil {
		return nil, fmt.Errorf("roast: session %d: %w", s.number, err)
	}
	for i, ids := range wrong {
		for _, id := range ids {
			if _, known := o.culprits[id]; !known {
				o.culprits[id] = i
			}
		}
	}
	return o, nil
}

// sum adds the parts of one message and verifies what comes out.
func (s *session) sum(message int) (frost.Signature, error) {
	parts := make(map[frost.ID]frost.PartialSignature, len(s.signers))
	for _, id := range s.signers {
		parts[id] = s.parts[id][message]
	}
	values := s.values[message]
	signature, err := values.PartialSigAgg(parts)
	if err != nil {
		return signature, err
	}
	return signature, frost.VerifySignature(values.Key(), values.Message(), signature)
}

// culprits names every signer whose part of a message is wrong. If there is none,
// the sum of the nonces is infinity, for which BIP-445 puts G: the sums are the
// coordinator's own, so nothing else is possible.
func (s *session) culprits(message int, sumError error) (wrong []frost.ID, err error) {
	for _, id := range s.signers {
		bad, err := s.wrong(id, message)
		if err != nil {
			return nil, err
		}
		if bad {
			wrong = append(wrong, id)
		}
	}
	if wrong == nil && s.aggregates[message] == (frost.AggregateNonce{}) {
		return nil, ErrNoncesCancel
	}
	if wrong == nil {
		return nil, fmt.Errorf("message %d: %w: %w", message, frost.ErrBlameUncertain, sumError)
	}
	return wrong, nil
}

// wrong verifies one part.
func (s *session) wrong(id frost.ID, message int) (bool, error) {
	if s.checked[id] {
		return false, nil
	}
	err := s.values[message].PartialSigVerify(id, s.given[id][message], s.parts[id][message])
	var culprit *frost.CulpritError
	if err == nil || errors.As(err, &culprit) {
		return err != nil, nil
	}
	return false, fmt.Errorf("message %d: %w", message, err)
}

// check verifies all parts of one signer. It returns the first message whose part
// is wrong, or −1.
func (s *session) check(id frost.ID) (int, error) {
	if s.checked[id] {
		return -1, nil
	}
	bad := make([]bool, len(s.values))
	err := tryInParallel(len(s.values), func(i int) (err error) {
		bad[i], err = s.wrong(id, i)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("roast: session %d: %w", s.number, err)
	}
	first := slices.Index(bad, true)
	s.checked[id] = first < 0
	return first, nil
}

// tweakAll are the keys for which messages are signed.
func tweakAll(group *frost.Group, messages []Message) ([]*frost.Tweaked, error) {
	keys := make([]*frost.Tweaked, len(messages))
	err := tryInParallel(len(messages), func(i int) (err error) {
		if keys[i], err = group.Tweak(messages[i].Tweaks); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		return nil
	})
	return keys, err
}

// tryInParallel is inParallel for work that can fail. Of all errors it returns the
// first: what is wrong with a request is often wrong for each of its messages.
func tryInParallel(n int, work func(i int) error) error {
	errs := make([]error, n)
	inParallel(n, func(i int) { errs[i] = work(i) })
	return cmp.Or(errs...)
}

// inParallel runs work for 0 … n−1 on all processors and returns when all is done.
func inParallel(n int, work func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers <= 1 {
		for i := range n {
			work(i)
		}
		return
	}
	var next atomic.Int64
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				work(i)
			}
		})
	}
	done.Wait()
}
