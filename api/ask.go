package api

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strconv"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement"
)

// Account returns an account by its number. Error besides: CodeAccount.
func (c *Client) Account(ctx context.Context, id ledger.AccountID) (Account, error) {
	var a Account
	err := c.get(ctx, fmt.Sprintf("/v1/accounts/%d", uint64(id)), nil, &a)
	return a, err
}

// AccountOfKey returns the account of a key. Error besides: CodeAccount.
func (c *Client) AccountOfKey(ctx context.Context, key ledger.Key) (Account, error) {
	var a Account
	err := c.get(ctx, "/v1/keys/"+key.String(), nil, &a)
	return a, err
}

// History returns at most limit movements of an account before a place of its
// history, newest first; an empty place is after the newest. It may lag a moment
// behind what is accepted.
func (c *Client) History(ctx context.Context, id ledger.AccountID, before string, limit int) (History, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if before != "" {
		query.Set("before", before)
	}
	var h History
	err := c.get(ctx, fmt.Sprintf("/v1/accounts/%d/history", uint64(id)), query, &h)
	return h, err
}

// Quote prices a withdrawal. Errors besides: CodeAddressMalformed,
// CodeAddressNetwork, CodeAmount, CodeDust.
func (c *Client) Quote(ctx context.Context, address string, amount ledger.Amount) (Quote, error) {
	var q Quote
	err := c.get(ctx, "/v1/quote", url.Values{"address": {address}, "amount_sat": {strconv.FormatInt(int64(amount), 10)}}, &q)
	return q, err
}

// Batch returns one batch as it came: ledger.State.Append checks it. Error
// besides: CodeNotFound.
func (c *Client) Batch(ctx context.Context, number uint64) (*ledger.Batch, error) {
	var form batchForm
	if err := c.get(ctx, "/v1/batches/"+strconv.FormatUint(number, 10), nil, &form); err != nil {
		return nil, err
	}
	return form.batch()
}

// Batches yields the journal from a batch on, in order, in several requests; it
// ends where the journal ends. It stops after the first error.
func (c *Client) Batches(ctx context.Context, from uint64) iter.Seq2[*ledger.Batch, error] {
	return func(yield func(*ledger.Batch, error) bool) {
		for next := max(from, 1); ; {
			var form batchesForm
			query := url.Values{"from": {strconv.FormatUint(next, 10)}, "limit": {strconv.Itoa(maxLimit)}}
			if err := c.get(ctx, "/v1/batches", query, &form); err != nil {
				yield(nil, err)
				return
			}
			for i := range form.Batches {
				b, err := form.Batches[i].batch()
				if !yield(b, err) || err != nil {
					return
				}
			}
			if len(form.Batches) == 0 || form.Next <= next {
				return
			}
			next = form.Next
		}
	}
}

func (f *batchForm) batch() (*ledger.Batch, error) {
	header, err := ledger.DecodeSignedHeader(f.Header)
	if err != nil {
		return nil, fmt.Errorf("batch %d as the bank sent it: %w", f.Number, err)
	}
	b := &ledger.Batch{Header: header, Entries: make([][]byte, len(f.Entries))}
	for i, entry := range f.Entries {
		b.Entries[i] = entry
	}
	return b, nil
}

// Settlements lists settlements by number, oldest first, from a number on.
func (c *Client) Settlements(ctx context.Context, from uint32, limit int) ([]settlement.Status, error) {
	var form settlementsForm
	query := url.Values{"from": {strconv.FormatUint(uint64(from), 10)}, "limit": {strconv.Itoa(limit)}}
	err := c.get(ctx, "/v1/settlements", query, &form)
	return form.Settlements, err
}

// Withdrawal returns a withdrawal by its order, from acceptance to its payment on
// chain. Error besides: CodeNotFound, also for an order of another kind.
func (c *Client) Withdrawal(ctx context.Context, ref ledger.OrderRef) (*settlement.Withdrawal, error) {
	var form withdrawalForm
	path := fmt.Sprintf("/v1/withdrawals/%d/%d", uint64(ref.Payer), ref.Sequence)
	if err := c.get(ctx, path, nil, &form); err != nil {
		return nil, err
	}
	if form.Withdrawal == nil {
		return nil, malformed("the bank answered without a withdrawal")
	}
	form.Withdrawal.Script = form.Script
	return form.Withdrawal, nil
}

// Healthy returns nil when the bank's process lives.
func (c *Client) Healthy(ctx context.Context) error {
	var s statusForm
	return c.get(ctx, "/healthz", nil, &s)
}

// Ready returns nil when the bank can work, else an *ledger.Error that says why
// it cannot, or a *TransportError.
func (c *Client) Ready(ctx context.Context) error {
	var s statusForm
	return c.get(ctx, "/readyz", nil, &s)
}
