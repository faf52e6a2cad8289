package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/guardian/link"
	guardwire "github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/roast"
)

// What the settlements of the measurement look like.
const (
	settleThreshold = 7
	settleGuardians = 10
	settleWrong     = 3 // dead or lying
	settleInputs    = 20
)

// settleFigures is how long the guardians took to sign a settlement: from the
// request, replaying the cut included, to verified signatures.
type settleFigures struct {
	Guardians string  `json:"guardians"`
	Inputs    int     `json:"inputs"`
	Seconds   float64 `json:"seconds"`
}

// measureSettlement signs settlements of a bank on a real node with guardians in
// processes of their own: all honest, some dead, some lying.
func measureSettlement(ctx context.Context, b *custodyBench) ([]benchTarget, error) {
	if b.options.Max < settleGuardians {
		return nil, nil
	}
	s, err := newSettleBench(ctx)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	for _, round := range []struct {
		name    string
		prepare func() error
	}{
		{"all honest", func() error { return nil }},
		{"three dead", s.killSome},
		{"three lying", func() error { return s.lieSome(ctx) }},
	} {
		if err := round.prepare(); err != nil {
			return nil, errors.Join(err, s.close())
		}
		row, err := s.measure(ctx, round.name)
		for try := 0; err == nil && s.liars != nil && s.lies.Load() == 0; try++ {
			if try == luckMax {
				err = errors.New("no liar was in any session")
				break
			}
			row, err = s.measure(ctx, round.name) // luck: the honest ones were faster
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("settlement, %s: %w", round.name, err), s.close())
		}
		b.Settlement = append(b.Settlement, row)
		b.say("measured a settlement, %s", round.name)
	}
	return []benchTarget{
		atMost("settlement_20_inputs_7_of_10_three_dead", b.Settlement[1].Seconds, "seconds", 1),
		atMost("settlement_20_inputs_7_of_10_three_lying", b.Settlement[2].Seconds, "seconds", 3),
	}, s.close()
}

// luckMax is how often a settlement in which no liar was asked is measured again.
const luckMax = 20

// settleBench is a bank in this process with guardians in others.
type settleBench struct {
	dir     string
	scratch *scratch
	node    *bitcoind.Node
	pg      *cluster.Cluster
	council *demoCouncil
	seated  *council
	liars   context.CancelFunc
	lies    atomic.Int64 // told so far
	stop    context.CancelFunc
	ended   chan error
	url     string
	client  *api.Client
	vault   *taproot.Vault
	member  ledger.AccountID
	bank    *bank
	timed   chan settleSteps
}

func newSettleBench(ctx context.Context) (*settleBench, error) {
	s := &settleBench{timed: make(chan settleSteps, 1), ended: make(chan error, 1)}
	var err error
	if s.scratch, err = newScratch("daobank-bench-"); err != nil {
		return s, err
	}
	s.dir = s.scratch.dir
	if s.node, err = bitcoind.Open(ctx); err != nil {
		return s, err
	}
	if _, err = s.node.Mine(ctx, 101); err != nil {
		return s, err
	}
	if s.pg, err = cluster.Open(ctx); err != nil {
		return s, err
	}
	s.council = &demoCouncil{dir: filepath.Join(s.dir, "guardians"), founding: filepath.Join(s.dir, foundingFileName)}
	f := &founding{Data: s.dir, Name: "bench", Depth: 1, Threshold: settleThreshold, RecoveryDelay: recoveryDelay, Node: s.node.Config()}
	if _, err = s.council.gather(ctx, f, settleGuardians); err != nil {
		return s, err
	}
	if err = s.open(ctx); err != nil {
		return s, err
	}
	return s, s.openMember(ctx)
}

// open runs the bank in this process, so that the signing can be timed.
func (s *settleBench) open(ctx context.Context) error {
	database, err := s.pg.CreateDatabase(ctx, fmt.Sprintf("daobank_bench_%d", os.Getpid()))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.url = "http://" + listener.Addr().String()
	policy := settlement.DefaultPolicy()
	policy.Poll = 10 * time.Millisecond
	started := make(chan error, 1)
	o := &serveOptions{Data: s.dir, Guardians: "127.0.0.1:0", Policy: policy, Log: slog.New(slog.DiscardHandler),
		Waiting: func(guardians, api string) {
			s.council.address = guardians
			started <- s.council.start(api, s.node.Config())
		}}
	b, err := openBank(ctx, o, s.node.Client, database, s.url)
	if err == nil {
		err = <-started
	}
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	watch := &settleWatch{Chain: b.desk.Chain, Signer: b.desk.Signer, timed: s.timed}
	b.desk.Chain, b.desk.Signer, s.bank = watch, watch, b
	s.vault, _ = b.vaults.Newest()
	s.seated = b.council
	running, stop := context.WithCancel(ctx)
	s.stop = stop
	go func() {
		err := b.run(running, listener, nil)
		b.store.Close()
		s.ended <- err
	}()
	s.client = api.Dial(s.url)
	return nil
}

func (s *settleBench) openMember(ctx context.Context) error {
	key, err := btcec.NewPrivateKey()
	if err != nil {
		return err
	}
	bank, err := s.client.Bank(ctx)
	if err != nil {
		return err
	}
	o := &ledger.Order{Bank: bank.ID, Body: &ledger.Open{Key: ledger.KeyOf(key)}}
	if err := o.Sign(key); err != nil {
		return err
	}
	a, err := s.client.Submit(ctx, o)
	s.member = a.Account
	return err
}

// measure deposits as many coins as make a settlement of settleInputs with the
// change of the one before, and waits until the guardians have signed it.
func (s *settleBench) measure(ctx context.Context, name string) (settleFigures, error) {
	var outs []*wire.TxOut
	for len(outs) < settleInputs {
		id := s.member
		if len(outs) == 0 {
			id = ledger.Treasury
			if name != "all honest" {
				outs = append(outs, nil) // the change
				continue
			}
		}
		out, err := s.vault.Output(taproot.Deposit, id.Index())
		if err != nil {
			return settleFigures{}, err
		}
		outs = append(outs, wire.NewTxOut(100_000, out.Script))
	}
	if outs[0] == nil {
		outs = outs[1:]
	}
	if _, err := s.node.FundMany(ctx, outs); err != nil {
		return settleFigures{}, err
	}
	if _, err := s.node.Mine(ctx, 1); err != nil {
		return settleFigures{}, err
	}
	steps, err := s.await(ctx, time.Minute)
	if err != nil {
		return settleFigures{}, err
	}
	return settleFigures{Guardians: name, Inputs: steps.Inputs, Seconds: steps.Sign}, s.settle(ctx)
}

// await waits until a settlement was broadcast.
func (s *settleBench) await(ctx context.Context, limit time.Duration) (settleSteps, error) {
	select {
	case steps := <-s.timed:
		return steps, nil
	case err := <-s.ended:
		s.ended <- err
		return settleSteps{}, fmt.Errorf("the bank ended: %w", err)
	case <-ctx.Done():
		return settleSteps{}, ctx.Err()
	case <-time.After(limit):
		return settleSteps{}, fmt.Errorf("nothing was broadcast within %v", limit)
	}
}

// settle mines the settlement that was signed, so that the next can be cut.
func (s *settleBench) settle(ctx context.Context) error {
	for {
		list, err := s.client.Settlements(ctx, 1, 1000)
		if err != nil {
			return err
		}
		switch settlement.Stage(list[len(list)-1].Stage) {
		case settlement.StagePosted:
			return nil
		case settlement.StageBroadcast:
			if _, err := s.node.Mine(ctx, 1); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *settleBench) killSome() error {
	for range settleWrong {
		s.council.lose()
	}
	return nil
}

// lieSome puts liars in the place of the guardians that were killed: they do all
// that a guardian does, and spoil each partial signature.
func (s *settleBench) lieSome(ctx context.Context) error {
	ctx, s.liars = context.WithCancel(ctx)
	for i := settleGuardians - settleWrong; i < settleGuardians; i++ {
		if err := s.lie(ctx, i); err != nil {
			return err
		}
	}
	return s.awaitLiars(ctx)
}

func (s *settleBench) lie(ctx context.Context, i int) error {
	k, err := keep.Open(s.council.folder(i))
	if err != nil {
		return err
	}
	defer k.Close()
	founding, err := k.Founding()
	if err != nil {
		return err
	}
	host, err := k.HostKey(keyfile.IdentityFile(s.council.identity(i)))
	if err != nil {
		return err
	}
	end, err := guardwire.NewGuardian(founding, host, k)
	if err != nil {
		return err
	}
	result := <-end.Made()
	charter, err := founding.Charter()
	if err != nil {
		return err
	}
	g, err := guardian.New(guardian.Config{Keys: keysOf(result), Vault: s.vault, Charter: charter,
		Journal: api.Dial(s.url), Chain: s.node.Client, Limits: guardian.DefaultLimits()})
	if err != nil {
		return err
	}
	end.Serve(g)
	secret, err := host.Reveal()
	if err != nil {
		return err
	}
	key, _ := btcec.PrivKeyFromBytes(secret)
	clear(secret)
	coordinator, err := btcec.ParsePubKey(founding.Coordinator[:])
	if err != nil {
		return err
	}
	go link.Serve(ctx, s.council.address, coordinator, key, s.lying(end.Handler()), slog.New(slog.DiscardHandler))
	return nil
}

// lying spoils what a guardian signs.
func (s *settleBench) lying(honest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/sign" {
			honest.ServeHTTP(w, r)
			return
		}
		said := overheard{ResponseWriter: w, status: http.StatusOK}
		honest.ServeHTTP(&said, r)
		var answer roast.Answer
		if said.status != http.StatusOK || json.Unmarshal(said.body.Bytes(), &answer) != nil {
			w.WriteHeader(said.status)
			_, _ = said.body.WriteTo(w)
			return
		}
		answer.Signatures[0][31] ^= 1
		s.lies.Add(1)
		_ = json.NewEncoder(w).Encode(answer)
	})
}

// overheard is an answer that is not sent yet.
type overheard struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (o *overheard) WriteHeader(status int)      { o.status = status }
func (o *overheard) Write(p []byte) (int, error) { return o.body.Write(p) }

// awaitLiars waits until all guardians are connected, so that liars are asked.
func (s *settleBench) awaitLiars(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s.seated.hub.Wait(ctx, s.seated.all()[0].places...)
}

func (s *settleBench) close() error {
	var errs []error
	if s.liars != nil {
		s.liars()
	}
	if s.stop != nil {
		s.stop()
		errs = append(errs, <-s.ended)
	}
	if s.council != nil {
		errs = append(errs, s.council.stop())
	}
	if s.pg != nil {
		errs = append(errs, s.pg.Close())
	}
	if s.node != nil {
		errs = append(errs, s.node.Close())
	}
	if s.scratch != nil {
		errs = append(errs, s.scratch.close(false))
	}
	return errors.Join(errs...)
}
