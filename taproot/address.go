package taproot

import (
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"
)

// Errors of addresses and payout scripts.
var (
	// ErrAddressMalformed: no network knows the text as an address that the
	// bank pays to. Check it for a typing error.
	ErrAddressMalformed = errors.New("taproot: not a Bitcoin address")
	// ErrAddressNetwork: the address is sound but of another network; the
	// *AddressNetworkError says of which.
	ErrAddressNetwork = errors.New("taproot: address of another network")
	// ErrPayoutScript: the script is none of the five kinds that the bank pays.
	ErrPayoutScript = errors.New("taproot: not a standard payout script (P2PKH, P2SH, P2WPKH, P2WSH or P2TR)")
)

// maxAddressLen is the length of the longest bech32 string (BIP-173); it keeps
// an oversized text from being decoded at all.
const maxAddressLen = 90

// AddressNetworkError says which networks an address is of, since testnet,
// signet and regtest share forms. It matches ErrAddressNetwork.
type AddressNetworkError struct {
	Address  string
	Networks []string // as Policy names them
	Want     string
}

// Error names the networks.
func (e *AddressNetworkError) Error() string {
	return fmt.Sprintf("%v: %s belongs to %s, this bank is on %s",
		ErrAddressNetwork, e.Address, strings.Join(e.Networks, " or "), e.Want)
}

// Is matches ErrAddressNetwork.
func (e *AddressNetworkError) Is(target error) bool { return target == ErrAddressNetwork }

var _ error = (*AddressNetworkError)(nil)

// ParseAddress gives the output script of an address of net: P2PKH, P2SH,
// P2WPKH, P2WSH or P2TR. The error wraps ErrAddressMalformed or is an
// *AddressNetworkError.
func ParseAddress(address string, net *chaincfg.Params) ([]byte, error) {
	if len(address) > maxAddressLen {
		return nil, fmt.Errorf("%w: %d characters, at most %d", ErrAddressMalformed, len(address), maxAddressLen)
	}
	script, err := parseAddress(address, net)
	if err == nil {
		return script, nil
	}
	var others []string
	for _, other := range networks {
		if other.params.Net == net.Net {
			continue
		}
		if _, err := parseAddress(address, other.params); err == nil {
			others = append(others, other.name)
		}
	}
	if others != nil {
		return nil, &AddressNetworkError{Address: address, Networks: others, Want: networkName(net)}
	}
	return nil, fmt.Errorf("%w: %q: %w", ErrAddressMalformed, address, err)
}

// parseAddress compares the address with what its decoded form encodes to:
// btcutil decodes a 20-byte program of witness version 1 as version 0, which
// would pay to another script than the one written.
func parseAddress(address string, net *chaincfg.Params) ([]byte, error) {
	decoded, err := btcutil.DecodeAddress(address, net)
	if err != nil {
		return nil, err
	}
	written := address
	switch decoded.(type) {
	case *btcutil.AddressPubKeyHash, *btcutil.AddressScriptHash:
	case *btcutil.AddressWitnessPubKeyHash, *btcutil.AddressWitnessScriptHash, *btcutil.AddressTaproot:
		written = strings.ToLower(address) // mixed case is refused by the decoder
	default:
		return nil, ErrPayoutScript
	}
	if !decoded.IsForNet(net) {
		return nil, errors.New("not of this network")
	}
	if decoded.EncodeAddress() != written {
		return nil, ErrPayoutScript
	}
	return txscript.PayToAddrScript(decoded)
}

// FormatScript is the address of a payout script. The error wraps
// ErrPayoutScript.
func FormatScript(script []byte, net *chaincfg.Params) (string, error) {
	if err := StandardPayout(script); err != nil {
		return "", err
	}
	_, addresses, _, err := txscript.ExtractPkScriptAddrs(script, net)
	if err != nil || len(addresses) != 1 {
		return "", fmt.Errorf("%w: %x", ErrPayoutScript, script)
	}
	return addresses[0].EncodeAddress(), nil
}

// StandardPayout checks that a script is one that the bank pays to. The error
// wraps ErrPayoutScript.
func StandardPayout(script []byte) error {
	switch {
	case txscript.IsPayToPubKeyHash(script),
		txscript.IsPayToScriptHash(script),
		txscript.IsPayToWitnessPubKeyHash(script),
		txscript.IsPayToWitnessScriptHash(script),
		txscript.IsPayToTaproot(script):
		return nil
	}
	return fmt.Errorf("%w: %d bytes", ErrPayoutScript, len(script))
}

func networkName(net *chaincfg.Params) string {
	for _, network := range networks {
		if network.params.Net == net.Net {
			return network.name
		}
	}
	return net.Name
}
