package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/daobank/daobank/ledger"
)

// A cutForm is a cut whose balances the bank can prove.
type cutForm struct {
	Batch uint64   `json:"batch"` // that the cut ended
	Books hexBytes `json:"books"` // canonical bytes
}

type cutsForm struct {
	Cuts []cutForm `json:"cuts"` // the oldest first
}

// balanceProofForm is the place of an account in the sum tree of a cut.
type balanceProofForm struct {
	cutForm
	Number ledger.AccountID `json:"number"`
	Owed   ledger.Amount    `json:"owed_sat"`
	Path   []sumStepForm    `json:"path"` // siblings from the leaf up
}

type sumStepForm struct {
	Hash ledger.Hash   `json:"hash"`
	Sum  ledger.Amount `json:"sum_sat"`
}

// journalProofForm is the place of a batch in the journal of size batches.
type journalProofForm struct {
	Batch uint64        `json:"batch"`
	Size  uint64        `json:"size"`
	Head  ledger.Hash   `json:"head"` // hash of the batch's header
	Path  []ledger.Hash `json:"path"`
}

type consistencyProofForm struct {
	From uint64        `json:"from"`
	To   uint64        `json:"to"`
	Path []ledger.Hash `json:"path"`
}

func (b *bank) getCuts(req *http.Request) (any, error) {
	var cuts []ledger.Books
	if err := b.Clearing.View(req.Context(), func(s *ledger.State) { cuts = s.Cuts() }); err != nil {
		return nil, err
	}
	answer := cutsForm{Cuts: make([]cutForm, len(cuts))}
	for i := range cuts {
		answer.Cuts[i] = cutForm{Batch: cuts[i].Batch, Books: cuts[i].Bytes()}
	}
	return answer, nil
}

func (b *bank) getBalanceProof(req *http.Request) (any, error) {
	id, err := b.pathAccount(req, "account")
	if err != nil {
		return nil, err
	}
	batch, err := query(req, "batch", 0, 63)
	if err != nil {
		return nil, err
	}
	var p *ledger.SumProof
	var missing error
	if err := b.Clearing.View(req.Context(), func(s *ledger.State) { p, missing = s.SumProof(batch, id) }); err != nil {
		return nil, err
	}
	if errors.Is(missing, ledger.ErrNoSumTree) {
		return nil, &ledger.Error{Code: CodeNotFound, Message: missing.Error()}
	}
	if missing != nil {
		return nil, missing
	}
	answer := balanceProofForm{cutForm: cutForm{Batch: p.Books.Batch, Books: p.Books.Bytes()}, Number: id, Owed: p.Owed, Path: make([]sumStepForm, len(p.Path))}
	for i, n := range p.Path {
		answer.Path[i] = sumStepForm{Hash: n.Hash, Sum: n.Sum}
	}
	return answer, nil
}

func (b *bank) getJournalProof(req *http.Request) (any, error) {
	batch, err := number(req.PathValue("batch"), "the batch", 63)
	if err != nil {
		return nil, err
	}
	size, err := query(req, "size", batch, 63)
	if err != nil {
		return nil, err
	}
	answer := journalProofForm{Batch: batch, Size: size}
	err = b.tree.with(req.Context(), b.Journal, batch, size, func(tree *ledger.JournalTree, read ledger.JournalHeaders) error {
		head, err := read(batch, batch)
		if err == nil {
			answer.Head = head[0]
			answer.Path, err = tree.Path(batch, size, read)
		}
		return err
	})
	return answer, err
}

func (b *bank) getConsistencyProof(req *http.Request) (any, error) {
	from, err := query(req, "from", 0, 63)
	if err != nil {
		return nil, err
	}
	to, err := query(req, "to", 0, 63)
	if err != nil {
		return nil, err
	}
	answer := consistencyProofForm{From: from, To: to}
	err = b.tree.with(req.Context(), b.Journal, from, to, func(tree *ledger.JournalTree, read ledger.JournalHeaders) error {
		var err error
		answer.Path, err = tree.Consistency(from, to, read)
		return err
	})
	return answer, err
}

// A journalTree follows the journal when it is asked for proofs: the first time it
// reads the hashes of all headers, later those that came since.
type journalTree struct {
	mu   sync.Mutex
	tree ledger.JournalTree
}

// headersTogether is how many hashes are read at a time.
const headersTogether = 256

// with brings the tree up to size batches and lets prove work with it. batch must be
// one of them.
func (t *journalTree) with(ctx context.Context, journal Journal, batch, size uint64, prove func(*ledger.JournalTree, ledger.JournalHeaders) error) error {
	if batch == 0 || batch > size {
		return malformed("batch %d is none of the first %d: the first batch is 1", batch, size)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.tree.Size() < size {
		first := t.tree.Size() + 1
		list, err := journal.HeaderHashes(ctx, first, min(first+headersTogether-1, size))
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return &ledger.Error{Code: CodeNotFound, Message: fmt.Sprintf("there is no batch %d yet: the last is %d", size, t.tree.Size())}
		}
		for _, hash := range list {
			t.tree.Add(hash)
		}
	}
	return prove(&t.tree, func(first, last uint64) ([]ledger.Hash, error) { return journal.HeaderHashes(ctx, first, last) })
}

// Cuts are the books of the last cuts, the oldest first, as the bank says them: an
// anchor proves them.
func (c *Client) Cuts(ctx context.Context) ([]ledger.Books, error) {
	var form cutsForm
	if err := c.get(ctx, "/v1/proofs/cuts", nil, &form); err != nil {
		return nil, err
	}
	list := make([]ledger.Books, len(form.Cuts))
	for i, cut := range form.Cuts {
		var err error
		if list[i], err = ledger.DecodeBooks(cut.Books); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// errProof says that the bank's answer does not prove what was asked.
var errProof = errors.New("the bank's answer proves nothing")

// BalanceProof proves what an account was owed at the cut that a batch ended, 0 for
// the last cut, under books that the bank says. Errors besides: CodeNotFound for a
// cut that the bank does not keep; CodeAccount.
func (c *Client) BalanceProof(ctx context.Context, id ledger.AccountID, batch uint64) (*ledger.SumProof, error) {
	query := url.Values{}
	if batch > 0 {
		query.Set("batch", strconv.FormatUint(batch, 10))
	}
	var form balanceProofForm
	if err := c.get(ctx, fmt.Sprintf("/v1/proofs/balance/%d", uint64(id)), query, &form); err != nil {
		return nil, err
	}
	books, err := ledger.DecodeBooks(form.Books)
	if err != nil {
		return nil, err
	}
	p := &ledger.SumProof{Books: books, Account: id, Owed: form.Owed}
	for _, step := range form.Path {
		p.Path = append(p.Path, ledger.SumNode{Hash: step.Hash, Sum: step.Sum})
	}
	if !p.Verify() || batch > 0 && books.Batch != batch {
		return nil, fmt.Errorf("%w: %d sat of account %s at batch %d", errProof, form.Owed, id, books.Batch)
	}
	return p, nil
}

// JournalProof is the path of a batch in the journal tree of size batches, and the
// hash of its header. Error besides: CodeNotFound.
func (c *Client) JournalProof(ctx context.Context, batch, size uint64) (head ledger.Hash, path []ledger.Hash, err error) {
	var form journalProofForm
	err = c.get(ctx, "/v1/proofs/journal/"+strconv.FormatUint(batch, 10), url.Values{"size": {strconv.FormatUint(size, 10)}}, &form)
	return form.Head, form.Path, err
}

// ConsistencyProof shows that the journal of from batches is the beginning of that
// of to. Error besides: CodeNotFound.
func (c *Client) ConsistencyProof(ctx context.Context, from, to uint64) ([]ledger.Hash, error) {
	var form consistencyProofForm
	err := c.get(ctx, "/v1/proofs/consistency", url.Values{"from": {strconv.FormatUint(from, 10)}, "to": {strconv.FormatUint(to, 10)}}, &form)
	return form.Path, err
}
