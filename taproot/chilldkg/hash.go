package chilldkg

// Tags of the tagged hashes, and prefixes of signed messages.
const (
	tagParams      = "BIP DKG/params_hash"
	tagSeed        = "BIP DKG/encpedpop seed"
	tagAux         = "BIP DKG/simplpedpop aux"
	tagSecretNonce = "BIP DKG/encpedpop secnonce"
	tagECDH        = "BIP DKG/encpedpop ecdh"
	tagSelfPad     = "BIP DKG/encaps_multi self_pad"
	tagCoefficient = "BIP DKG/vss coeffs"
	tagTapTweak    = "TapTweak" // BIP-341

	prefixCertificate     = "BIP DKG/certeq message"
	prefixAcknowledgement = "BIP DKG/recovery acknowledgment"
)
