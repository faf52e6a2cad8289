package export

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/daobank/daobank/ledger"
)

// A record's body is a batch without what every batch of the bank has in common:
//
//	header    156 bytes: number to signature, as in the signed header
//	fixed     length u32, then what does not compress: digests and signatures
//	columns   method u8, length u32 unpacked, then what does
//
// Each column holds one kind of field of all entries, one after the other: bytes
// that resemble each other stand together, which deflate is grateful for.
const (
	bankEnds   = 1 + 32 // of a signed header: version and bank
	headerSize = ledger.SignedHeaderSize - bankEnds

	methodStored  = 0
	methodDeflate = 1

	// columnsMax bounds what is unpacked; larger columns are stored.
	columnsMax = 64 << 20
	// recordMax bounds a record's body.
	recordMax = 1 << 30
)

// Places in an order's canonical bytes (docs/formats.md, "Orders").
const (
	orderVersion  = 1
	payerAt       = 34
	sequenceAt    = 42
	previousAt    = 50
	expiryAt      = 82
	bodyAt        = 86
	signatureSize = 64
	firstEvent    = 64 // kinds from here on are not orders
)

// The columns.
const (
	forms     = iota // one byte for each entry, of the bits below
	payers           // this and the next are of orders without follows
	sequences        //
	distances        // of orders with follows: entries back to the order before
	expiries         //
	lengths          // kind and length of a body; of a transfer, of its reference and payments
	payees           //
	amounts          //
	texts            // entries in one piece, bodies, references
	columnCount
)

// Bits of a form. An entry without isOrder is in one piece.
const (
	isOrder    = 1 << iota // taken apart
	follows                // continues the chain of an order of this batch
	isTransfer             // its body is taken apart too
	isFirst                // its previous is zero
	formsAll   = 1<<iota - 1
)

// encode writes the body of a batch's record. The header must be of the bank.
func encode(batch *ledger.Batch) ([]byte, error) {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.begin(batch)
	for i, entry := range batch.Entries {
		e.entry(i, entry)
	}
	return e.end(batch)
}

var encoders = sync.Pool{New: func() any {
	deflate, err := flate.NewWriter(io.Discard, flate.DefaultCompression)
	if err != nil {
		panic(err) // the level is one of flate's own
	}
	return &encoder{deflate: deflate, latest: make(map[uint64]int)}
}}

type encoder struct {
	bank    ledger.BankID
	entries [][]byte
	latest  map[uint64]int // the last entry of a payer that was taken apart
	columns [columnCount][]byte
	fixed   []byte
	plain   []byte
	packed  bytes.Buffer
	deflate *flate.Writer
}

func (e *encoder) begin(batch *ledger.Batch) {
	e.bank, e.entries = batch.Header.Bank, batch.Entries
	clear(e.latest)
	for i := range e.columns {
		e.columns[i] = e.columns[i][:0]
	}
	e.fixed = e.fixed[:0]
}

func (e *encoder) number(column int, n uint64) {
	e.columns[column] = binary.AppendUvarint(e.columns[column], n)
}

func (e *encoder) text(b []byte) { e.columns[texts] = append(e.columns[texts], b...) }

func (e *encoder) entry(i int, entry []byte) {
	if !e.canSplit(entry) {
		e.columns[forms] = append(e.columns[forms], 0)
		e.number(lengths, uint64(len(entry)))
		e.text(entry)
		return
	}
	form := byte(isOrder)
	payer, sequence := binary.BigEndian.Uint64(entry[payerAt:]), binary.BigEndian.Uint64(entry[sequenceAt:])
	previous := ledger.Hash(entry[previousAt:expiryAt])
	last, found := e.latest[payer]
	switch {
	case found && e.follows(e.entries[last], sequence, previous):
		form |= follows
		e.number(distances, uint64(i-last))
	case previous.IsZero():
		form |= isFirst
	default:
		e.fixed = append(e.fixed, previous[:]...)
	}
	if form&follows == 0 {
		e.number(payers, payer)
		e.number(sequences, sequence)
	}
	e.number(expiries, uint64(binary.BigEndian.Uint32(entry[expiryAt:])))
	body, signature := entry[bodyAt:len(entry)-signatureSize], entry[len(entry)-signatureSize:]
	if ledger.Kind(entry[1]) == ledger.KindTransfer && e.transfer(body) {
		form |= isTransfer
	} else {
		e.number(lengths, uint64(entry[1]))
		e.number(lengths, uint64(len(body)))
		e.text(body)
	}
	e.fixed = append(e.fixed, signature...)
	e.columns[forms] = append(e.columns[forms], form)
	e.latest[payer] = i
}

// canSplit tells whether an entry has the parts of an order of this bank. What
// stands in them does not matter: they are put together again as they were.
func (e *encoder) canSplit(entry []byte) bool {
	return len(entry) >= bodyAt+signatureSize && entry[0] == orderVersion && entry[1] < firstEvent && ledger.BankID(entry[2:payerAt]) == e.bank
}

// follows tells whether an order names another as the one before it.
func (e *encoder) follows(last []byte, sequence uint64, previous ledger.Hash) bool {
	return binary.BigEndian.Uint64(last[sequenceAt:])+1 == sequence && ledger.OrderDigest(last) == previous
}

// transfer takes a transfer's body apart; it does nothing when that is none.
func (e *encoder) transfer(body []byte) bool {
	if len(body) < 3 {
		return false
	}
	reference := int(body[0])
	if len(body) < 3+reference {
		return false
	}
	rest := body[1+reference:]
	payments := int(binary.BigEndian.Uint16(rest))
	if rest = rest[2:]; len(rest) != 16*payments {
		return false
	}
	e.number(lengths, uint64(reference))
	e.number(lengths, uint64(payments))
	e.text(body[1 : 1+reference])
	for ; len(rest) > 0; rest = rest[16:] {
		e.number(payees, binary.BigEndian.Uint64(rest))
		e.number(amounts, binary.BigEndian.Uint64(rest[8:]))
	}
	return true
}

// end puts the parts together.
func (e *encoder) end(batch *ledger.Batch) ([]byte, error) {
	e.plain = e.plain[:0]
	for _, column := range e.columns {
		e.plain = binary.AppendUvarint(e.plain, uint64(len(column)))
	}
	for _, column := range e.columns {
		e.plain = append(e.plain, column...)
	}
	method, columns := byte(methodStored), e.plain
	if len(e.plain) <= columnsMax {
		e.packed.Reset()
		e.deflate.Reset(&e.packed)
		if _, err := e.deflate.Write(e.plain); err != nil {
			return nil, err
		}
		if err := e.deflate.Close(); err != nil {
			return nil, err
		}
		if e.packed.Len() < len(e.plain) {
			method, columns = methodDeflate, e.packed.Bytes()
		}
	}
	size := headerSize + 4 + len(e.fixed) + 1 + 4 + len(columns)
	if size > recordMax {
		return nil, fmt.Errorf("batch %d takes %d bytes, more than a record can hold", batch.Header.Number, size)
	}
	body := append(make([]byte, 0, size), batch.Header.Bytes()[bankEnds:]...)
	body = binary.BigEndian.AppendUint32(body, uint32(len(e.fixed)))
	body = append(body, e.fixed...)
	body = append(body, method)
	body = binary.BigEndian.AppendUint32(body, uint32(len(e.plain)))
	return append(body, columns...), nil
}

var errMalformed = errors.New("the record is malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMalformed, fmt.Sprintf(format, args...))
}

// readHeader reads the header of a record's body.
func readHeader(bank ledger.BankID, body []byte) (ledger.SignedHeader, error) {
	if len(body) < headerSize {
		return ledger.SignedHeader{}, malformed("it has %d bytes, a header needs %d", len(body), headerSize)
	}
	var signed [ledger.SignedHeaderSize]byte
	signed[0] = 1
	copy(signed[1:], bank[:])
	copy(signed[bankEnds:], body)
	return ledger.DecodeSignedHeader(signed[:])
}

// decode reads the body of a record. What it makes is no larger than some multiple
// of what it reads.
func decode(bank ledger.BankID, body []byte) (*ledger.Batch, error) {
	header, err := readHeader(bank, body)
	if err != nil {
		return nil, err
	}
	rest := body[headerSize:]
	if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest))+9 > uint64(len(rest)) {
		return nil, malformed("it is cut short")
	}
	n := int(binary.BigEndian.Uint32(rest))
	d := &decoder{bank: bank, fixed: rest[4 : 4+n]}
	method, unpacked, columns := rest[4+n], binary.BigEndian.Uint32(rest[5+n:]), rest[9+n:]
	switch method {
	case methodStored:
	case methodDeflate:
		if columns, err = inflate(columns, int(unpacked)); err != nil {
			return nil, err
		}
	default:
		return nil, malformed("method %d is not known here", method)
	}
	if len(columns) != int(unpacked) {
		return nil, malformed("its columns have %d bytes, it says %d", len(columns), unpacked)
	}
	if err := d.open(columns); err != nil {
		return nil, err
	}
	if len(d.columns[forms]) != int(header.Count) || header.Count > ledger.MaxBatch {
		return nil, malformed("it has %d entries, its header counts %d", len(d.columns[forms]), header.Count)
	}
	entries, err := d.entries()
	return &ledger.Batch{Header: header, Entries: entries}, err
}

var inflaters = sync.Pool{New: func() any { return flate.NewReader(bytes.NewReader(nil)) }}

// inflate unpacks at most size bytes.
func inflate(packed []byte, size int) ([]byte, error) {
	if size > columnsMax {
		return nil, malformed("its columns are too long to be packed: %d bytes", size)
	}
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	if err := r.(flate.Resetter).Reset(bytes.NewReader(packed), nil); err != nil {
		return nil, err
	}
	// Deflate makes at most 1,032 bytes of one: more is not made room for.
	if size > 1032*len(packed) {
		return nil, malformed("%d bytes cannot be unpacked to %d", len(packed), size)
	}
	plain := make([]byte, size)
	if _, err := io.ReadFull(r, plain); err != nil {
		return nil, malformed("its columns do not unpack: %v", err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, malformed("its columns are longer than they say")
	}
	return plain, nil
}

type decoder struct {
	bank    ledger.BankID
	columns [columnCount][]byte
	fixed   []byte
	bad     bool

	arena []byte // the canonical bytes of the entries
	ends  []int  // of each entry in it
}

// open finds the columns.
func (d *decoder) open(plain []byte) error {
	var sizes [columnCount]uint64
	for i := range sizes {
		n, used := binary.Uvarint(plain)
		if used <= 0 {
			return malformed("the lengths of its columns are cut short")
		}
		sizes[i], plain = n, plain[used:]
	}
	for i, size := range sizes {
		if size > uint64(len(plain)) {
			return malformed("column %d is cut short", i)
		}
		d.columns[i], plain = plain[:size], plain[size:]
	}
	if len(plain) != 0 {
		return malformed("%d bytes follow its columns", len(plain))
	}
	return nil
}

func (d *decoder) number(column int) uint64 {
	c := d.columns[column]
	if len(c) > 0 && c[0] < 0x80 { // most numbers
		d.columns[column] = c[1:]
		return uint64(c[0])
	}
	n, used := binary.Uvarint(c)
	if used <= 0 {
		d.bad = true
		return 0
	}
	d.columns[column] = c[used:]
	return n
}

// take returns the next n bytes of a column or of the fixed part.
func (d *decoder) take(from *[]byte, n uint64) []byte {
	if n > uint64(len(*from)) {
		d.bad = true
		return nil
	}
	b := (*from)[:n]
	*from = (*from)[n:]
	return b
}

func (d *decoder) entries() ([][]byte, error) {
	all := d.columns[forms]
	payments := 0
	for _, b := range d.columns[payees] {
		if b < 0x80 { // the last byte of a number
			payments++
		}
	}
	d.arena = make([]byte, 0, len(all)*(bodyAt+3)+len(d.fixed)+16*payments+len(d.columns[texts]))
	d.ends = make([]int, 0, len(all))
	for i, form := range all {
		switch {
		case form > formsAll:
			return nil, malformed("entry %d has the form %d", i, form)
		case form&isOrder != 0:
			d.order(i, form)
		case form != 0:
			d.bad = true
		default:
			d.arena = append(d.arena, d.take(&d.columns[texts], d.number(lengths))...)
		}
		if d.bad {
			return nil, malformed("entry %d is cut short", i)
		}
		d.ends = append(d.ends, len(d.arena))
	}
	for i := range d.columns {
		if i != forms && len(d.columns[i]) != 0 {
			return nil, malformed("%d bytes are left over in column %d", len(d.columns[i]), i)
		}
	}
	if len(d.fixed) != 0 {
		return nil, malformed("%d digests or signatures are left over", len(d.fixed))
	}
	entries := make([][]byte, len(all))
	for i := range entries {
		entries[i] = d.entry(i)
	}
	return entries, nil
}

// entry is one that was put together.
func (d *decoder) entry(i int) []byte {
	from := 0
	if i > 0 {
		from = d.ends[i-1]
	}
	return d.arena[from:d.ends[i]:d.ends[i]]
}

// order puts an order together.
func (d *decoder) order(i int, form byte) {
	var payer, sequence uint64
	var previous ledger.Hash
	switch {
	case form&follows != 0:
		before := d.before(i)
		if before == nil {
			d.bad = true
			return
		}
		payer, sequence = binary.BigEndian.Uint64(before[payerAt:]), binary.BigEndian.Uint64(before[sequenceAt:])+1
		previous = ledger.OrderDigest(before)
	default:
		payer, sequence = d.number(payers), d.number(sequences)
		if form&isFirst == 0 {
			copy(previous[:], d.take(&d.fixed, 32))
		}
	}
	expiry := d.number(expiries)
	if expiry > 1<<32-1 {
		d.bad = true
	}
	kind, length := uint64(ledger.KindTransfer), d.number(lengths)
	if form&isTransfer == 0 {
		kind, length = length, d.number(lengths)
	}
	if kind >= firstEvent {
		d.bad = true
	}
	b := append(d.arena, orderVersion, byte(kind))
	b = append(b, d.bank[:]...)
	b = binary.BigEndian.AppendUint64(b, payer)
	b = binary.BigEndian.AppendUint64(b, sequence)
	b = append(b, previous[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(expiry))
	if form&isTransfer != 0 {
		b = d.transfer(b, length)
	} else {
		b = append(b, d.take(&d.columns[texts], length)...)
	}
	d.arena = append(b, d.take(&d.fixed, signatureSize)...)
}

// transfer appends the body of a transfer.
func (d *decoder) transfer(b []byte, reference uint64) []byte {
	payments := d.number(lengths)
	if reference > 0xff || payments > 0xffff || payments > uint64(len(d.columns[payees])) {
		d.bad = true
		return b
	}
	b = append(b, byte(reference))
	b = append(b, d.take(&d.columns[texts], reference)...)
	b = binary.BigEndian.AppendUint16(b, uint16(payments))
	for range payments {
		b = binary.BigEndian.AppendUint64(b, d.number(payees))
		b = binary.BigEndian.AppendUint64(b, d.number(amounts))
	}
	return b
}

// before is the order that entry i continues, nil when there is none.
func (d *decoder) before(i int) []byte {
	distance := d.number(distances)
	if distance == 0 || distance > uint64(i) {
		return nil
	}
	at := i - int(distance)
	if before := d.entry(at); d.columns[forms][at]&isOrder != 0 {
		return before
	}
	return nil
}
