package taproot

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/bech32"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct {
		name, address, script string // addresses of BIP-173, BIP-350 and Bitcoin Core
		net                   *chaincfg.Params
	}{
		{"P2PKH", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "76a91477bff20c60e522dfaa3350c39b030a5d004e839a88ac", &chaincfg.MainNetParams},
		{"P2SH", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "a914b472a266d0bd89c13706a4132ccfb16f7c3b9fcb87", &chaincfg.MainNetParams},
		{"P2WPKH", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "0014751e76e8199196d454941c45d1b3a323f1433bd6", &chaincfg.MainNetParams},
		{"P2WPKH in capitals", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0014751e76e8199196d454941c45d1b3a323f1433bd6", &chaincfg.MainNetParams},
		{"P2WSH", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262", &chaincfg.TestNet3Params},
		{"P2TR", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", &chaincfg.MainNetParams},
		{"P2TR on signet", "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c", "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433", &chaincfg.SigNetParams},
	} {
		t.Run(c.name, func(t *testing.T) {
			script, err := ParseAddress(c.address, c.net)
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(script) != c.script {
				t.Errorf("script %x, want %s", script, c.script)
			}
			if back, err := FormatScript(script, c.net); err != nil || !strings.EqualFold(back, c.address) {
				t.Errorf("formatted %s, error %v", back, err)
			}
		})
	}
}

func TestParseAddressNamesTheNetwork(t *testing.T) {
	for kind, script := range payoutScripts {
		for _, from := range networks {
			address, err := FormatScript(script, from.params)
			if err != nil {
				t.Fatal(err)
			}
			for _, on := range networks {
				got, err := ParseAddress(address, on.params)
				var other *AddressNetworkError
				switch {
				case err == nil:
					if !bytes.Equal(got, script) {
						t.Errorf("%s: %x, want %x", address, got, script)
					}
					if same, _ := FormatScript(script, on.params); same != address {
						t.Errorf("%s %s of %s accepted on %s", kind, address, from.name, on.name)
					}
				case !errors.As(err, &other), !errors.Is(err, ErrAddressNetwork):
					t.Errorf("%s on %s: error %v, want %v", address, on.name, err, ErrAddressNetwork)
				case !slices.Contains(other.Networks, from.name) || other.Want != on.name:
					t.Errorf("%s of %s on %s: %v", address, from.name, on.name, err)
				}
			}
		}
	}
}

func TestParseAddressMalformed(t *testing.T) {
	for name, address := range map[string]string{
		"empty":                    "",
		"space":                    " bcrt1q",
		"wrong letter":             "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
		"mixed case":               "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3T4",
		"bech32 for version 1":     witnessAddress(t, bech32.Encode, 1, 32),
		"bech32m for version 0":    witnessAddress(t, bech32.EncodeM, 0, 20),
		"version 1 with 20 bytes":  witnessAddress(t, bech32.EncodeM, 1, 20),
		"version 2":                witnessAddress(t, bech32.EncodeM, 2, 32),
		"pay to anchor":            "bcrt1pfeesnyr2tx",
		"public key":               "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
		"base58 with a wrong sum":  "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",
		"private key (WIF)":        "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
		"extremely long":           strings.Repeat("1", 1<<20),
		"human readable part only": "bcrt1",
	} {
		t.Run(name, func(t *testing.T) {
			script, err := ParseAddress(address, &chaincfg.RegressionNetParams)
			if !errors.Is(err, ErrAddressMalformed) {
				t.Errorf("script %x, error %v, want %v", script, err, ErrAddressMalformed)
			}
		})
	}
}

func witnessAddress(t *testing.T, encode func(string, []byte) (string, error), version byte, size int) string {
	t.Helper()
	program, err := bech32.ConvertBits(make([]byte, size), 8, 5, true)
	if err != nil {
		t.Fatal(err)
	}
	address, err := encode("bcrt", append([]byte{version}, program...))
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func TestStandardPayout(t *testing.T) {
	for kind, script := range payoutScripts {
		if err := StandardPayout(script); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for name, script := range map[string][]byte{
		"empty":                 nil,
		"OP_RETURN":             {txscript.OP_RETURN, 1, 1},
		"pay to anchor":         {txscript.OP_1, 2, 0x4e, 0x73},
		"version 1 of 20 bytes": append([]byte{txscript.OP_1, 20}, make([]byte, 20)...),
		"version 2":             append([]byte{txscript.OP_2, 32}, make([]byte, 32)...),
		"public key":            append(append([]byte{33}, make([]byte, 33)...), txscript.OP_CHECKSIG),
		"P2TR and one byte":     append(slices.Clone(payoutScripts["P2TR"]), 0),
	} {
		if err := StandardPayout(script); !errors.Is(err, ErrPayoutScript) {
			t.Errorf("%s: error %v, want %v", name, err, ErrPayoutScript)
		}
		if _, err := FormatScript(script, &chaincfg.MainNetParams); !errors.Is(err, ErrPayoutScript) {
			t.Errorf("%s: error %v, want %v", name, err, ErrPayoutScript)
		}
	}
}

// What is accepted formats back to what was written.
func FuzzParseAddress(f *testing.F) {
	for _, script := range payoutScripts {
		for _, network := range networks {
			address, err := FormatScript(script, network.params)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(address)
		}
	}
	f.Fuzz(func(t *testing.T, address string) {
		script, err := ParseAddress(address, &chaincfg.RegressionNetParams)
		if err != nil {
			if !errors.Is(err, ErrAddressMalformed) && !errors.Is(err, ErrAddressNetwork) {
				t.Fatal(err)
			}
			return
		}
		back, err := FormatScript(script, &chaincfg.RegressionNetParams)
		if err != nil || !strings.EqualFold(back, address) {
			t.Fatalf("%q formats as %q, error %v", address, back, err)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(`{"threshold":1,"guardians":1,"recovery":{"keys":["00"]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePolicy(b)
		if err != nil {
			if !errors.Is(err, ErrPolicy) {
				t.Fatal(err)
			}
			return
		}
		if _, err := NewVault(p); err != nil {
			t.Fatal(err)
		}
	})
}
