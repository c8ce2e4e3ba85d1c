package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// CompareSchemas says how a server that a snapshot was restored into differs from
// what the snapshot says: a sentence each, none if it does not. Accounts named
// user@host in own are the restore's. Settings are the server's own affair.
func CompareSchemas(want, have Schema, own ...string) []string {
	var all []string
	all = append(all, compareAll("database", want.Databases, have.Databases,
		func(d Database) string { return d.Name },
		func(d Database) []string { return []string{d.Create} })...)
	all = append(all, compareAll("table", want.Tables, have.Tables,
		func(t Table) string { return t.ID().String() },
		func(t Table) []string {
			return []string{t.Create, t.Engine, t.KeyName, fmt.Sprint(t.Columns), fmt.Sprint(t.Key), fmt.Sprint(t.AutoIncrement)}
		})...)
	all = append(all, compareAll("", want.Objects, have.Objects,
		func(o Object) string { return o.Kind + " " + o.Database + "." + o.Name },
		func(o Object) []string {
			return []string{statusless(o), o.SQLMode, o.Charset, o.Collation, o.DatabaseCollation, o.TimeZone}
		})...)
	isOwn := func(a Account) bool { return slices.Contains(own, a.User+"@"+a.Host) }
	all = append(all, compareAll("account", slices.DeleteFunc(slices.Clone(want.Accounts), isOwn), slices.DeleteFunc(slices.Clone(have.Accounts), isOwn),
		func(a Account) string { return a.User + "@" + a.Host },
		func(a Account) []string {
			grants := slices.Sorted(slices.Values(a.Grants))
			return append([]string{fingerprint(a.Create), a.DefaultRole}, grants...)
		})...)
	return all
}

// statusless is the statement of an object; of an event that sleeps, or slept where
// it came from, without its status, which a restore changes on purpose.
func statusless(o Object) string {
	if o.Kind != "event" {
		return o.Create
	}
	for _, status := range []string{" DISABLE ON REPLICA", " DISABLE ON SLAVE", " ENABLE"} {
		if before, after, found := strings.Cut(o.Create, status); found {
			return before + " ENABLE" + after
		}
	}
	return o.Create
}

// fingerprint stands for a statement that has a password's hash in it: a person reads
// only whether two are the same.
func fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "CREATE USER with the fingerprint " + hex.EncodeToString(sum[:6])
}

func compareAll[T any](kind string, want, have []T, name func(T) string, parts func(T) []string) []string {
	if kind != "" {
		kind += " "
	}
	index := func(all []T) map[string]T {
		byName := make(map[string]T, len(all))
		for _, one := range all {
			byName[name(one)] = one
		}
		return byName
	}
	wanted, had := index(want), index(have)
	var all []string
	for _, n := range slices.Sorted(maps.Keys(wanted)) {
		other, there := had[n]
		if !there {
			all = append(all, kind+n+" is missing")
			continue
		}
		if a, b := parts(wanted[n]), parts(other); !slices.Equal(a, b) {
			all = append(all, fmt.Sprintf("%s%s differs: %s", kind, n, firstDifference(a, b)))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(had)) {
		if _, known := wanted[n]; !known {
			all = append(all, kind+n+" is not of the snapshot")
		}
	}
	return all
}

func firstDifference(want, have []string) string {
	for i := range max(len(want), len(have)) {
		if i >= len(want) {
			return fmt.Sprintf("%q is too much", have[i])
		}
		if i >= len(have) {
			return fmt.Sprintf("%q is missing", want[i])
		}
		if want[i] != have[i] {
			return fmt.Sprintf("%q, should be %q", have[i], want[i])
		}
	}
	return ""
}
