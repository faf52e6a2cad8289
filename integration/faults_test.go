package integration

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
)

// execute strikes a victim while the bank is kept at a boundary.
func (s *chaosStory) execute(a *arrest) {
	s.t.Helper()
	s.struck["SIGKILL of the "+a.victim+" at a boundary"]++
	began := time.Now()
	s.strike(a.victim, func(pass bool) { a.pass <- pass })
	s.t.Logf("%s: the %s was killed, back after %v", a.at, a.victim, time.Since(began).Round(time.Millisecond))
}

// strike kills somebody, tells the bank whether it goes on, and brings the victim
// back.
func (s *chaosStory) strike(victim string, pass func(bool)) {
	s.t.Helper()
	switch victim {
	case "bank":
		s.house.bank.kill()
		pass(false)
		s.house.bank.start()
		s.open()
	case "node":
		s.keepBlocks()
		s.must(s.node.Kill())
		pass(true)
		s.must(s.node.Restart(s.ctx))
		s.resupply()
	case "PostgreSQL":
		s.must(s.server.Kill())
		pass(false)
		s.must(s.server.Restart(s.ctx))
		s.open()
	case "guardian":
		g := s.house.guardians[0] // who is there even when others are not
		if !s.silent {
			g = s.house.guardians[s.random.IntN(len(s.house.guardians))]
		}
		g.kill()
		pass(true)
		g.start()
	}
}

// open waits for the bank's API, and starts a bank that has ended.
func (s *chaosStory) open() {
	s.t.Helper()
	s.wait("the bank's API", func() (bool, string) {
		if s.ended() {
			s.house.bank.start()
		}
		ctx, cancel := s.brief()
		defer cancel()
		err := s.client.Ready(ctx)
		return err == nil, fmt.Sprint(err)
	})
}

// keepBlocks remembers the chain, for a node that dies before it has written it: in
// the world its peers have it.
func (s *chaosStory) keepBlocks() {
	s.t.Helper()
	tip, err := s.node.Tip(s.ctx)
	s.must(err)
	s.tip = tip.Hash
	for hash, height := tip.Hash, tip.Height; height > 0 && s.blocks[hash] == nil; height-- {
		block, err := s.node.Block(s.ctx, hash)
		s.must(err)
		s.blocks[hash], hash = block, block.Header.PrevBlock
	}
}

// resupply gives the node the blocks that it lost.
func (s *chaosStory) resupply() {
	s.t.Helper()
	var lost []*wire.MsgBlock
	for hash := s.tip; s.blocks[hash] != nil; hash = s.blocks[hash].Header.PrevBlock {
		if _, _, err := s.node.Header(s.ctx, hash); err == nil {
			break
		}
		lost = append(lost, s.blocks[hash])
	}
	for _, block := range slices.Backward(lost) {
		s.submit(block)
	}
	s.resupplyStale()
	tip, err := s.node.Tip(s.ctx)
	s.must(err)
	if tip.Hash != s.tip {
		s.t.Fatalf("the node came back at %s, not at %s", tip, s.tip)
	}
}

func (s *chaosStory) submit(block *wire.MsgBlock) {
	s.t.Helper()
	var raw bytes.Buffer
	s.must(block.Serialize(&raw))
	s.must(s.node.Call(s.ctx, "submitblock", nil, hex.EncodeToString(raw.Bytes())))
}

// allowSends lets the node take settlements again.
func (s *chaosStory) allowSends() {
	for _, f := range s.sends {
		f.Remove()
	}
	s.sends = nil
}

// loseReplies lets the node carry out what it is sent, and loses its replies.
func (s *chaosStory) loseReplies() {
	s.allowSends()
	s.struck["sendrawtransaction carried out, reply lost"]++
	s.sends = append(s.sends, s.rpc.Inject(bitcoind.Fault{Method: "sendrawtransaction", Do: bitcoind.DropReply()}))
}

// refusals are a node's reasons, with the codes of its RPC.
var refusals = []struct {
	code   int
	reason string
}{
	{-26, "min relay fee not met, 100 < 110"}, {-26, "mempool min fee not met, 100 < 110"}, {-26, "mempool full"},
	{-26, "txn-mempool-conflict"}, {-26, "insufficient fee, rejecting replacement"}, {-26, "too-long-mempool-chain"},
	{-26, "non-final"}, {-26, "non-BIP68-final"}, {-26, "dust"}, {-26, "tx-size"}, {-26, "bad-txns-spends-conflicting-tx"},
	{-25, "bad-txns-inputs-missingorspent"}, {-25, "Fee exceeds maximum configured by user"}, {-28, "Loading block index…"}, {-1, "Work queue depth exceeded"},
}

// refuseSends makes the node refuse settlements, each time for another reason, and
// know none.
func (s *chaosStory) refuseSends() {
	s.allowSends()
	r := refusals[s.reasons%len(refusals)]
	s.reasons++
	s.struck["refused: "+r.reason]++
	s.sends = append(s.sends,
		s.rpc.Inject(bitcoind.Fault{Method: "sendrawtransaction", Do: bitcoind.Refuse(r.code, r.reason)}),
		s.rpc.Inject(bitcoind.Fault{Method: "getrawtransaction", Do: bitcoind.Refuse(-5, "No such mempool or blockchain transaction")}))
}

// sayFee makes the node estimate a rate, in satoshis per 1,000 vbytes.
func (s *chaosStory) sayFee(rate int64) {
	if s.fee != nil {
		s.fee.Remove()
	}
	s.fee = s.rpc.Inject(bitcoind.Fault{Method: "estimatesmartfee",
		Do: bitcoind.Answer(map[string]any{"feerate": float64(rate) / 1e8, "blocks": 1})})
}

// A fault is what happens at a random moment.
type chaosFault struct {
	name   string
	strike func(*chaosStory)
}

var faults = []chaosFault{
	{"SIGKILL of the bank", func(s *chaosStory) { s.strike("bank", func(bool) {}) }},
	{"SIGKILL of the node", func(s *chaosStory) { s.strike("node", func(bool) {}) }},
	{"SIGKILL of PostgreSQL", func(s *chaosStory) { s.strike("PostgreSQL", func(bool) {}) }},
	{"SIGKILL of a guardian", func(s *chaosStory) { s.strike("guardian", func(bool) {}) }},
	{"SIGKILL of all guardians", func(s *chaosStory) {
		for _, g := range s.house.guardians {
			g.kill()
		}
		s.mine(1)
		for _, g := range s.house.guardians {
			g.start()
		}
	}},
	{"(a victim awaits the next write)", (*chaosStory).lieInWait},
	{"bank and node killed together", func(s *chaosStory) {
		s.house.bank.kill()
		s.strike("node", func(bool) {})
		s.house.bank.start()
		s.open()
	}},
	{"the next sends: reply lost", (*chaosStory).loseReplies},
	{"the next sends: refused", (*chaosStory).refuseSends},
	{"the next sends: request lost", func(s *chaosStory) {
		s.allowSends()
		s.sends = append(s.sends, s.rpc.Inject(bitcoind.Fault{Method: "sendrawtransaction", Do: bitcoind.DropRequest()}))
	}},
	{"the node is slow", func(s *chaosStory) {
		s.rpc.Inject(bitcoind.Fault{Count: 20, Do: bitcoind.Delay(150 * time.Millisecond)})
	}},
	{"the node restarts with an empty mempool", func(s *chaosStory) {
		s.keepBlocks()
		s.must(s.node.Restart(s.ctx))
		s.resupply()
	}},
	{"", (*chaosStory).evict},
	{"", func(s *chaosStory) { s.another("an older version is mined", 0) }},
	{"", func(s *chaosStory) {
		s.another("blocks reorganised, another version in the new branch", 1+s.random.IntN(6))
	}},
	{"fees rise a hundredfold", func(s *chaosStory) { s.sayFee(200_000) }},
	{"fees fall", func(s *chaosStory) { s.sayFee(1_000 + int64(s.random.IntN(3_000))) }},
	{"blocks in a burst", func(s *chaosStory) { s.mine(2 + s.random.IntN(12)) }},
	{"blocks reorganised, settlement in neither branch or the mempool", func(s *chaosStory) { s.reorganise(1 + s.random.IntN(6)) }},
	{"blocks reorganised, settlement in both branches", func(s *chaosStory) {
		s.reorganise(1+s.random.IntN(6), bitcoind.ReorgKeepAll())
	}},
	{"blocks reorganised, settlement in the new branch alone", func(s *chaosStory) {
		s.reorganise(1 + s.random.IntN(5))
		s.mine(1)
	}},
	{"", func(s *chaosStory) { s.deep("deep reorganisation, the same in both branches", bitcoind.ReorgKeepAll()) }},
	{"", func(s *chaosStory) { s.deep("deep reorganisation, all of it back in the mempool") }},
	{"", (*chaosStory).deepAnother},
}

// lieInWait lets somebody be struck the next time that some transition is taken.
func (s *chaosStory) lieInWait() {
	all, _ := transitions()
	victims := []string{"bank", "node", "PostgreSQL", "guardian"}
	at := boundary{all[s.random.IntN(len(all))], s.random.IntN(2) == 0}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted[at] = append(s.wanted[at], victims[s.random.IntN(len(victims))])
}

// evict makes the node throw out the settlement as soon as it has one, and clears
// its mempool by blocks afterwards.
func (s *chaosStory) evict() {
	s.t.Helper()
	txid, in := chainhash.Hash{}, false
	for range 3 * chaosDepth {
		if txid, in = s.waiting(); in {
			break
		}
		s.flow()
		s.drive()
		s.quiet()
	}
	if !in {
		return
	}
	s.must(s.node.Evict(s.ctx, txid))
	s.struck["the settlement is evicted from the mempool"]++
	s.mine(1, bitcoind.MineEmpty())
	s.rush(100 * time.Millisecond)
	s.mine(6)
}

// another lets a block hold a version of a settlement that was replaced: the next
// block, or one that takes the place of the last ones, in one of which is the newest.
func (s *chaosStory) another(name string, depth int) {
	s.t.Helper()
	all, _ := transitions()
	if !slices.ContainsFunc(all, func(t transition) bool { return t.from == "broadcast" && t.writes == "journal cut" }) {
		return // this bank replaces nothing
	}
	for range 4 * chaosDepth {
		if s.minedAnother(depth) {
			s.struck[name]++
			return
		}
		s.flow()
		if s.now() == "broadcast" && len(s.versions()) < 2 {
			s.allowSends()
			s.look()
			s.mine(1, bitcoind.MineEmpty()) // so that it is replaced
		} else {
			s.drive()
		}
		s.quiet()
	}
}

func (s *chaosStory) minedAnother(depth int) bool {
	s.look()
	versions := s.versions()
	if len(versions) < 2 {
		return false
	}
	old, newest := versions[len(versions)-2], versions[len(versions)-1]
	if depth == 0 {
		in, err := s.node.InMempool(s.ctx, newest.TxHash())
		if err != nil || !in {
			return false
		}
		_, err = s.node.Mine(s.ctx, 1, bitcoind.MineTxs(old))
		return err == nil
	}
	_, confirmations, block, err := s.node.Tx(s.ctx, newest.TxHash())
	if err != nil || block == nil || confirmations > int64(depth) {
		return false
	}
	_, err = s.node.Reorg(s.ctx, depth, bitcoind.ReorgKeepAll(), bitcoind.ReorgReplace(newest.TxHash(), old))
	return err == nil
}

// versions are those of the last settlement that was in the mempool, as far as they
// were seen there.
func (s *chaosStory) versions() (list []*wire.MsgTx) {
	for _, tx := range slices.Backward(s.seen) {
		a, _ := anchorOf(tx)
		if b, _ := anchorOf(s.seen[len(s.seen)-1]); a != b {
			break
		}
		list = append([]*wire.MsgTx{tx}, list...)
	}
	return list
}

// waiting is the settlement that waits in the node's mempool, if there is one: the
// transaction with an anchor.
func (s *chaosStory) waiting() (chainhash.Hash, bool) {
	s.t.Helper()
	txids, err := s.node.Mempool(s.ctx)
	s.must(err)
	for _, txid := range txids {
		tx, _, block, err := s.node.Tx(s.ctx, txid)
		if err != nil || block != nil {
			continue // gone or mined since
		}
		if _, ok := anchorOf(tx); ok {
			return txid, true
		}
	}
	return chainhash.Hash{}, false
}

// flow keeps members sending, and coins coming in. Orders are signed when all before
// them are answered.
func (s *chaosStory) flow() {
	s.t.Helper()
	if answered, signed := s.count(); answered < signed {
		return
	}
	s.senders.Wait()
	s.tryRefused()
	for _, m := range s.members[:crashMembers] {
		for range 3 + s.random.IntN(8) {
			s.sign(m)
		}
		if s.random.IntN(3) == 0 {
			s.order(m, s.troublesome())
		}
		s.senders.Go(func() { s.pump(s.ctx, m) })
	}
	if s.random.IntN(3) == 0 {
		s.deposit()
	}
}

// troublesome is a withdrawal that makes trouble: the smallest there is, one whose
// fee limit is a satoshi too low at the fallback rate, one to where many go, or one
// to a place of its own.
func (s *chaosStory) troublesome() *ledger.Withdraw {
	switch s.random.IntN(4) {
	case 0:
		return &ledger.Withdraw{Amount: s.info.WithdrawalMin, FeeMax: crashFeeMax, Script: s.ownScript()}
	case 1:
		return &ledger.Withdraw{Amount: crashWithdraw, FeeMax: 61, Script: s.destination()}
	case 2:
		return &ledger.Withdraw{Amount: 1_000 + s.amount(), FeeMax: crashFeeMax, Script: s.destination()}
	}
	return &ledger.Withdraw{Amount: 1_000 + s.amount(), FeeMax: crashFeeMax, Script: s.ownScript()}
}

// ownScript is a destination of one of the five kinds that nobody else is paid at.
func (s *chaosStory) ownScript() []byte {
	hash := make([]byte, 32)
	for i := range hash {
		hash[i] = byte(s.random.IntN(256))
	}
	switch s.random.IntN(5) {
	case 0:
		return slices.Concat([]byte{0x76, 0xa9, 20}, hash[:20], []byte{0x88, 0xac}) // P2PKH
	case 1:
		return slices.Concat([]byte{0xa9, 20}, hash[:20], []byte{0x87}) // P2SH
	case 2:
		return slices.Concat([]byte{0x00, 20}, hash[:20]) // P2WPKH
	case 3:
		return slices.Concat([]byte{0x00, 32}, hash) // P2WSH
	}
	return slices.Concat([]byte{0x51, 32}, hash) // P2TR
}

// deposit pays one to three members, one of them twice, and sometimes next to
// nothing.
func (s *chaosStory) deposit() {
	s.t.Helper()
	var outs []*wire.TxOut
	for range 1 + s.random.IntN(3) {
		m := s.members[s.random.IntN(crashMembers)]
		outs = append(outs, s.depositTo(m.id, 10_000+int64(s.random.IntN(90_000))), s.depositTo(m.id, 330))
	}
	_, err := s.node.FundMany(s.ctx, outs)
	s.must(err)
	s.struck["(deposits made)"] += len(outs)
}

// tryRefused sends orders that the bank must refuse.
func (s *chaosStory) tryRefused() {
	s.t.Helper()
	m := s.members[s.random.IntN(crashMembers)]
	for _, body := range []ledger.Body{
		&ledger.Withdraw{Amount: s.info.WithdrawalMin - 1, FeeMax: crashFeeMax, Script: s.destination()},
		&ledger.Withdraw{Amount: 1_000_000_000, FeeMax: crashFeeMax, Script: s.destination()},
		&ledger.Transfer{Payments: []ledger.Payment{{Payee: m.id + 1_000, Amount: 1}}},
	} {
		o := &ledger.Order{Bank: s.info.ID, Payer: m.id, Sequence: m.sequence + 1, Previous: m.last, Body: body}
		s.must(o.Sign(m.key))
		s.until("a refusal", func(ctx context.Context) (bool, string) {
			a, err := s.client.Submit(ctx, o)
			if err == nil {
				s.t.Errorf("account %s: the bank accepts %+v in batch %d", m.id, body, a.Batch())
				return true, ""
			}
			if api.Unanswered(err) || ctx.Err() != nil {
				return false, err.Error()
			}
			s.refused = append(s.refused, sentOrder{order: o, account: m.id, refused: err})
			return true, ""
		})
	}
}
