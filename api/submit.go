package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
)

// Acceptance is the bank's answer to an order that it carried out. Its receipt
// has been checked against the order and the bank's charter.
type Acceptance struct {
	// Account is the payer's, or the one that an Open made. The receipt does not
	// prove the number of a new account.
	Account  ledger.AccountID
	Digest   ledger.Hash // of the order
	Receipt  ledger.Receipt
	Repeated bool // it had been accepted before; this is its first answer
}

// Batch is the number of the batch that the order was accepted in.
func (a *Acceptance) Batch() uint64 { return a.Receipt.Header.Number }

// Outcome is the answer to one order of SubmitMany: Err is nil and Acceptance
// is set, or the other way round.
type Outcome struct {
	Acceptance Acceptance
	Err        error
}

// Submit sends one order and checks the receipt. Error besides: ErrReceipt. After
// a *TransportError or an error for which Unanswered is true the outcome is
// unknown: send the same order again.
func (c *Client) Submit(ctx context.Context, order *ledger.Order) (Acceptance, error) {
	proof, err := c.known(ctx)
	if err != nil {
		return Acceptance{}, err
	}
	body, err := EncodeOrder(order)
	if err != nil {
		return Acceptance{}, err
	}
	var form acceptanceForm
	err = c.do(ctx, http.MethodPost, "/v1/orders", "application/json", body,
		func(answer io.Reader) error { return json.NewDecoder(answer).Decode(&form) })
	if err != nil {
		return Acceptance{}, err
	}
	return accepted(proof, order, &form)
}

func accepted(proof *verifier, order *ledger.Order, form *acceptanceForm) (Acceptance, error) {
	a := Acceptance{Account: form.Number, Digest: order.Digest(), Receipt: form.Receipt, Repeated: form.Repeated}
	if err := proof.verify(order, &a.Receipt); err != nil {
		return Acceptance{}, err
	}
	return a, nil
}

// SubmitMany sends orders in as few requests as fit and returns their outcomes
// in the same order. They are carried out in that order, each for itself. After
// the first request without an answer nothing more is sent: its error is the
// outcome of every order that has none.
func (c *Client) SubmitMany(ctx context.Context, orders []*ledger.Order) []Outcome {
	outcomes := make([]Outcome, len(orders))
	proof, err := c.known(ctx)
	for done := 0; done < len(orders); {
		if err != nil {
			for ; done < len(orders); done++ {
				outcomes[done].Err = err
			}
			break
		}
		var answered int
		var body []byte
		n := 0
		for _, o := range orders[done:min(done+MaxOrders, len(orders))] {
			if len(body) > 0 && len(body)+ledger.MaxOrderSize > MaxOrdersSize {
				break
			}
			body, n = append(body, o.Bytes()...), n+1
		}
		answered, err = c.submitBody(ctx, proof, body, orders[done:done+n], outcomes[done:done+n])
		done += answered
	}
	return outcomes
}

// submitBody sends one request and returns how many of its orders were answered.
func (c *Client) submitBody(ctx context.Context, proof *verifier, body []byte, orders []*ledger.Order, outcomes []Outcome) (answered int, err error) {
	err = c.do(ctx, http.MethodPost, "/v1/orders/batch", "application/octet-stream", body, func(answer io.Reader) error {
		lines := json.NewDecoder(answer)
		for ; answered < len(orders); answered++ {
			var form outcomeForm
			if err := lines.Decode(&form); err != nil {
				return fmt.Errorf("the answer ends after %d of %d orders: %w", answered, len(orders), err)
			}
			out := &outcomes[answered]
			if form.Error != nil {
				out.Err = form.Error.refusal()
				continue
			}
			out.Acceptance, out.Err = accepted(proof, orders[answered], &form.acceptanceForm)
		}
		return nil
	})
	return answered, err
}

// Unanswered reports whether an error leaves the outcome of an order unknown, or
// certainly unchanged for a reason that passes (busy): in both cases sending the
// same order again is right, and signing another is not.
func Unanswered(err error) bool {
	var transport *TransportError
	switch ledger.CodeOf(err) {
	case clearing.CodeBusy, clearing.CodeUnavailable, CodeInternal:
		return true
	}
	return errors.As(err, &transport)
}

// Waits of SubmitUntilAnswered between two attempts.
const (
	firstWait   = 50 * time.Millisecond
	longestWait = 2 * time.Second
)

// SubmitUntilAnswered sends the same order again and again until the bank
// accepts or refuses it, or ctx ends. That is safe, for the bank carries an
// order out once at most, and it is how to live through a restart of the bank.
// When ctx ends, the error wraps its cause and the last attempt's error, and
// the outcome is unknown.
func (c *Client) SubmitUntilAnswered(ctx context.Context, order *ledger.Order) (Acceptance, error) {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		a, err := c.Submit(ctx, order)
		if err == nil || !Unanswered(err) {
			return a, err
		}
		// A random part keeps those who lost the same bank from returning together.
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return Acceptance{}, fmt.Errorf("%w; the last attempt: %w", context.Cause(ctx), err)
		}
	}
}

// Order returns an accepted order with its receipt, checked. Error besides:
// CodeNotFound, ErrReceipt.
func (c *Client) Order(ctx context.Context, ref ledger.OrderRef) (*ledger.Order, Acceptance, error) {
	proof, err := c.known(ctx)
	if err != nil {
		return nil, Acceptance{}, err
	}
	var form orderAtForm
	if err := c.get(ctx, fmt.Sprintf("/v1/orders/%d/%d", uint64(ref.Payer), ref.Sequence), nil, &form); err != nil {
		return nil, Acceptance{}, err
	}
	order, err := ledger.DecodeOrder(form.Order)
	if err != nil || !bytes.Equal(order.Bytes(), form.Order) {
		return nil, Acceptance{}, fmt.Errorf("%w: what came is not an order", ErrReceipt)
	}
	if open := order.Kind() == ledger.KindOpen; order.Sequence != ref.Sequence || !open && order.Payer != ref.Payer {
		return nil, Acceptance{}, fmt.Errorf("%w: it is of another order", ErrReceipt)
	}
	a, err := accepted(proof, order, &acceptanceForm{Number: ref.Payer, Receipt: form.Receipt})
	return order, a, err
}
