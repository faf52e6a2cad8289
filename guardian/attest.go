package guardian

import (
	"encoding/binary"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// Attestation says that a guardian has replayed the journal up to a batch,
// every signature and every fact of the chain, and found it right. t of them
// make the payments of that batch and of all before it attested.
type Attestation struct {
	Guardian  chilldkg.HostPublicKey `json:"guardian"`
	Batch     uint64                 `json:"batch"`
	Head      ledger.Hash            `json:"head"` // hash of the batch's header
	Signature ledger.Signature       `json:"signature"`
}

// digest is the tagged hash "daobank/attestation" of the bank's id, the batch
// number and the header's hash.
func (a *Attestation) digest(bank ledger.BankID) ledger.Hash {
	b := append([]byte(nil), bank[:]...)
	b = binary.BigEndian.AppendUint64(b, a.Batch)
	b = append(b, a.Head[:]...)
	return ledger.Hash(*chainhash.TaggedHash([]byte("daobank/attestation"), b))
}

// Attest signs for what a guardian has replayed, with its host key.
func Attest(bank ledger.BankID, batch uint64, head ledger.Hash, host *chilldkg.HostKey) (Attestation, error) {
	a := Attestation{Guardian: host.Public(), Batch: batch, Head: head}
	secret, err := host.Reveal()
	if err != nil {
		return a, err
	}
	defer clear(secret)
	key, _ := btcec.PrivKeyFromBytes(secret)
	defer key.Zero()
	digest := a.digest(bank)
	sig, err := schnorr.Sign(key, digest[:])
	if err != nil {
		return a, fmt.Errorf("attest batch %d: %w", batch, err)
	}
	a.Signature = ledger.Signature(sig.Serialize())
	return a, nil
}

// Verify reports whether the guardian that it names made the attestation. Whether
// that is a guardian of the bank is another question.
func (a *Attestation) Verify(bank ledger.BankID) bool {
	return ledger.Key(a.Guardian[1:]).Verify(a.digest(bank), a.Signature)
}
