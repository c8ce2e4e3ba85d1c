package snapshot

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLeasesDoNotLast(t *testing.T) {
	for key, lasts := range map[string]bool{
		ManifestKey("shop", "x"):              true,
		DataPrefix("shop", "x") + "w0-000001": true,
		"copies/shop/cuts/2.json":             true,
		leaseKey("shop", leaseReader, "x"):    false,
		"copies/shop/drills/1.json":           false,
		"config/current.json":                 false,
		"copies/shop":                         false,
	} {
		assert.Equal(t, lasts, Lasting(key), key)
	}
}
