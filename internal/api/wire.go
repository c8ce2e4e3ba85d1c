package api

import (
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// Explanation is why a chain is judged as it is, and what would be done.
type Explanation struct {
	Product string           `json:"product"`
	Verdict topology.Verdict `json:"verdict"`
	// MayAct says whether failoverd may act by itself, Why why not.
	MayAct  bool              `json:"mayAct"`
	Why     string            `json:"why,omitempty"`
	Waiting string            `json:"waiting,omitempty"`
	Fits    []topology.Fit    `json:"fits"`  // every rule, in order
	Views   []topology.View   `json:"views"` // one per watcher that can be asked
	Open    *promote.Progress `json:"open"`  // the open plan, nil when there is none
	// Plan is what the verdict asks for, nil when it asks for nothing.
	Plan *promote.Plan `json:"plan"`
	// Ackers acknowledge, and Acks of them must for each commit.
	Ackers []string `json:"ackers"`
	Acks   int      `json:"acks"`
	// Override is the command with which a person has the failover done that
	// failoverd does not do by itself, and Loss what that may lose.
	Override string        `json:"override,omitempty"`
	Loss     *promote.Loss `json:"loss,omitempty"`
}

// SwitchoverRequest asks for a planned change of master.
type SwitchoverRequest struct {
	// To is the new master, the candidate when empty.
	To     string `json:"to,omitempty"`
	Reason string `json:"reason,omitempty"`
	// DryRun only makes the plan.
	DryRun bool `json:"dryRun,omitempty"`
	// Epoch, unless 0, is the chain's epoch as the caller saw it: the request is
	// stale when it is another by now, so that two operators cannot switch twice.
	Epoch uint64 `json:"epoch,omitempty"`
}

// RaiseRequest asks that a slave and the candidate change places.
type RaiseRequest struct {
	Server string `json:"server"`
	Reason string `json:"reason,omitempty"`
	DryRun bool   `json:"dryRun,omitempty"`
	Epoch  uint64 `json:"epoch,omitempty"`
}

// FailoverRequest asks for a failover that a person answers for.
type FailoverRequest struct {
	// To is the new master, the best heir when empty.
	To string `json:"to,omitempty"`
	// Reason is for the history; only a dry run goes without.
	Reason string `json:"reason,omitempty"`
	// AcceptDataLoss goes on without what cannot be reached. The Loss in the plan
	// says how much that may be.
	AcceptDataLoss bool   `json:"acceptDataLoss,omitempty"`
	DryRun         bool   `json:"dryRun,omitempty"`
	Epoch          uint64 `json:"epoch,omitempty"` // as in SwitchoverRequest
	// Overrides is the number of the open plan that the caller saw. It is needed
	// to override another person's; failoverd's own is overridden without.
	Overrides uint64 `json:"overrides,omitempty"`
}

// MaintenanceRequest asks that a server leaves rotation, or with End that it comes back.
type MaintenanceRequest struct {
	Server string `json:"server"`
	Reason string `json:"reason,omitempty"`
	// For is how long ("2h"); until somebody ends it when empty.
	For    string `json:"for,omitempty"`
	End    bool   `json:"end,omitempty"`
	DryRun bool   `json:"dryRun,omitempty"`
	Epoch  uint64 `json:"epoch,omitempty"`
}

// RebuildRequest asks that the data of a server in quarantine is replaced.
type RebuildRequest struct {
	Server string `json:"server"`
	// From is the server to copy, the least useful healthy one when empty.
	From string `json:"from,omitempty"`
	// Restored names the snapshot that the server was set up anew from: its data is there
	// already, and it is to be taken in by proof. Was is the UUID that it had before.
	Restored string `json:"restored,omitempty"`
	Was      string `json:"was,omitempty"`
	Reason   string `json:"reason,omitempty"`
	DryRun   bool   `json:"dryRun,omitempty"`
	Epoch    uint64 `json:"epoch,omitempty"`
}

// BrakeRequest sets the global brake.
type BrakeRequest struct {
	Mode   journal.BrakeMode `json:"mode"`
	Reason string            `json:"reason,omitempty"` // needed but for watch
	// For is how long ("10m"); until somebody changes it when empty.
	For string `json:"for,omitempty"`
}

// PlanReply is the plan that was asked for. When it was accepted it runs already.
type PlanReply struct {
	Plan     promote.Plan `json:"plan"`
	Accepted bool         `json:"accepted"`
	// Overrides is the open plan that makes room for it, and Waiting whom that waited for.
	Overrides *promote.Progress `json:"overrides,omitempty"`
	Waiting   string            `json:"waiting,omitempty"`
	// Notes say what a person should know before it is done.
	Notes []string `json:"notes"`
}

// PlanState is how far a plan is: one of the two is set.
type PlanState struct {
	Open *promote.Progress `json:"open,omitempty"`
	// Waiting says whom the open plan waits for.
	Waiting string         `json:"waiting,omitempty"`
	Outcome *journal.Entry `json:"outcome,omitempty"`
}

// Finished says whether the plan has ended.
func (p PlanState) Finished() bool { return p.Outcome != nil }

// Succeeded says whether the plan did what it was for.
func (p PlanState) Succeeded() bool { return p.Outcome != nil && p.Outcome.Outcome == OutcomeDone }

// OutcomeDone is the outcome of a plan that reached its end.
const OutcomeDone = "done"

// ModeRequest sets a product's mode.
type ModeRequest struct {
	Mode topology.Mode `json:"mode"`
}

// PauseRequest stops automatic action on a product.
type PauseRequest struct {
	Reason string `json:"reason"`
	// For is how long ("1h"); until somebody resumes when empty.
	For string `json:"for,omitempty"`
}

// InventoryReply is the inventory as it is.
type InventoryReply struct {
	// Inventory is YAML, as InventoryRequest takes it.
	Inventory string `json:"inventory"`
	// Products are the names in it.
	Products []string `json:"products"`
}

// InventoryRequest replaces the inventories of the products that it names.
type InventoryRequest struct {
	// Inventory is YAML; see package inventory.
	Inventory string `json:"inventory"`
	// Remove names products to forget. Their servers are left as they are.
	Remove []string `json:"remove,omitempty"`
	DryRun bool     `json:"dryRun,omitempty"`
}

// InventoryChange is what an InventoryRequest changed, or would.
type InventoryChange struct {
	Changed bool `json:"changed"`
	Applied bool `json:"applied"`
	// Diff has lines that start with +, - or a blank; empty when nothing changed.
	Diff string `json:"diff"`
	// Notes say what in the request has no effect, and what would have one.
	Notes []string `json:"notes"`
	// Findings are what "doctor" has to say of the servers, without what is well.
	Findings []Finding `json:"findings,omitempty"`
}

// AdoptRequest asks which chain a running server belongs to.
type AdoptRequest struct {
	Addr string `json:"addr"`
	// Product is the name that the chain gets in the answer.
	Product string `json:"product,omitempty"`
}

// AdoptReply is the chain that was found.
type AdoptReply struct {
	// Inventory is YAML, as InventoryRequest takes it.
	Inventory string    `json:"inventory"`
	Findings  []Finding `json:"findings"`
}

// JoinRequest adds a watcher.
type JoinRequest struct {
	ID   string `json:"id"`
	Raft string `json:"raft"` // host:port
}

// TransferRequest hands the leadership over, to any watcher when To is empty.
type TransferRequest struct {
	To string `json:"to,omitempty"`
}

// Ack is the answer to a change that has nothing more to say.
type Ack struct {
	OK bool `json:"ok"`
}
