package check

import "fmt"

// Reading is one look at the published config, of those of one reader in their order.
type Reading struct {
	Reader  string `json:"reader"`
	Epoch   uint64 `json:"epoch"`
	Version uint64 `json:"version"`
}

// Regression is a reading that went back.
type Regression struct{ Before, After Reading }

func (r Regression) String() string {
	return fmt.Sprintf("%s read epoch %d version %d after epoch %d version %d", r.After.Reader, r.After.Epoch, r.After.Version, r.Before.Epoch, r.Before.Version)
}

// Regressions returns the readings that went back, in their order.
func Regressions(readings []Reading) []Regression {
	latest := map[string]Reading{}
	var out []Regression
	for _, r := range readings {
		before, known := latest[r.Reader]
		if known && (r.Epoch < before.Epoch || r.Version < before.Version) {
			out = append(out, Regression{before, r})
			continue
		}
		latest[r.Reader] = r
	}
	return out
}
