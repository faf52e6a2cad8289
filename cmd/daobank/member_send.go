package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/ledger"
)

// accepted is the result of a command that ordered something.
type accepted struct {
	State    string      `json:"state"` // "accepted"; attested and anchored come later
	Kind     string      `json:"kind"`
	Sequence uint64      `json:"sequence"`
	Digest   ledger.Hash `json:"digest"`
	Batch    uint64      `json:"batch"`
	Index    uint32      `json:"index"`
	Repeated bool        `json:"repeated"` // the bank had accepted it before
	Receipt  string      `json:"receipt_file"`

	order *ledger.Order
}

// text tells people about an acceptance, no more than it is.
func (a *accepted) text(what string) string {
	text := fmt.Sprintf("Accepted: %s\nOrder %d is entry %d of batch %d; not yet attested or anchored.\nReceipt: %s",
		what, a.Sequence, a.Index, a.Batch, a.Receipt)
	if a.Repeated {
		text += "\nThe bank had accepted this order before; it was carried out once."
	}
	return text
}

// order carries out what the account's owner orders, and says which account that is.
func (m *member) order(cmd *cobra.Command, expiresIn uint32, body func(*memberAccount) (ledger.Body, error)) (*memberAccount, *accepted, error) {
	a, err := m.account()
	if err != nil {
		return nil, nil, err
	}
	what, err := body(a)
	if err != nil {
		return nil, nil, err
	}
	client, err := m.dial(cmd.Context(), a)
	if err != nil {
		return nil, nil, err
	}
	result, err := m.carryOut(cmd, client, a, what, expiresIn)
	return a, result, err
}

// carryOut brings the account to the point where body is accepted: it first
// sends again what has no answer, then signs and sends the new order.
//
// When the very same thing was ordered before and only now got its acceptance,
// that is the answer: whoever repeats a command after a lost answer means one
// payment, not two.
func (m *member) carryOut(cmd *cobra.Command, client *api.Client, a *memberAccount, body ledger.Body, expiresIn uint32) (*accepted, error) {
	ctx := cmd.Context()
	answered, err := m.sendPending(cmd, client, a)
	if err != nil {
		return nil, err
	}
	for _, before := range answered {
		if sameBody(before.order, body) {
			note(cmd, "This is the answer to the order that had none; nothing was ordered twice. Run the command again to do it once more.")
			return before, nil
		}
	}
	shown, err := m.position(ctx, client, a)
	if err != nil {
		return nil, err
	}
	order := &ledger.Order{Bank: a.bank, Payer: a.Number, Sequence: shown.Sequence + 1, Previous: shown.Last, Body: body}
	if expiresIn > 0 {
		order.Expiry = shown.Height + expiresIn
	}
	// What is wrong by itself is told before anyone types a passphrase.
	if err := order.Check(a.bank); err != nil {
		return nil, err
	}
	if err := m.sign(cmd, order, a.Key); err != nil {
		return nil, err
	}
	p, err := m.keepPending(order)
	if err != nil {
		return nil, err
	}
	return m.send(ctx, client, a, p)
}

func (m *member) sign(cmd *cobra.Command, order *ledger.Order, key ledger.Key) error {
	priv, err := m.unlock(cmd)
	if err != nil {
		return err
	}
	defer priv.Zero()
	if got := ledger.KeyOf(priv); got != key {
		return fmt.Errorf("%s holds the key %s, the account was opened with %s: name the right file with --key", m.keyFile, got, key)
	}
	return order.Sign(priv)
}

// sendPending sends again what has no answer, and returns what was accepted. A
// refusal is an answer too.
func (m *member) sendPending(cmd *cobra.Command, client *api.Client, a *memberAccount) ([]*accepted, error) {
	list, err := m.pendingOrders()
	if err != nil {
		return nil, err
	}
	var answered []*accepted
	for _, p := range list {
		result, err := m.send(cmd.Context(), client, a, p)
		switch {
		case err == nil:
			note(cmd, "Order %d had no answer and was sent again: accepted in batch %d.", p.order.Sequence, result.Batch)
			answered = append(answered, result)
		case refused(err):
			note(cmd, "Order %d had no answer and was sent again: refused, it was not carried out (%v).", p.order.Sequence, err)
		default:
			return nil, err
		}
	}
	return answered, nil
}

// refused reports whether the bank answered that an order is not carried out.
func refused(err error) bool { return ledger.CodeOf(err) != "" && !api.Unanswered(err) }

// send sends a pending order until it is answered, and keeps the answer.
func (m *member) send(ctx context.Context, client *api.Client, a *memberAccount, p *pending) (*accepted, error) {
	waiting, cancel := context.WithTimeout(ctx, m.wait)
	defer cancel()
	answer, err := client.SubmitUntilAnswered(waiting, p.order)
	switch {
	case err == nil:
	case refused(err):
		return nil, errors.Join(err, p.forget())
	case api.Unanswered(err):
		return nil, fmt.Errorf("no answer within %v; order %d is kept and the next command sends the same order again, so do not pay in another way: %w", m.wait, p.order.Sequence, err)
	default:
		return nil, fmt.Errorf("order %d is kept in %s: %w", p.order.Sequence, p.file, err)
	}
	if p.order.Kind() == ledger.KindOpen {
		a.Number = answer.Account
	}
	file, err := m.keepReceipt(a, p.order, &answer)
	if err != nil {
		return nil, fmt.Errorf("the order was accepted in batch %d, but its receipt could not be kept; the next command tries again: %w", answer.Batch(), err)
	}
	if p.order.Sequence >= a.Sequence {
		a.Sequence, a.Last = p.order.Sequence, answer.Digest
		if err := a.save(); err != nil {
			return nil, fmt.Errorf("the order was accepted in batch %d, but that could not be written down: %w", answer.Batch(), err)
		}
	}
	return &accepted{
		State: "accepted", Kind: p.order.Kind().String(), Sequence: p.order.Sequence, Digest: answer.Digest,
		Batch: answer.Batch(), Index: answer.Receipt.Index, Repeated: answer.Repeated, Receipt: file, order: p.order,
	}, p.forget()
}

// sameBody reports whether an order asks for the same thing as body. The fee
// limit of a withdrawal does not tell two apart: it follows from a quote, which
// may have changed since.
func sameBody(order *ledger.Order, body ledger.Body) bool {
	other := *order
	other.Body = body
	if before, ok := order.Body.(*ledger.Withdraw); ok {
		if now, ok := body.(*ledger.Withdraw); ok {
			adjusted := *now
			adjusted.FeeMax = before.FeeMax
			other.Body = &adjusted
		}
	}
	return ledger.SameOrder(order, &other)
}
