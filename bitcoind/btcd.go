package bitcoind

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

const (
	// btcdModule is built at the version that the importing module's go.mod names, if
	// it names it as a tool.
	btcdModule = "github.com/btcsuite/btcd"
	// btcdVersion is one whose packages fit those that this package imports; the
	// newest does not.
	btcdVersion = "v0.24.2"
)

// btcdRecipe starts a local btcd.
func btcdRecipe(binary, rung string) recipe {
	return recipe{kind: "btcd", source: rung + " " + binary, prepare: func(h home) (program, error) {
		if h.peerPort != 0 {
			return nil, fmt.Errorf("a net of btcd nodes: %w", ErrUnsupported)
		}
		file := filepath.Join(h.dir, "btcd.conf")
		text := fmt.Sprintf("[Application Options]\nrpcuser=%s\nrpcpass=%s\n", h.config.User, h.config.Password)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		argv := []string{
			binary, "--configfile=" + file, "--regtest", "--txindex", "--notls",
			"--datadir=" + filepath.Join(h.dir, "data"), "--logdir=" + filepath.Join(h.dir, "logs"),
			fmt.Sprintf("--rpclisten=127.0.0.1:%d", h.port),
			"--rpcmaxclients=1000", "--rpcmaxconcurrentreqs=200",
			"--utxocachemaxsize=8", "--sigcachemaxsize=5000", // it clears all of their memory before it answers
			"--nolisten", "--nodnsseed", "--noonion", "--nocfilters",
			"--rejectnonstd", // bitcoind's regtest refuses them as well
		}
		return &process{argv: append(argv, h.args...), env: btcdEnv(), dir: h.dir, log: h.log, guard: h.guard}, nil
	}}
}

// btcdEnv lets btcd collect garbage seldom, unless the caller says how often. By
// itself it does when its heap has grown by a tenth (GOGC=10), which on a small
// chain is most of its work.
func btcdEnv() []string {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	return []string{"GOGC=400"}
}

// findBtcd looks for btcd, and as a last resort has the importing module build it.
func findBtcd(ctx context.Context, s *settings) (recipe, error) {
	if path := os.Getenv("BTCD"); path != "" {
		if err := executable(path); err != nil {
			return recipe{}, fmt.Errorf("BTCD: %w", err)
		}
		return btcdRecipe(path, "BTCD"), nil
	}
	if tools, err := toolsDir(); err == nil {
		if path := filepath.Join(tools, "btcd", "btcd"); executable(path) == nil {
			return btcdRecipe(path, ".tools"), nil
		}
	}
	path, err := toolBtcd(ctx)
	if err != nil {
		return recipe{}, err
	}
	return btcdRecipe(path, "go tool"), nil
}

// builtBtcd is where toolBtcd found it before.
var builtBtcd struct {
	sync.Mutex
	path string
}

// toolBtcd asks go for the btcd that the module of the working directory has among
// its tools. Go builds it, at the module's version, and keeps it in its cache.
func toolBtcd(ctx context.Context) (string, error) {
	builtBtcd.Lock()
	defer builtBtcd.Unlock()
	if executable(builtBtcd.path) == nil {
		return builtBtcd.path, nil
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return "", errors.New("no .tools/btcd/btcd, and no go in PATH to build it")
	}
	var complaint strings.Builder
	cmd := exec.CommandContext(ctx, tool, "tool", "-n", btcdModule)
	cmd.Stderr = &complaint
	output, err := cmd.Output()
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
		return "", fmt.Errorf("%s (to have it built: go get -tool %s@%s)", cmp.Or(first, err.Error()), btcdModule, btcdVersion)
	}
	builtBtcd.path = strings.TrimSpace(string(output))
	return builtBtcd.path, nil
}

// staleHeader is Header for a block outside btcd's active chain. btcd keeps the
// header but does not tell the height, so it is counted from the nearest
// ancestor in the active chain.
func (c *Client) staleHeader(ctx context.Context, hash chainhash.Hash) (*wire.BlockHeader, int32, error) {
	var raw string
	if err := c.Call(ctx, "getblockheader", &raw, hash.String(), false); err != nil {
		return nil, 0, blockError(hash, err)
	}
	header := &wire.BlockHeader{}
	if err := header.Deserialize(hex.NewDecoder(strings.NewReader(raw))); err != nil {
		return nil, 0, fmt.Errorf("bitcoind: header of %s: %w", hash, err)
	}
	_, height, err := c.Header(ctx, header.PrevBlock)
	return header, height + 1, err
}

// dropOrphans unmarks the transactions that spend what is not there. bitcoind
// throws them out of its mempool when a reorganisation takes their inputs away;
// btcd keeps them, and then refuses a block which holds one.
func (c *Client) dropOrphans(ctx context.Context, pool map[string]*poolTx) error {
	for _, t := range pool {
		if t.tx == nil {
			continue
		}
		for _, in := range t.tx.TxIn {
			if pool[in.PreviousOutPoint.Hash.String()] != nil {
				continue // decided by its parent
			}
			_, err := c.confirmations(ctx, in.PreviousOutPoint, false)
			if errors.Is(err, ErrTxNotFound) {
				t.tx = nil
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// activate mines on btcd until its regtest has segwit and taproot. There they
// are decided by votes of the blocks (BIP 9), in periods of 144: started at
// 144, locked in at 288, active at 432. bitcoind has both from the first block.
func (m *Miner) activate(ctx context.Context) error {
	if !m.client.btcd || m.activated {
		return nil
	}
	const period, periods = 144, 5 // one more than needed, for blocks of others that did not vote
	for range periods {
		var r struct {
			Forks map[string]struct {
				Status string `json:"status"`
			} `json:"bip9_softforks"`
			Blocks int `json:"blocks"`
		}
		if err := m.client.Call(ctx, "getblockchaininfo", &r); err != nil {
			return err
		}
		if r.Forks["segwit"].Status == "active" && r.Forks["taproot"].Status == "active" {
			m.activated = true
			return nil
		}
		if _, err := m.mine(ctx, period-r.Blocks%period, &mineSettings{script: m.script, empty: true}); err != nil {
			return err
		}
	}
	return fmt.Errorf("taproot did not activate: %w", ErrUnsupported)
}

// restarted makes the miner look again: btcd has begun at genesis.
func (m *Miner) restarted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.activated = false
}
