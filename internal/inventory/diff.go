package inventory

import (
	"slices"
	"strings"

	"github.com/failoverd/failoverd/internal/topology"
)

// Diff shows what changes between two inventories: the whole of each product
// that differs, each line with "+ ", "- " or two blanks in front. It is empty when nothing does.
func Diff(before, after []topology.Chain) string {
	names := map[string]bool{}
	texts := [2]map[string][]string{{}, {}}
	for i, chains := range [][]topology.Chain{before, after} {
		for _, chain := range chains {
			var b strings.Builder
			printChain(&b, chain)
			names[chain.Product] = true
			texts[i][chain.Product] = strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		}
	}
	var order []string
	for name := range names {
		order = append(order, name)
	}
	slices.Sort(order)
	var b strings.Builder
	for _, name := range order {
		old, now := texts[0][name], texts[1][name]
		if slices.Equal(old, now) {
			continue
		}
		diffLines(&b, old, now)
	}
	return b.String()
}

// diffLines is the plain longest common subsequence: a product has a dozen lines.
func diffLines(b *strings.Builder, old, now []string) {
	common := make([][]int, len(old)+1)
	for i := range common {
		common[i] = make([]int, len(now)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			if old[i] == now[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(old) || j < len(now) {
		switch {
		case i < len(old) && j < len(now) && old[i] == now[j]:
			b.WriteString("  " + old[i] + "\n")
			i, j = i+1, j+1
		case j == len(now) || (i < len(old) && common[i+1][j] >= common[i][j+1]):
			b.WriteString("- " + old[i] + "\n")
			i++
		default:
			b.WriteString("+ " + now[j] + "\n")
			j++
		}
	}
}
