package main

import (
	"testing"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// A guardian that was led through another key generation is noticed as soon as it
// says where it stands; one that has none yet, or is of other guardians, is none.
func TestGuardianKeyedElsewhere(t *testing.T) {
	member, stranger := chilldkg.HostPublicKey{2, 1}, chilldkg.HostPublicKey{2, 2}
	document := &guardian.Founding{Name: "bank", Guardians: []chilldkg.HostPublicKey{member}}
	c := &council{groups: []*seats{{document: document, proof: &guardian.KeyProof{Recovery: []byte("ours")}}}}
	for _, tt := range []struct {
		name string
		host chilldkg.HostPublicKey
		says wire.DocumentStatus
		want bool
	}{
		{"ours", member, wire.DocumentStatus{Finished: true, Recovery: []byte("ours")}, false},
		{"another", member, wire.DocumentStatus{Finished: true, Recovery: []byte("theirs")}, true},
		{"none yet", member, wire.DocumentStatus{}, false},
		{"of another group", stranger, wire.DocumentStatus{Finished: true, Recovery: []byte("theirs")}, false},
	} {
		tt.says.Hash = document.Hash()
		if got := c.elsewhere(&wire.Status{Documents: []wire.DocumentStatus{tt.says}}, tt.host); got != tt.want {
			t.Errorf("%s: keyed elsewhere is %t, want %t", tt.name, got, tt.want)
		}
	}
	if c.elsewhere(&wire.Status{}, member) {
		t.Error("a guardian that has agreed to nothing is keyed elsewhere")
	}
}
