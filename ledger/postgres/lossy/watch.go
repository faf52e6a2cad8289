package lossy

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// A Write is a Tx that adds to the journal what no member signs, or a step to the
// diary of settlements.
type Write struct {
	Kinds []byte // of the journal's entries, as in their canonical bytes; each once
	Step  string // of the diary; empty for none
}

// A Watcher is told of each Write twice: before its COMMIT reaches the server, and
// when the server has carried it out and the client has not heard so; of what
// the server refuses, once. The connection waits until it returns; false
// cuts it there, for a client or a server that has died meanwhile.
type Watcher func(w Write, done bool) bool

// Watch sets the watcher; nil takes it away.
func (p *Proxy) Watch(w Watcher) {
	if w == nil {
		p.watch.Store(nil)
		return
	}
	p.watch.Store(&w)
}

// allows asks the watcher whether the connection goes on.
func (p *Proxy) allows(w Write, done bool) bool {
	watch := p.watch.Load()
	return watch == nil || (*watch)(w, done)
}

// A reader follows the messages of one client (PostgreSQL's manual, "Message
// Formats") and gathers what its Tx writes.
type reader struct {
	diary  []string // names of prepared statements that write a step
	copies []string // the tables whose rows come now, one after the other
	batch  bool     // the journal is among them
	begins bool     // the last message was the first of a query
	write  Write
}

// take reads one message. With the one that ends a Tx it returns what that has
// written, nil when it is not for a Watcher, and whether it is a batch's.
func (r *reader) take(message []byte) (w *Write, batch bool) {
	if len(message) < 5 {
		return nil, false
	}
	body := message[5:]
	r.begins = bytes.IndexByte([]byte("PBQ"), message[0]) >= 0
	switch message[0] {
	case 'P':
		if fields := bytes.SplitN(body, []byte{0}, 3); len(fields) == 3 && bytes.Contains(fields[1], []byte("insert into settlement_step ")) {
			r.diary = append(r.diary, string(fields[0]))
		}
	case 'B':
		if fields := bytes.SplitN(body, []byte{0}, 3); len(fields) == 3 && slices.Contains(r.diary, string(fields[1])) {
			r.write.Step = parameter(fields[2], stepParameter)
		}
	case 'Q':
		r.copies = nil
		for statement := range strings.SplitSeq(string(body), ";") {
			if into, ok := strings.CutPrefix(statement, "copy "); ok {
				table, _, _ := strings.Cut(into, " ")
				r.copies = append(r.copies, table)
			}
		}
		r.batch = slices.Contains(r.copies, journal)
		if bytes.EqualFold(body, []byte("commit\x00")) {
			return r.done(), false
		}
	case 'd':
		if len(r.copies) > 0 && r.copies[0] == journal {
			r.events(body)
		}
	case 'c':
		if len(r.copies) > 0 {
			r.copies = r.copies[1:]
		}
		if r.batch && len(r.copies) == 0 {
			return r.done(), true
		}
	}
	return nil, false
}

// journal is the table of the journal's entries.
const journal = "entry"

func (r *reader) done() *Write {
	w := r.write
	r.write = Write{}
	if w.Step == "" && len(w.Kinds) == 0 {
		return nil
	}
	return &w
}

// stepParameter is the place of the step's name among a step's parameters.
const stepParameter = 4

// parameter returns one parameter of a Bind message, whose names were taken off;
// empty when it is not there.
func parameter(rest []byte, place int) string {
	take := func(size int) []byte {
		if size > len(rest) {
			rest = nil
			return make([]byte, size)
		}
		part := rest[:size]
		rest = rest[size:]
		return part
	}
	take(2 * int(binary.BigEndian.Uint16(take(2)))) // formats
	for i := range int(binary.BigEndian.Uint16(take(2))) {
		size := int32(binary.BigEndian.Uint32(take(4)))
		if size = max(size, 0); int(size) > len(rest) { // null is −1
			return ""
		}
		if value := take(int(size)); i == place {
			return string(value)
		}
	}
	return ""
}

// events finds the kinds of entries that have neither payer nor sequence, which
// are those that no member signs: in COPY's binary form two bytes of kind and two
// nulls.
func (r *reader) events(rows []byte) {
	mark, nulls := []byte{0, 0, 0, 2, 0}, bytes.Repeat([]byte{0xff}, 8)
	for len(rows) > 0 {
		at := bytes.Index(rows, nulls)
		if at < 0 {
			return
		}
		if at >= 6 && bytes.Equal(rows[at-6:at-1], mark) {
			if kind := rows[at-1]; !slices.Contains(r.write.Kinds, kind) {
				r.write.Kinds = append(r.write.Kinds, kind)
			}
		}
		rows = rows[at+1:]
	}
}
