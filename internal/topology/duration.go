package topology

import (
	"fmt"
	"time"
)

// Duration is a time.Duration written as text ("2.5s") in JSON and YAML.
type Duration time.Duration

// String prints it as time.Duration does.
func (d Duration) String() string { return time.Duration(d).String() }

// Std returns the standard library's duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// MarshalText writes "2.5s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads "2.5s"; a bare number is refused, for nobody knows its unit.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 250ms or 2.5s", text)
	}
	*d = Duration(v)
	return nil
}
