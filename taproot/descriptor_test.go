package taproot

import (
	"errors"
	"strings"
	"testing"
)

// The checksum vectors of BIP-380: one valid, then ones whose checksum is too
// long, too short, or wrong, or whose payload was changed.
func TestDescriptorChecksumBIP380(t *testing.T) {
	for _, c := range []struct {
		descriptor, checksum string
		valid                bool
	}{
		{"raw(deadbeef)", "89f8spxm", true},
		{"raw(deadbeef)", "89f8spxmx", false},
		{"raw(deadbeef)", "89f8spx", false},
		{"raw(deedbeef)", "89f8spxm", false},
		{"raw(deadbeef)", "#9f8spxm", false},
		// From Bitcoin Core's descriptor tests.
		{"sh(multi(2,[00000000/111'/222]xprvA1RpRA33e1JQ7ifknakTFpgNXPmW2YvmhqLQYMmrj4xJXXWYpDPS3xz7iAxn8L39njGVyuoseXzU6rcxFLJ8HFsTjSyQbLYnMpCqE2VbFWc,xprv9uPDJpEQgRQfDcW7BkF7eTya6RPxXeJCqCJGHuCJ4GiRVLzkTXBAJMu2qaMWPrS7AANYqdq6vcBcBUdJCVVFceUvJFjaPdGZ2y9WACViL4L/0))", "ggrsrxfy", true},
	} {
		got, err := DescriptorChecksum(c.descriptor)
		if err != nil {
			t.Fatal(err)
		}
		if (got == c.checksum) != c.valid {
			t.Errorf("%s#%s: computed %s", c.descriptor, c.checksum, got)
		}
	}
	if _, err := DescriptorChecksum("raw(Ü)"); !errors.Is(err, ErrDescriptor) {
		t.Errorf("error %v, want %v", err, ErrDescriptor)
	}
}

// Were one of these to change, coins already received would be out of reach.
// The addresses are what Bitcoin Knots 29.4 derives from the descriptor.
func TestDescriptorGolden(t *testing.T) {
	v := newTestVault(t)
	const golden = "tr(tpubD6NzVbkrYhZ4XgHkCEtfpuZPJDLaLPxu5ZBEtAbub9GcUX1mTS2t3eCnBY8PnaYqxoq2KFbji5GceiiPPCeRMEhrBtUGCP2g6RY9KENKYcn/<0;1>/*,and_v(v:multi_a(2," +
		"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798," +
		"c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5," +
		"f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9),older(144)))#xjckrdhx"
	if got := v.Descriptor(); got != golden {
		t.Errorf("descriptor %s", got)
	}
	for b, single := range v.Descriptors() {
		text, _, _ := strings.Cut(golden, "#")
		text = strings.Replace(text, "<0;1>", string(rune('0'+b)), 1)
		checksum, err := DescriptorChecksum(text)
		if err != nil || single != text+"#"+checksum {
			t.Errorf("branch %d: %s, error %v", b, single, err)
		}
	}
	for b, addresses := range goldenAddresses {
		for index, want := range addresses {
			if got, err := v.Address(Branch(b), uint32(index)); err != nil || got != want {
				t.Errorf("%d/%d: %s, error %v", b, index, got, err)
			}
		}
	}
}

// goldenAddresses are the first of each branch.
var goldenAddresses = [branches][]string{
	{
		"bcrt1pm9rsk5ljtj4n5r6vdtn8h57lk04vlyjajt7rqma5yfg69kszt0jsuc5pm0",
		"bcrt1paxxdsmxmw99a4358tzkz86r0872f7x3mmktsp5pgnce9el7vq63s9vx2zm",
		"bcrt1pqf9nzh60sdjx0faea6hl9zzt56h08r7g6m0dwwkt4ea5a8ta5dmsmarfc0",
	},
	{
		"bcrt1pg2l6jrt4uz293ukqdevxtk550j4hhlykuwhxyvq0eka6lgku34gswkls7y",
		"bcrt1pktdyv5pwkwel9xc7m6yns3450ancufekfvr3qt5puutlhmhd4vgqf0lmwa",
		"bcrt1p3c69e2tf4zvggtkuqyeav9klta5jazuz2q0szcd5w8g9jm0af32qs79gag",
	},
}
