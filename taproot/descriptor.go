package taproot

import (
	"errors"
	"fmt"
	"strings"
)

// ErrDescriptor is wrapped when a descriptor holds a character that BIP-380 does
// not know.
var ErrDescriptor = errors.New("taproot: bad descriptor")

// Descriptor is the whole vault as one multipath output descriptor with its
// checksum (BIP-380, 386, 389). A Bitcoin Core that knows BIP-389 can import it
// watch-only; Knots 29.4 derives the same addresses.
func (v *Vault) Descriptor() string { return v.descriptor("<0;1>") }

// Descriptors are the single-path forms, deposit and change, for software that
// does not read a multipath descriptor.
func (v *Vault) Descriptors() [branches]string {
	return [branches]string{v.descriptor("0"), v.descriptor("1")}
}

func (v *Vault) descriptor(path string) string {
	text := fmt.Sprintf("tr(%s/%s/*,%s)", v.xpub, path, v.tree.descriptor)
	checksum, err := DescriptorChecksum(text)
	if err != nil {
		// Every character above is in BIP-380's set.
		return text
	}
	return text + "#" + checksum
}

// Character sets of BIP-380.
const (
	descriptorInput = "0123456789()[],'/*abcdefgh@:$%{}" +
		"IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~" +
		"ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
	descriptorChecksum = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
)

// DescriptorChecksum computes the eight characters that follow '#' in an output
// descriptor (BIP-380). The error wraps ErrDescriptor.
func DescriptorChecksum(descriptor string) (string, error) {
	c, group, groupLen := uint64(1), uint64(0), 0
	for i, r := range descriptor {
		v := strings.IndexRune(descriptorInput, r)
		if v < 0 {
			return "", fmt.Errorf("%w: character %q at byte %d", ErrDescriptor, r, i)
		}
		c = descriptorPolymod(c, uint64(v)&31)
		group = group*3 + uint64(v)>>5
		if groupLen++; groupLen == 3 {
			c = descriptorPolymod(c, group)
			group, groupLen = 0, 0
		}
	}
	if groupLen > 0 {
		c = descriptorPolymod(c, group)
	}
	for range 8 {
		c = descriptorPolymod(c, 0)
	}
	c ^= 1
	var checksum [8]byte
	for i := range checksum {
		checksum[i] = descriptorChecksum[c>>(5*(7-i))&31]
	}
	return string(checksum[:]), nil
}

func descriptorPolymod(c, v uint64) uint64 {
	top := c >> 35
	c = (c&0x7ffffffff)<<5 ^ v
	for i, generator := range [5]uint64{0xf5dee51989, 0xa9fdca3312, 0x1bab10e32d, 0x3706b1677a, 0x644d626ffd} {
		if top>>i&1 == 1 {
			c ^= generator
		}
	}
	return c
}
