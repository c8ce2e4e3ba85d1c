package campaign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/campaign/check"
)

const (
	// registerPatience bounds the judgement of one register.
	registerPatience = 2 * time.Second
	// applyAtMost bounds the wait for each replica to execute what the final master has.
	applyAtMost = 40 * time.Second
)

// judge holds what the clients were told against the final master and the journal. The load has ended.
func (r *run) judge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, judgeAtMost)
	defer cancel()
	status, err := r.scene.Status(ctx)
	if err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	master := r.scene.Master(ctx)
	if master == nil {
		return errors.New("judge: no master is known")
	}
	history, err := r.scene.history(ctx)
	if err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	straighten(history, r.record.At)
	r.logs.history = history
	r.countPromotions(history)
	if err := r.judgeRows(ctx, master, reigns(r.scene.seats[topology.Master], history)); err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	r.judgeReadings()
	r.record.Registers = check.JudgeRegisters(r.load.operations, registerPatience)
	if keys := r.record.Registers.Violated; len(keys) > 0 {
		r.breakf("the registers %v were not linearizable", keys)
	}
	if err := r.judgeBank(ctx, master); err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	return r.compareReplicas(ctx, master, status)
}

func (r *run) countPromotions(history []journal.Entry) {
	harmless := r.Fault.Promotions.Max == 0
	for _, e := range history {
		if e.Outcome != api.OutcomeDone && opening(e) < 0 {
			continue
		}
		switch promote.Kind(e.What) {
		case promote.Failover:
			r.record.Failovers++
			r.record.Promotions++
		case promote.Switchover:
			r.record.Promotions++
			if r.Fault.MasterToo && e.To == r.scene.seats[topology.Candidate] {
				r.record.Expected.Max++
				harmless = false
			}
		}
	}
	if !r.record.asExpected() {
		r.breakf("%d promotions instead of %s", r.record.Promotions, r.record.Expected)
	}
	if harmless && r.record.Failovers > 0 {
		r.breakf("%d failovers at a harmless fault", r.record.Failovers)
	}
}

// opening is the phase in which a plan opened its target, -1 when it did not. One that was overtaken by its new
// master's death afterwards did.
func opening(e journal.Entry) int {
	if !promote.Kind(e.What).Promotes() {
		return -1
	}
	return slices.IndexFunc(e.Phases, func(n promote.Note) bool {
		return n.Step == promote.Step{Goal: promote.Writable, Server: e.To}.String()
	})
}

// straighten takes a wrong clock out of a history that began after a moment and ends now.
func straighten(history []journal.Entry, began time.Time) {
	for i := range history {
		switch at := &history[i].At; {
		case at.Before(began.Add(-clockSkew / 2)):
			*at = at.Add(clockSkew)
		case at.After(time.Now().Add(clockSkew / 2)):
			*at = at.Add(-clockSkew)
		}
	}
}

// reigns are the first master's and those of every plan that opened another, finished or not. The journal says when a
// plan was accepted and when it ended, and how long each step took; what passed between the steps it does not say.
func reigns(first string, history []journal.Entry) []check.Reign {
	out := []check.Reign{{Server: first}}
	for _, e := range history {
		opened := opening(e)
		if opened < 0 {
			continue
		}
		r := check.Reign{Epoch: e.Epoch, Server: e.To, Early: e.At.Add(-time.Duration(e.Ms) * time.Millisecond), Opened: e.At}
		for i, phase := range e.Phases {
			took := time.Duration(phase.Ms) * time.Millisecond
			switch {
			case i < opened:
				r.Early = r.Early.Add(took)
			case i > opened:
				r.Opened = r.Opened.Add(-took)
			}
		}
		out = append(out, r)
	}
	return out
}

// judgeRows is about the ledger: what is there, and who acknowledged what.
func (r *run) judgeRows(ctx context.Context, master *testenv.Server, reigns []check.Reign) error {
	names, err := serverNames(ctx, r.scene.Chain)
	if err != nil {
		return err
	}
	result, err := master.DB().QueryContext(ctx, "SELECT id, server FROM shop."+r.load.ledgerTable())
	if err != nil {
		return err
	}
	defer result.Close()
	var rows []check.Row
	stamped := map[string]string{}
	for result.Next() {
		var row check.Row
		if err := result.Scan(&row.ID, &row.Server); err != nil {
			return err
		}
		row.Server = names[row.Server]
		rows, stamped[row.ID] = append(rows, row), row.Server
	}
	if err := result.Err(); err != nil {
		return err
	}
	for i, w := range r.load.inserts { // what the server says of itself counts more than whom the client believed to talk to
		if server := stamped[w.ID]; server != "" {
			r.load.inserts[i].Server = server
		}
	}
	r.record.Ledger = check.JudgeLedger(r.load.inserts, r.load.deletions, rows)
	for _, flaw := range []struct {
		ids  []string
		what string
	}{{r.record.Lost, "acknowledged writes are lost"}, {r.record.Phantom, "refused or unknown rows are there"},
		{r.record.Duplicated, "rows are there more than once"}, {r.record.Resurrected, "deleted rows are there"}} {
		if len(flaw.ids) > 0 {
			r.breakf("%d %s: %v", len(flaw.ids), flaw.what, flaw.ids[:min(5, len(flaw.ids))])
		}
	}
	for _, d := range check.DualAckers(slices.Concat(r.load.inserts, r.load.deletions), reigns) {
		r.record.DualAckers = append(r.record.DualAckers, d.String())
	}
	if n := len(r.record.DualAckers); n > 0 {
		r.breakf("%d writes were acknowledged by a server that was not the master: %s", n, r.record.DualAckers[0])
	}
	for _, w := range r.webs {
		own := slices.DeleteFunc(slices.Clone(r.load.inserts), func(x check.Write) bool { return x.Client != w.name })
		if outage, ok := check.Outage(own, r.began); ok && r.Workload != Idle {
			ms := outage.Milliseconds()
			if r.record.OutageMs == nil || ms > *r.record.OutageMs {
				r.record.OutageMs = &ms
			}
		}
	}
	return nil
}

func serverNames(ctx context.Context, c *testenv.Chain) (map[string]string, error) {
	names := map[string]string{}
	for _, s := range c.Servers {
		var uuid string
		if err := s.DB().QueryRowContext(ctx, "SELECT @@server_uuid").Scan(&uuid); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		names[uuid] = s.Name
	}
	return names, nil
}

func (r *run) judgeReadings() {
	readings := r.store.read()
	for _, w := range r.webs {
		readings = append(readings, w.read()...)
	}
	for _, regression := range check.Regressions(readings) {
		r.record.EpochRegressions = append(r.record.EpochRegressions, regression.String())
		r.breakf("%s", regression)
	}
}

func (r *run) judgeBank(ctx context.Context, master *testenv.Server) error {
	result, err := master.DB().QueryContext(ctx, "SELECT balance FROM shop."+r.load.accountTable())
	if err != nil {
		return err
	}
	defer result.Close()
	var balances []int64
	for result.Next() {
		var balance int64
		if err := result.Scan(&balance); err != nil {
			return err
		}
		balances = append(balances, balance)
	}
	r.record.Bank, r.record.Transfers = check.JudgeBank(balances, bankAccounts*bankBalance), r.load.transfers
	if !r.record.Bank.OK {
		r.breakf("the bank holds %d instead of %d", r.record.Bank.Total, r.record.Bank.Want)
	}
	return result.Err()
}

// compareReplicas holds every server in rotation against the master, once it has executed what the master has.
func (r *run) compareReplicas(ctx context.Context, master *testenv.Server, status api.Product) error {
	executed, err := master.Executed(ctx)
	if err != nil {
		return err
	}
	want, err := r.fingerprint(ctx, master)
	if err != nil {
		return err
	}
	for _, s := range status.Servers {
		server := r.scene.Chain.Server(s.Name)
		if s.Standing != topology.In || server == master {
			continue
		}
		applying, cancel := context.WithTimeout(ctx, max(applyAtMost, r.Fault.Returning))
		err := server.AwaitApplied(applying, executed)
		cancel()
		if err != nil {
			r.breakf("%s is in rotation and does not catch up: %v", s.Name, err)
			continue
		}
		got, err := r.fingerprint(ctx, server)
		if err != nil {
			return err
		}
		if got != want {
			r.breakf("%s is in rotation and holds other rows than the master: %s instead of %s", s.Name, got, want)
		}
	}
	return nil
}

// fingerprint is the number of rows and a checksum of each table of the load.
func (r *run) fingerprint(ctx context.Context, s *testenv.Server) (string, error) {
	text := ""
	for _, t := range []struct{ name, columns string }{{r.load.ledgerTable(), "id, web, epoch, server"},
		{r.load.registerTable(), "name, value, touched"}, {r.load.accountTable(), "id, balance"}} {
		var rows, sum int64
		query := fmt.Sprintf("SELECT COUNT(*), COALESCE(SUM(CRC32(CONCAT_WS(',', %s))), 0) FROM shop.%s", t.columns, t.name)
		if err := s.DB().QueryRowContext(ctx, query).Scan(&rows, &sum); err != nil {
			return "", fmt.Errorf("%s: %w", s.Name, err)
		}
		text += fmt.Sprintf("%d in %s (%x) ", rows, t.name, sum)
	}
	return text, nil
}
