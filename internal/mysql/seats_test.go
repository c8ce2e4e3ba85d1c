package mysql

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/failoverd/failoverd/internal/topology"
)

// drawn makes stops from "server<source" lines; a trailing + offers acknowledgements.
func drawn(lines ...string) []stop {
	var stops []stop
	for _, line := range lines {
		var name, source byte
		var acks bool
		name = line[0]
		if len(line) > 2 {
			source, acks = line[2], len(line) > 3
		}
		f := topology.Facts{UUID: "uuid-" + string(name), ReplicaSemiSync: acks}
		if source != 0 {
			f.Link = &topology.Link{SourceUUID: "uuid-" + string(source), SourceAddr: string(source) + ":3306"}
		}
		stops = append(stops, stop{string(name) + ":3306", f})
	}
	return stops
}

func TestSeatsFollowFromWhoReplicatesFromWhom(t *testing.T) {
	for _, c := range []struct {
		name     string
		stops    []stop
		want     string
		findings []string
	}{
		{"the usual chain", drawn("a", "b<a", "c<b", "d<a"), "[a master b candidate c slave d dump]", []string{}},
		{"two servers", drawn("a", "b<a"), "[a master b candidate]", []string{}},
		{"a lonely server", drawn("a"), "[a master]", []string{" candidate fail"}},
		{"a star with an acker", drawn("a", "b<a", "c<a+"), "[a master c candidate b dump]", []string{" seats warn"}},
		{"a star without an acker", drawn("a", "b<a", "c<a", "d<a"), "[a master b candidate d slave c dump]", []string{" seats warn", " seats warn"}},
		{"two replicas that feed others", drawn("a", "b<a", "c<a", "d<b", "e<c"), "[a master b candidate c slave d slave e slave]", []string{" seats warn", " seats warn", " seats warn"}},
		{"a long chain", drawn("a", "b<a", "c<b", "d<c"), "[a master b candidate c slave d slave]", []string{" seats warn"}},
		{"a circle", drawn("a<b", "b<a"), "[]", []string{" one-master fail"}},
		{"two masters", drawn("a", "b", "c<a"), "[]", []string{" one-master fail"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			chain, findings := seatsOf(c.stops)
			got := []string{}
			for _, s := range chain.Servers {
				got = append(got, s.Name, string(s.Seat))
			}
			assert.Equal(t, c.want, fmt.Sprint(got))
			assert.Equal(t, c.findings, bad(findings))
		})
	}
}
