package load

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOddNumbers(t *testing.T) {
	for text, want := range map[string]bool{
		"1": false, "-9223372036854775808": false, "18446744073709551615": false, "18446744073709551616": true, "-9223372036854775809": true,
		"1.0": false, "-0.0": false, "0.1": false, "2.5": false, "2.50": true, "100.00": true, "0.000": true, "1e308": false, "1e-320": false,
		"123456789.12345679": false, "123456789.123456789": true, "0.3333": false, "0.33333333333333333333": true,
		"1000000000000000.0": true, "0.00000000000000001": true, "99999999999999999999999.5": true,
		"true": false, "null": false, `"2.50"`: false,
	} {
		assert.Equal(t, want, isOdd([]byte(text)), text)
	}
}

func TestOddNumbersAreFoundWhereTheyAre(t *testing.T) {
	doc := `{"a": [1, {"b \" , 2.50": [[], {}, 7.10]}, 3.00], "2.50": "4.00", "": 12345678901.0, "x": true, "y": 20000000000000000000000}`
	var got []odd
	for _, o := range oddIn([]byte(doc)) {
		got = append(got, odd{path: o.path + " = " + string(o.token), digits: o.digits, scale: o.scale})
	}
	assert.Equal(t, []odd{
		{path: `$."a"[1]."b \" , 2.50"[2] = 7.10`, digits: 11, scale: 2},
		{path: `$."a"[2] = 3.00`, digits: 11, scale: 2},
		{path: `$."y" = 20000000000000000000000`, digits: 27},
	}, got)
	assert.Equal(t, "$", oddIn([]byte("2.50"))[0].path)
	assert.True(t, hasOdd([]byte(doc)))
	assert.False(t, hasOdd([]byte(`{"a": "2.50", "b\"": 1}`)))
	assert.Equal(t, oddKind{numbers: 1, sets: map[int]string{3: `, '$."it\'s \\" \\\\"', CAST(@odd0 AS DECIMAL(11,2))`}},
		kindOf([]odd{{column: 3, path: `$."it's \" \\"`, digits: 11, scale: 2}}))
}
