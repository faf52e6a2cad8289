package main

import (
	"context"
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

	"github.com/daobank/daobank/bitcoind"
)

// The state folder holds
//
//	lock       locked by the keeper as long as it lives
//	node.json  what the commands need to reach it and the node
//	cookie     user:password, for bitcoin-cli and others
//	keeper.log what the keeper said
//
// The lock alone decides whether a node runs: the kernel drops it with the
// keeper, also after SIGKILL or a power cut, and says which process holds it.
// A number in a file could by now belong to another process.
const (
	regtestLock   = "lock"
	regtestFile   = "node.json"
	regtestCookie = "cookie"
	regtestLog    = "keeper.log"
)

// errNoRegtest: no keeper holds the state folder.
var errNoRegtest = errors.New("no regtest node runs; start one with: daobank regtest up")

// errRegtestTaken: another keeper holds it.
var errRegtestTaken = errors.New("the state folder is in use by another node")

// regtestState is node.json.
type regtestState struct {
	Options regtestOptions  `json:"options"`
	Info    bitcoind.Info   `json:"info"`
	Config  bitcoind.Config `json:"config"`
	Log     string          `json:"log"`    // of the node
	Keeper  string          `json:"keeper"` // the URL of its commands; same user and password
}

// holder returns the process that holds the state folder, or zero.
func (r *regtest) holder() (pid int, err error) {
	file, err := os.OpenFile(filepath.Join(r.dir, regtestLock), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("state folder: %w", err)
	}
	defer file.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("look at %s: %w", file.Name(), err)
	}
	switch {
	case lock.Type == syscall.F_UNLCK:
		return 0, nil
	case lock.Pid <= 0:
		return 0, fmt.Errorf("%s is locked by a process that is not to be seen from here, such as one in another container", file.Name())
	}
	return int(lock.Pid), nil
}

// hold takes the state folder for this process until its end, and clears away
// what a keeper left that was killed or outlived by a reboot.
func (r *regtest) hold() (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(r.dir, regtestLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &lock)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		err = errRegtestTaken
	}
	if err == nil {
		err = r.clear()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// clear removes what tells of a node.
func (r *regtest) clear() error {
	var errs []error
	for _, name := range []string{regtestFile, regtestCookie} {
		if err := os.Remove(filepath.Join(r.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// save writes node.json and the cookie, each whole or not at all, for the user's
// own eyes.
func (r *regtest) save(state *regtestState) error {
	text, err := json.MarshalIndent(state, "", "\t")
	if err != nil {
		return err
	}
	cookie := []byte(state.Config.User + ":" + state.Config.Password)
	for _, f := range []struct {
		name string
		text []byte
	}{{regtestCookie, cookie}, {regtestFile, append(text, '\n')}} {
		path := filepath.Join(r.dir, f.name)
		if err := os.WriteFile(path+".new", f.text, 0o600); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}

// state returns what is known of the running node, or errNoRegtest. A node that
// another command is starting is waited for.
func (r *regtest) state(ctx context.Context) (*regtestState, error) {
	const patience = time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		pid, err := r.holder()
		if err == nil && pid == 0 {
			err = errNoRegtest
		}
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(filepath.Join(r.dir, regtestFile))
		if err == nil {
			state := &regtestState{}
			if err := json.Unmarshal(text, state); err != nil {
				return nil, fmt.Errorf("%s is damaged (%w); daobank regtest down ends the node", filepath.Join(r.dir, regtestFile), err)
			}
			return state, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := rest(ctx, 20*time.Millisecond); err != nil {
			return nil, fmt.Errorf("process %d has not got its node ready: %w; its log is %s", pid, err, filepath.Join(r.dir, regtestLog))
		}
	}
}

// dial returns a client of the running node.
func (r *regtest) dial(ctx context.Context) (*bitcoind.Client, error) {
	state, err := r.state(ctx)
	if err != nil {
		return nil, err
	}
	return bitcoind.Dial(ctx, state.Config)
}

// keeperTail is the end of the keeper's log.
func (r *regtest) keeperTail() string {
	text, err := os.ReadFile(filepath.Join(r.dir, regtestLog))
	if err != nil {
		return err.Error()
	}
	const most = 2000
	return strings.TrimSpace(string(text[max(0, len(text)-most):]))
}

// rest waits, or returns the context's error.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
