package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/daobank/daobank/bitcoind"
)

// timeRawStart is what package bitcoind is measured by: the program with an empty
// data directory, asked once a millisecond until it answers. Nothing else in this
// module starts a node by itself.
func timeRawStart(ctx context.Context, program string) (_ time.Duration, err error) {
	home, err := newRawHome()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, home.scratch.close(false)) }()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-datadir="+home.scratch.dir, "-nodebuglogfile")
	// The program dies with the thread that started it, which stays until the end.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	elapsed, failed := home.await(ctx, began, ended)
	if failed == nil {
		cancel() // which kills it
		<-ended
	}
	return elapsed, failed
}

type rawHome struct {
	scratch *scratch
	config  bitcoind.Config
}

// newRawHome writes the settings that package bitcoind uses too.
func newRawHome() (*rawHome, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return nil, err
	}
	scratch, err := newScratch("raw-")
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`regtest=1
[regtest]
rpcuser=raw
rpcpassword=raw
rpcport=%d
rpcbind=127.0.0.1
rpcallowip=127.0.0.1
rpcthreads=16
rpcworkqueue=64
maxsigcachesize=4
server=1
txindex=1
fallbackfee=0.0002
listen=0
dnsseed=0
fixedseeds=0
discover=0
listenonion=0
natpmp=0
corepolicy=1
keypool=100
printtoconsole=0
`, port)
	if err := os.WriteFile(filepath.Join(scratch.dir, "bitcoin.conf"), []byte(conf), 0o600); err != nil {
		return nil, errors.Join(err, scratch.close(false))
	}
	config := bitcoind.Config{URL: fmt.Sprintf("http://127.0.0.1:%d", port), User: "raw", Password: "raw"}
	return &rawHome{scratch: scratch, config: config}, nil
}

// await asks until the program answers. An error other than the context's is of
// a program that has ended.
func (h *rawHome) await(ctx context.Context, began time.Time, ended <-chan error) (time.Duration, error) {
	for {
		_, err := bitcoind.Dial(ctx, h.config)
		if err == nil {
			return time.Since(began), nil
		}
		select {
		case exit := <-ended:
			return 0, fmt.Errorf("it ended before it answered: %v", exit)
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return 0, errors.Join(ctx.Err(), <-ended)
		}
	}
}
