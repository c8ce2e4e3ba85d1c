// Package api is how people, scripts and the other watchers talk to a watcher:
// the wire types, the HTTP handler over a Backend, and the Client.
//
// All bodies are JSON. Members may be added within v1, none is renamed or given
// another meaning; a request body with a member that is not known is refused.
//
//	GET    /v1/status                        Status
//	GET    /v1/products/{product}/explain    Explanation
//	GET    /v1/products/{product}/doctor     []Finding
//	POST   /v1/products/{product}/switchover SwitchoverRequest → PlanReply
//	POST   /v1/products/{product}/raise      RaiseRequest → PlanReply
//	POST   /v1/products/{product}/failover   FailoverRequest → PlanReply
//	POST   /v1/products/{product}/maintenance MaintenanceRequest → PlanReply
//	POST   /v1/products/{product}/rebuild    RebuildRequest → PlanReply
//	POST   /v1/products/{product}/mode       ModeRequest
//	POST   /v1/products/{product}/pause      PauseRequest
//	POST   /v1/products/{product}/resume     {}
//	POST   /v1/products/{product}/snapshot   {} → SnapshotReply: take a snapshot now
//	POST   /v1/products/{product}/copies     snapshot.Report → snapshot.Orders, from the dump service
//	POST   /v1/products/{product}/copies/event snapshot.Event, for the history
//	GET    /v1/brake                         Brake
//	POST   /v1/brake                         BrakeRequest → Brake
//	GET    /v1/plans/{id}?wait=30s           PlanState, as soon as it is finished or wait is over
//	GET    /v1/history?product=P&n=50        []journal.Entry, newest last
//	GET    /v1/inventory                     InventoryReply
//	POST   /v1/inventory                     InventoryRequest → InventoryChange
//	POST   /v1/adopt                         AdoptRequest → AdoptReply
//	POST   /v1/watchers                      JoinRequest
//	DELETE /v1/watchers/{id}
//	POST   /v1/leader                        TransferRequest
//	GET    /v1/config?after=N&wait=30s       the signed document (publish.Feed)
//	GET    /v1/peer/views?product=P&look=1   []topology.View: what this watcher sees, of all products without one
//	GET    /metrics, /livez, /readyz
//
// What answers with a PlanReply lets a repair of failoverd's own that is under way end
// first, for up to three seconds; any other open plan is named in a refusal (code stale).
//
// Any watcher may be asked. One that does not lead answers with 307 and the
// leader's address; reads are answered from its own knowledge when no leader is
// known (or with local=1), changes are then refused with the code no-quorum.
package api
