package bitcoind

import (
	"encoding/json"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
)

// satoshis converts the node's decimal BTC. A float64 holds every amount of
// eight decimals below 21 million exactly enough to round back to it.
func satoshis(btc float64) (int64, error) {
	amount, err := btcutil.NewAmount(btc)
	return int64(amount), err
}

// amountJSON reads bitcoins, as the node writes them, as satoshis.
type amountJSON struct{ btcutil.Amount }

func (a *amountJSON) UnmarshalJSON(b []byte) error {
	var btc float64
	if err := json.Unmarshal(b, &btc); err != nil {
		return fmt.Errorf("amount %s: %w", excerpt(b), err)
	}
	var err error
	a.Amount, err = btcutil.NewAmount(btc)
	return err
}

// amountText is the decimal text of bitcoins that RPC takes without rounding.
func amountText(a btcutil.Amount) string {
	sign := ""
	if a < 0 {
		sign, a = "-", -a
	}
	return fmt.Sprintf("%s%d.%08d", sign, a/btcutil.SatoshiPerBitcoin, a%btcutil.SatoshiPerBitcoin)
}
