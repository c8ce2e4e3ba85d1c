package check

// Bank is whether the accounts still hold what they held at first.
type Bank struct {
	OK    bool  `json:"ok"`
	Total int64 `json:"total"`
	Want  int64 `json:"want"`
}

// JudgeBank adds up the accounts of the final master. Transfers between them must not change the total.
func JudgeBank(balances []int64, want int64) Bank {
	b := Bank{Want: want}
	for _, balance := range balances {
		b.Total += balance
	}
	b.OK = b.Total == want
	return b
}
