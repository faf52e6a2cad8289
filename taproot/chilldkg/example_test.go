package chilldkg_test

import (
	"fmt"
	"log"

	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
)

// Three participants and a coordinator make a 2-of-3 key, wait for everyone's
// acknowledgement, and one participant recovers its share on a new machine.
func Example() {
	const n = 3
	var hosts [n]*chilldkg.HostKey
	params := chilldkg.Params{Threshold: 2}
	for i := range hosts {
		var err error
		if hosts[i], err = chilldkg.GenerateHostKey(nil); err != nil {
			log.Fatal(err)
		}
		params.HostKeys = append(params.HostKeys, hosts[i].Public())
	}
	if _, err := params.Hash(); err != nil { // to be compared by voice
		log.Fatal(err)
	}

	// Step 1: everyone contributes, the coordinator adds.
	var participants [n]*chilldkg.Participant
	contributions := make([][]byte, n)
	for i := range participants {
		var err error
		participants[i], contributions[i], err = chilldkg.NewParticipant(hosts[i], params, nil)
		if err != nil {
			log.Fatal(err)
		}
	}
	coordinator, total, err := chilldkg.NewCoordinator(params, contributions)
	if err != nil {
		log.Fatal(err)
	}

	// Step 2: everyone checks and signs. From here on no host key is ever erased.
	signatures := make([][]byte, n)
	for i, p := range participants {
		if signatures[i], err = p.Step2(hosts[i], total, nil); err != nil {
			log.Fatal(err)
		}
	}
	_, certificate, err := coordinator.Finalize(signatures)
	if err != nil {
		log.Fatal(err)
	}

	// Everyone finalises, stores the recovery data, acknowledges it.
	var results [n]*chilldkg.Result
	for i, p := range participants {
		if results[i], err = p.Finalize(certificate); err != nil {
			log.Fatal(err)
		}
	}
	acknowledgements, err := chilldkg.NewAcknowledgements(results[0])
	if err != nil {
		log.Fatal(err)
	}
	for i, result := range results {
		if _, err := acknowledgements.Group(); err != nil {
			fmt.Println(err)
		}
		message, err := result.Acknowledge(hosts[i], nil)
		if err != nil {
			log.Fatal(err)
		}
		if err := acknowledgements.Add(frost.ID(i), message); err != nil {
			log.Fatal(err)
		}
	}
	group, err := acknowledgements.Group()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the key may be funded:", group.Key() == results[0].Group.Key())

	recovered, err := chilldkg.Recover(hosts[2], results[0].RecoveryData)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the share is back:", recovered.Share.Public() == results[2].Share.Public())
	fmt.Println(recovered.Share)
	// Output:
	// chilldkg: not to be funded, acknowledgements missing from participants [0 1 2]
	// chilldkg: not to be funded, acknowledgements missing from participants [1 2]
	// chilldkg: not to be funded, acknowledgements missing from participants [2]
	// the key may be funded: true
	// the share is back: true
	// frost.Share{participant 2, secret redacted}
}
