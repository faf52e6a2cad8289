package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/keyfile"
)

// The guardians of the story.
const (
	demoGuardians = 5
	demoThreshold = 3
)

// demoCouncil is the story's guardians, each in a process of its own with a
// folder of its own.
type demoCouncil struct {
	dir       string // holds the guardians' folders
	founding  string // path of the founding document
	address   string // at which the bank waits for them; port 0 before it does
	size      int
	guardians []*child
}

// gatherGuardians makes the guardians' keys and the founding document.
func (d *demo) gatherGuardians(ctx context.Context) error {
	d.council = &demoCouncil{dir: filepath.Join(d.dir, "guardians"), address: "127.0.0.1:0",
		founding: filepath.Join(d.dir, foundingFileName)}
	doc, err := d.council.gather(ctx, &founding{Data: d.dir, Name: "demo bank", Depth: demoDepth, Threshold: demoThreshold,
		RecoveryDelay: recoveryDelay, Node: d.node.Config()}, demoGuardians)
	if err != nil {
		return err
	}
	d.say("%d guardians, each a process with keys of its own, agree to the founding document %.16s…", demoGuardians, doc.Hash())
	return nil
}

// gather makes the keys of n guardians and founds a bank with them.
func (c *demoCouncil) gather(ctx context.Context, f *founding, n int) (*guardian.Founding, error) {
	for i := range n {
		dir := c.folder(i)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		identity, err := keyfile.CreateIdentity(c.identity(i))
		if err != nil {
			return nil, err
		}
		if _, err := keep.Init(dir, identity); err != nil {
			return nil, err
		}
		f.Guardians = append(f.Guardians, filepath.Join(dir, "public.json"))
	}
	c.size = n
	return found(ctx, f)
}

func (c *demoCouncil) folder(i int) string { return filepath.Join(c.dir, fmt.Sprint(i)) }
func (c *demoCouncil) identity(i int) string {
	return filepath.Join(c.dir, fmt.Sprintf("%d.identity", i))
}

// start starts all guardians' processes. They dial the bank, make the key, and
// follow the bank from then on.
func (c *demoCouncil) start(bank string, node bitcoind.Config) error {
	for i := range c.size {
		g, err := startChild(fmt.Sprintf("guardian %d", i), []string{"guardian", "run", "--dir", c.folder(i),
			"--identity-file", c.identity(i), "--founding", c.founding, "--coordinator", c.address,
			"--bank", bank,
		}, []string{"DAOBANK_BITCOIND=" + node.URL, "DAOBANK_BITCOIND_USER=" + node.User,
			"DAOBANK_BITCOIND_PASSWORD=" + node.Password}, filepath.Join(c.dir, fmt.Sprintf("%d.log", i)))
		if err != nil {
			return err
		}
		c.guardians = append(c.guardians, g)
	}
	return nil
}

// lose kills the last guardian for good and returns its id.
func (c *demoCouncil) lose() int {
	last := len(c.guardians) - 1
	c.guardians[last].kill()
	c.guardians = c.guardians[:last]
	return last
}

func (c *demoCouncil) stop() error {
	var errs []error
	for _, g := range c.guardians {
		errs = append(errs, g.stop())
	}
	return errors.Join(errs...)
}
