// Package export keeps a bank's journal in files: a set that describes itself, is
// compressed to little more than the signatures in it, only ever grows at its end,
// and holds every batch so that it can be checked alone. It is for auditors who
// want the books without the bank's database, for those who keep a copy so that
// nobody can show another one later, and for archives.
//
//	DIR/export.json         what this is, and the bank's charter
//	DIR/index.jsonl         one line for every time that a segment was finished or left
//	DIR/batches-000001.seg  batches 1 to n, each a record with a checksum
//	DIR/batches-000002.seg  …
//
// docs/formats.md ("Export") says every byte.
//
// # What is promised
//
//   - What Set.Batches yields is, to the byte, what Writer.Append was given.
//   - A batch needs nothing but its own record and the charter to be checked: the
//     operator's signature covers the header, the header the entries. Nothing is
//     derived from another batch.
//   - Append takes only the batch that follows, signed by the charter's operator.
//   - To continue a set changes no byte that is there: files grow, and new ones come.
//   - What is written is durable when Close has returned. A crash before leaves a set
//     that can be read up to some whole batch, and continued.
//
// # What happens on failure
//
// A set is believed no more than the network it came over. Damage, a file that is
// missing, cut short, of another bank or of another history is a *DamageError that
// names the file, and the place in it. Bytes at the end of the last file that no
// finished export had counted are what a crash leaves: they are passed over, and
// Set.Left tells of them.
//
// # What it does not do
//
// It verifies no member's signature and no rule: package audit does. A set that was
// cut short at a batch together with the lines of its index is a shorter set, and
// proves less; it cannot be told from one that was never longer.
package export
