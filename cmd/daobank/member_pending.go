package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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

func (m *member) pendingPrefix() string { return m.stateName() + "-" }

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
	p := &pending{order: order, file: filepath.Join(dir, fmt.Sprintf("%s%012d.json", m.pendingPrefix(), order.Sequence))}
	err = createFile(p.file, append(text, '\n'))
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
	return syncDir(filepath.Dir(p.file))
}

// pendingOrders lists the key's orders that have no answer, by sequence.
func (m *member) pendingOrders() ([]*pending, error) {
	entries, err := os.ReadDir(m.pendingDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []*pending
	for _, entry := range entries {
		name, ok := strings.CutPrefix(entry.Name(), m.pendingPrefix())
		if digits, isJSON := strings.CutSuffix(name, ".json"); !ok || !isJSON || strings.Trim(digits, "0123456789") != "" {
			continue
		}
		p, err := readPending(filepath.Join(m.pendingDir(), entry.Name()))
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *pending) int { return strings.Compare(a.file, b.file) })
	return list, nil
}

func readPending(file string) (*pending, error) {
	text, err := readPrivate(file)
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
