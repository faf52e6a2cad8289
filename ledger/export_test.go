package ledger

import "fmt"

// Fingerprint writes out every field of the books, so that a test can say
// that nothing at all changed. A field added to State is covered without a
// word here; fmt prints maps in the order of their keys.
func (s *State) Fingerprint() string {
	books := *s
	books.postings = nil // scratch space, not part of the books
	books.verifier = nil // neither are these
	books.sums = nil
	books.versions = nil // pointers: written out below
	books.accounts = nil
	accounts := make([]account, s.Accounts())
	for i := range accounts {
		accounts[i] = *s.accounts.at(uint32(i))
	}
	var open []OpenCut
	for _, v := range s.versions {
		open = append(open, *v)
	}
	return fmt.Sprintf("%+v\naccounts %+v\nopen %+v", books, accounts, open)
}

// SumRoot folds the leaves of a sum tree, as Seal does at a cut.
func SumRoot(leaves []Amount) SumNode {
	if len(leaves) == 0 {
		return SumNode{}
	}
	return new(sumTree).update(len(leaves), func(i int) Amount { return leaves[i] })
}

// BankOf returns books with n accounts that hold something each.
func BankOf(n int) *State {
	s := &State{accounts: newAccountTable()}
	for i := range uint32(n) {
		if AccountID(i) >= FirstMember {
			s.accounts.add(account{key: keyOfNumber(i)})
		}
		s.accounts.at(i).balance = Amount(i)
	}
	return s
}

// Touch says that n accounts have changed since the last cut.
func (s *State) Touch(n int) {
	for i := range n {
		s.sums.touch(uint32(i * s.accounts.len() / n))
	}
}

// SumParent is the node above two.
func SumParent(left, right SumNode) SumNode { return sumParent(left, right) }

// JournalRootOf is the root of the journal tree over header hashes.
func JournalRootOf(headers []Hash) Hash {
	var p journalPeaks
	for _, h := range headers {
		p.add(h)
	}
	return p.root()
}

// NewCut brings the sum tree to these balances as the cut of a batch does. Of those
// that were there before it looks at the touched ones only.
func (s *State) NewCut(batch uint64, balances []Amount, touched ...uint32) Books {
	if s.sums == nil {
		s.sums = &sumTree{}
	}
	for _, i := range touched {
		s.sums.touch(i)
	}
	root := s.sums.update(len(balances), func(i int) Amount { return balances[i] })
	books := Books{Batch: batch, Accounts: uint32(len(balances)), Root: root}
	s.sums.keep(books)
	return books
}

// ComputeBooks is what Seal does at a cut.
func (s *State) ComputeBooks() Books { return s.books() }

// DecodeSnapshotBody reads a snapshot without its signature.
func DecodeSnapshotBody(charter Charter, data []byte) (*State, error) {
	return decodeSnapshot(charter, data)
}

func keyOfNumber(n uint32) Key { return Key(tagCharter.hash(be.AppendUint32(nil, n))) }

// SealedBankOf returns books of a bank with n members who hold nothing, at the
// end of a batch.
func SealedBankOf(charter Charter, n int) *State {
	s, err := NewState(charter)
	if err != nil {
		panic(err)
	}
	for i := range n {
		key := keyOfNumber(uint32(i))
		s.accounts.add(account{key: key, last: Hash(key), sequence: 7})
	}
	h := s.Next(Hash{}, 1, 1, 0)
	if err := s.Seal(&h); err != nil {
		panic(err)
	}
	return s
}
