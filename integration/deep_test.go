package integration

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement"
)

// Reorganisations deeper than the depth: the bank stops settling, and the story does
// what docs/operations.md tells an operator to do.

// deep reorganises more blocks than the depth, whatever is in flight, and lets the
// books follow.
func (s *chaosStory) deep(name string, options ...bitcoind.ReorgOption) {
	s.t.Helper()
	depth := chaosDepth + s.random.IntN(3)
	for !s.above() {
		s.flow()
		s.drive()
		s.quiet()
	}
	s.resolveDeep(name, depth, options...)
}

// above reports whether the blocks of the last deep reorganisation are out of reach of
// the next: the books follow only one within the same blocks.
func (s *chaosStory) above() bool {
	s.t.Helper()
	height, err := s.node.Height(s.ctx)
	s.must(err)
	return int(height) > s.followed+3*chaosDepth
}

// deepAnother lets the other branch hold another version of the last settlement, so
// that it pays more or less than the books have posted.
func (s *chaosStory) deepAnother() {
	s.t.Helper()
	for range 4 * chaosDepth {
		s.look()
		if s.now() == settlement.StageBroadcast && len(s.versions()) > 1 {
			break
		}
		s.flow()
		if s.now() == settlement.StageBroadcast {
			s.allowSends()
			s.mine(1, bitcoind.MineEmpty()) // so that it is replaced
		} else {
			s.drive()
		}
		s.quiet()
	}
	s.calm()
	versions := s.versions()
	for i, tx := range versions {
		_, confirmations, block, err := s.node.Tx(s.ctx, tx.TxHash())
		if err != nil || block == nil || len(versions) < 2 || confirmations > 2*chaosDepth {
			continue
		}
		other := versions[(i+1)%len(versions)]
		s.resolveDeep("deep reorganisation, another version in the new branch", int(confirmations), bitcoind.ReorgKeepAll(), bitcoind.ReorgReplace(tx.TxHash(), other))
		return
	}
}

// calm lets the settlement in flight be posted.
func (s *chaosStory) calm() {
	s.t.Helper()
	s.allowSends()
	s.speak()
	s.until("the senders", func(context.Context) (bool, string) {
		answered, signed := s.count()
		return answered == signed, fmt.Sprintf("%d of %d answered", answered, signed)
	})
	s.senders.Wait()
	s.drain(func() (bool, string) {
		s.look()
		return s.now() == settlement.StageIdle && s.above(), fmt.Sprintf("the settlement is %s", s.now())
	})
}

// resolveDeep reorganises, stops the bank, and runs "operator resolve" until the
// branch is deep, then "operator correct" for what it names, and starts the bank.
func (s *chaosStory) resolveDeep(name string, depth int, options ...bitcoind.ReorgOption) {
	s.t.Helper()
	s.quiet() // the books have all that the chain allows
	s.struck[name]++
	s.keepBlocks()
	before := s.tip
	s.reorganise(depth, append(options, bitcoind.ReorgLonger(2))...)
	for hash := before; depth > 0; depth-- {
		s.stale = append(s.stale, s.blocks[hash])
		hash = s.blocks[hash].Header.PrevBlock
	}
	if s.random.IntN(2) == 0 {
		s.house.bank.kill()
	} else {
		s.house.bank.stop()
	}
	said := s.follow()
	for _, ref := range unpaidIn(said) {
		s.giveBack(ref)
	}
	height, err := s.node.Height(s.ctx)
	s.must(err)
	s.followed = int(height)
	s.recount()
	s.house.bank.start()
	s.open()
}

// recount takes in what resolve has written: the settlement that was in flight, if the
// branch holds it.
func (s *chaosStory) recount() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resolve()
	s.pending = nil
	n, err := s.written()
	s.must(err)
	if n > s.done {
		s.done, s.stage, s.signed = n, settlement.StageIdle, false
		s.struck["(operator resolve posts the settlement in flight)"]++
	}
}

// follow runs resolve, and mines as long as it asks to wait.
func (s *chaosStory) follow() string {
	s.t.Helper()
	for range 4 * chaosDepth {
		out, err := s.operator("resolve", "--yes")
		if err == nil {
			s.struck["(operator resolve)"]++
			return out
		}
		if !strings.Contains(out, "not yet: ") && !strings.Contains(out, "has left the chain: wait until") {
			s.t.Fatalf("operator resolve: %v\n%s", err, out)
		}
		s.mine(1)
	}
	s.t.Fatal("operator resolve goes on asking to wait")
	return ""
}

func unpaidIn(said string) (refs []ledger.OrderRef) {
	for _, m := range regexp.MustCompile(`Not paid: withdrawal (\d+)/(\d+),`).FindAllStringSubmatch(said, -1) {
		var ref ledger.OrderRef
		_, _ = fmt.Sscan(m[1], &ref.Payer)
		_, _ = fmt.Sscan(m[2], &ref.Sequence)
		refs = append(refs, ref)
	}
	return refs
}

// giveBack gives a member from suspense what a posted withdrawal did not bring.
func (s *chaosStory) giveBack(ref ledger.OrderRef) {
	s.t.Helper()
	i := slices.IndexFunc(s.members, func(m *payer) bool { return m.id == ref.Payer })
	m := s.members[i]
	receipt := m.answers[ref.Sequence-1].Receipt
	amount := m.orders[ref.Sequence-1].Body.(*ledger.Withdraw).Amount
	out, err := s.operator("correct", ledger.FormatAccount(s.info.ID, m.id), amount.BTC(),
		"--batch", fmt.Sprint(receipt.Header.Number), "--index", fmt.Sprint(receipt.Index))
	if err != nil {
		s.t.Fatalf("operator correct: %v\n%s", err, out)
	}
	s.returned[ref] = true
	s.struck["(operator correct)"]++
}

// operator runs a command on the bank's directory and database.
func (s *chaosStory) operator(command string, args ...string) (string, error) {
	s.t.Helper()
	binary, err := program()
	s.must(err)
	cmd := exec.CommandContext(s.ctx, binary, append([]string{"operator", command, "--data", s.house.dir, "--postgres", s.database}, args...)...)
	cmd.Env = append(cmd.Environ(), nodeEnv(s.node)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// resupplyStale gives the node blocks that left the chain, which a guardian that
// replays the journal looks up: a node keeps them, unless it is killed before it has
// written its index.
func (s *chaosStory) resupplyStale() {
	s.t.Helper()
	for _, block := range slices.Backward(s.stale) {
		if _, err := s.node.Block(s.ctx, block.BlockHash()); err != nil {
			s.submit(block)
		}
	}
}
