package proof_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
	"github.com/daobank/daobank/taproot"
)

var update = flag.Bool("update", false, "write testdata anew from the bank of these tests")

// vectors are the files in testdata: one of each kind, and a theft in the dress of a
// settlement. Thefts are the last, since they change the chain.
var vectors = []struct {
	file string
	kind proof.Kind
	body func(s *story) proof.Body
}{
	{"receipt.json", proof.KindReceipt, func(s *story) proof.Body { r := s.receipt(s.find(ledger.KindTransfer)); return &r }},
	{"payment.json", proof.KindPayment, func(s *story) proof.Body { return s.payment() }},
	{"balance.json", proof.KindBalance, func(s *story) proof.Body { return s.balance() }},
	{"coins.json", proof.KindCoins, func(s *story) proof.Body { return s.coinsProof() }},
	{"consistency.json", proof.KindConsistency, func(s *story) proof.Body { return s.consistency() }},
	{"omission.json", proof.KindOmission, func(s *story) proof.Body { return s.omission() }},
	{"equivocation.json", proof.KindEquivocation, func(s *story) proof.Body { return s.equivocation() }},
	{"double-order.json", proof.KindDoubleOrder, func(s *story) proof.Body { return s.doubleOrder() }},
	{"reserves.json", proof.KindReserves, func(s *story) proof.Body { return s.reserves("an auditor's words") }},
	{"stray-spend.json", proof.KindSpend, func(s *story) proof.Body { return s.theft(false) }},
	{"stray-spend-posted.json", proof.KindSpend, func(s *story) proof.Body { return s.theft(true) }},
}

// publicFile is a bank.json.
type publicFile struct {
	Charter ledger.Charter `json:"charter"`
	Policy  taproot.Policy `json:"policy"`
}

func vector(name string) string { return filepath.Join("testdata", name) }

// writeVectors makes a bank and proves of it what can be proved. Its guardians choose
// nonces at random, so that each time there are other signatures.
func writeVectors(t *testing.T) {
	t.Helper()
	s := newStory(t)
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(vector(name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range vectors {
		body := v.body(s)
		write(v.file, encode(t, s, body))
		if r, ok := body.(*proof.Reserves); ok {
			txs, _, err := r.Transactions(s.trust.Bank, s.trust.Vaults)
			if err != nil {
				t.Fatal(err)
			}
			var line bytes.Buffer
			_ = txs[0].Serialize(hex.NewEncoder(&line)) // a bytes.Buffer does not fail
			write("reserves.hex", append(line.Bytes(), '\n'))
		}
	}
	bank, err := json.MarshalIndent(publicFile{s.Charter, s.Vault.Policy()}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	write("bank.json", append(bank, '\n'))
	write("headers.txt", []byte(strings.Join(s.headerLines(nil), "\n")+"\n"))
}

// readTrust reads what the vectors are verified against.
func readTrust(t *testing.T) proof.Trust {
	t.Helper()
	var bank publicFile
	if err := json.Unmarshal(readVector(t, "bank.json"), &bank); err != nil {
		t.Fatal(err)
	}
	vault, err := taproot.NewVault(bank.Policy)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := proof.ReadHeaders(bytes.NewReader(readVector(t, "headers.txt")), &bank.Charter)
	if err != nil {
		t.Fatal(err)
	}
	return proof.Trust{Bank: bank.Charter.ID(), Vaults: []*taproot.Vault{vault}, Chain: chain}
}

func readVector(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(vector(name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The files of testdata verify, and none of them does with any one byte changed.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	trust := readTrust(t)
	covered := make(map[proof.Kind]bool)
	for _, v := range vectors {
		t.Run(v.file, func(t *testing.T) {
			file := bytes.TrimRight(readVector(t, v.file), "\n")
			p := decode(t, file)
			covered[p.Body.Kind()] = true
			if found, err := p.Verify(trust); err != nil || found.Kind != v.kind {
				t.Fatalf("%+v, %v", found, err)
			}
			for i := range file {
				changed := bytes.Clone(file)
				changed[i] ^= 1
				p, err := proof.Decode(changed)
				if err == nil {
					_, err = p.Verify(trust)
				}
				var invalid *proof.InvalidError
				var need *proof.NeedError
				if !errors.Is(err, proof.ErrNotProof) && !errors.As(err, &invalid) && !errors.As(err, &need) {
					t.Errorf("byte %d, %q for %q: %v", i, changed[i], file[i], err)
				}
			}
		})
	}
	for _, k := range kinds() {
		if !covered[k.kind] {
			t.Errorf("there is no %s in testdata", k.kind)
		}
	}
}

// The transaction of the proof of reserves is that of its file of hex.
func TestReservesVector(t *testing.T) {
	trust := readTrust(t)
	r := decode(t, bytes.TrimRight(readVector(t, "reserves.json"), "\n")).Body.(*proof.Reserves)
	txs, spent, err := r.Transactions(trust.Bank, trust.Vaults)
	if err != nil {
		t.Fatal(err)
	}
	var line bytes.Buffer
	_ = txs[0].Serialize(hex.NewEncoder(&line)) // a bytes.Buffer does not fail
	if want := strings.TrimSpace(string(readVector(t, "reserves.hex"))); line.String() != want || len(txs) != 1 {
		t.Errorf("the transaction is %s, want %s", line.String(), want)
	}
	if err := taproot.VerifySpend(txs[0], spent[0]); err != nil {
		t.Error(err)
	}
}
