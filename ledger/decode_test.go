package ledger_test

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// A count beyond its limit is refused even when all of its items are there.
func TestCountsBeyondTheLimit(t *testing.T) {
	cutPrefix := concat(u8(1), u8(66), u32(1), u16(1), u64(1), u64(1))
	for _, tt := range []struct {
		name string
		data []byte
		want ledger.Code
	}{
		{"1,500 inputs and 2,000 payouts", concat(cutPrefix, u16(1_500), make([]byte, 1_500*36), u16(2_000), make([]byte, 2_000*24)), ""},
		{"1,501 inputs", concat(cutPrefix, u16(1_501), make([]byte, 1_501*36), u16(0)), ledger.CodeMalformed},
		{"2,001 payouts", concat(cutPrefix, u16(0), u16(2_001), make([]byte, 2_001*24)), ledger.CodeMalformed},
		{"1,000 payees and a reference of 64 bytes", largestOrder(1_000, 64), ""},
		{"1,001 payees", largestOrder(1_001, 64), ledger.CodeOversized},
		{"reference of 65 bytes", largestOrder(1_000, 65), ledger.CodeOversized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := ledger.DecodeEntry(tt.data)
			if ledger.CodeOf(err) != tt.want {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if err == nil && !bytes.Equal(e.Bytes(), tt.data) {
				t.Error("it encodes to other bytes")
			}
		})
	}
	if got := len(largestOrder(1_000, 64)); got != ledger.MaxOrderSize {
		t.Errorf("the largest order has %d bytes, MaxOrderSize is %d", got, ledger.MaxOrderSize)
	}
}

// largestOrder is a transfer in bytes, not signed.
func largestOrder(payees, reference int) []byte {
	return concat(u8(1), u8(2), make([]byte, 32+8+8+32+4),
		u8(byte(reference)), make([]byte, reference), u16(payees), make([]byte, 16*payees), make([]byte, 64))
}

// Bytes that promise much and hold little must not cost memory.
func TestHostileBytesCostNoMemory(t *testing.T) {
	const most = 4 << 10 // bytes: a small struct and an error with its sentence
	prefix := concat(u8(1), u8(2), make([]byte, 32+8+8+32+4))
	header := make([]byte, ledger.SignedHeaderSize)
	header[0] = 1
	for _, tt := range []struct {
		name   string
		decode func() error
	}{
		{"a transfer that promises 1,000 payments", func() error { _, err := ledger.DecodeOrder(concat(prefix, u8(0), u16(1_000))); return err }},
		{"a transfer that promises 65,535 payments", func() error { _, err := ledger.DecodeOrder(concat(prefix, u8(0), u16(65_535))); return err }},
		{"a cut that promises 1,500 inputs", func() error {
			_, err := ledger.DecodeEntry(concat(u8(1), u8(66), make([]byte, 20), u16(1_500)))
			return err
		}},
		{"a cut that promises 2,000 payouts", func() error {
			_, err := ledger.DecodeEntry(concat(u8(1), u8(66), make([]byte, 20), u16(0), u16(2_000)))
			return err
		}},
		{"a receipt that promises 32 steps", func() error { _, err := ledger.DecodeReceipt(concat(header, u32(0), u8(32))); return err }},
		{"an amount with a large exponent", func() error { _, err := ledger.ParseBTC("1e999999999"); return err }},
		{"an amount with a small exponent", func() error { _, err := ledger.ParseBTC("1e-999999999"); return err }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const runs = 100
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range runs {
				if tt.decode() == nil {
					t.Fatal("accepted")
				}
			}
			runtime.ReadMemStats(&after)
			if each := (after.TotalAlloc - before.TotalAlloc) / runs; each > most {
				t.Errorf("costs %d bytes of memory, want at most %d", each, most)
			}
		})
	}
}
