package api

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// newMetrics serves what the Backend knows at each scrape, in Prometheus' format.
func newMetrics(b Backend, copies *desk, now func() time.Time) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&metrics{backend: b, desk: copies, now: now, promotions: map[[2]string]float64{}, aborted: map[[2]string]float64{}, skipped: map[string]float64{}})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: quick})
}

// metrics collects at scrape time. What the leader alone knows (rules, lag) is
// missing from the other watchers' answers.
type metrics struct {
	backend Backend
	desk    *desk
	now     func() time.Time

	mu sync.Mutex
	// The history forgets its oldest entries, so what ended is counted as it goes
	// by; like every counter these start anew with the process.
	counted             uint64 // the latest entry that was counted
	promotions, aborted map[[2]string]float64
	skipped             map[string]float64 // by product
}

var (
	metricLeader    = gauge("leader", "1 on the watcher that leads.")
	metricTerm      = gauge("term", "Number of the present leadership.")
	metricHead      = gauge("published_version", "Version of the newest signed document.")
	metricStored    = gauge("stored_version", "Version of the document in the object store.")
	metricStore     = gauge("store_failing", "1 while the newest document cannot be stored.")
	metricEpoch     = gauge("epoch", "The chain's promotion counter.", "product")
	metricAuto      = gauge("auto", "1 when failoverd may act by itself: mode auto and not paused.", "product")
	metricProtected = gauge("protected", "1 when every acknowledged write is on two servers, as measured.", "product")
	metricOpen      = gauge("open_plan", "1 while a plan of that kind is open.", "product", "kind")
	metricRule      = gauge("rule", "1 for the rule that fits the chain, 0 for the others.", "product", "rule")
	metricUp        = gauge("server_up", "1 when some watcher can talk to the server.", "product", "server", "seat")
	metricIn        = gauge("server_in_rotation", "1 unless the server is out, quarantined or in maintenance.", "product", "server", "seat")
	metricAway      = gauge("server_in_maintenance", "1 while a person has the server out of rotation.", "product", "server", "seat")
	metricLag       = gauge("lag_transactions", "Transactions of the master that the server has not executed.", "product", "server", "seat")
	metricSilence   = gauge("link_silence_seconds", "Time since the server last heard its source.", "product", "server", "seat")
	metricPromoted  = gauge("promotions_total", "Promotions seen since this process started, those still in the history included.", "product", "kind")
	metricAcks      = gauge("acks_needed", "Acknowledgements that each commit waits for, 0 without semi-sync.", "product")
	metricBrake     = gauge("brake", "1 for the global brake's mode: watch is the rule, on and off are somebody's decision.", "mode")
	metricHolds     = gauge("brake_holds", "1 while the global brake refuses automatic failovers.")
	metricSkipped   = gauge("failovers_skipped_total", "Failovers that were due and not done, likewise.", "product")
	metricAborted   = gauge("plans_aborted_total", "Plans given up or taken back, likewise.", "product", "kind")
)

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("failoverd_"+name, help, labels, nil)
}

// Describe sends nothing, for which metrics there are depends on the products.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads the Backend once.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	status := statusOf(ctx, m.backend, m.desk, m.now())
	set := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	set(metricLeader, one(status.Leads))
	set(metricTerm, float64(status.Term))
	set(metricHead, float64(status.Head.Version))
	set(metricStored, float64(status.Head.StoredVersion))
	set(metricStore, one(status.Head.StoreError != ""))
	for _, mode := range []journal.BrakeMode{journal.BrakeOn, journal.BrakeOff, journal.BrakeWatch} {
		set(metricBrake, one(status.Brake.Mode == mode), string(mode))
	}
	set(metricHolds, one(status.Brake.Holds))
	for _, p := range status.Products {
		collectProduct(set, p)
		collectCopies(set, p)
	}
	m.count(m.backend.State(), func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, value, labels...)
	})
}

func collectProduct(set func(*prometheus.Desc, float64, ...string), p Product) {
	set(metricEpoch, float64(p.Epoch), p.Name)
	set(metricAuto, one(p.Mode == topology.Auto && p.Pause == nil), p.Name)
	set(metricProtected, one(p.Protected), p.Name)
	set(metricAcks, float64(p.Acks), p.Name)
	if p.Open != nil {
		set(metricOpen, 1, p.Name, string(p.Open.Plan.Kind))
	}
	if p.Verdict.Rule != "" {
		for _, rule := range topology.Rules {
			set(metricRule, one(rule.Name == p.Verdict.Rule), p.Name, rule.Name)
		}
	}
	for _, s := range p.Servers {
		labels := []string{p.Name, s.Name, string(s.Seat)}
		set(metricUp, one(s.Up), labels...)
		set(metricIn, one(s.Standing == topology.In), labels...)
		set(metricAway, one(s.Standing == topology.Maintenance), labels...)
		if s.Lag != nil && s.Up {
			set(metricLag, float64(*s.Lag), labels...)
		}
		if s.Up && s.Facts != nil && s.Facts.Link != nil {
			set(metricSilence, float64(s.Facts.Link.SilenceMs)/1000, labels...)
		}
	}
}

// count adds what ended since the last scrape.
func (m *metrics) count(state *journal.State, set func(*prometheus.Desc, float64, ...string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range state.History {
		if e.ID <= m.counted || (e.Plan == 0 && !IsSkipped(e)) {
			continue
		}
		m.counted = e.ID
		key := [2]string{e.Product, e.What}
		switch {
		case IsSkipped(e):
			m.skipped[e.Product]++
		case promote.Kind(e.What).Promotes() && (e.Outcome == OutcomeDone || isOvertaken(e)):
			m.promotions[key]++
		case e.Outcome != OutcomeDone:
			m.aborted[key]++
		}
	}
	for name := range state.Products { // 0 too, so that the first one is seen to be more
		m.skipped[name] += 0
	}
	for name, n := range m.skipped {
		set(metricSkipped, n, name)
	}
	for key, n := range m.promotions {
		set(metricPromoted, n, key[0], key[1])
	}
	for key, n := range m.aborted {
		set(metricAborted, n, key[0], key[1])
	}
}

// IsSkipped says whether an entry is of a recovery that was due and not done.
func IsSkipped(e journal.Entry) bool {
	return e.Plan == 0 && strings.HasPrefix(e.Outcome, "skipped: ")
}

// isOvertaken says whether a promotion happened although its plan was not finished.
func isOvertaken(e journal.Entry) bool {
	return strings.HasPrefix(e.Outcome, "overtaken")
}

func one(fact bool) float64 {
	if fact {
		return 1
	}
	return 0
}
