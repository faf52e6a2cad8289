package ledger_test

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/daobank/daobank/ledger"
)

// This file is a second implementation of docs/formats.md, written from the
// page and from nothing else. It takes the package's structs as plain data and
// calls none of its methods, so that the vectors and the property test do not
// compare the package with itself. Its trees are the recursion of RFC 6962,
// section 2.1; the package folds level by level.

type handHash = [32]byte

func u8(v byte) []byte    { return []byte{v} }
func u16(v int) []byte    { return binary.BigEndian.AppendUint16(nil, uint16(v)) }
func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func sat(a ledger.Amount) []byte { return u64(uint64(a)) }

func concat(parts ...[]byte) (b []byte) {
	for _, part := range parts {
		b = append(b, part...)
	}
	return b
}

// handTag is the tagged hash of BIP-340.
func handTag(name string, parts ...[]byte) handHash {
	tag := sha256.Sum256([]byte(name))
	return sha256.Sum256(concat(tag[:], tag[:], concat(parts...)))
}

func handCharter(c *ledger.Charter) []byte {
	return concat(u8(1), u8(byte(len(c.Name))), []byte(c.Name), c.Chain[:], c.Operator[:],
		u32(c.BirthHeight), c.BirthHash[:], u32(c.Depth), sat(c.WithdrawalMin))
}

// handUnsigned is an order without its signature.
func handUnsigned(o *ledger.Order) []byte {
	var kind byte
	var body []byte
	switch b := o.Body.(type) {
	case *ledger.Open:
		kind, body = 1, b.Key[:]
	case *ledger.Transfer:
		kind, body = 2, concat(u8(byte(len(b.Reference))), b.Reference, u16(len(b.Payments)))
		for _, p := range b.Payments {
			body = concat(body, u64(uint64(p.Payee)), sat(p.Amount))
		}
	case *ledger.Withdraw:
		kind, body = 3, concat(sat(b.Amount), sat(b.FeeMax), u8(byte(len(b.Script))), b.Script)
	case *ledger.Close:
		kind = 4
	case *ledger.Cancel:
		kind, body = 5, u64(b.Sequence)
	case *ledger.Standing:
		kind, body = 6, concat(sat(b.Keep), u32(b.Every), sat(b.FeeMax), u8(byte(len(b.Script))), b.Script)
	}
	return concat(u8(1), u8(kind), o.Bank[:], u64(uint64(o.Payer)), u64(o.Sequence), o.Previous[:], u32(o.Expiry), body)
}

func handDigest(o *ledger.Order) handHash { return handTag("daobank/order", handUnsigned(o)) }

func handEvent(event ledger.Event) []byte {
	switch e := event.(type) {
	case *ledger.Block:
		return concat(u8(1), u8(64), u32(e.Height), e.Hash[:], e.Previous[:])
	case *ledger.Deposit:
		return concat(u8(1), u8(65), e.OutPoint.TxID[:], u32(e.OutPoint.Vout), sat(e.Amount),
			u32(e.Generation), u8(byte(e.Branch)), u32(e.Index), u32(e.Height), u32(e.TxIndex))
	case *ledger.Cut:
		b := concat(u8(1), u8(66), u32(e.Settlement), u16(int(e.Version)), u64(e.FeeRate), sat(e.Fee), u16(len(e.Inputs)))
		for _, in := range e.Inputs {
			b = concat(b, in.TxID[:], u32(in.Vout))
		}
		b = concat(b, u16(len(e.Payouts)))
		for _, p := range e.Payouts {
			b = concat(b, u64(uint64(p.Payer)), u64(p.Sequence), sat(p.FeeShare))
		}
		return b
	case *ledger.Settled:
		return concat(u8(1), u8(67), u32(e.Settlement), u16(int(e.Version)), e.TxID[:], u32(e.ChangeVout))
	case *ledger.Rekey:
		return concat(u8(1), u8(68), u32(e.Generation), u16(len(e.Policy)), e.Policy, e.Signature[:])
	case *ledger.Draw:
		return concat(u8(1), u8(69), u64(uint64(e.Payer)))
	case *ledger.Reorganised:
		b := concat(u8(1), u8(70), u32(e.From), u32(e.Height), e.Hash[:], u16(len(e.Removed)))
		for _, at := range e.Removed {
			b = concat(b, at.TxID[:], u32(at.Vout))
		}
		b = concat(b, u16(len(e.Added)))
		for _, a := range e.Added {
			b = concat(b, a.OutPoint.TxID[:], u32(a.OutPoint.Vout), sat(a.Amount), u32(a.Generation), u8(byte(a.Branch)), u32(a.Index), u8(map[bool]byte{true: 1}[a.Deposit]))
		}
		b = concat(b, u16(len(e.Paid)))
		for _, ref := range e.Paid {
			b = concat(b, u64(uint64(ref.Payer)), u64(ref.Sequence))
		}
		return b
	case *ledger.Correct:
		return concat(u8(1), u8(71), u64(uint64(e.Account)), sat(e.Amount), u64(e.Batch), u32(e.Index))
	}
	return nil
}

func handRekeyDigest(bank ledger.BankID, e *ledger.Rekey) handHash {
	return handTag("daobank/rekey", bank[:], u32(e.Generation), e.Policy)
}

func handHeader(h *ledger.Header) []byte {
	return concat(u8(1), h.Bank[:], u64(h.Number), u64(h.Epoch), u64(h.Time), h.Previous[:], h.Root[:], u32(h.Count))
}

func handReceipt(r *ledger.Receipt) []byte {
	b := concat(handHeader(&r.Header.Header), r.Header.Signature[:], u32(r.Index), u8(byte(len(r.Path))))
	for _, h := range r.Path {
		b = concat(b, h[:])
	}
	return b
}

func handLeaf(entry []byte) handHash { return handTag("daobank/entry/leaf", entry) }

// split is RFC 6962's k: the largest power of two below n.
func split(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

func handRoot(leaves []handHash) handHash { return handTree("daobank/entry/node", leaves) }

// handTree is MTH(D[n]) of RFC 6962, section 2.1, over what are leaves already.
func handTree(node string, leaves []handHash) handHash {
	switch n := len(leaves); n {
	case 0:
		return handHash{}
	case 1:
		return leaves[0]
	default:
		left, right := handTree(node, leaves[:split(n)]), handTree(node, leaves[split(n):])
		return handTag(node, left[:], right[:])
	}
}

func handPath(m int, leaves []handHash) []handHash {
	return handTreePath("daobank/entry/node", m, leaves)
}

// handTreePath is PATH(m, D[n]) of RFC 6962, section 2.1.1.
func handTreePath(node string, m int, leaves []handHash) []handHash {
	n := len(leaves)
	if n <= 1 {
		return nil
	}
	if k := split(n); m < k {
		return append(handTreePath(node, m, leaves[:k]), handTree(node, leaves[k:]))
	} else {
		return append(handTreePath(node, m-k, leaves[k:]), handTree(node, leaves[:k]))
	}
}

// handConsistency is SUBPROOF(m, D[n], b) of RFC 6962, section 2.1.2.
func handConsistency(node string, m int, leaves []handHash, whole bool) []handHash {
	n := len(leaves)
	if m == n {
		if whole {
			return nil
		}
		return []handHash{handTree(node, leaves)}
	}
	if k := split(n); m <= k {
		return append(handConsistency(node, m, leaves[:k], whole), handTree(node, leaves[k:]))
	} else {
		return append(handConsistency(node, m-k, leaves[k:], false), handTree(node, leaves[:k]))
	}
}

// handSum is the sum tree over what each account is owed, in the order of the
// accounts, which are numbered from first.
func handSum(first uint64, owed []int64) (handHash, int64) {
	switch n := len(owed); n {
	case 0:
		return handHash{}, 0
	case 1:
		return handTag("daobank/sum/leaf", u64(first), u64(uint64(owed[0]))), owed[0]
	default:
		k := split(n)
		left, leftSum := handSum(first, owed[:k])
		right, rightSum := handSum(first+uint64(k), owed[k:])
		return handTag("daobank/sum/node", left[:], u64(uint64(leftSum)), right[:], u64(uint64(rightSum))), leftSum + rightSum
	}
}

// handJournal is the root of the journal tree over the hashes of headers.
func handJournal(headers []handHash) handHash {
	leaves := make([]handHash, len(headers))
	for i, h := range headers {
		leaves[i] = handTag("daobank/journal/leaf", h[:])
	}
	return handTree("daobank/journal/node", leaves)
}

// handSumPath is the path of an account, from the bottom up.
func handSumPath(m int, first uint64, owed []int64) []sumNodeVector {
	if len(owed) <= 1 {
		return []sumNodeVector{}
	}
	k := split(len(owed))
	inside, beside, from := owed[:k], owed[k:], first+uint64(k)
	path := []sumNodeVector(nil)
	if m < k {
		path = handSumPath(m, first, inside)
	} else {
		inside, beside, from = owed[k:], owed[:k], first
		path = handSumPath(m-k, first+uint64(k), inside)
	}
	hash, sum := handSum(from, beside)
	return append(path, sumNodeVector{Hash: hash[:], Sum: sum})
}

func handBooks(header handHash, batch uint64, journal handHash, accounts uint32, root handHash, sum int64) handHash {
	return handTag("daobank/books", header[:], u64(batch), journal[:], u32(accounts), root[:], u64(uint64(sum)))
}

// handAccount is the address of an account.
func handAccount(bank handHash, account uint64) string {
	return handBech32("dao", concat(bank[:4], u64(account)), bech32m)
}

// The constants that tell the checksums of BIP-173 and BIP-350 apart.
const (
	bech32  = 1
	bech32m = 0x2bc830a3
)

// handBech32 writes bytes as BIP-173 and BIP-350 say, without a version.
func handBech32(hrp string, data []byte, constant uint32) string {
	const charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	var words []byte
	acc, bits := 0, 0
	for _, b := range data {
		acc, bits = acc<<8|int(b), bits+8
		for ; bits >= 5; bits -= 5 {
			words = append(words, byte(acc>>(bits-5))&31)
		}
		acc &= 1<<bits - 1
	}
	if bits > 0 {
		words = append(words, byte(acc<<(5-bits))&31)
	}
	var expanded, low []byte
	for _, c := range []byte(hrp) {
		expanded, low = append(expanded, c>>5), append(low, c&31)
	}
	sum := polymod(concat(expanded, []byte{0}, low, words, make([]byte, 6))) ^ constant
	for i := range 6 {
		words = append(words, byte(sum>>(5*(5-i)))&31)
	}
	var text strings.Builder
	text.WriteString(hrp + "1")
	for _, w := range words {
		text.WriteByte(charset[w])
	}
	return text.String()
}

func polymod(values []byte) uint32 {
	c := uint32(1)
	for _, v := range values {
		top := c >> 25
		c = (c&0x1ffffff)<<5 ^ uint32(v)
		for i, g := range []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				c ^= g
			}
		}
	}
	return c
}
