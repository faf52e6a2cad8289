package wire

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// results are the key generations that a guardian's process was told of.
func (g *Guardian) results() (list []*chilldkg.Result) {
	for {
		select {
		case r := <-g.Made():
			list = append(list, r)
		default:
			return list
		}
	}
}

// changing is a council of three that has made its key and has agreed that the last
// leaves for a newcomer, who stands at the end of ends.
func changing(t *testing.T) (c *council, next *guardian.Founding, remotes []*Remote) {
	t.Helper()
	c = newCouncil(t, 2, 3)
	group, err := c.found()
	if err != nil {
		t.Fatal(err)
	}
	next = c.succession(group.Key())
	newcomer, err := chilldkg.GenerateHostKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	next.Guardians = []chilldkg.HostPublicKey{c.hosts[0].Public(), c.hosts[1].Public(), newcomer.Public()}
	for _, end := range c.ends {
		if err := end.Agree(next); err != nil {
			t.Fatal(err)
		}
	}
	end, err := NewGuardian(next, newcomer, &disk{})
	if err != nil {
		t.Fatal(err)
	}
	c.ends = append(c.ends, end)
	all := c.remotes()
	return c, next, []*Remote{all[0], all[1], NewRemote(2, all[3].trip)}
}

// TestSuccessionMakesAKey: those who stay and those who come make it; who leaves is
// told so, and each process gets what it holds a share of.
func TestSuccessionMakesAKey(t *testing.T) {
	c, next, remotes := changing(t)
	proof, err := Found(t.Context(), next, remotes, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	group, err := proof.Group(next)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{2, 2, 1, 1} {
		made := c.ends[i].results()
		if len(made) != want {
			t.Fatalf("guardian %d was told of %d keys, want %d", i, len(made), want)
		}
		if last := made[len(made)-1].Group.Key(); (last == group.Key()) != (i != 2) {
			t.Errorf("the last key of guardian %d is %s", i, last)
		}
		s, err := c.remotes()[i].Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := s.Document(next.Hash())
		if d == nil || d.Generation != 1 || d.Finished != (i != 2) || len(s.Documents) != map[bool]int{true: 1, false: 2}[i == 3] {
			t.Errorf("guardian %d says %+v", i, s.Documents)
		}
	}
	for _, step := range []string{"begin", "step2", "finalize", "adopt", "investigate"} {
		in := keygenMessage{Document: next.Hash(), Message: proof.Recovery}
		err := c.remotes()[2].ask(t.Context(), http.MethodPost, "/keygen/"+step, in, &keygenMessage{})
		if err == nil || !strings.Contains(err.Error(), "not one of those whom the document") {
			t.Errorf("%s of who leaves: %v", step, err)
		}
	}
}

// TestAdoptIsOnDiskFirst: a share is nobody's before it can be recovered.
func TestAdoptIsOnDiskFirst(t *testing.T) {
	c, next, remotes := changing(t)
	c.disks[1].full = true
	if _, err := Found(t.Context(), next, remotes, slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("a key was given out that one of its guardians has not kept")
	}
	c.ends[1].results()
	recovery := c.ends[0].result(next).RecoveryData
	for range 2 {
		if err := remotes[1].Adopt(t.Context(), next.Hash(), recovery); err == nil || !strings.Contains(err.Error(), errFull.Error()) {
			t.Errorf("with a full disk: %v", err)
		}
		if made := c.ends[1].results(); len(made) > 0 || c.ends[1].result(next) != nil {
			t.Error("the share is there without the disk")
		}
	}
	c.disks[1].full = false
	for range 2 {
		if err := remotes[1].Adopt(t.Context(), next.Hash(), recovery); err != nil {
			t.Error(err)
		}
	}
	if made := c.ends[1].results(); len(made) != 1 {
		t.Errorf("the process was told %d times", len(made))
	}
}

// TestLastAgreementIsInForce: an owner who comes back to a document has agreed to it
// last, and a process takes so many in and no more.
func TestLastAgreementIsInForce(t *testing.T) {
	c, next, _ := changing(t)
	end := c.ends[0]
	other := *next
	other.Recovery.Delay++
	for _, f := range []*guardian.Founding{&other, next} {
		if err := end.Agree(f); err != nil {
			t.Fatal(err)
		}
		s, err := c.remotes()[0].Status(t.Context())
		if err != nil || s.Documents[len(s.Documents)-1].Hash != f.Hash() || s.Documents[0].Hash != c.founding.Hash() {
			t.Errorf("in force is %+v, %v; want %s", s.Documents, err, f.Hash())
		}
	}
	for n := 3; ; n++ {
		other.Recovery.Delay++
		f := other
		err := end.Agree(&f)
		if err == nil && n < documentsMax {
			continue
		}
		if err == nil || n != documentsMax {
			t.Errorf("document %d: %v", n+1, err)
		}
		break
	}
}

// TestFoundNamesWhoShowsAnOldRun: a guardian who shows the key that the same guardians
// made before is named, and the others are not held to have failed.
func TestFoundNamesWhoShowsAnOldRun(t *testing.T) {
	c := newCouncil(t, 2, 3)
	group, err := c.found()
	if err != nil {
		t.Fatal(err)
	}
	next := c.succession(group.Key())
	for _, end := range c.ends {
		if err := end.Agree(next); err != nil {
			t.Fatal(err)
		}
	}
	old := c.ends[1].result(c.founding)
	c.ends[1].document(next.Hash()).result = old
	_, err = Found(t.Context(), next, c.remotes(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "guardian 1 shows") {
		t.Errorf("the error does not name guardian 1: %v", err)
	}
	for _, i := range []int{0, 2} {
		if c.ends[i].result(next) != nil {
			t.Errorf("guardian %d took the old key", i)
		}
	}
}

// TestStatusOfTheLargestGroup: the status of a guardian of 128 who has agreed to as
// many documents as a process takes is small enough to be read.
func TestStatusOfTheLargestGroup(t *testing.T) {
	const n = 128
	recovery := make([]byte, 4+n*33+n*(33+33+32+64)) // ChillDKG's recovery data of n-of-n
	s := Status{}
	for range documentsMax {
		s.Documents = append(s.Documents, DocumentStatus{Finished: true, Recovery: recovery})
	}
	raw, err := json.Marshal(s)
	if err == nil {
		err = decode(raw, &Status{})
	}
	if err != nil {
		t.Error(err)
	}
}
