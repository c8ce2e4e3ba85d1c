package changes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDoublesInDocumentsAreAsTheServerPrintsThem: shortest digits, and an exponent
// exactly where the server writes one. What has sixteen digits before the point and one
// behind it has none.
func TestDoublesInDocumentsAreAsTheServerPrintsThem(t *testing.T) {
	s := mysqld(t, "a")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	values := []float64{0, 1067488607958988.5, 4373999999999999.5, 2251799813685247.75, 1e15, 1e16, 123456789012345678, 5e-324, math.MaxFloat64}
	for e := -22; e <= 24; e++ {
		for range 10 {
			v := (1 + 9*r.Float64()) * math.Pow(10, float64(e))
			values = append(values, v, math.Trunc(v), math.Round(v*8)/8, -v)
		}
	}
	for len(values) > 0 {
		some := values[:min(100, len(values))]
		values = values[len(some):]
		want, columns, got := make([]string, len(some)), make([]string, len(some)), make([]any, len(some))
		for i, v := range some {
			want[i], got[i] = string(appendDouble(nil, v)), new(string)
			literal := fmt.Sprintf("%.17g", v)
			if !strings.Contains(literal, "e") {
				literal += "e0" // a DECIMAL otherwise
			}
			columns[i] = "CAST(CAST(" + literal + " AS JSON) AS CHAR)"
		}
		require.NoError(t, s.DB().QueryRowContext(t.Context(), "SELECT "+strings.Join(columns, ", ")).Scan(got...))
		for i := range some {
			assert.Equal(t, *got[i].(*string), want[i], "%.17g", some[i])
		}
	}
}
