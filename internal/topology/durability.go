package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DurableSetting is a variable that decides whether an acknowledged write survives.
type DurableSetting struct {
	Name string
	// Right are the values that will do, the first the one to set.
	Right []string
	// Why says what any other value can cost.
	Why string
	// at says which servers it matters at.
	at func(mayAck, isMaster bool) bool
	// met is for values that are not compared as words; Right then says what to set.
	met func(value string) bool
}

// DurableSettings is the table that Weakness goes through.
var DurableSettings = []DurableSetting{
	{Name: "sync_binlog", Right: []string{"1"}, at: eitherOf,
		Why: "a power cut can take acknowledged commits out of the binary log"},
	{Name: "innodb_flush_log_at_trx_commit", Right: []string{"1"}, at: eitherOf,
		Why: "a power cut can take back acknowledged commits"},
	{Name: "sync_relay_log", Right: []string{"1"}, at: ackers,
		Why: "a power cut can take acknowledged writes out of the relay log, which can be their only copy"},
	{Name: "relay_log_recovery", Right: []string{"OFF", "0"}, at: ackers,
		Why: "a start throws away what was received and not executed, which can be the only copy of acknowledged writes"},
	{Name: "rpl_semi_sync_source_timeout", Right: []string{strconv.Itoa(semiSyncForever)}, at: masters, met: isForever,
		Why: "after so many milliseconds commits are acknowledged that are on the master alone"},
	{Name: "rpl_semi_sync_source_wait_no_replica", Right: []string{"ON", "1"}, at: masters,
		Why: "commits are acknowledged that are on the master alone once too few replicas are connected"},
	{Name: "rpl_semi_sync_source_wait_point", Right: []string{"AFTER_SYNC"}, at: masters,
		Why: "others see a commit before it is on a second server"},
}

// semiSyncForever is what failoverd sets as the timeout, in milliseconds: 11 days.
const semiSyncForever = 1_000_000_000

func isForever(value string) bool {
	ms, err := strconv.ParseInt(value, 10, 64)
	return err == nil && ms >= semiSyncForever
}

func ackers(mayAck, _ bool) bool          { return mayAck }
func masters(_, isMaster bool) bool       { return isMaster }
func eitherOf(mayAck, isMaster bool) bool { return mayAck || isMaster }

// Met says whether a value will do.
func (d DurableSetting) Met(value string) bool {
	if d.met != nil {
		return d.met(value)
	}
	return slices.ContainsFunc(d.Right, func(right string) bool { return strings.EqualFold(right, value) })
}

// Weakness says, one sentence each, which settings make an acknowledged write less
// than durable at a server that may acknowledge, or is the master of a product
// with semi-sync. A setting that the facts do not hold says nothing.
func (f Facts) Weakness(mayAck, isMaster bool) []string {
	var out []string
	for _, d := range DurableSettings {
		value, known := f.Settings[d.Name]
		if known && d.at(mayAck, isMaster) && !d.Met(value) {
			out = append(out, fmt.Sprintf("%s is %s, should be %s: %s", d.Name, value, d.Right[0], d.Why))
		}
	}
	return out
}
