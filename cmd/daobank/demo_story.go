package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/taproot"
)

// Amounts of the story, in satoshis.
const (
	demoDeposit  = 50_000_000
	demoTreasury = 1_000_000
	demoFeeRate  = 2_000 // per 1,000 vbytes
)

// demoDepth is the confirmations at which the story's bank believes the chain.
const demoDepth = 2

// limit ends a story that hangs: no machine in use needs ten milliseconds for a
// transfer.
func (o *demoOptions) limit() time.Duration {
	return 4*time.Minute + time.Duration(o.Transfers)*10*time.Millisecond
}

// demo is the story and what it has brought about so far.
type demo struct {
	demoOptions
	*narrator
	result demoResult

	dir     string
	scratch *scratch // the guard of dir when nobody asked to keep it
	node    *bitcoind.Node
	pg      *cluster.Cluster
	dbURL   string
	bank    *child
	url     string // of the bank's API, once it has answered
	council *demoCouncil
	client  *api.Client
	info    api.Bank
	vault   *taproot.Vault
	members []*demoMember
	proofs  demoProofs
	random  *rand.Rand
	allowed atomic.Int64 // orders that may be acknowledged before the members wait for a block
	mined   atomic.Int64 // blocks during the traffic
}

func newDemo(o demoOptions, out io.Writer) *demo {
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	return &demo{demoOptions: o, narrator: newNarrator(out), random: rand.New(rand.NewPCG(o.Seed, 0))}
}

// errInterrupted says that a signal ended the story.
var errInterrupted = errors.New("interrupted; what was started is stopped, and temporary files are removed")

func (d *demo) run(ctx context.Context) (err error) {
	if d.Members < 2 || d.Members > 1000 || d.Transfers < d.Members || d.Transfers > 1_000_000 {
		return errors.New("the story needs 2 to 1,000 members and, for each of them, at least one transfer: at most 1,000,000")
	}
	ctx, cancel := context.WithTimeout(ctx, d.limit())
	defer cancel()
	defer func() {
		switch {
		case err != nil && errors.Is(ctx.Err(), context.Canceled):
			err = errors.Join(errInterrupted, d.close(false))
		case err != nil && ctx.Err() != nil:
			err = errors.Join(fmt.Errorf("given up after %s: %w", d.limit(), err), d.close(true))
		default:
			err = errors.Join(err, d.close(err != nil))
		}
	}()
	acts := []struct {
		title string
		play  func(context.Context) error
	}{
		{"The machines", d.startMachines},
		{"The bank", d.foundBank},
		{"The members", d.openAccounts},
		{"The traffic", d.traffic},
		{"The last settlements", d.settleAll},
		{"The proofs", d.writeProofs},
		{"The audit", d.audit},
		{"The stranger", d.verifyProofs},
	}
	for _, act := range acts {
		d.chapter(act.title)
		if err := act.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", act.title, err)
		}
	}
	d.result.Seconds = d.elapsed().Seconds()
	return d.verdict()
}

// close stops what the demo started. It removes the demo's directory, unless
// the caller named it or the log in it tells of a failure.
func (d *demo) close(failed bool) error {
	var errs []error
	if d.bank != nil {
		errs = append(errs, d.bank.stop())
	}
	if d.council != nil {
		errs = append(errs, d.council.stop())
	}
	if d.pg != nil {
		errs = append(errs, d.closeDatabase(failed))
	}
	if d.node != nil {
		errs = append(errs, d.node.Close())
	}
	if failed && d.dir != "" {
		errs = append(errs, fmt.Errorf("the bank's keys and log are kept in %s", d.dir))
	}
	if d.scratch != nil {
		errs = append(errs, d.scratch.close(failed))
	}
	return errors.Join(errs...)
}

// closeDatabase drops the story's database, which may stand on a server that
// others use, and stops a server that was started for it.
func (d *demo) closeDatabase(keep bool) error {
	var dropped error
	if d.dbURL != "" && !keep {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		dropped = d.pg.DropDatabase(ctx, demoDatabase())
	}
	return errors.Join(dropped, d.pg.Close())
}

// demoDatabase is a name of this process's own.
func demoDatabase() string { return fmt.Sprintf("daobank_demo_%d", os.Getpid()) }

// makeDir makes the directory of the bank's keys and log.
func (d *demo) makeDir() (err error) {
	if d.Data != "" {
		d.dir = d.Data
		return os.MkdirAll(d.dir, 0o700)
	}
	if d.scratch, err = newScratch("daobank-demo-"); err != nil {
		return err
	}
	d.dir = d.scratch.dir
	return nil
}

func (d *demo) startMachines(ctx context.Context) (err error) {
	if err = d.makeDir(); err != nil {
		return err
	}
	if d.node, err = bitcoind.Open(ctx); err != nil {
		return err
	}
	info := d.node.Info()
	d.result.Node.Kind, d.result.Node.Version = info.Kind, info.Version
	d.say("Bitcoin node: %s %s on a private regtest chain (%s)", info.Kind, info.Version, info.Source)
	if d.pg, err = cluster.Open(ctx); err != nil {
		return err
	}
	d.say("Database: %s", d.pg.Info())
	d.dbURL, err = d.pg.CreateDatabase(ctx, demoDatabase())
	if err != nil {
		return err
	}
	// Coins to deposit: coinbase outputs mature after 100 blocks.
	_, err = d.node.Mine(ctx, 101)
	return err
}

func (d *demo) foundBank(ctx context.Context) error {
	if err := d.gatherGuardians(ctx); err != nil {
		return err
	}
	if err := d.startBank(ctx, "127.0.0.1:0"); err != nil {
		return err
	}
	d.client = api.Dial(d.url)
	var err error
	if d.info, err = d.client.Bank(ctx); err != nil {
		return err
	}
	if d.vault, err = taproot.NewVault(d.info.Policy); err != nil {
		return err
	}
	p := d.info.Policy
	d.say("They made the vault's key together (ChillDKG): nobody holds it, any %d of %d sign, fewer cannot", p.Threshold, p.Guardians)
	d.say("Its descriptor, for any Bitcoin Core to watch: %.60s…", d.info.Descriptor)
	return nil
}

// startBank starts the bank's process on an address, the guardians' too the
// first time, and waits until its API answers.
func (d *demo) startBank(ctx context.Context, listen string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	node := d.node.Config()
	d.bank, err = startChild("the bank", []string{"serve",
		"--data", d.dir, "--listen", listen, "--guardian-listen", d.council.address,
		"--fee-rate-fallback", fmt.Sprint(demoFeeRate), "--poll", "50ms",
	}, []string{
		"DAOBANK_POSTGRES=" + d.dbURL, "DAOBANK_BITCOIND=" + node.URL,
		"DAOBANK_BITCOIND_USER=" + node.User, "DAOBANK_BITCOIND_PASSWORD=" + node.Password,
	}, filepath.Join(d.dir, "bank.log"))
	if err != nil {
		return err
	}
	said, err := d.bank.await(ctx, "guardians")
	if err != nil {
		return err
	}
	if d.url == "" {
		d.url, d.council.address = said["api"], said["guardians"]
		if err := d.council.start(d.url, node); err != nil {
			return err
		}
	}
	_, err = d.bank.await(ctx, "listening")
	return err
}

// openAccounts opens an account for each member and funds it on chain, all in
// one Bitcoin transaction.
func (d *demo) openAccounts(ctx context.Context) error {
	treasury, err := d.vault.Output(taproot.Deposit, ledger.Treasury.Index())
	if err != nil {
		return err
	}
	outs := []*wire.TxOut{wire.NewTxOut(demoTreasury, treasury.Script)}
	for range d.Members {
		m, err := d.openMember(ctx)
		if err != nil {
			return err
		}
		d.members = append(d.members, m)
		out, err := d.vault.Output(taproot.Deposit, m.id.Index())
		if err != nil {
			return err
		}
		outs = append(outs, wire.NewTxOut(demoDeposit, out.Script))
	}
	d.say("%d members opened accounts, the first is %s", d.Members, ledger.FormatAccount(d.info.ID, d.members[0].id))
	if _, err := d.node.FundMany(ctx, outs); err != nil {
		return err
	}
	if err := d.mine(ctx, demoDepth); err != nil {
		return err
	}
	for _, m := range d.members {
		account, err := d.client.Account(ctx, m.id)
		if err != nil {
			return err
		}
		if account.Balance != demoDeposit {
			return fmt.Errorf("account %s has %s after its deposit reached the depth", m.id, account.Balance)
		}
	}
	d.result.Members, d.result.Deposits = d.Members, len(outs)
	d.say("Each deposited %s BTC on an address of their own; credited after %d confirmations", ledger.Amount(demoDeposit).BTC(), demoDepth)
	return nil
}

// verdict says in one line whether all held.
func (d *demo) verdict() error {
	r := &d.result
	d.chapter("The verdict")
	var wrong []error
	if !r.SumOfWallets.Equal {
		wrong = append(wrong, fmt.Errorf("the wallets add up to %d sat, the chain holds %d sat", r.SumOfWallets.LedgerSat, r.SumOfWallets.ChainSat))
	}
	if r.Crash.AcknowledgedLost != 0 {
		wrong = append(wrong, fmt.Errorf("%d acknowledged payments are not in the journal", r.Crash.AcknowledgedLost))
	}
	if !r.Crash.Killed {
		wrong = append(wrong, errors.New("the bank was never killed: too little traffic"))
	}
	if len(r.Settlements) < 3 {
		wrong = append(wrong, fmt.Errorf("only %d settlements were mined", len(r.Settlements)))
	}
	if r.Proofs.Verified != proofKinds || !r.Proofs.TamperedRefused {
		wrong = append(wrong, fmt.Errorf("%d of %d proofs were verified, and the tampered one was refused: %t", r.Proofs.Verified, proofKinds, r.Proofs.TamperedRefused))
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	d.say("%d transfers, %d settlements, one crash, nothing lost: %s BTC in the wallets, %s BTC on chain (%.1f s)",
		r.Transfers, len(r.Settlements), ledger.Amount(r.SumOfWallets.LedgerSat).BTC(), ledger.Amount(r.SumOfWallets.ChainSat).BTC(), r.Seconds)
	return nil
}
