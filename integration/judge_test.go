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
	journal  []journalRow
	balances map[ledger.AccountID]ledger.Amount // as the database adds them up
	unspent  ledger.Amount                      // the vault's coins, by the node's own scan
	orders   []sentOrder
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
	j := &judge{evidence: e, cuts: make(map[uint32]*ledger.Cut), settled: make(map[uint32]*ledger.Settled),
		places: make(map[ledger.Hash][]place), spends: make(map[uint32]*spend)}
	return []*verdict{
		j.readJournal(), j.followChain(), j.compareSettlements(), j.compareOrders(), j.comparePayouts(),
		j.compareFees(), j.compareBalances(), j.compareCoins(),
	}
}

type judge struct {
	*evidence
	cuts    map[uint32]*ledger.Cut
	settled map[uint32]*ledger.Settled
	height  uint32 // of the books
	places  map[ledger.Hash][]place
	written []ledger.AccountID // accounts in the order in which they were opened
	listed  []*ledger.Deposit  // the journal's

	spends   map[uint32]*spend
	coins    map[wire.OutPoint]ledger.Amount // unspent, by the blocks
	deposits []deposit
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

type deposit struct {
	at     wire.OutPoint
	to     vaultPlace
	amount ledger.Amount
	height uint32
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
		at := int(e.Height) - int(j.charter.BirthHeight) - 1
		if at < 0 || at >= len(j.blocks) || ledger.Hash(j.blocks[at].BlockHash()) != e.Hash {
			v.fail("block %d of the books is not in the chain", e.Height)
		}
	case *ledger.Deposit:
		j.listed = append(j.listed, e)
	case *ledger.Cut:
		j.cuts[e.Settlement] = e
	case *ledger.Settled:
		if j.settled[e.Settlement] != nil {
			v.fail("settlement %d is posted twice", e.Settlement)
		}
		j.settled[e.Settlement] = e
	}
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
		to, ok := j.scripts[string(out.PkScript)]
		if !ok || out.Value == 0 {
			continue
		}
		at := wire.OutPoint{Hash: tx.TxHash(), Index: uint32(vout)}
		credited := height
		if n == 0 { // a coinbase is credited when it can be spent at the depth
			credited += 100 - j.charter.Depth
		}
		if credited > j.height {
			continue
		}
		j.coins[at] = ledger.Amount(out.Value)
		if owned == 0 {
			j.deposits = append(j.deposits, deposit{at: at, to: to, amount: ledger.Amount(out.Value), height: height})
		}
	}
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

// compareSettlements: what was posted is what is in the chain, and the journal's
// deposits are the chain's.
func (j *judge) compareSettlements() *verdict {
	v := &verdict{what: "settlements: posted is what the chain holds, deposits are what it shows"}
	for number, s := range j.settled {
		on := j.spends[number]
		v.check(on != nil && ledger.Hash(on.tx.TxHash()) == s.TxID && j.cuts[number] != nil,
			"settlement %d is posted as %s, and the chain or its cut says otherwise", number, chainhash.Hash(s.TxID))
	}
	for number, on := range j.spends {
		v.check(j.settled[number] != nil, "settlement %d, %s, is in the chain and was not posted", number, on.tx.TxHash())
	}
	shown := make(map[ledger.OutPoint]deposit, len(j.deposits))
	for _, d := range j.deposits {
		shown[ledger.OutPoint{TxID: ledger.Hash(d.at.Hash), Vout: d.at.Index}] = d
	}
	for _, d := range j.listed {
		on, ok := shown[d.OutPoint]
		v.check(ok && on.amount == d.Amount && on.to == vaultPlace{d.Branch, d.Index},
			"the deposit %s of %d sat is not in the chain so, or stands twice in the journal", d.OutPoint, d.Amount)
		delete(shown, d.OutPoint)
	}
	for at, d := range shown {
		v.check(false, "the chain shows a deposit %s of %d sat in block %d that the journal leaves out", at, d.amount, d.height)
	}
	return v
}

// compareOrders: what was acknowledged stands in the journal once, where its receipt
// says; what was refused does not stand there.
func (j *judge) compareOrders() *verdict {
	v := &verdict{what: "orders: acknowledged stands once where the receipt says, refused nowhere"}
	known := 0
	for _, h := range j.orders {
		at := j.places[h.order.Digest()]
		if h.receipt == nil {
			v.check(len(at) == 0, "account %s order %d was refused (%v) and stands in the journal at %v", h.account, h.order.Sequence, h.refused, at)
			continue
		}
		known++
		want := place{binary.BigEndian.Uint64(h.receipt.Header.Bytes()[33:41]), h.receipt.Index}
		v.check(len(at) == 1 && at[0] == want, "account %s order %d stands at %v, its receipt says %v", h.account, h.order.Sequence, at, want)
	}
	v.check(known == len(j.places), "the journal holds %d orders, members had %d acknowledged", len(j.places), known)
	return v
}

// withdrawals are those that were accepted, by payer and sequence number.
func (j *judge) withdrawals() map[ledger.OrderRef]*ledger.Withdraw {
	all := make(map[ledger.OrderRef]*ledger.Withdraw)
	for _, h := range j.orders {
		if w, ok := h.order.Body.(*ledger.Withdraw); ok && h.receipt != nil {
			all[ledger.OrderRef{Payer: h.account, Sequence: h.order.Sequence}] = w
		}
	}
	return all
}

// comparePayouts: each withdrawal that was accepted is in one settlement that was
// posted, and every script was paid, over all spends of the vault, what its
// withdrawals add up to.
func (j *judge) comparePayouts() *verdict {
	v := &verdict{what: "withdrawals: each paid once, nobody paid twice or besides"}
	owed := make(map[string]ledger.Amount)
	paidBy := make(map[ledger.OrderRef]int)
	for number := range j.settled {
		if cut := j.cuts[number]; cut != nil {
			for _, p := range cut.Payouts {
				paidBy[ledger.OrderRef{Payer: p.Payer, Sequence: p.Sequence}]++
			}
		}
	}
	for ref, w := range j.withdrawals() {
		owed[string(w.Script)] += w.Amount
		v.check(paidBy[ref] == 1, "withdrawal %s of %d sat is in %d settlements that were posted", ref, w.Amount, paidBy[ref])
		delete(paidBy, ref)
	}
	for ref := range paidBy {
		v.fail("a settlement pays %s, which nobody ordered", ref)
	}
	for _, s := range j.spends {
		for _, out := range s.tx.TxOut {
			if _, own := j.scripts[string(out.PkScript)]; !own && out.PkScript[0] != 0x6a {
				owed[string(out.PkScript)] -= ledger.Amount(out.Value)
			}
		}
	}
	for script, left := range owed {
		v.check(left == 0, "script %x is owed %d sat more than the vault paid it", script, left)
	}
	return v
}

// compareFees: the chain's fee is the cut's, and each withdrawal's part of it is what
// docs/settlement.md says: an output of w vbytes costs ⌈w·r/1000⌉, shared equally,
// and the first ones in order of acceptance pay what is left over.
func (j *judge) compareFees() *verdict {
	v := &verdict{what: "fees: as in the chain, shared by the written rule, never above the order's limit"}
	orders := j.withdrawals()
	accepted := make(map[ledger.OrderRef]place)
	for _, h := range j.orders {
		if at := j.places[h.order.Digest()]; h.receipt != nil && len(at) > 0 {
			accepted[ledger.OrderRef{Payer: h.account, Sequence: h.order.Sequence}] = at[0]
		}
	}
	for number, on := range j.spends {
		cut := j.cuts[number]
		if cut == nil || j.settled[number] == nil {
			continue // said already
		}
		v.check(cut.Fee == on.fee, "settlement %d costs %d sat on chain, its cut says %d sat", number, on.fee, cut.Fee)
		sharing := make(map[string][]ledger.CutPayout)
		for _, p := range cut.Payouts {
			if w := orders[ledger.OrderRef{Payer: p.Payer, Sequence: p.Sequence}]; w != nil {
				v.check(p.FeeShare <= w.FeeMax, "settlement %d takes %d sat for the miner, the order allows %d", number, p.FeeShare, w.FeeMax)
				sharing[string(w.Script)] = append(sharing[string(w.Script)], p)
			}
		}
		for script, list := range sharing {
			slices.SortFunc(list, func(a, b ledger.CutPayout) int {
				x, y := accepted[ledger.OrderRef{Payer: a.Payer, Sequence: a.Sequence}], accepted[ledger.OrderRef{Payer: b.Payer, Sequence: b.Sequence}]
				return cmpPlaces(x, y)
			})
			cost := (ledger.Amount(8+1+len(script))*ledger.Amount(cut.FeeRate) + 999) / 1000
			for i, p := range list {
				want := cost / ledger.Amount(len(list))
				if ledger.Amount(i) < cost%ledger.Amount(len(list)) {
					want++
				}
				v.check(p.FeeShare == want, "settlement %d: withdrawal %d/%d pays %d sat for the miner, the rule says %d", number, p.Payer, p.Sequence, p.FeeShare, want)
			}
		}
	}
	return v
}

func cmpPlaces(a, b place) int {
	if a.batch != b.batch {
		return int(int64(a.batch) - int64(b.batch))
	}
	return int(a.index) - int(b.index)
}

// compareBalances: the model of each account is what the database has.
func (j *judge) compareBalances() *verdict {
	v := &verdict{what: "balances: every account has what the model says"}
	model := j.model()
	accounts := slices.Clone(j.written)
	for id := ledger.Vault; id < ledger.FirstMember; id++ {
		accounts = append(accounts, id)
	}
	for _, id := range accounts {
		v.check(j.balances[id] == model[id], "account %s has %d sat, the model %d sat", id, j.balances[id], model[id])
		delete(model, id)
	}
	for id, amount := range model {
		v.check(amount == 0, "account %s has %d sat in the model and is not open", id, amount)
	}
	return v
}

// model adds up what orders and the chain did to each account.
func (j *judge) model() map[ledger.AccountID]ledger.Amount {
	model := make(map[ledger.AccountID]ledger.Amount)
	move := func(from, to ledger.AccountID, amount ledger.Amount) {
		model[from] -= amount
		model[to] += amount
	}
	for _, d := range j.deposits {
		to := ledger.AccountID(d.to.index)
		if d.to.branch != ledger.BranchDeposit || to != ledger.Treasury && !slices.Contains(j.written, to) {
			to = ledger.Suspense
		}
		move(ledger.Vault, to, d.amount)
	}
	for _, h := range j.orders {
		if h.receipt == nil {
			continue
		}
		switch body := h.order.Body.(type) {
		case *ledger.Transfer:
			for _, p := range body.Payments {
				move(h.account, p.Payee, p.Amount)
			}
		case *ledger.Withdraw:
			move(h.account, ledger.Vault, body.Amount)
		}
	}
	for number := range j.settled {
		if cut := j.cuts[number]; cut != nil {
			treasury := cut.Fee
			for _, p := range cut.Payouts {
				move(p.Payer, ledger.Vault, p.FeeShare)
				treasury -= p.FeeShare
			}
			move(ledger.Treasury, ledger.Vault, treasury)
		}
	}
	return model
}

// compareCoins: the sum of all wallets equals the coins, by the blocks and by the
// node's own scan.
func (j *judge) compareCoins() *verdict {
	v := &verdict{what: "sum of all wallets = coins in the blocks = coins in the node's scan"}
	var wallets, coins ledger.Amount
	for id, amount := range j.balances {
		if id != ledger.Vault {
			wallets += amount
		}
	}
	for _, amount := range j.coins {
		coins += amount
	}
	v.check(wallets == coins, "the wallets are %d sat, the coins in the blocks %d sat", wallets, coins)
	v.check(wallets == j.unspent, "the wallets are %d sat, the node finds coins of %d sat", wallets, j.unspent)
	return v
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
