package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// home is what a node gets of its own.
type home struct {
	dir      string
	log      string
	port     int // of RPC
	peerPort int // for other nodes; zero when it listens to none
	zmqPort  int // for followers; zero when it publishes nothing
	config   Config
	args     []string
	guard    *guard
}

// recipe is a node program that was found.
type recipe struct {
	kind    string
	source  string
	host    string // where its port is reached; empty for the loopback
	binary  string // of a local bitcoind
	prepare func(home) (program, error)
}

// rung is one way to find a node program. find returns the reason when there
// is none.
type rung struct {
	name string
	find func(context.Context, *settings) (recipe, error)
}

// RungError says why one way to get a node failed.
type RungError struct {
	Rung string
	Err  error
}

// NoNodeError says that no way to get a node worked, and why for each.
type NoNodeError struct {
	Rungs []RungError
}

// Error implements error; it has one line for each rung and one of advice.
func (e *NoNodeError) Error() string {
	var b strings.Builder
	b.WriteString("bitcoind: no Bitcoin node could be started:\n")
	for _, rung := range e.Rungs {
		fmt.Fprintf(&b, "  %s: %v\n", rung.Rung, rung.Err)
	}
	b.WriteString("What would help: a bitcoind 28 or newer, unpacked anywhere, with its path in BITCOIND or its folder in PATH\n" +
		"(https://bitcoincore.org/en/download; in the repository of this package, `make setup`)")
	return b.String()
}

// Unwrap returns the reasons.
func (e *NoNodeError) Unwrap() []error {
	var errs []error
	for _, rung := range e.Rungs {
		errs = append(errs, rung.Err)
	}
	return errs
}

// ladder returns the ways to try, in order. An explicit choice is the only one:
// to start something else instead would hide that the choice is broken.
func (s *settings) ladder() []rung {
	switch {
	case s.binary != "":
		return []rung{{"WithBinary", explicitBinary(s.binary)}}
	case s.docker:
		return []rung{{"WithDocker", findDocker}}
	case s.btcd:
		return []rung{{"WithBtcd", findBtcd}}
	}
	if path := os.Getenv("BITCOIND"); path != "" {
		return []rung{{"BITCOIND", explicitBinary(path)}}
	}
	return []rung{
		{"PATH", findInPath},
		{".tools", findInTools},
		{"docker", findDocker},
		{"btcd", findBtcd},
	}
}

func explicitBinary(path string) func(context.Context, *settings) (recipe, error) {
	return func(context.Context, *settings) (recipe, error) {
		path, err := exec.LookPath(path)
		if err != nil {
			return recipe{}, err
		}
		if path, err = filepath.Abs(path); err != nil {
			return recipe{}, err
		}
		if strings.HasPrefix(filepath.Base(path), "btcd") {
			return btcdRecipe(path, "explicit"), nil
		}
		return coreRecipe(path, "explicit"), nil
	}
}

func findInPath(context.Context, *settings) (recipe, error) {
	path, err := exec.LookPath("bitcoind")
	if err != nil {
		return recipe{}, err
	}
	return coreRecipe(path, "PATH"), nil
}

func findInTools(context.Context, *settings) (recipe, error) {
	tools, err := toolsDir()
	if err != nil {
		return recipe{}, err
	}
	path := filepath.Join(tools, "bitcoind", "bin", "bitcoind")
	if err := executable(path); err != nil {
		return recipe{}, err
	}
	return coreRecipe(path, ".tools"), nil
}

// toolsDir is DAOBANK_TOOLS, or .tools beside the nearest go.mod.
func toolsDir() (string, error) {
	if dir := os.Getenv("DAOBANK_TOOLS"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".tools"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory, and DAOBANK_TOOLS is not set")
		}
		dir = parent
	}
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return &fs.PathError{Op: "run", Path: path, Err: fs.ErrPermission}
	}
	return nil
}
