package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/daobank/daobank/keyfile"
)

// askPassphrase reads a key's passphrase from the file that was named, or asks
// for it on the terminal without showing it. Go keeps it in memory that cannot
// be wiped; the key itself is wiped.
func askPassphrase(cmd *cobra.Command, file, prompt string) (string, error) {
	if file != "" {
		return passphraseFromFile(file)
	}
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return "", errors.New("there is no terminal to ask for the passphrase on: name a file with --passphrase-file")
	}
	fmt.Fprint(cmd.ErrOrStderr(), prompt)
	text, err := term.ReadPassword(stdin)
	fmt.Fprintln(cmd.ErrOrStderr())
	defer clear(text)
	if err != nil {
		return "", fmt.Errorf("read the passphrase: %w", err)
	}
	return string(text), nil
}

func passphraseFromFile(file string) (string, error) {
	text, err := keyfile.ReadPrivate(file)
	if err != nil {
		return "", err
	}
	defer clear(text)
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return "", fmt.Errorf("the first line of %s is empty: it must be the passphrase", file)
	}
	return string(line), nil
}

// askNewPassphrase asks twice, since a typing error would lock the key for ever.
func askNewPassphrase(cmd *cobra.Command, file string) (string, error) {
	first, err := askPassphrase(cmd, file, "New passphrase: ")
	if err != nil || file != "" {
		return first, err
	}
	if first == "" {
		return "", errors.New("the passphrase is empty: choose one that nobody guesses")
	}
	second, err := askPassphrase(cmd, file, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passphrases differ: start again")
	}
	return first, nil
}
