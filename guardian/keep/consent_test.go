package keep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daobank/daobank/guardian"
)

// A consent is there for the next process until it is taken back, and one that nobody
// could read before saying yes is not kept.
func TestConsentIsKept(t *testing.T) {
	dir := t.TempDir()
	k, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if c, err := Consented(dir); c != nil || err != nil {
		t.Fatalf("a new folder consents to %v, %v", c, err)
	}
	until := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for _, text := range []string{"first", "second"} {
		if err := k.Consent(&guardian.Consent{Text: text, Until: until}); err != nil {
			t.Fatal(err)
		}
		if c, err := Consented(dir); err != nil || c.Text != text || !c.Until.Equal(until) {
			t.Errorf("kept is %v, %v", c, err)
		}
	}
	if err := k.Consent(&guardian.Consent{Text: "two\nlines", Until: until}); err == nil {
		t.Error("consent to two lines was kept")
	}
	if c, err := Consented(dir); err != nil || c.Text != "second" {
		t.Errorf("what was not kept changed what was: %v, %v", c, err)
	}
	for range 2 {
		if err := k.Consent(nil); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := Consented(dir); c != nil || err != nil {
		t.Errorf("taken back it is %v, %v", c, err)
	}
	if err := os.WriteFile(filepath.Join(dir, consentFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Consented(dir); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged file: %v", err)
	}
}
