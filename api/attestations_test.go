package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/taproot/chilldkg"
)

func hostKey(t testing.TB, name string) *chilldkg.HostKey {
	t.Helper()
	host, err := chilldkg.NewHostKey(privateKey("host of " + name).Serialize())
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// guardianNames are the five guardians of the fixture's bank, by id.
var guardianNames = []string{"ann", "ben", "cat", "dan", "eve"}

func hostKeys(t testing.TB) []chilldkg.HostPublicKey {
	t.Helper()
	var keys []chilldkg.HostPublicKey
	for _, name := range guardianNames {
		keys = append(keys, hostKey(t, name).Public())
	}
	return keys
}

// Attested and AttestationsOf are the store's answers for one attestation of
// each guardian.
func (f *fakeBank) Attested(_ context.Context, threshold int, guardians [][33]byte) (batch uint64, err error) {
	for _, a := range f.attestations {
		covered := 0
		for _, b := range f.attestations {
			if b.Batch >= a.Batch && slices.Contains(guardians, b.Guardian) {
				covered++
			}
		}
		if covered >= threshold {
			batch = max(batch, a.Batch)
		}
	}
	return batch, f.fail
}

func (f *fakeBank) AttestationsOf(_ context.Context, batch uint64) (list []postgres.Attestation, err error) {
	for _, a := range f.attestations {
		if a.Batch >= batch {
			list = append(list, a)
		}
	}
	return list, f.fail
}

// attest has a guardian attest a batch.
func (f *fixture) attest(id int, batch uint64) postgres.Attestation {
	f.Helper()
	head := f.batches[batch-1].Header.Hash()
	a, err := guardian.Attest(f.state.Bank(), batch, head, hostKey(f, guardianNames[id]))
	if err != nil {
		f.Fatal(err)
	}
	return postgres.Attestation{Guardian: a.Guardian, Batch: batch, Head: head, Signature: a.Signature}
}

// A client that knows the founding document verifies what is attested.
func TestAttestations(t *testing.T) {
	f := newFixture(t)
	f.open("alice")
	f.open("bob")
	f.open("carol")
	if bank, err := f.client.Bank(t.Context()); err != nil || bank.Attested != 0 || bank.Anchored != 0 {
		t.Errorf("before any attestation: attested %d, anchored %d, %v", bank.Attested, bank.Anchored, err)
	}
	f.attestations = []postgres.Attestation{f.attest(0, 3), f.attest(1, 1), f.attest(2, 2), f.attest(4, 2)}
	if bank, err := f.client.Bank(t.Context()); err != nil || bank.Attested != 2 || bank.Batch != 3 {
		t.Errorf("attested %d of %d batches, %v; want 2 of 3", bank.Attested, bank.Batch, err)
	}
	// New guardians count as soon as enough of them have come somewhere, and those
	// before them no more.
	for _, c := range []struct {
		next []int
		want uint64
	}{{[]int{3, 0}, 2}, {[]int{1, 0}, 1}, {[]int{0, 4}, 2}} {
		var hosts []chilldkg.HostPublicKey
		for _, i := range c.next {
			hosts = append(hosts, hostKeys(t)[i])
		}
		f.next = &Council{Threshold: 2, Guardians: hosts}
		if bank, err := f.client.Bank(t.Context()); err != nil || bank.Attested != c.want {
			t.Errorf("with %v as the next guardians batch %d is attested, %v; want %d", c.next, bank.Attested, err, c.want)
		}
	}
	f.next = nil
	for batch, want := range [][]int{{0, 1, 2, 4}, {0, 1, 2, 4}, {0, 2, 4}, {0}, nil} {
		list, err := f.client.Attestations(t.Context(), uint64(batch), hostKeys(t))
		if err != nil {
			t.Errorf("batch %d: %v", batch, err)
			continue
		}
		var got []int
		for _, a := range list {
			got = append(got, slices.Index(hostKeys(t), a.Guardian))
		}
		if !slices.Equal(got, want) {
			t.Errorf("batch %d is attested by %v, want %v", batch, got, want)
		}
	}
	status, refused, _ := ask(t, http.MethodGet, f.url+"/v1/attestations/first", nil)
	if status != http.StatusBadRequest || refused.Code != ledger.CodeMalformed {
		t.Errorf("a batch that is no number: %d %s", status, refused.Code)
	}
}

// The answer holds all that is needed but the founding document.
func TestAttestationsNameTheHostKeys(t *testing.T) {
	f := newFixture(t)
	f.open("alice")
	f.attestations = []postgres.Attestation{f.attest(3, 1)}
	var answer map[string]json.RawMessage
	if err := f.client.get(t.Context(), "/v1/attestations/1", nil, &answer); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"batch":1`, `"head":"` + f.head().String(), `"guardian":"` + hostKeys(t)[3].String(), `"signature":"`} {
		if !strings.Contains(string(answer["attestations"]), want) {
			t.Errorf("%s lacks %s", answer["attestations"], want)
		}
	}
}

// A bank that shows as attested what is not is found out.
func TestClientRefusesFalseAttestations(t *testing.T) {
	f := newFixture(t)
	f.open("alice")
	f.open("bob")
	first, second := f.attest(0, 1), f.attest(1, 2)
	elsewhere, err := guardian.Attest(ledger.BankID{1}, 2, second.Head, hostKey(t, "ann"))
	if err != nil {
		t.Fatal(err)
	}
	fork, err := guardian.Attest(f.state.Bank(), 2, ledger.Hash{1}, hostKey(t, "ann"))
	if err != nil {
		t.Fatal(err)
	}
	moved := second
	moved.Head = ledger.Hash{1}
	for name, list := range map[string][]postgres.Attestation{
		"another guardian's":     {{Guardian: hostKeys(t)[2], Batch: second.Batch, Head: second.Head, Signature: second.Signature}},
		"of another head":        {moved},
		"of a batch that it was": {{Guardian: first.Guardian, Batch: 2, Head: second.Head, Signature: first.Signature}},
		"for another bank":       {{Guardian: hostKeys(t)[0], Batch: 2, Head: elsewhere.Head, Signature: elsewhere.Signature}},
		"the same twice":         {second, second},
		"two histories":          {{Guardian: hostKeys(t)[0], Batch: 2, Head: fork.Head, Signature: fork.Signature}, second},
	} {
		f.attestations = list
		if got, err := f.client.Attestations(t.Context(), 2, hostKeys(t)); !errors.Is(err, ErrAttestation) {
			t.Errorf("%s: %+v, %v; want ErrAttestation", name, got, err)
		}
	}
	f.attestations = []postgres.Attestation{second}
	if list, err := f.client.Attestations(t.Context(), 2, hostKeys(t)[:1]); err != nil || len(list) != 0 {
		t.Errorf("a guardian whom the caller does not know counts: %+v, %v", list, err)
	}
	// It answers another question than it was asked.
	short := Dial(f.serve(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/v1/attestations/") {
			req.URL.Path = "/v1/attestations/1"
		}
		NewHandler(f.config).ServeHTTP(w, req)
	})))
	f.attestations = []postgres.Attestation{first}
	if _, err := short.Attestations(t.Context(), 2, hostKeys(t)); !errors.Is(err, ErrAttestation) {
		t.Errorf("an attestation of an earlier batch: %v", err)
	}
}

// deskOf is a fake of the desk: settlements in the stages that it is told.
type deskOf struct {
	Desk
	list []settlement.Status
}

func (d deskOf) Settlements(_ context.Context, from uint32, limit int) ([]settlement.Status, error) {
	return d.list[from-1 : min(int(from)-1+limit, len(d.list))], nil
}

// What a posted settlement anchors counts, and nothing that is still on its way.
func TestAnchored(t *testing.T) {
	for _, test := range []struct {
		stages []string
		want   uint64 // settlement n ends batch 10n
	}{
		{nil, 0},
		{[]string{"cut"}, 0},
		{[]string{"mined"}, 0},
		{[]string{"posted"}, 10},
		{[]string{"posted", "broadcast"}, 10},
		{[]string{"posted", "posted"}, 20},
		{[]string{"posted", "posted", "posted", "mined"}, 30},
	} {
		var desk deskOf
		for i, stage := range test.stages {
			desk.list = append(desk.list, settlement.Status{Number: uint32(i + 1), Stage: stage, Batch: uint64(i+1) * 10})
		}
		b := &bank{Config: Config{Desk: desk}}
		if got, err := b.anchored(t.Context(), uint32(len(desk.list))); err != nil || got != test.want {
			t.Errorf("settlements %q: anchored is batch %d, want %d (%v)", test.stages, got, test.want, err)
		}
	}
}
