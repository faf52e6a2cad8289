package bitcoind

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// premineFormat changes when what is kept does.
const premineFormat = 2

// premined is a chain that was mined once, for each program and its settings,
// and is copied by every node that begins with it. It lies in the user's cache
// directory; a file lock keeps two processes from making it at the same time.
type premined struct {
	dir  string // holds "regtest", a data directory after a clean stop
	Sum  string // of that directory, by sumOf
	Seed []byte
	// Coins are of the miner with that seed.
	Coins []preminedCoin
}

type preminedCoin struct {
	TxID     string
	Amount   int64
	MatureAt int32
}

// premine returns a chain of n blocks for the program of a recipe, and mines it
// if nobody has yet.
func premine(ctx context.Context, s *settings, r recipe, n int) (*premined, error) {
	dir, err := premineDir(s, r, n)
	if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer lock.Close() // and with it the lock
	if p, err := loadPremined(dir); err == nil {
		return p, nil
	}
	if err := lockFile(ctx, lock); err != nil {
		return nil, err
	}
	if p, err := loadPremined(dir); err == nil {
		return p, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	return makePremined(ctx, s, r, n, dir)
}

// premineDir is named after all that decides the chain and its files.
func premineDir(s *settings, r recipe, n int) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil { // without a home, as in many containers
		cache = filepath.Join(os.TempDir(), fmt.Sprintf("cache-%d", os.Getuid()))
	}
	program, err := os.Stat(r.binary)
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "go-bitcoind-regtest")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	what, err := json.Marshal([]any{
		premineFormat, r.binary, program.Size(), program.ModTime().UnixNano(), coreSettings, s.args, s.minerSeed, n,
	})
	name := sha256.Sum256(what)
	return filepath.Join(cache, hex.EncodeToString(name[:12])), err
}

// lockFile waits for the lock as long as the context allows.
func lockFile(ctx context.Context, file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("wait for another process that mines the chain: %w", err)
		}
	}
}

// errDamaged: what is kept is not what was written, as after a power cut.
var errDamaged = errors.New("the chain that is kept is damaged")

// loadPremined returns what is kept, if it is whole. What is not is made anew by
// whoever finds it so.
func loadPremined(dir string) (*premined, error) {
	text, err := os.ReadFile(filepath.Join(dir, "premined.json"))
	if err != nil {
		return nil, err
	}
	p := &premined{dir: dir}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, err
	}
	sum, err := sumOf(filepath.Join(dir, "regtest"))
	if err == nil && sum != p.Sum {
		err = errDamaged
	}
	return p, err
}

// sumOf is a hash over the names and contents of a directory's files.
func sumOf(dir string) (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n", path[len(dir):], len(content))
		sum.Write(content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// makePremined mines on a node of its own and keeps what it wrote.
func makePremined(ctx context.Context, s *settings, r recipe, n int, dir string) (*premined, error) {
	p := &premined{dir: dir, Seed: s.minerSeed}
	if p.Seed == nil {
		p.Seed = make([]byte, 32)
		rand.Read(p.Seed) // never fails
	}
	plain := &settings{args: s.args, minerSeed: p.Seed, poll: s.poll, logf: s.logf}
	node, err := open(ctx, plain, r)
	if err != nil {
		return nil, err
	}
	defer node.Close()
	if err := node.mineAlone(ctx, n); err != nil {
		return nil, err
	}
	for _, coin := range node.Miner.coins {
		p.Coins = append(p.Coins, preminedCoin{TxID: coin.outpoint.Hash.String(), Amount: coin.amount, MatureAt: coin.matureAt})
	}
	if err := node.Stop(ctx); err != nil {
		return nil, err
	}
	fresh := dir + ".new" // this one's alone under the lock; one that was killed may have left it
	if err := os.RemoveAll(fresh); err != nil {
		return nil, err
	}
	defer os.RemoveAll(fresh)
	for _, part := range []string{"blocks", "chainstate", "indexes"} {
		if err := copyTree(filepath.Join(node.home.dir, "regtest", part), filepath.Join(fresh, "regtest", part)); err != nil {
			return nil, err
		}
	}
	if p.Sum, err = sumOf(filepath.Join(fresh, "regtest")); err != nil {
		return nil, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(fresh, "premined.json"), text, 0o600); err != nil {
		return nil, err
	}
	return p, os.Rename(fresh, dir) // all of it or nothing
}

// unpack gives a node's directory the chain.
func (p *premined) unpack(home string) error {
	return copyTree(filepath.Join(p.dir, "regtest"), filepath.Join(home, "regtest"))
}

// adopt gives a miner with the premined seed its coins.
func (m *Miner) adopt(p *premined) error {
	for _, coin := range p.Coins {
		txid, err := chainhash.NewHashFromStr(coin.TxID)
		if err != nil {
			return fmt.Errorf("premined coin: %w", err)
		}
		m.coins = append(m.coins, minerCoin{outpoint: wire.OutPoint{Hash: *txid}, amount: coin.Amount, matureAt: coin.MatureAt})
	}
	return nil
}

// copyTree copies files and directories; one that is not there is an empty one.
func copyTree(from, to string) error {
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(to, 0o700)
	}
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case entry.Type().IsRegular() && entry.Name() != "LOCK":
			return copyFile(path, target)
		}
		return nil
	})
}

// copyFile leaves out the zeros that bitcoind allocates ahead at the end of its
// block files; it does not miss them.
func copyFile(from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	var offset int64
	buffer, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(source, buffer)
		if string(buffer[:n]) != string(zeros[:n]) {
			if _, err := target.WriteAt(buffer[:n], offset); err != nil {
				return err
			}
		}
		offset += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if name := filepath.Base(from); strings.HasPrefix(name, "blk") || strings.HasPrefix(name, "rev") {
		return nil
	}
	return target.Truncate(offset)
}
