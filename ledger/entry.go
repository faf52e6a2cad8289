package ledger

// Entry is one line of the journal: an order or a chain event, exactly one of
// the two.
type Entry struct {
	Order *Order
	Event Event
}

// MaxEntrySize is the size in bytes of the largest entry.
const MaxEntrySize = max(MaxOrderSize, MaxEventSize)

// Kind is the kind of the order or event.
func (e Entry) Kind() Kind {
	if e.Order != nil {
		return e.Order.Kind()
	}
	return e.Event.Kind()
}

// Bytes returns the entry's canonical bytes.
func (e Entry) Bytes() []byte {
	if e.Order != nil {
		return e.Order.Bytes()
	}
	return e.Event.append([]byte{eventVersion, byte(e.Event.Kind())})
}

// DecodeEntry reads one entry that fills data exactly; what it returns encodes
// to data again. Errors: CodeMalformed, CodeOversized.
func DecodeEntry(data []byte) (Entry, error) {
	if len(data) < 2 || data[1] < firstEvent {
		o, err := DecodeOrder(data)
		return Entry{Order: o}, err
	}
	if data[0] != eventVersion {
		return Entry{}, fail(CodeMalformed, "event version %d is not known here", data[0])
	}
	r := &reader{rest: data[2:]}
	event, err := decodeEvent(Kind(data[1]), r)
	if err != nil {
		return Entry{}, err
	}
	if r.bad || len(r.rest) != 0 {
		return Entry{}, fail(CodeMalformed, "the %s event is cut short, too long or beyond its limits (%d bytes)", event.Kind(), len(data))
	}
	return Entry{Event: event}, nil
}

// Leaf is the entry's leaf in its batch's Merkle tree. It covers the signature.
func (e Entry) Leaf() Hash { return EntryLeaf(e.Bytes()) }

// EntryLeaf is the leaf of an entry's canonical bytes: the tagged hash
// "daobank/entry/leaf".
func EntryLeaf(canonical []byte) Hash { return tagEntryLeaf.hash(canonical) }
