package main

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
)

// hermit is a bank of one guardian, whose key generations need nobody else: its
// data directory, and the guardian's folder.
type hermit struct {
	t        *testing.T
	data     string
	folder   string
	identity keyfile.IdentityFile
	public   keep.Public
	host     *chilldkg.HostKey
	operator *btcec.PrivateKey
	founding *guardian.Founding
	founded  *chilldkg.Result
}

func newHermit(t *testing.T) *hermit {
	t.Helper()
	dir := t.TempDir()
	h := &hermit{t: t, data: filepath.Join(dir, "data"), folder: filepath.Join(dir, "guardian")}
	var err error
	h.identity, err = keyfile.CreateIdentity(filepath.Join(dir, "identity"))
	h.must(err)
	h.public, err = keep.Init(h.folder, h.identity)
	h.must(err)
	k, err := keep.Open(h.folder)
	h.must(err)
	defer k.Close()
	h.host, err = k.HostKey(h.identity)
	h.must(err)
	h.operator, err = btcec.NewPrivateKey()
	h.must(err)
	net, err := taproot.NetworkParams("regtest")
	h.must(err)
	h.founding = &guardian.Founding{Name: "hermitage", Network: "regtest", BirthHash: ledger.Hash(*net.GenesisHash), Depth: 1, WithdrawalMin: 1000,
		Operator: ledger.KeyOf(h.operator), Coordinator: h.public.Host, Threshold: 1, Guardians: []chilldkg.HostPublicKey{h.public.Host},
		Recovery: taproot.Recovery{Threshold: 1, Keys: []taproot.XOnlyKey{h.public.Recovery}, Delay: 10}}
	h.founded, _ = h.keygen(h.founding)
	h.must(errors.Join(k.Agree(h.founding), k.SaveRecovery(h.founding, h.founded.RecoveryData)))
	charter, err := h.founding.Charter()
	h.must(err)
	h.must(os.MkdirAll(filepath.Join(h.data, "bank"), 0o700))
	h.must(copyDocument(h.founding, filepath.Join(h.data, foundingFileName)))
	h.must(writeBankFile(filepath.Join(h.data, bankFileName), bankFile{Charter: charter, Policy: h.founding.Policy(h.founded.Group.Key())}))
	return h
}

func (h *hermit) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// keygen makes a key, alone.
func (h *hermit) keygen(f *guardian.Founding) (*chilldkg.Result, *guardian.KeyProof) {
	h.t.Helper()
	participant, first, err := chilldkg.NewParticipant(h.host, f.Params(), nil)
	h.must(err)
	coordinator, broadcast, err := chilldkg.NewCoordinator(f.Params(), [][]byte{first})
	h.must(err)
	second, err := participant.Step2(h.host, broadcast, nil)
	h.must(err)
	_, certificate, err := coordinator.Finalize([][]byte{second})
	h.must(err)
	result, err := participant.Finalize(certificate)
	h.must(err)
	ack, err := result.Acknowledge(h.host, nil)
	h.must(err)
	return result, &guardian.KeyProof{Recovery: result.RecoveryData, Acks: [][]byte{ack}}
}

// sign signs an entry with a key that the hermit made.
func (h *hermit) sign(key *chilldkg.Result, e *ledger.Rekey) {
	h.t.Helper()
	charter, err := h.founding.Charter()
	h.must(err)
	digest := e.Digest(charter.ID())
	xonly := key.Group.Key().XOnly()
	secret, public, err := frost.NonceGen(nil, frost.NonceParams{Share: key.Share, Key: (*[32]byte)(&xonly), Message: digest[:]})
	h.must(err)
	nonces := map[frost.ID]frost.PublicNonce{0: public}
	aggregate, err := frost.NonceAgg(nonces)
	h.must(err)
	session, err := frost.NewSession(key.Group, frost.SessionParams{Signers: []frost.ID{0}, AggregateNonce: aggregate, Message: digest[:]})
	h.must(err)
	part, err := session.Sign(secret, key.Share)
	h.must(err)
	sig, err := session.Aggregate(map[frost.ID]frost.PartialSignature{0: part}, nonces)
	h.must(err)
	e.Signature = ledger.Signature(sig)
}

// next is the document of the next guardians of a bank: the same one.
func (h *hermit) next(generation uint32, change func(*guardian.Founding)) *guardian.Founding {
	founded := h.founding.Policy(h.founded.Group.Key())
	f := *h.founding
	f.Generation, f.Founded = generation, &founded
	if change != nil {
		change(&f)
	}
	return &f
}

func (h *hermit) write(name string, f *guardian.Founding) string {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), name)
	h.must(copyDocument(f, path))
	return path
}

// Bad input to "rotate" says what to do and changes no file.
func TestRotateRefuses(t *testing.T) {
	h := newHermit(t)
	own := filepath.Join(h.folder, "public.json")
	garbage := filepath.Join(t.TempDir(), "garbage")
	h.must(os.WriteFile(garbage, []byte("garbage"), 0o600))
	empty := filepath.Join(t.TempDir(), "empty")
	h.must(os.WriteFile(empty, []byte("{}"), 0o600))
	if out, err := inProcess(t, "rotate", "--data", h.data, "--threshold", "1", "--guardian", own); err != nil || !strings.Contains(out, "generation 1") {
		t.Fatalf("a good rotation: %q, %v", out, err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no directory", []string{"--guardian", own}, "--data DIR"},
		{"another directory", []string{"--data", t.TempDir(), "--guardian", own}, "founding.json"},
		{"no guardians", []string{"--data", h.data}, "t = 3, n = 0"},
		{"more must sign than there are", []string{"--data", h.data, "--threshold", "2", "--guardian", own}, "t = 2, n = 1"},
		{"nobody must sign", []string{"--data", h.data, "--threshold", "0", "--guardian", own}, "t = 0, n = 1"},
		{"less than nobody must sign", []string{"--data", h.data, "--threshold", "-1", "--guardian", own}, "t = -1, n = 1"},
		{"a guardian twice", []string{"--data", h.data, "--threshold", "1", "--guardian", own, "--guardian", own}, "0"},
		{"a guardian's file that is not there", []string{"--data", h.data, "--guardian", own + "x"}, "no such file"},
		{"a guardian's file of something else", []string{"--data", h.data, "--guardian", garbage}, "is not a guardian's public.json"},
		{"a guardian's file without keys", []string{"--data", h.data, "--threshold", "1", "--guardian", empty}, "host"},
		{"too high a recovery threshold", []string{"--data", h.data, "--threshold", "1", "--recovery-threshold", "2", "--guardian", own}, "recovery threshold is 2"},
		{"others than those who are named", []string{"--data", h.data, "--threshold", "1", "--recovery-delay", "9", "--guardian", own}, "--replace"},
		{"a copy where none can be", []string{"--data", h.data, "--threshold", "1", "--recovery-delay", "9", "--guardian", own, "--replace",
			"--out", filepath.Join(h.data, "nowhere", "copy")}, "nowhere"},
		{"a word too many", []string{"now"}, "now"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := files(t, h.data)
			out, err := inProcess(t, append([]string{"rotate"}, tt.args...)...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, %v; want %q", out, err, tt.want)
			}
			if !maps.Equal(before, files(t, h.data)) {
				t.Error("files are changed")
			}
		})
	}
	copied := filepath.Join(t.TempDir(), "copy")
	_, err := inProcess(t, "rotate", "--data", h.data, "--threshold", "1", "--recovery-delay", "9", "--guardian", own, "--replace", "--out", copied)
	h.must(err)
	kept, err := parseFounding(filepath.Join(h.data, "bank", "succession-1.json"))
	h.must(err)
	given, err := parseFounding(copied)
	h.must(err)
	if kept.Recovery.Delay != 9 || kept.Hash() != given.Hash() {
		t.Errorf("kept is %+v, given out %+v", kept, given)
	}
	h.must(os.Remove(filepath.Join(h.data, bankFileName)))
	if _, err := inProcess(t, "rotate", "--data", h.data, "--threshold", "1", "--guardian", own); err == nil || !strings.Contains(err.Error(), "start serve first") {
		t.Errorf("before the founding: %v", err)
	}
}

// Bad input to "guardian rotate" and "guardian show" says what to do and changes no
// file of the guardian.
func TestGuardianRotateRefuses(t *testing.T) {
	h := newHermit(t)
	good := h.write("good", h.next(1, nil))
	raw, err := json.Marshal(h.next(1, nil))
	h.must(err)
	spoilt := func(content []byte) string {
		path := filepath.Join(t.TempDir(), "spoilt")
		h.must(os.WriteFile(path, content, 0o600))
		return path
	}
	rotate := func(args ...string) (string, error) {
		return inProcess(t, append([]string{"guardian", "rotate", "--dir", h.folder}, args...)...)
	}
	if out, err := rotate("--succession", good, "--yes"); err != nil || !strings.Contains(out, "Agreed") {
		t.Fatalf("a good document: %q, %v", out, err)
	}
	for _, tt := range []struct {
		name  string
		path  string
		want  string
		shows bool // "guardian show" prints it
	}{
		{"no document", "", "--succession FILE", false},
		{"no such file", good + "x", "no such file", false},
		{"a founding", h.write("founding", h.founding), "is a founding document", true},
		{"no JSON", spoilt([]byte("garbage")), "founding", false},
		{"an empty file", spoilt(nil), "founding", false},
		{"two documents", spoilt(append(raw, raw...)), "follows the document", false},
		{"a huge document", spoilt(append(raw, make([]byte, 64<<10)...)), "65536 bytes", false},
		{"a field that is not known", spoilt([]byte(`{"evil":1,` + string(raw[1:]))), "evil", false},
		{"a document that cannot be", h.write("bad", h.next(1, func(f *guardian.Founding) { f.Threshold = 2 })), "t = 2", false},
		{"no vault of the founding", h.write("bad", h.next(1, func(f *guardian.Founding) { f.Founded = nil })), "names the founding's vault", false},
		{"another bank", h.write("bad", h.next(1, func(f *guardian.Founding) { f.Name = "another" })), keep.ErrOtherFounding.Error(), true},
		{"another founding", h.write("bad", h.next(1, func(f *guardian.Founding) { f.Founded.Recovery.Delay++ })), keep.ErrOtherFounding.Error(), true},
		{"others for the same change", h.write("bad", h.next(1, func(f *guardian.Founding) { f.Recovery.Delay++ })), "say so if it shall take its place", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := files(t, h.folder)
			if out, err := rotate("--succession", tt.path, "--yes"); err == nil || out != "" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, %v; want %q", out, err, tt.want)
			}
			if !maps.Equal(before, files(t, h.folder)) {
				t.Error("files are changed")
			}
			out, err := inProcess(t, "guardian", "show", tt.path)
			if tt.shows != (err == nil) || tt.shows != strings.Contains(out, "hash") {
				t.Errorf("shown is %q, %v", out, err)
			}
		})
	}
	if out, err := rotate("--succession", h.write("next", h.next(2, nil))); err == nil || out != "" || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("without a yes: %q, %v", out, err)
	}
	k, err := keep.Open(h.folder)
	h.must(err)
	if _, err := rotate("--succession", good, "--yes"); err == nil || !strings.Contains(err.Error(), "stop it, repeat this, and start it again") {
		t.Errorf("while a process uses the folder that nobody can reach: %v", err)
	}
	k.Close()
	if _, err := inProcess(t, "guardian", "rotate", "--dir", filepath.Join(h.folder, "nowhere"), "--succession", good, "--yes"); err == nil {
		t.Error("a folder that is not there has agreed")
	}
}

// A document's name cannot draw another hash on the owner's screen.
func TestDescribeShowsOneHash(t *testing.T) {
	h := newHermit(t)
	f := *h.founding
	f.Name = "b\nhash       00\x1b[8m"
	if text := describe(&f); strings.Count(text, "\nhash ") != 1 || strings.Contains(text, "\x1b") {
		t.Errorf("it is shown as %q", text)
	}
}
