package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/ledger"
)

// What an audit knows can be kept, and another goes on from there. Such a state holds
// what this auditor's own replay found and nothing that anybody else said. To resume
// trusts the file, that is whoever can write to the place where it is kept, and nobody
// else: everything in it is of batches that were proved, and the journal must still
// have the last of them, under the same header.

// stateMark begins a state; the number is its version.
const stateMark = "daobank audit state 1\n"

// ErrState says that a state cannot be used: begin without it.
var ErrState = errors.New("the state is damaged, or of another bank or version: begin without it")

// state is what a State file says besides the books.
type state struct {
	Bank       ledger.BankID  `json:"bank"`
	Descriptor string         `json:"descriptor"` // of the founding's vault
	Last       []byte         `json:"last"`       // signed header
	Reach      uint32         `json:"reach"`
	Coins      []coinState    `json:"coins"`
	Reaches    []reachState   `json:"reaches"`
	Report     *Report        `json:"report"`
	History    History        `json:"history"`
	Since      interiorState  `json:"since"`
	AtCut      *interiorState `json:"at_cut,omitempty"`
}

type coinState struct {
	TxID   ledger.Hash   `json:"txid"` // in wire order
	Vout   uint32        `json:"vout"`
	Amount ledger.Amount `json:"sat"`
}

type reachState struct {
	Height uint32    `json:"height"`
	Vaults int       `json:"vaults"`
	Count  [2]uint32 `json:"count"`
}

type interiorState struct {
	Transfers uint64        `json:"transfers"`
	Moved     ledger.Amount `json:"moved_sat"`
	Cut       uint32        `json:"cut,omitempty"` // the settlement's number
}

func (i *interior) state() interiorState { return interiorState{i.transfers, i.moved, i.settlement} }

func (i *interiorState) interior() interior {
	return interior{transfers: i.Transfers, moved: i.Moved, settlement: i.Cut}
}

// Save writes the state after a Round whose Report is OK.
func (a *Audit) Save(w io.Writer) error {
	if !a.report.OK || a.last.Number == 0 {
		return errors.New("only an audit that found no difference can be gone on from")
	}
	snapshot, err := a.replay.Books().Snapshot()
	if err != nil {
		return err
	}
	s := state{Bank: a.Charter.ID(), Descriptor: a.Vault.Descriptor(), Last: a.last.Bytes(), Reach: a.replay.reach,
		Report: a.replayed, History: a.history, Since: a.since.state()}
	if cut := a.since.atCut; cut != nil {
		ended := cut.state()
		s.AtCut = &ended
	}
	for at, amount := range a.coins.unspent {
		s.Coins = append(s.Coins, coinState{at.TxID, at.Vout, amount})
	}
	for _, r := range a.coins.reaches {
		s.Reaches = append(s.Reaches, reachState{r.height, r.vaults, r.count})
	}
	head, err := json.Marshal(s)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	body.Write(binary.BigEndian.AppendUint32(nil, uint32(len(head))))
	body.Write(head)
	if err := snapshot.EncodeOwn(&body); err != nil {
		return err
	}
	sum := sha256.Sum256(body.Bytes())
	for _, part := range [][]byte{[]byte(stateMark), sum[:], body.Bytes()} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// Resume is New for an audit that goes on from what Save has written. Errors besides:
// ErrState, ErrReorganised.
func Resume(ctx context.Context, c Config, saved []byte) (*Audit, error) {
	s, books, err := readState(&c, saved)
	if err != nil {
		return nil, unchecked(fmt.Errorf("%w (%v)", ErrState, err), "go on from the state")
	}
	a, err := New(ctx, c)
	if err != nil {
		return nil, err
	}
	height, block := books.Block()
	got, err := c.Chain.BlockHash(ctx, int32(height))
	if err != nil {
		return nil, a.nodeError(ctx, err, height)
	}
	if ledger.Hash(got) != block {
		return nil, unchecked(fmt.Errorf("%w, without the state", ErrReorganised), "find block %d of the state, %s", height, chainhash.Hash(block))
	}
	a.replay.books, a.replay.reach = books, s.Reach
	if err := a.replay.vaults.Follow(books); err != nil {
		return nil, unchecked(fmt.Errorf("%w (%v)", ErrState, err), "go on from the state")
	}
	if a.last, err = ledger.DecodeSignedHeader(s.Last); err == nil && a.last.Header != books.Last() {
		err = errors.New("its header is not that of its books")
	}
	if err != nil {
		return nil, unchecked(fmt.Errorf("%w (%v)", ErrState, err), "go on from the state")
	}
	for _, coin := range s.Coins {
		a.coins.unspent[ledger.OutPoint{TxID: coin.TxID, Vout: coin.Vout}] = coin.Amount
	}
	for _, r := range s.Reaches {
		a.coins.reaches = append(a.coins.reaches, reach{r.Height, r.Vaults, r.Count})
	}
	a.replayed, a.history = s.Report, s.History
	a.since = s.Since.interior()
	if s.AtCut != nil {
		ended := s.AtCut.interior()
		a.since.atCut = &ended
	}
	a.report = a.replayed
	return a, nil
}

func readState(c *Config, saved []byte) (*state, *ledger.State, error) {
	rest, ok := bytes.CutPrefix(saved, []byte(stateMark))
	if !ok || len(rest) < 36 {
		return nil, nil, errors.New("it is none")
	}
	sum, rest := rest[:32], rest[32:]
	if got := sha256.Sum256(rest); !bytes.Equal(sum, got[:]) {
		return nil, nil, errors.New("its bytes were changed")
	}
	n := binary.BigEndian.Uint32(rest)
	if uint64(n)+4 > uint64(len(rest)) {
		return nil, nil, errors.New("it is cut short")
	}
	s := &state{}
	if err := json.Unmarshal(rest[4:4+n], s); err != nil {
		return nil, nil, err
	}
	if s.Bank != c.Charter.ID() || s.Descriptor != c.Vault.Descriptor() || s.Report == nil || len(s.Report.Checks) != len(checkNames) {
		return nil, nil, errors.New("it is of another bank")
	}
	books, err := ledger.DecodeOwnSnapshot(c.Charter, rest[4+n:])
	return s, books, err
}
