package topology

import "time"

// Cut is where the history of earlier epochs ends: what the server that was made
// master had executed when it was opened. What an earlier epoch holds beyond that is
// diverged: no server of the chain has it, or it is errant there.
type Cut struct {
	// Epoch is the one that began.
	Epoch uint64 `json:"epoch"`
	// Server and UUID are the new master's.
	Server string `json:"server"`
	UUID   string `json:"uuid"`
	// GTIDs are what it had executed.
	GTIDs GTIDSet `json:"gtids"`
	// At is when that was noted, by the leader's clock.
	At time.Time `json:"at"`
}
