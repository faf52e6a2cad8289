package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
)

// Limits of what one request may carry.
const (
	// MaxOrderJSON is the size in bytes of the largest order in JSON: a
	// transfer to ledger.MaxPayees accounts, with room for white space.
	MaxOrderJSON = 256 << 10
	// MaxOrders and MaxOrdersSize bound one POST /v1/orders/batch.
	MaxOrders     = 10_000
	MaxOrdersSize = 4 << 20

	// chunk is how many orders of a batch are carried out before their outcomes
	// are sent, so that memory for answers stays small. A chunk is a commit or two
	// to wait for.
	chunk = 1024
)

func readBody(req *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, req.Body, limit))
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		return nil, malformed("the body was cut short: send it again")
	}
	return body, err
}

func (b *bank) postOrder(req *http.Request) (any, error) {
	body, err := readBody(req, MaxOrderJSON)
	if err != nil {
		return nil, err
	}
	order, err := DecodeOrder(body, b.params)
	if err != nil {
		return nil, err
	}
	accepted, err := b.Clearing.Submit(req.Context(), order)
	if err != nil {
		return nil, err
	}
	return b.acceptance(order, &accepted), nil
}

func (b *bank) acceptance(order *ledger.Order, a *clearing.Acceptance) *acceptanceForm {
	number := order.Payer
	if a.Account != 0 {
		number = a.Account
	}
	return &acceptanceForm{
		Account: accountName(b.id, number), Number: number,
		Batch: a.Receipt.Header.Number, Index: a.Receipt.Index,
		Digest: order.Digest(), Repeated: a.Repeated, Receipt: a.Receipt,
	}
}

// postOrders answers a line for each order, in order. Bytes that are not whole
// orders are refused before any order is carried out, because nothing tells
// where the next one begins.
func (b *bank) postOrders(w http.ResponseWriter, req *http.Request) error {
	body, err := readBody(req, MaxOrdersSize)
	if err != nil {
		return err
	}
	orders, err := decodeOrders(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w)
	var lines []byte // of one chunk
	var unanswered error
	for len(orders) > 0 {
		now := orders[:min(chunk, len(orders))]
		orders = orders[len(now):]
		var outcomes []clearing.Outcome
		outcomes, unanswered = b.carryOut(req.Context(), now, unanswered)
		lines = lines[:0]
		for i := range outcomes {
			lines = b.appendOutcome(lines, req, now[i], &outcomes[i])
		}
		if _, err := w.Write(lines); err != nil {
			return nil // whoever hung up is not told
		}
		_ = flush.Flush()
	}
	return nil
}

// carryOut hands in one chunk. When the bank could not take a part of a chunk,
// what follows gets the same answer: an order of the same payer further on
// could only be refused for the gap.
func (b *bank) carryOut(ctx context.Context, orders []*ledger.Order, unanswered error) ([]clearing.Outcome, error) {
	if unanswered != nil {
		outcomes := make([]clearing.Outcome, len(orders))
		for i := range outcomes {
			outcomes[i].Err = unanswered
		}
		return outcomes, unanswered
	}
	outcomes := b.Clearing.SubmitMany(ctx, orders)
	for i := range outcomes {
		if err := outcomes[i].Err; err != nil && statusOf(refusal(err).Code) >= http.StatusInternalServerError {
			return outcomes, err
		}
	}
	return outcomes, nil
}

// appendOutcome appends one line.
func (b *bank) appendOutcome(line []byte, req *http.Request, order *ledger.Order, o *clearing.Outcome) []byte {
	if o.Err == nil {
		return append(b.acceptance(order, &o.Acceptance).appendJSON(line), '\n')
	}
	e := refusal(o.Err)
	if statusOf(e.Code) == http.StatusInternalServerError {
		b.Log.Error("an order of a batch met a fault", "path", req.URL.Path, "error", o.Err)
	}
	text, err := json.Marshal(errorForm{Error: &errorBody{Code: e.Code, Message: e.Message}})
	if err != nil {
		panic(err) // two texts always have a JSON form
	}
	return append(append(line, text...), '\n')
}

// decodeOrders reads canonical orders that stand one after another. Errors:
// CodeMalformed, CodeOversized.
func decodeOrders(data []byte) ([]*ledger.Order, error) {
	var orders []*ledger.Order
	for rest := data; len(rest) > 0; {
		if len(orders) == MaxOrders {
			return nil, &ledger.Error{Code: ledger.CodeOversized, Message: "more than 10,000 orders were sent at once: send fewer"}
		}
		order, next, err := ledger.DecodeOrderPrefix(rest)
		if err != nil {
			return nil, &ledger.Error{Code: ledger.CodeOf(err),
				Message: "none of the orders was carried out, for order " + decimal(len(orders)) + " (from 0) cannot be read: " + err.Error()}
		}
		orders, rest = append(orders, order), next
	}
	if len(orders) == 0 {
		return nil, malformed("the body is empty: send the canonical bytes of at least one order")
	}
	return orders, nil
}

// getOrder shows an accepted order with its receipt, for a member who lost it.
func (b *bank) getOrder(req *http.Request) (any, error) {
	payer, err := b.pathAccount(req, "payer")
	if err != nil {
		return nil, err
	}
	sequence, err := number(req.PathValue("sequence"), "sequence", 63)
	if err != nil {
		return nil, err
	}
	batch, index, err := b.Journal.FindOrder(req.Context(), ledger.OrderRef{Payer: payer, Sequence: sequence})
	if err != nil {
		return nil, err
	}
	found, err := b.Journal.Batch(req.Context(), batch)
	if err != nil {
		return nil, err
	}
	if index >= len(found.Entries) {
		return nil, fmt.Errorf("batch %d has no entry %d", batch, index)
	}
	order, err := ledger.DecodeOrder(found.Entries[index])
	if err != nil {
		return nil, fmt.Errorf("batch %d entry %d: %w", batch, index, errors.New(err.Error()))
	}
	leaves := make([]ledger.Hash, len(found.Entries))
	for i, entry := range found.Entries {
		leaves[i] = ledger.EntryLeaf(entry)
	}
	return orderAtForm{
		Order: found.Entries[index], Digest: order.Digest(), Batch: batch, Index: uint32(index),
		Receipt: ledger.Receipt{Header: found.Header, Index: uint32(index), Path: ledger.NewMerkleTree(leaves).Path(index)},
	}, nil
}
