package api

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// Bank is what GET /v1/bank answers: all that a client needs to sign orders, to
// derive addresses and to verify receipts without asking again.
type Bank struct {
	ID         ledger.BankID  `json:"bank"`
	Charter    ledger.Charter `json:"charter"`
	Network    string         `json:"network"`    // as taproot.Policy names it
	Descriptor string         `json:"descriptor"` // of the vault, with its checksum
	Policy     taproot.Policy `json:"policy"`     // of the vault's newest key
	Founded    taproot.Policy `json:"founded"`    // of its first
	// Rekeys are the keys after the first, each signed by the one before: Vaults
	// verifies them.
	Rekeys        []Rekey                  `json:"rekeys,omitempty"`
	Guardians     []chilldkg.HostPublicKey `json:"guardians"` // of the newest key, by id
	WithdrawalMin ledger.Amount            `json:"withdrawal_min_sat"`
	Height        uint32                   `json:"height"` // last block of the books
	Block         string                   `json:"block"`  // its hash as Bitcoin prints it
	Batch         uint64                   `json:"batch"`  // last batch
	Head          ledger.Hash              `json:"head"`   // hash of its header; the bank's id before the first
	Settlements   uint32                   `json:"settlements"`
	// Cleared is what transfers have moved inside since the founding, and Settled what
	// settlements have paid out on chain. Ratio is both over the second; "" before it.
	Cleared uint64 `json:"cleared_sat"`
	Settled uint64 `json:"settled_sat"`
	Ratio   string `json:"netting_ratio"`
	// Attested is the last batch that as many guardians as must sign have
	// replayed, and Anchored the last whose books are in a Bitcoin transaction at
	// its depth; 0 for none. Both hold for all batches before, too.
	Attested uint64 `json:"attested"`
	Anchored uint64 `json:"anchored"`
}

// Rekey is one change of the vault's key, as the journal has it.
type Rekey struct {
	Generation uint32           `json:"generation"`
	Policy     json.RawMessage  `json:"policy"`
	Signature  ledger.Signature `json:"signature"`
}

// Vaults verifies the changes of the vault's key, from the founding on. Whether the
// founding's policy is the bank's the caller has to know. Error:
// *netting.RekeyError.
func (b *Bank) Vaults() (*netting.Vaults, error) {
	founding, err := taproot.NewVault(b.Founded)
	if err != nil {
		return nil, err
	}
	rekeys := make([]ledger.Rekey, len(b.Rekeys))
	for i, e := range b.Rekeys {
		rekeys[i] = ledger.Rekey{Generation: e.Generation, Policy: e.Policy, Signature: e.Signature}
	}
	vaults := netting.NewVaults(b.Charter.ID(), founding)
	return vaults, vaults.Extend(rekeys)
}

// Account is one account of the books.
type Account struct {
	Address   string           `json:"account"` // for people: dao1…
	Number    ledger.AccountID `json:"number"`
	Key       ledger.Key       `json:"key"`
	Balance   ledger.Amount    `json:"balance_sat"`
	Held      ledger.Amount    `json:"held_sat"` // part of the balance, by withdrawals that wait
	Available ledger.Amount    `json:"available_sat"`
	Sequence  uint64           `json:"sequence"` // of the last order; the next has one more
	Last      ledger.Hash      `json:"last"`     // its digest, the next order's previous
	Closed    bool             `json:"closed"`
	// DepositAddress is the Bitcoin address whose coins are credited here; empty
	// for the bank's own accounts but the treasury.
	DepositAddress string `json:"deposit_address"`
	Height         uint32 `json:"height"` // last block of the books when this was read
}

// acceptanceForm is the answer to an accepted order.
type acceptanceForm struct {
	Account  string           `json:"account"` // that ordered, or that was opened
	Number   ledger.AccountID `json:"number"`
	Batch    uint64           `json:"batch"`
	Index    uint32           `json:"index"`
	Digest   ledger.Hash      `json:"digest"`
	Repeated bool             `json:"repeated"`
	Receipt  ledger.Receipt   `json:"receipt"` // canonical bytes in hex
}

// appendJSON appends what json.Marshal returns, which takes four times as long: these
// are nearly all bytes that the bank sends under load.
func (f *acceptanceForm) appendJSON(b []byte) []byte {
	b = append(b, `{"account":"`...)
	b = append(b, f.Account...) // dao1…, or a name of the bank's own: nothing to escape
	b = append(b, `","number":`...)
	b = strconv.AppendUint(b, uint64(f.Number), 10)
	b = append(b, `,"batch":`...)
	b = strconv.AppendUint(b, f.Batch, 10)
	b = append(b, `,"index":`...)
	b = strconv.AppendUint(b, uint64(f.Index), 10)
	b = append(b, `,"digest":"`...)
	b = hex.AppendEncode(b, f.Digest[:])
	b = append(b, `","repeated":`...)
	b = strconv.AppendBool(b, f.Repeated)
	b = append(b, `,"receipt":"`...)
	b = hex.AppendEncode(b, f.Receipt.Bytes())
	return append(b, `"}`...)
}

// outcomeForm reads one line of the answer to a batch of orders: an acceptance
// or an error.
type outcomeForm struct {
	acceptanceForm
	Error *errorBody `json:"error"`
}

// Movement is one line of an account's history.
type Movement struct {
	Cursor Cursor        `json:"cursor"`
	Amount ledger.Amount `json:"amount_sat"` // above zero came in
	Kind   string        `json:"kind"`       // of the order or event that moved it
	// Counterparty is the other account: dao1… or the name of one of the bank's own.
	Counterparty       string           `json:"counterparty"`
	CounterpartyNumber ledger.AccountID `json:"counterparty_number"`
	Sequence           uint64           `json:"sequence"`  // of the payer's order; 0 for an event
	Reference          string           `json:"reference"` // hex
	UnixMilli          uint64           `json:"unix_ms"`
}

// History is a part of an account's history, newest first.
type History struct {
	Movements []Movement `json:"movements"`
	// Next is the place to go on from; empty at the end.
	Next string `json:"next"`
}

// Cursor is a place in an account's history: batch.entry.line in text.
type Cursor postgres.Cursor

func (c Cursor) String() string { return fmt.Sprintf("%d.%d.%d", c.Batch, c.Index, c.Line) }

// MarshalText implements encoding.TextMarshaler.
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Cursor) UnmarshalText(text []byte) error {
	parts := strings.Split(string(text), ".")
	if len(parts) != 3 {
		return malformed("%.40q is not a place in the history: use the \"next\" of the last answer", text)
	}
	var n [3]uint64
	for i, bits := range [3]int{63, 31, 31} { // what the columns of the history hold
		var err error
		if n[i], err = strconv.ParseUint(parts[i], 10, bits); err != nil {
			return malformed("%.40q is not a place in the history: use the \"next\" of the last answer", text)
		}
	}
	*c = Cursor{Batch: n[0], Index: uint32(n[1]), Line: uint32(n[2])}
	return nil
}

// Quote is the price of a withdrawal at this moment.
type Quote struct {
	Address       string        `json:"address"`
	Script        string        `json:"script"` // hex
	Amount        ledger.Amount `json:"amount_sat"`
	FeeRate       int64         `json:"fee_rate_sat_per_kvb"` // satoshis per 1,000 vbytes
	Fee           ledger.Amount `json:"fee_sat"`              // at this rate; sharing an output costs less
	FeeMax        ledger.Amount `json:"fee_max_sat"`          // suggested for the order
	WithdrawalMin ledger.Amount `json:"withdrawal_min_sat"`
	Height        uint32        `json:"height"`
}

// batchForm is a batch of the journal in canonical bytes.
type batchForm struct {
	Number  uint64     `json:"number"`
	Header  hexBytes   `json:"header"`
	Entries []hexBytes `json:"entries"`
}

type batchesForm struct {
	Batches []batchForm `json:"batches"`
	Next    uint64      `json:"next"` // number to go on from
}

type withdrawalForm struct {
	*settlement.Withdrawal
	Script hexBytes `json:"script"`
}

type settlementsForm struct {
	Settlements []settlement.Status `json:"settlements"`
	Next        uint32              `json:"next"`
}

// orderAtForm is an accepted order with the proof that it was.
type orderAtForm struct {
	Order   hexBytes       `json:"order"`
	Digest  ledger.Hash    `json:"digest"`
	Batch   uint64         `json:"batch"`
	Index   uint32         `json:"index"`
	Receipt ledger.Receipt `json:"receipt"`
}

type statusForm struct {
	Status string `json:"status"`
}

func newBatchForm(b *ledger.Batch) batchForm {
	form := batchForm{Number: b.Header.Number, Header: b.Header.Bytes(), Entries: make([]hexBytes, len(b.Entries))}
	for i, entry := range b.Entries {
		form.Entries[i] = entry
	}
	return form
}

func newMovement(bank ledger.BankID, m *postgres.Movement) Movement {
	return Movement{
		Cursor: Cursor(m.Cursor), Amount: m.Amount, Kind: m.Kind.String(),
		Counterparty: accountName(bank, m.Counterparty), CounterpartyNumber: m.Counterparty,
		Sequence: m.Sequence, Reference: hex.EncodeToString(m.Reference), UnixMilli: m.UnixMilli,
	}
}

// accountName is how an account is written for people.
func accountName(bank ledger.BankID, id ledger.AccountID) string {
	if id.IsMember() {
		return ledger.FormatAccount(bank, id)
	}
	return id.String()
}
