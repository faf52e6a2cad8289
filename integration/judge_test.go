package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
)

// The judge says whether a bank has kept what it promised, from evidence that does
// not come out of its own mouth: the orders that members sent and what was answered,
// the blocks as a node has them, and the rows of the journal. It has a model of its
// own, smaller than the bank's, and shares with it only the reading of the journal's
// entries (ledger.DecodeEntry): hashes, trees, fees and balances are computed here
// once more, from docs/formats.md and docs/settlement.md.
//
// It is for a bank at rest: nothing is in flight and no withdrawal waits.

// evidence is all that the judge looks at. evidence_test.go gathers it.
type evidence struct {
	charter  ledger.Charter
	scripts  map[string]vaultPlace // the vault's, as the node derives them
	blocks   []*wire.MsgBlock      // the active chain above the bank's birth
	stale    []*wire.MsgBlock      // that were in it before, as miners had shown them
	journal  []journalRow
	balances map[ledger.AccountID]ledger.Amount // as the database adds them up
	unspent  ledger.Amount                      // the vault's coins, by the node's own scan
	orders   []sentOrder
	returned map[ledger.OrderRef]bool // withdrawals whose amounts the operator gave back: posted, and not on the branch that won
}

// vaultPlace is where an address stands in the vault's descriptor.
type vaultPlace struct {
	branch ledger.Branch
	index  uint32
}

// journalRow is a batch as the database has it.
type journalRow struct {
	header  []byte
	entries [][]byte
}

// sentOrder is an order that was sent, with the last answer.
type sentOrder struct {
	order   *ledger.Order
	account ledger.AccountID // that ordered or was opened
	receipt *ledger.Receipt  // nil when it was refused
	refused error
}

// A verdict is one thing that was checked: how often, and what was found wrong.
type verdict struct {
	what  string
	count int
	wrong []string
}

func (v *verdict) fail(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

// check counts, and notes what is wrong unless it is right.
func (v *verdict) check(right bool, format string, args ...any) {
	v.count++
	if !right {
		v.fail(format, args...)
	}
}

// judge looks at everything.
func (e *evidence) judge() []*verdict {
	j := &judge{evidence: e, versions: make(map[version]*ledger.Cut), cuts: make(map[uint32]*ledger.Cut), settled: make(map[uint32]*ledger.Settled),
		places: make(map[ledger.Hash][]place), spends: make(map[uint32]*spend), moved: make(map[ledger.AccountID]ledger.Amount),
		known: make(map[chainhash.Hash]*wire.MsgBlock), txs: make(map[chainhash.Hash]*wire.MsgTx), left: make(map[uint32]bool), paid: make(map[ledger.OrderRef]int)}
	for _, block := range slices.Concat(e.stale, e.blocks) {
		j.known[block.BlockHash()] = block
		for _, tx := range block.Transactions {
			j.txs[tx.TxHash()] = tx
		}
	}
	return []*verdict{
		j.readJournal(), j.followChain(), j.followBooks(), j.compareSettlements(), j.compareOrders(), j.comparePayouts(),
		j.compareFees(), j.compareBalances(), j.compareCoins(),
	}
}

type judge struct {
	*evidence
	versions map[version]*ledger.Cut
	cuts     map[uint32]*ledger.Cut // of the version that was posted
	settled  map[uint32]*ledger.Settled
	height   uint32 // of the books
	places   map[ledger.Hash][]place
	written  []ledger.AccountID // accounts in the order in which they were opened
	events   []chainEvent       // of the journal, but for cuts

	known map[chainhash.Hash]*wire.MsgBlock
	txs   map[chainhash.Hash]*wire.MsgTx // in those blocks
	// Of the books' way along the chain, which followBooks goes.
	moved       map[ledger.AccountID]ledger.Amount // by what came and went
	left        map[uint32]bool                    // settlements that were posted from blocks that left the chain
	paid        map[ledger.OrderRef]int            // found paid on another branch
	corrections []*ledger.Correct

	spends map[uint32]*spend               // in the active chain
	coins  map[wire.OutPoint]ledger.Amount // unspent, by the blocks
}

// version names a version of a settlement.
type version struct {
	settlement uint32
	number     uint16
}

// place is where an order stands in the journal.
type place struct {
	batch uint64
	index uint32
}

// spend is a Bitcoin transaction that spends coins of the vault.
type spend struct {
	tx     *wire.MsgTx
	height uint32
	fee    ledger.Amount
}

// readJournal follows the chain of headers from the bank's id on: numbers, hashes,
// the operator's signatures, and each batch's tree.
func (j *judge) readJournal() *verdict {
	v := &verdict{what: "batches of the journal: number, previous hash, operator's signature, Merkle root"}
	operator, err := schnorr.ParsePubKey(j.charter.Operator[:])
	if err != nil {
		v.fail("the operator's key: %v", err)
		return v
	}
	previous := chainhash.Hash(j.charter.ID())
	for i, row := range j.journal {
		h := row.header
		if len(h) != 189 {
			v.fail("batch %d: its header has %d bytes", i+1, len(h))
			return v
		}
		hash := *chainhash.TaggedHash([]byte("daobank/header"), h[:125])
		signature, err := schnorr.ParseSignature(h[125:])
		root := entriesRoot(row.entries)
		switch {
		case binary.BigEndian.Uint64(h[33:41]) != uint64(i+1):
			v.fail("batch %d has the number %d", i+1, binary.BigEndian.Uint64(h[33:41]))
		case !bytes.Equal(h[57:89], previous[:]):
			v.fail("batch %d does not name the header before it", i+1)
		case err != nil || !signature.Verify(hash[:], operator):
			v.fail("batch %d is not signed by the operator", i+1)
		case !bytes.Equal(h[89:121], root[:]) || binary.BigEndian.Uint32(h[121:125]) != uint32(len(row.entries)):
			v.fail("batch %d does not hold the entries of its header", i+1)
		}
		v.count++
		previous = hash
		j.readEntries(v, uint64(i+1), row.entries)
	}
	return v
}

// entriesRoot is the root of the tree over entries (docs/formats.md): the left part
// is the largest power of two below their number.
func entriesRoot(entries [][]byte) chainhash.Hash {
	if len(entries) == 1 {
		return *chainhash.TaggedHash([]byte("daobank/entry/leaf"), entries[0])
	}
	if len(entries) == 0 {
		return chainhash.Hash{}
	}
	left := 1
	for left*2 < len(entries) {
		left *= 2
	}
	l, r := entriesRoot(entries[:left]), entriesRoot(entries[left:])
	return *chainhash.TaggedHash([]byte("daobank/entry/node"), l[:], r[:])
}

func (j *judge) readEntries(v *verdict, batch uint64, entries [][]byte) {
	for i, raw := range entries {
		entry, err := ledger.DecodeEntry(raw)
		if err != nil {
			v.fail("batch %d entry %d: %v", batch, i, err)
			continue
		}
		if entry.Order != nil {
			digest := entry.Order.Digest()
			j.places[digest] = append(j.places[digest], place{batch, uint32(i)})
			if _, opens := entry.Order.Body.(*ledger.Open); opens {
				j.written = append(j.written, ledger.FirstMember+ledger.AccountID(len(j.written)))
			}
			continue
		}
		j.readEvent(v, entry.Event)
	}
}

func (j *judge) readEvent(v *verdict, event ledger.Event) {
	switch e := event.(type) {
	case *ledger.Block:
		j.height = e.Height
	case *ledger.Reorganised:
		j.height = e.Height
	case *ledger.Cut:
		j.versions[version{e.Settlement, e.Version}] = e
	case *ledger.Settled:
		if j.settled[e.Settlement] != nil {
			v.fail("settlement %d is posted twice", e.Settlement)
		}
		j.settled[e.Settlement], j.cuts[e.Settlement] = e, j.versions[version{e.Settlement, e.Version}]
	}
	j.events = append(j.events, chainEvent{event, len(j.written)})
}

// followChain walks the blocks: which coins come to the vault, and which Bitcoin
// transactions spend them. Each of those carries the anchor of a settlement of its
// own.
func (j *judge) followChain() *verdict {
	v := &verdict{what: "blocks: every spend of the vault carries the anchor of one settlement"}
	j.coins = make(map[wire.OutPoint]ledger.Amount)
	for i, block := range j.blocks {
		height := j.charter.BirthHeight + 1 + uint32(i)
		for n, tx := range block.Transactions {
			j.followTx(v, tx, n, height)
		}
		v.count++
	}
	return v
}

func (j *judge) followTx(v *verdict, tx *wire.MsgTx, n int, height uint32) {
	in, owned := ledger.Amount(0), 0
	for _, input := range tx.TxIn {
		if amount, ok := j.coins[input.PreviousOutPoint]; ok {
			in, owned = in+amount, owned+1
			delete(j.coins, input.PreviousOutPoint)
		}
	}
	if owned > 0 {
		number, ok := anchorOf(tx)
		switch {
		case !ok:
			v.fail("%s spends coins of the vault and carries no anchor", tx.TxHash())
		case j.spends[number] != nil:
			v.fail("settlement %d is in the chain twice: %s and %s", number, j.spends[number].tx.TxHash(), tx.TxHash())
		case owned != len(tx.TxIn):
			v.fail("settlement %d spends %d coins that are not the vault's", number, len(tx.TxIn)-owned)
		case height > j.height:
			v.fail("settlement %d stands in block %d, the books end at %d: the bank is not at rest", number, height, j.height)
		}
		for _, out := range tx.TxOut {
			in -= ledger.Amount(out.Value)
		}
		j.spends[number] = &spend{tx: tx, height: height, fee: in}
	}
	for vout, out := range tx.TxOut {
		_, ok := j.scripts[string(out.PkScript)]
		if !ok || out.Value == 0 {
			continue
		}
		at := wire.OutPoint{Hash: tx.TxHash(), Index: uint32(vout)}
		if j.creditedAt(height, n) > j.height {
			continue
		}
		j.coins[at] = ledger.Amount(out.Value)
	}
}

// creditedAt is the height of the books at which an output of the n-th transaction of a
// block is credited: a coinbase's when it can be spent at the depth.
func (j *judge) creditedAt(height uint32, n int) uint32 {
	if n == 0 {
		height += 100 - j.charter.Depth
	}
	return height
}

// anchorOf reads the number of the settlement off an OP_RETURN of 40 bytes.
func anchorOf(tx *wire.MsgTx) (uint32, bool) {
	for _, out := range tx.TxOut {
		if len(out.PkScript) == 42 && bytes.HasPrefix(out.PkScript, []byte("\x6a\x28DAOB")) {
			return binary.BigEndian.Uint32(out.PkScript[6:]), true
		}
	}
	return 0, false
}

// tableOf shows what was checked, for people.
func tableOf(verdicts []*verdict) string {
	var b strings.Builder
	for _, v := range verdicts {
		state := "ok"
		if len(v.wrong) > 0 {
			state = fmt.Sprintf("%d WRONG", len(v.wrong))
		}
		fmt.Fprintf(&b, "  %-88s %8d  %s\n", v.what, v.count, state)
	}
	return b.String()
}
