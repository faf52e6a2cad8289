package ledger

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// Amount is a number of satoshis.
type Amount int64

// SatPerBTC is the number of satoshis in one bitcoin.
const SatPerBTC = 100_000_000

// MaxAmount is every satoshi that can ever exist: 21 million BTC. No amount in
// an order, no balance and no sum may pass it, so adding two amounts of the
// books never overflows an int64.
const MaxAmount Amount = 21_000_000 * SatPerBTC

// Valid reports whether a is above zero and at most MaxAmount.
func (a Amount) Valid() bool { return a > 0 && a <= MaxAmount }

// BTC returns a as a decimal number of bitcoins with eight places, such as
// "0.00012000".
func (a Amount) BTC() string {
	return decimal.New(int64(a), -8).StringFixed(8)
}

// ParseBTC reads a decimal number of bitcoins. It refuses more than eight
// places, an amount that is not above zero, and more than MaxAmount.
func ParseBTC(text string) (Amount, error) {
	// The length limit keeps an exponent such as 1e999999999 from costing memory.
	if len(text) > 32 {
		return 0, fail(CodeAmount, "the amount %.32q… is too long: write bitcoins such as 0.015", text)
	}
	d, err := decimal.NewFromString(text)
	if err != nil || d.Exponent() < -64 || d.Exponent() > 16 {
		return 0, fail(CodeAmount, "%q is not an amount: write bitcoins such as 0.015", text)
	}
	sat := d.Shift(8)
	if !sat.IsInteger() {
		return 0, fail(CodeAmount, "%s BTC has more than eight decimal places: the smallest amount is 0.00000001", text)
	}
	if sat.Sign() <= 0 || sat.GreaterThan(decimal.NewFromInt(int64(MaxAmount))) {
		return 0, errAmount(text + " BTC")
	}
	return Amount(sat.IntPart()), nil
}

func errAmount(what any) *Error {
	return fail(CodeAmount, "the amount is %v: it must be above zero and at most 21,000,000 BTC", what)
}

// addAmounts adds two amounts of the books and reports false when the sum
// passes MaxAmount.
func addAmounts(a, b Amount) (Amount, bool) {
	sum := a + b
	return sum, a >= 0 && b >= 0 && sum >= 0 && sum <= MaxAmount
}

func (a Amount) String() string { return fmt.Sprintf("%d sat", int64(a)) }
