package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/guardian/link"
	"github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// bank runs the hermit's bank as far as changes of guardians need it.
func (h *hermit) bank() *bank {
	h.t.Helper()
	log := slog.New(slog.DiscardHandler)
	b := &bank{log: log, dir: &bankDir{path: filepath.Join(h.data, "bank"), founding: h.founding}}
	var err error
	b.dir.bankFile, err = readBankFile(filepath.Join(h.data, bankFileName))
	h.must(err)
	b.store, err = postgres.Open(h.t.Context(), cluster.Test(h.t))
	h.must(err)
	h.t.Cleanup(b.store.Close)
	h.must(b.store.Create(h.t.Context(), b.dir.Charter))
	b.engine, err = clearing.Open(h.t.Context(), clearing.Config{Store: b.store, Charter: b.dir.Charter, Operator: h.operator, Log: log})
	h.must(err)
	h.t.Cleanup(func() { _ = b.engine.Close(h.t.Context()) })
	b.council = &council{log: log}
	b.council.hub, err = link.Listen("127.0.0.1:0", h.operator, nil, log)
	h.must(err)
	h.t.Cleanup(func() { b.council.hub.Close() })
	vault, err := taproot.NewVault(b.dir.Policy)
	h.must(err)
	b.vaults = netting.NewVaults(b.dir.Charter.ID(), vault)
	b.quorum = guardian.NewQuorum(guardian.Council{Group: h.founded.Group}, log)
	s, err := b.council.seat(h.founding)
	h.must(err)
	b.council.join(s)
	return b
}

// A change of guardians that is in the books is carried out, however the bank was
// interrupted, also by one that is still running and whose document is another now.
func TestSuccessionAfterTheBooks(t *testing.T) {
	h := newHermit(t)
	b := h.bank()
	next := h.next(1, nil)
	made, proof := h.keygen(next)
	h.must(b.dir.keep(next, proof))
	e, err := next.Rekey(made.Group.Key())
	h.must(err)
	h.sign(h.founded, e)
	h.must(b.engine.Record(t.Context(), []ledger.Event{e})) // and nobody saw it end
	other := h.next(1, func(f *guardian.Founding) { f.Recovery.Delay++ })
	h.must(copyDocument(other, b.dir.successionPath(1)))
	for range 2 {
		h.must(b.succession(t.Context()))
		all := b.council.all()
		if len(all) != 2 || all[1].document.Hash() != next.Hash() || all[1].proof == nil {
			t.Fatalf("%d councils: %+v", len(all), all)
		}
		public, err := readBankFile(filepath.Join(h.data, bankFileName))
		h.must(err)
		if len(public.Rekeyed) != 1 || public.Rekeyed[0].GroupKey != made.Group.Key() {
			t.Errorf("public are %+v", public.Rekeyed)
		}
	}
	if _, newest := b.vaults.Newest(); newest != 1 {
		t.Errorf("the newest vault is of generation %d", newest)
	}
}

// A document that is not for this bank's next guardians, or cannot be read, is named
// and nothing is done about it.
func TestSuccessionRefusesADocument(t *testing.T) {
	h := newHermit(t)
	b := h.bank()
	h.must(b.succession(t.Context())) // none is there
	for _, tt := range []struct {
		name     string
		document *guardian.Founding
	}{
		{"a founding", h.founding},
		{"another bank", h.next(1, func(f *guardian.Founding) { f.Name = "another" })},
		{"another founding", h.next(1, func(f *guardian.Founding) { f.Founded.Recovery.Delay++ })},
		{"another generation", h.next(2, nil)},
		{"a document that cannot be", h.next(1, func(f *guardian.Founding) { f.Threshold = 2 })},
	} {
		h.must(copyDocument(tt.document, b.dir.successionPath(1)))
		if err := b.succession(t.Context()); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if len(b.council.all()) != 1 {
			t.Errorf("%s: its guardians are in", tt.name)
		}
	}
}

// A document that takes another's place ends what was begun for it.
func TestSuccessionIsReplaced(t *testing.T) {
	h := newHermit(t)
	b := h.bank()
	h.must(copyDocument(h.next(1, nil), b.dir.successionPath(1)))
	ended := make(chan error, 1)
	go func() { ended <- b.succession(t.Context()) }() // its guardian is away: it waits
	for delay := uint16(11); ; delay++ {               // until one comes after the one that it has read
		h.must(copyDocument(h.next(1, func(f *guardian.Founding) { f.Recovery.Delay = delay }), b.dir.successionPath(1)))
		select {
		case err := <-ended:
			if !errors.Is(err, errReplaced) {
				t.Errorf("it ends with %v", err)
			}
			return
		case <-t.Context().Done():
			t.Fatal("it waits still")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Owners who answer for different documents at the same time leave one of them, on
// disk and in the running guardian.
func TestAgreeAtTheSameTime(t *testing.T) {
	h := newHermit(t)
	k, err := keep.Open(h.folder)
	h.must(err)
	defer k.Close()
	end, err := wire.NewGuardian(h.founding, h.host, k)
	h.must(err)
	socket := filepath.Join(h.folder, socketName)
	server, err := serveSocket(socket, end, nil, k)
	h.must(err)
	defer server.Close()
	o := &guardianOptions{Dir: h.folder}
	var all sync.WaitGroup
	for delay := range 8 {
		f := h.next(1, func(f *guardian.Founding) { f.Recovery.Delay += uint16(delay) })
		all.Go(func() {
			if said, err := o.rotate(t.Context(), f, true); err != nil || !strings.Contains(said, "goes on") {
				t.Errorf("%q, %v", said, err)
			}
		})
	}
	all.Wait()
	kept, err := k.Succession()
	h.must(err)
	transport := socketTransport(h.folder)
	defer transport.CloseIdleConnections()
	s, err := wire.NewRemote(0, transport).Status(t.Context())
	h.must(err)
	if last := s.Documents[len(s.Documents)-1].Hash; last != kept.Hash() {
		t.Errorf("on disk is %s, in force %s", kept.Hash(), last)
	}
	f := h.next(1, func(f *guardian.Founding) { f.Recovery.Delay += 99 })
	if _, err := o.rotate(t.Context(), f, false); err == nil || !strings.Contains(err.Error(), "say so if it shall take its place") {
		t.Errorf("another document without replace: %v", err)
	}
	for _, body := range []string{"", "{}", "garbage"} {
		w := httptest.NewRecorder()
		server.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/succession", strings.NewReader(body)))
		if w.Code != http.StatusConflict {
			t.Errorf("%q is answered with %d %s", body, w.Code, w.Body)
		}
	}
}

// A member takes over keys that the keys before have signed, in their order, and
// leaves what is known as it is when the bank shows anything else.
func TestMemberLearnsKeys(t *testing.T) {
	h := newHermit(t)
	first, second := h.next(1, nil), h.next(2, nil)
	back := h.next(1, func(f *guardian.Founding) { f.Recovery.Delay++ }) // signed, and taken back
	charter, err := h.founding.Charter()
	h.must(err)
	one, _ := h.keygen(first)
	two, _ := h.keygen(second)
	other, _ := h.keygen(back)
	rekey := func(f *guardian.Founding, key, signer *chilldkg.Result) api.Rekey {
		e, err := f.Rekey(key.Group.Key())
		h.must(err)
		h.sign(signer, e)
		return api.Rekey{Generation: e.Generation, Policy: e.Policy, Signature: e.Signature}
	}
	a, b, taken := rekey(first, one, h.founded), rekey(second, two, one), rekey(back, other, h.founded)
	forged, skipped := b, b
	forged.Signature[40] ^= 1
	skipped.Generation = 1
	changed := b
	changed.Policy = append([]byte(nil), strings.Replace(string(b.Policy), `"threshold":1`, `"threshold":2`, 1)...)
	for _, tt := range []struct {
		name         string
		known, shown []api.Rekey
		want         int // keys known afterwards
		ok           bool
	}{
		{"none", nil, nil, 0, true},
		{"the first", nil, []api.Rekey{a}, 1, true},
		{"both at once", nil, []api.Rekey{a, b}, 2, true},
		{"the second", []api.Rekey{a}, []api.Rekey{a, b}, 2, true},
		{"the same again", []api.Rekey{a, b}, []api.Rekey{a, b}, 2, true},
		{"shortened", []api.Rekey{a, b}, []api.Rekey{a}, 2, false},
		{"emptied", []api.Rekey{a}, nil, 1, false},
		{"forged", []api.Rekey{a}, []api.Rekey{a, forged}, 1, false},
		{"changed", []api.Rekey{a}, []api.Rekey{a, changed}, 1, false},
		{"changed below", []api.Rekey{a}, []api.Rekey{taken, b}, 1, false},
		{"the other way round", nil, []api.Rekey{b, a}, 0, false},
		{"without the first", nil, []api.Rekey{b}, 0, false},
		{"numbered as the first", nil, []api.Rekey{skipped}, 0, false},
		{"one that was taken back instead", []api.Rekey{a}, []api.Rekey{taken}, 1, false},
		{"one that was taken back behind", []api.Rekey{a}, []api.Rekey{a, taken}, 1, false},
		{"one that was taken back before", nil, []api.Rekey{taken, a}, 0, false},
		{"one twice", []api.Rekey{a}, []api.Rekey{a, a}, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &memberAccount{Charter: charter, Policy: h.founding.Policy(h.founded.Group.Key()), Rekeys: tt.known, bank: charter.ID(),
				file: filepath.Join(t.TempDir(), "a.account.json")}
			err := m.learn(&api.Bank{Charter: charter, Founded: back.Policy(other.Group.Key()), Rekeys: tt.shown}) // another founding is not believed
			if tt.ok != (err == nil) || !tt.ok && !errors.Is(err, errOtherKeys) || len(m.Rekeys) != tt.want {
				t.Errorf("%d keys are known, %v", len(m.Rekeys), err)
			}
			vault, err := m.vault()
			h.must(err)
			key := [...]taproot.Policy{h.founding.Policy(h.founded.Group.Key()), first.Policy(one.Group.Key()), second.Policy(two.Group.Key())}[tt.want].GroupKey
			if vault.Policy().GroupKey != key {
				t.Errorf("coins would go to %s", vault.Policy().GroupKey)
			}
		})
	}
}
