package taproot_test

import (
	"fmt"
	"log"

	"github.com/daobank/daobank/taproot"
)

// A policy gives addresses and the descriptor that watches them all.
func Example() {
	policy, err := taproot.ParsePolicy([]byte(`{
		"threshold": 3, "guardians": 5,
		"group_key": "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
		"recovery": {
			"threshold": 1,
			"keys": ["c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"],
			"delay_blocks": 52560
		},
		"network": "regtest"
	}`))
	if err != nil {
		log.Fatal(err)
	}
	vault, err := taproot.NewVault(policy)
	if err != nil {
		log.Fatal(err)
	}
	deposit, err := vault.Address(taproot.Deposit, 17) // of account 17
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(deposit)
	fmt.Println(vault.Descriptor())

	// What a settlement of two coins and one payout costs at 5 sat/vB.
	payout, err := taproot.ParseAddress("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", vault.Params())
	if err != nil {
		log.Fatal(err)
	}
	weight := taproot.KeySpendWeight(2, [][]byte{payout})
	fmt.Println(weight, "WU,", taproot.FeeForWeight(weight, 5000), "sat")
	// Output:
	// bcrt1pxlv8kdnrna2nul0ckdmksf3we4nt9xpujrlyrj3cha9xd45e7tfqnzw2cv
	// tr(tpubD6NzVbkrYhZ4XgHkCEtfpuZPJDLaLPxu5ZBEtAbub9GcUX1mTS2t3eCnBXev8Tx3zMSjn5doTi33XdPEkPFnvshiDnWWVvnqG4Ddwd8k8po/<0;1>/*,and_v(v:multi_a(1,c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5),older(52560)))#u3rpmdgn
	// 626 WU, 785 sat
}

// A coin that no settlement has moved comes closer to the recovery leaf.
func ExampleRecovery_CoinAges() {
	recovery := taproot.Recovery{Delay: 52_560}
	coins := []taproot.Coin{{Amount: 1_000, Height: 880_000}, {Amount: 2_000, Height: 899_999}, {Amount: 3_000, Height: 870_000}}
	for _, coin := range recovery.CoinAges(coins, 900_000) {
		fmt.Println(coin.Amount, "sat:", coin.Freshness, coin.Left, "blocks left")
	}
	// Output:
	// 3000 sat: ALARM 22559 blocks left
	// 1000 sat: refresh due 32559 blocks left
	// 2000 sat: fresh 52558 blocks left
}
