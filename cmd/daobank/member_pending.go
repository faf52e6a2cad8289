package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
)

// A pending order was signed and has no answer yet. Its file is written before
// the order is sent and removed after the answer is kept, so whatever happens in
// between, the same bytes are sent again and nothing is signed twice. There is
// one file for a sequence number: of two commands at the same time one fails.
type pending struct {
	order *ledger.Order
	file  string
}

type pendingContent struct {
	Order string `json:"order"` // canonical bytes in hex
}

func (m *member) pendingDir() string { return filepath.Join(filepath.Dir(m.keyFile), "pending") }

// keepPending writes an order down before it is sent.
func (m *member) keepPending(order *ledger.Order) (*pending, error) {
	dir := m.pendingDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	text, err := json.Marshal(pendingContent{Order: hex.EncodeToString(order.Bytes())})
	if err != nil {
		return nil, err
	}
	p := &pending{order: order, file: m.orderFile(dir, order.Sequence)}
	err = keyfile.WriteNew(p.file, append(text, '\n'), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("another command is sending order %d of this account: wait for it and try again", order.Sequence)
	}
	if err != nil {
		return nil, fmt.Errorf("write the order down before sending it: %w", err)
	}
	return p, nil
}

// forget removes a pending order whose answer is kept. Another command may have
// sent the same order again and removed it already.
func (p *pending) forget() error {
	if err := os.Remove(p.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return keyfile.SyncDir(filepath.Dir(p.file))
}

// pendingOrders lists the key's orders that have no answer, by sequence.
func (m *member) pendingOrders() ([]*pending, error) {
	files, err := m.orderFiles(m.pendingDir())
	if err != nil {
		return nil, err
	}
	list := make([]*pending, len(files))
	for i, file := range files {
		if list[i], err = readPending(file); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func readPending(file string) (*pending, error) {
	text, err := keyfile.ReadPrivate(file)
	if err != nil {
		return nil, err
	}
	var content pendingContent
	if err := json.Unmarshal(text, &content); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", file, err)
	}
	canonical, err := hex.DecodeString(content.Order)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", file, err)
	}
	order, err := ledger.DecodeOrder(canonical)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", file, err)
	}
	return &pending{order: order, file: file}, nil
}
