package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is what was done to a register.
type Kind string

// The kinds.
const (
	Read Kind = "read"
	Put  Kind = "write"
	Swap Kind = "cas"
)

// never is the return of an operation that nobody saw return, in nanoseconds of Unix time.
const never = int64(1) << 62

// Operation is one operation on a register, a row whose value is a number and 0 at first. Each was a transaction
// that wrote, reads included: only an acknowledged commit proves that its server was still the master.
type Operation struct {
	Key    string `json:"key"`
	Client int    `json:"client"`
	Kind   Kind   `json:"kind"`
	// Value is what was written, or read.
	Value int64 `json:"value"`
	// Expected is what Swap wanted to find; Swapped whether it did.
	Expected int64     `json:"expected,omitempty"`
	Swapped  bool      `json:"swapped,omitempty"`
	Sent     time.Time `json:"sent"`
	Known    time.Time `json:"known"`
	Outcome  Outcome   `json:"outcome"`
}

func (o Operation) String() string {
	switch o.Kind {
	case Read:
		return fmt.Sprintf("read %d", o.Value)
	case Swap:
		return fmt.Sprintf("cas %d to %d: %t, %s", o.Expected, o.Value, o.Swapped, o.Outcome)
	}
	return fmt.Sprintf("write %d: %s", o.Value, o.Outcome)
}

// Registers is what became of the registers, by key.
type Registers struct {
	OK int `json:"ok"`
	// Undecided are the keys whose history was too long to judge in time.
	Undecided []string `json:"undecided,omitempty"`
	// Violated are the keys whose history no single register could have had.
	Violated []string `json:"violated,omitempty"`
}

// register is one number. An unknown operation may take effect at any time after it was sent, or, since it may come
// after everything else, never.
var register = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, _ any) (bool, any) {
		value, o := state.(int64), input.(Operation)
		switch {
		case o.Kind == Put:
			return true, o.Value
		case o.Kind == Read:
			return value == o.Value, value
		case value != o.Expected:
			return o.Outcome == Unknown || !o.Swapped, value
		}
		return o.Outcome == Unknown || o.Swapped, o.Value
	},
}

// JudgeRegisters judges every key by itself, each for at most patience. Failed operations must have had no effect,
// unknown ones that would not have changed anything say nothing, and both are left out.
func JudgeRegisters(operations []Operation, patience time.Duration) Registers {
	byKey := map[string][]porcupine.Operation{}
	for i, o := range operations {
		if o.Outcome == Failed || o.Outcome == Unknown && (o.Kind == Read || o.Kind == Swap && !o.Swapped) {
			continue
		}
		returned := o.Known.UnixNano()
		if o.Outcome == Unknown {
			returned = never + int64(i)
		}
		byKey[o.Key] = append(byKey[o.Key], porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Sent.UnixNano(), Return: returned})
	}
	var r Registers
	for key, history := range byKey {
		switch porcupine.CheckOperationsTimeout(register, history, patience) {
		case porcupine.Ok:
			r.OK++
		case porcupine.Illegal:
			r.Violated = append(r.Violated, key)
		default:
			r.Undecided = append(r.Undecided, key)
		}
	}
	slices.Sort(r.Violated)
	slices.Sort(r.Undecided)
	return r
}
