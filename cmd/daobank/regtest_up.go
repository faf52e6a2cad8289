package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/bitcoind"
)

// regtestOptions say which node "up" starts.
type regtestOptions struct {
	Blocks  int      `json:"blocks"`
	Mempool int      `json:"mempool"` // MB
	Binary  string   `json:"binary,omitempty"`
	Docker  bool     `json:"docker,omitempty"`
	Image   string   `json:"image,omitempty"`
	Btcd    bool     `json:"btcd,omitempty"`
	ZMQ     bool     `json:"zmq,omitempty"`
	Args    []string `json:"args,omitempty"`
}

// check refuses what no node starts with, and makes paths absolute.
func (o *regtestOptions) check() error {
	switch {
	case o.Blocks < 0 || o.Blocks > 10_000:
		return fmt.Errorf("--blocks %d: give 0 to 10000", o.Blocks)
	case o.Mempool < 5:
		return fmt.Errorf("--mempool %d: bitcoind takes 5 MB or more", o.Mempool)
	}
	o.Docker = o.Docker || o.Image != ""
	if o.Binary == "" {
		return nil
	}
	path, err := exec.LookPath(o.Binary)
	if err == nil {
		o.Binary, err = filepath.Abs(path)
	}
	if err != nil {
		return fmt.Errorf("--binary: %w", err)
	}
	return nil
}

// open are the package's options.
func (o *regtestOptions) open() []bitcoind.Option {
	options := []bitcoind.Option{bitcoind.WithBlocks(o.Blocks)}
	switch {
	case o.Binary != "":
		options = append(options, bitcoind.WithBinary(o.Binary))
	case o.Docker:
		options = append(options, bitcoind.WithDocker(o.Image))
	case o.Btcd:
		options = append(options, bitcoind.WithBtcd())
	}
	if !o.Btcd {
		options = append(options, bitcoind.WithArgs(fmt.Sprintf("-maxmempool=%d", o.Mempool)))
	}
	if o.ZMQ {
		options = append(options, bitcoind.WithZMQ())
	}
	return append(options, bitcoind.WithArgs(o.Args...))
}

func (r *regtest) upCommand() *cobra.Command {
	var o regtestOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a node in the background, and return when it answers",
		Long: `up starts a node that goes on when the command has ended, until "down". If it runs
already with the same flags, up only says so; with other flags it is refused.

It takes the bitcoind of --binary or of the variable BITCOIND, else that in PATH, else
that in .tools, else a Docker image that is present. The first start with some number
of blocks mines them; later ones copy them.`,
		Example: `  daobank regtest up
  daobank regtest up --blocks 200 --mempool 300 --arg=-minrelaytxfee=0.00002
  daobank regtest up --dir /tmp/second --docker`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if err := r.up(cmd.Context(), o); err != nil {
				return err
			}
			return r.status(cmd)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Blocks, "blocks", 120, "the chain begins with this many; from 120 on, twenty coins can be spent at once")
	f.IntVar(&o.Mempool, "mempool", 5, "limit of the mempool in `MB`; fill-mempool wants 5 to 50")
	f.StringVar(&o.Binary, "binary", "", "start this bitcoind")
	f.BoolVar(&o.Docker, "docker", false, "start a container of daobank/bitcoind:regtest, or of --image")
	f.StringVar(&o.Image, "image", "", "start a container of this image")
	f.BoolVar(&o.Btcd, "btcd", false, "start btcd, which cannot do all of it")
	f.BoolVar(&o.ZMQ, "zmq", false, "announce blocks and transactions, topic sequence; status says where")
	f.StringArrayVar(&o.Args, "arg", nil, "an argument for the node; may be repeated")
	cmd.MarkFlagsMutuallyExclusive("binary", "docker", "btcd")
	cmd.MarkFlagsMutuallyExclusive("binary", "image", "btcd")
	return cmd
}

// up returns when a node with these options runs.
func (r *regtest) up(ctx context.Context, o regtestOptions) error {
	state, err := r.state(ctx)
	if errors.Is(err, errNoRegtest) {
		if err = r.start(ctx, o); !errors.Is(err, errRegtestTaken) {
			return err
		}
		state, err = r.state(ctx) // another "up" was quicker
	}
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(state.Options, o) {
		return fmt.Errorf("a node runs in %s with other flags; end it first with: daobank regtest down", r.dir)
	}
	return nil
}

// start starts a keeper in a session of its own, so that neither an interrupt nor
// the end of the terminal reaches it, and waits for its word.
func (r *regtest) start(ctx context.Context, o regtestOptions) error {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(r.dir, regtestLog), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	defer log.Close()
	hear, say, err := os.Pipe()
	if err != nil {
		return err
	}
	defer hear.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	options, err := json.Marshal(o)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(r.dir)
	if err != nil {
		return err
	}
	keeper := exec.Command(self, "regtest", "keep", "--dir", dir)
	keeper.Args[0] = "daobank" // also where a test program stands in for it
	keeper.Stdin = bytes.NewReader(options)
	keeper.Stdout, keeper.Stderr = log, log
	keeper.ExtraFiles = []*os.File{say}
	keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = keeper.Start()
	say.Close()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = keeper.Process.Signal(syscall.SIGTERM) })
	defer stop()
	var word keeperWord
	switch err := json.NewDecoder(hear).Decode(&word); {
	case ctx.Err() != nil:
		_ = keeper.Wait()
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("the node's keeper ended: %v; its log ends:\n%s", keeper.Wait(), r.keeperTail())
	case word.Taken:
		_ = keeper.Wait()
		return errRegtestTaken
	case word.Error != "":
		_ = keeper.Wait()
		return errors.New(word.Error)
	}
	return nil
}

func (r *regtest) downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the node, and remove its chain",
		Long: `down ends the node and removes all it wrote. If none runs it says so, and clears away
what one left that was killed.`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			result, err := r.down(cmd.Context())
			if err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout(), result)
		},
	}
}

// downResult is what down did.
type downResult struct {
	Was    string `json:"was"`    // running, stale or absent
	Killed bool   `json:"killed"` // it did not end by itself
}

func (d downResult) String() string {
	switch {
	case d.Killed:
		return "the node did not end and was killed"
	case d.Was == "running":
		return "the node has ended"
	case d.Was == "stale":
		return "no node runs; removed what one left that is gone"
	}
	return "no node runs"
}

// keeperPatience is how long a keeper may take to end in good order. Only tests
// change it.
var keeperPatience = 20 * time.Second

// down ends the keeper, and with it the node.
func (r *regtest) down(ctx context.Context) (downResult, error) {
	result := downResult{Was: "absent"}
	if ended, err := r.signalKeeper(syscall.SIGTERM); err != nil {
		return result, err
	} else if !ended {
		result.Was = "running"
		if err := r.awaitEnd(ctx, keeperPatience); err != nil {
			if ctx.Err() != nil {
				return result, ctx.Err()
			}
			// The node's own guard then ends the node.
			if result.Killed, err = true, r.killKeeper(ctx); err != nil {
				return result, err
			}
		}
	} else if _, err := os.Stat(filepath.Join(r.dir, regtestFile)); err == nil {
		result.Was = "stale"
	}
	if !result.Killed && result.Was != "stale" {
		return result, nil
	}
	lock, err := r.hold() // and with the lock what is left can be told from another's
	if err != nil {
		return result, err
	}
	return result, lock.Close()
}

func (r *regtest) killKeeper(ctx context.Context) error {
	if _, err := r.signalKeeper(syscall.SIGKILL); err != nil {
		return err
	}
	return r.awaitEnd(ctx, keeperPatience)
}

// signalKeeper sends a signal to the process that holds the lock; ended is true
// when none does. os.FindProcess takes hold of the process itself (a pidfd, on
// Linux): if that still holds the lock afterwards, the number cannot have passed
// to another in between.
func (r *regtest) signalKeeper(s syscall.Signal) (ended bool, err error) {
	pid, err := r.holder()
	if err != nil || pid == 0 {
		return err == nil, err
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return false, err
	}
	defer process.Release()
	if again, err := r.holder(); err != nil || again != pid {
		return err == nil && again == 0, err
	}
	if err := process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, fmt.Errorf("end process %d: %w", pid, err)
	}
	return false, nil
}

// awaitEnd waits until nobody holds the state folder.
func (r *regtest) awaitEnd(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		pid, err := r.holder()
		if err != nil || pid == 0 {
			return err
		}
		if err := rest(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("process %d does not end: %w", pid, err)
		}
	}
}
