package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

// Status asks for everything on one page. Local asks for what the answering
// watcher itself knows, not the leader.
func (c *Client) Status(ctx context.Context, local bool) (Status, error) {
	var out Status
	query := url.Values{}
	if local {
		query.Set("local", "1")
	}
	return out, c.get(ctx, "/v1/status", query, &out)
}

// Explain asks why a product is judged as it is.
func (c *Client) Explain(ctx context.Context, product string) (Explanation, error) {
	var out Explanation
	return out, c.get(ctx, productPath(product, "explain"), nil, &out)
}

// Doctor examines a product's servers.
func (c *Client) Doctor(ctx context.Context, product string) ([]Finding, error) {
	var out []Finding
	return out, c.get(ctx, productPath(product, "doctor"), nil, &out)
}

// History asks for the latest n entries, of all products when product is empty, newest last.
func (c *Client) History(ctx context.Context, product string, n int) ([]journal.Entry, error) {
	var out []journal.Entry
	query := url.Values{}
	if product != "" {
		query.Set("product", product)
	}
	if n > 0 {
		query.Set("n", strconv.Itoa(n))
	}
	var alone string
	err := c.do(ctx, exchange{method: http.MethodGet, path: "/v1/history?" + query.Encode(), out: &out, alone: &alone})
	if err == nil && alone != "" && c.Alone != nil {
		c.Alone(alone)
	}
	return out, err
}

// Switchover asks for a planned change of master.
func (c *Client) Switchover(ctx context.Context, product string, ask SwitchoverRequest) (PlanReply, error) {
	var out PlanReply
	return out, c.send(ctx, productPath(product, "switchover"), ask, &out, !ask.DryRun)
}

// Raise asks that a slave and the candidate change places.
func (c *Client) Raise(ctx context.Context, product string, ask RaiseRequest) (PlanReply, error) {
	var out PlanReply
	return out, c.send(ctx, productPath(product, "raise"), ask, &out, !ask.DryRun)
}

// Failover asks for a failover that a person answers for.
func (c *Client) Failover(ctx context.Context, product string, ask FailoverRequest) (PlanReply, error) {
	var out PlanReply
	return out, c.send(ctx, productPath(product, "failover"), ask, &out, !ask.DryRun)
}

// Maintenance asks that a server leaves rotation, or comes back.
func (c *Client) Maintenance(ctx context.Context, product string, ask MaintenanceRequest) (PlanReply, error) {
	var out PlanReply
	return out, c.send(ctx, productPath(product, "maintenance"), ask, &out, !ask.DryRun)
}

// Rebuild asks that a server's data is replaced by a copy of another's.
func (c *Client) Rebuild(ctx context.Context, product string, ask RebuildRequest) (PlanReply, error) {
	var out PlanReply
	return out, c.send(ctx, productPath(product, "rebuild"), ask, &out, !ask.DryRun)
}

// Snapshot asks the dump service for a snapshot now.
func (c *Client) Snapshot(ctx context.Context, product string) (SnapshotReply, error) {
	var out SnapshotReply
	return out, c.send(ctx, productPath(product, "snapshot"), struct{}{}, &out, true)
}

// ReportCopies tells the leader how a product's dump service is, and gets its orders.
func (c *Client) ReportCopies(ctx context.Context, product string, report snapshot.Report) (snapshot.Orders, error) {
	var out snapshot.Orders
	return out, c.send(ctx, productPath(product, "copies"), report, &out, false)
}

// NoteCopies puts something that happened to a product's copies into the history.
func (c *Client) NoteCopies(ctx context.Context, product string, event snapshot.Event) error {
	return c.post(ctx, productPath(product, "copies/event"), event, nil)
}

// Brake asks what the global brake does.
func (c *Client) Brake(ctx context.Context) (Brake, error) {
	var out Brake
	return out, c.get(ctx, "/v1/brake", nil, &out)
}

// SetBrake sets the global brake.
func (c *Client) SetBrake(ctx context.Context, ask BrakeRequest) (Brake, error) {
	var out Brake
	return out, c.post(ctx, "/v1/brake", ask, &out)
}

// Plan asks how far a plan is; the answer comes when it has ended or after wait.
func (c *Client) Plan(ctx context.Context, id uint64, wait time.Duration) (PlanState, error) {
	var out PlanState
	query := url.Values{}
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	return out, c.get(ctx, "/v1/plans/"+strconv.FormatUint(id, 10), query, &out)
}

// SetMode sets what failoverd may do to a product by itself.
func (c *Client) SetMode(ctx context.Context, product string, mode topology.Mode) error {
	return c.post(ctx, productPath(product, "mode"), ModeRequest{Mode: mode}, nil)
}

// Pause stops automatic action on a product.
func (c *Client) Pause(ctx context.Context, product string, ask PauseRequest) error {
	return c.post(ctx, productPath(product, "pause"), ask, nil)
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context, product string) error {
	return c.post(ctx, productPath(product, "resume"), struct{}{}, nil)
}

// Inventory asks for the inventory as it is.
func (c *Client) Inventory(ctx context.Context) (InventoryReply, error) {
	var out InventoryReply
	return out, c.get(ctx, "/v1/inventory", nil, &out)
}

// Apply changes the inventory.
func (c *Client) Apply(ctx context.Context, ask InventoryRequest) (InventoryChange, error) {
	var out InventoryChange
	return out, c.send(ctx, "/v1/inventory", ask, &out, !ask.DryRun)
}

// Adopt asks which chain a running server belongs to. It changes nothing.
func (c *Client) Adopt(ctx context.Context, ask AdoptRequest) (AdoptReply, error) {
	var out AdoptReply
	return out, c.send(ctx, "/v1/adopt", ask, &out, false)
}

// Join adds a watcher.
func (c *Client) Join(ctx context.Context, ask JoinRequest) error {
	return c.post(ctx, "/v1/watchers", ask, nil)
}

// Remove takes a watcher out of the cluster.
func (c *Client) Remove(ctx context.Context, id string) error {
	return c.do(ctx, exchange{method: http.MethodDelete, path: "/v1/watchers/" + url.PathEscape(id), changes: true})
}

// Transfer hands the leadership over, to any watcher when to is empty.
func (c *Client) Transfer(ctx context.Context, to string) error {
	return c.post(ctx, "/v1/leader", TransferRequest{To: to}, nil)
}

func productPath(product, what string) string {
	return "/v1/products/" + url.PathEscape(product) + "/" + what
}
