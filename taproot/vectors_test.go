package taproot

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/taproot/frost"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// eachVectorFile runs f over folder/name in testdata and, besides, in the
// folders that DAOBANK_VECTORS lists.
func eachVectorFile(t *testing.T, folder, name string, f func(t *testing.T, raw []byte)) {
	t.Helper()
	found := 0
	roots := append([]string{"testdata"}, filepath.SplitList(os.Getenv("DAOBANK_VECTORS"))...)
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != name || filepath.Base(filepath.Dir(path)) != folder {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			found++
			t.Run(path, func(t *testing.T) { f(t, raw) })
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Fatalf("no %s/%s", folder, name)
	}
}

func TestSyntheticXpubBIP328(t *testing.T) {
	eachVectorFile(t, "bip328", "vectors.json", func(t *testing.T, raw []byte) {
		var cases []struct {
			Key  frost.PublicKey `json:"aggregate_pubkey"`
			Xpub string          `json:"xpub"`
		}
		if err := json.Unmarshal(raw, &cases); err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			got, err := SyntheticXpub(c.Key, &chaincfg.MainNetParams)
			if err != nil || got != c.Xpub {
				t.Errorf("%v: got %s, error %v, want %s", c.Key, got, err, c.Xpub)
			}
		}
	})
}

type bip341File struct {
	ScriptPubKey []struct {
		Given struct {
			InternalKey hexBytes `json:"internalPubkey"`
		} `json:"given"`
		Intermediary struct {
			MerkleRoot *hexBytes `json:"merkleRoot"`
			Tweak      hexBytes  `json:"tweak"`
			TweakedKey hexBytes  `json:"tweakedPubkey"`
		} `json:"intermediary"`
		Expected struct {
			Script  hexBytes `json:"scriptPubKey"`
			Address string   `json:"bip350Address"`
		} `json:"expected"`
	} `json:"scriptPubKey"`
	KeyPathSpending []struct {
		Given struct {
			Tx    hexBytes `json:"rawUnsignedTx"`
			Spent []struct {
				Script hexBytes `json:"scriptPubKey"`
				Sats   int64    `json:"amountSats"`
			} `json:"utxosSpent"`
		} `json:"given"`
		Inputs []struct {
			Given struct {
				Index      int       `json:"txinIndex"`
				MerkleRoot *hexBytes `json:"merkleRoot"`
				HashType   uint32    `json:"hashType"`
			} `json:"given"`
			Intermediary struct {
				InternalKey hexBytes `json:"internalPubkey"`
				Tweak       hexBytes `json:"tweak"`
				SigHash     hexBytes `json:"sigHash"`
			} `json:"intermediary"`
			Expected struct {
				Witness []hexBytes `json:"witness"`
			} `json:"expected"`
		} `json:"inputSpending"`
		Auxiliary struct {
			SignedTx hexBytes `json:"fullySignedTx"`
		} `json:"auxiliary"`
	} `json:"keyPathSpending"`
}

func TestOutputsBIP341(t *testing.T) {
	eachBIP341(t, func(t *testing.T, file bip341File) {
		for _, c := range file.ScriptPubKey {
			key := internalKey(t, c.Given.InternalKey)
			outputKey, tweak, err := key.taproot(root(c.Intermediary.MerkleRoot))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(tweak[:], c.Intermediary.Tweak) || !bytes.Equal(outputKey[:], c.Intermediary.TweakedKey) {
				t.Errorf("key %x: tweak %x, output key %x", c.Given.InternalKey, tweak, outputKey)
			}
			script := payToTaproot(outputKey)
			if !bytes.Equal(script, c.Expected.Script) {
				t.Errorf("script %x, want %x", script, c.Expected.Script)
			}
			address, err := FormatScript(script, &chaincfg.MainNetParams)
			if err != nil || address != c.Expected.Address {
				t.Errorf("address %s, error %v, want %s", address, err, c.Expected.Address)
			}
			// The vault's tweak, applied by frost as when signing, leads to the
			// same key.
			tweaked, err := frost.TweakedKey(key.compressed, []frost.Tweak{{Value: tweak, XOnly: true}})
			if err != nil || tweaked != outputKey {
				t.Errorf("frost's tweak gives %x, error %v, want %x", tweaked, err, outputKey)
			}
		}
	})
}

func TestSighashesBIP341(t *testing.T) {
	eachBIP341(t, func(t *testing.T, file bip341File) {
		for _, c := range file.KeyPathSpending {
			tx := decodeTx(t, c.Given.Tx)
			var prevouts []*wire.TxOut
			for _, spent := range c.Given.Spent {
				prevouts = append(prevouts, wire.NewTxOut(spent.Sats, spent.Script))
			}
			messages, err := Sighashes(tx, prevouts)
			if err != nil {
				t.Fatal(err)
			}
			byDefault := 0
			for _, in := range c.Inputs {
				key := internalKey(t, in.Intermediary.InternalKey)
				outputKey, tweak, err := key.taproot(root(in.Given.MerkleRoot))
				if err != nil || !bytes.Equal(tweak[:], in.Intermediary.Tweak) {
					t.Errorf("input %d: tweak %x, error %v, want %x", in.Given.Index, tweak, err, in.Intermediary.Tweak)
				}
				if txscript.SigHashType(in.Given.HashType) != txscript.SigHashDefault {
					continue // the vault signs with SIGHASH_DEFAULT only
				}
				byDefault++
				message := messages[in.Given.Index]
				if !bytes.Equal(message[:], in.Intermediary.SigHash) {
					t.Errorf("input %d: sighash %x, want %x", in.Given.Index, message, in.Intermediary.SigHash)
				}
				signature := frost.Signature(in.Expected.Witness[0])
				if err := frost.VerifySignature(outputKey, message[:], signature); err != nil {
					t.Errorf("input %d: %v", in.Given.Index, err)
				}
			}
			if byDefault == 0 {
				t.Error("no input with SIGHASH_DEFAULT")
			}
			signed := decodeTx(t, c.Auxiliary.SignedTx)
			if err := VerifySpend(signed, prevouts); err != nil {
				t.Error(err)
			}
		}
	})
}

func eachBIP341(t *testing.T, f func(t *testing.T, file bip341File)) {
	t.Helper()
	eachVectorFile(t, "bip341", "wallet-test-vectors.json", func(t *testing.T, raw []byte) {
		var file bip341File
		if err := json.Unmarshal(raw, &file); err != nil {
			t.Fatal(err)
		}
		f(t, file)
	})
}

func root(b *hexBytes) []byte {
	if b == nil {
		return nil
	}
	return *b
}

func internalKey(t *testing.T, xOnly []byte) *extendedKey {
	t.Helper()
	if _, err := schnorr.ParsePubKey(xOnly); err != nil {
		t.Fatal(err)
	}
	key, err := newExtendedKey(frost.PublicKey(append([]byte{2}, xOnly...)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func decodeTx(t *testing.T, raw []byte) *wire.MsgTx {
	t.Helper()
	tx := new(wire.MsgTx)
	if err := tx.Deserialize(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	return tx
}
