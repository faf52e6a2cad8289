package guardian

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/daobank/daobank/settlement/netting"
)

// Reserves asks the guardians of the vault's coins for their signatures on one
// transaction of a proof of reserves (netting.Reserves).
type Reserves struct {
	Text string `json:"text"` // the auditor's
	Part int    `json:"part"`
}

// Consent is an owner's word that the guardian may sign proofs of reserves with a
// text, for a time.
type Consent struct {
	Text  string    `json:"text"`
	Until time.Time `json:"until"`
}

// A guardian looks at so many requests for proofs of reserves in this time, and
// refuses more: each costs it as many signatures as there are coins.
const (
	reservesMax  = 60
	reservesSpan = time.Minute
)

// Consent lets the guardian sign proofs of reserves with this text and no other, as
// its owner says. Nil takes it back.
func (g *Guardian) Consent(c *Consent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.consent = c
}

// consents says why a proof of reserves with a text must not be signed; "" when its
// owner has consented to it.
func (g *Guardian) consents(text string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.consent == nil:
		return "its owner has consented to no proof of reserves"
	case g.consent.Text != text:
		return "its owner has consented to a proof of reserves with another message"
	case g.config.Now().After(g.consent.Until):
		return fmt.Sprintf("its owner's consent to a proof of reserves ended at %s", g.consent.Until.UTC().Format(time.RFC3339))
	}
	return ""
}

// tooOften counts a request.
func (g *Guardian) tooOften() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.config.Now()
	for len(g.asked) > 0 && now.Sub(g.asked[0]) >= reservesSpan {
		g.asked = g.asked[1:]
	}
	if len(g.asked) >= reservesMax {
		return true
	}
	g.asked = append(g.asked, now)
	return false
}

// examineReserves makes the transaction from the guardian's own books, and refuses
// what differs: so what is signed spends an output first that does not exist, whatever
// the coordinator proposes. It is no settlement: it takes nothing out of the vault,
// counts for no limit and is not remembered.
func (g *Guardian) examineReserves(ctx context.Context, p Proposal) (*round, error) {
	if p.Settlement != 0 || p.Succession != nil {
		return nil, refusal("it is a proof of reserves and something else")
	}
	if reason := g.consents(p.Reserves.Text); reason != "" {
		return nil, refusal("%s", reason)
	}
	if g.tooOften() {
		return nil, refusal("it was asked for proofs of reserves %d times within %v: wait", reservesMax, reservesSpan)
	}
	all, err := netting.ReservesOf(g.replay.Books(), g.replay.Vaults(), p.Reserves.Text)
	if err != nil {
		return nil, refusal("%v", err)
	}
	if p.Reserves.Part < 0 || p.Reserves.Part >= len(all.Parts) {
		return nil, refusal("its proof of reserves has no part %d", p.Reserves.Part)
	}
	part := &all.Parts[p.Reserves.Part]
	own, err := serialize(part.Tx)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(own, p.Tx) {
		return nil, refusal("the proposed transaction is not the proof of reserves that the books give at block %d", all.Height)
	}
	if err := g.checkReserves(ctx, part); err != nil {
		return nil, err
	}
	sighashes, err := part.Sighashes()
	if err != nil {
		return nil, err
	}
	r := &round{kind: reserves, text: p.Reserves.Text, messages: messagesOf(sighashes, part.Signers, p.Generation)}
	if len(r.messages) == 0 {
		return nil, refusal("the proof of reserves spends no coin of generation %d", p.Generation)
	}
	return r, nil
}

// checkReserves asks the guardian's node: the output that is spent first must not be
// there, and every coin must.
func (g *Guardian) checkReserves(ctx context.Context, part *netting.ReservesPart) error {
	at := part.Tx.TxIn[0].PreviousOutPoint
	switch out, _, err := g.config.Chain.UTXO(ctx, at); {
	case err != nil:
		return fmt.Errorf("the guardian looks up the commitment %s: %w", at, err)
	case out != nil:
		return refusal("the commitment %s is a coin: the transaction could be mined", at)
	}
	return g.checkCoins(ctx, part.Tx.TxIn[1:], part.Spent[1:])
}
