package topology

import (
	"fmt"
	"strings"
)

// Rules is the table that Judge goes through; the first row that fits wins and
// the last always fits. The names are the words of logs, metrics and the CLI.
var Rules = []Rule{
	{Name: "too-few-views", Action: Wait,
		Why:  "Fewer than a majority of the watchers have a fresh view: nothing can be known.",
		when: tooFewViews},
	{Name: "master-missing-data", Action: Alert,
		Why:  "The master is dead and no reachable server holds everything below the high-water mark: promoting would lose acknowledged writes.",
		when: deadBut(func(p *Picture) (found, bool) { return noWholeTarget(p) })},
	{Name: "master-dead-no-target", Action: Wait,
		Why:  "The master is dead and the server to promote, or an acker that may hold acknowledged writes, is gone too. It waits for one of them.",
		when: deadBut(noTarget)},
	{Name: "master-held-down", Action: Alert,
		Why:  "The master is silent, not proven dead, soon after the last promotion: flapping is worse than waiting.",
		when: heldDown},
	{Name: "master-dead", Action: Failover,
		Why:  "A majority is refused by the master's host and its direct replicas lost it too: dead for certain.",
		when: masterDead},
	{Name: "master-silent", Action: Failover,
		Why:  "A majority has had no answer for deadAfter and its direct replicas have heard nothing for linkDeadAfter: frozen, lost or cut off.",
		when: masterSilent},
	{Name: "master-hanging", Action: Failover,
		Why:  "The write probes of a majority have not been committed for hangAfter, and nobody waits for an acknowledgement: its disk is full or stuck.",
		when: masterHanging},
	{Name: "second-master", Action: Fence,
		Why:  "A server that is not the master is open for writes: a thawed or returning old master, or a hand.",
		when: secondMaster},
	{Name: "master-seen-by-replicas", Action: Alert,
		Why:  "A majority of the watchers cannot reach the master, but its replicas hear it: the watchers' network is at fault.",
		when: masterSeenByReplicas},
	{Name: "master-suspect", Action: Wait,
		Why:  "The master is missed, but not by enough watchers, or not for long enough, or its replicas have not been asked yet.",
		when: masterSuspect},
	{Name: "master-closed-to-probes", Action: Alert,
		Why:  "The master is alive but refuses the probes: credentials, TLS, DNS or too many connections. Never a reason to fail over.",
		when: masterClosedToProbes},
	{Name: "master-behind-acker", Action: Failover,
		Why:  "The master came back with less than its acker holds: opening it would lose acknowledged writes.",
		when: masterBehindAcker},
	{Name: "master-below-high-water", Action: Alert,
		Why:  "The master came back without transactions it once had, and no acker holds them.",
		when: masterBelowHighWater},
	{Name: "master-closed", Action: Reopen,
		Why:  "The master answers but is read-only: it restarted, for servers boot closed and only failoverd opens one.",
		when: masterClosed},
	{Name: "master-attached", Action: Mend,
		Why:  "The master still replicates from its old source, which may send it what nobody acknowledged.",
		when: masterAttached},
	{Name: "server-errant", Action: Quarantine,
		Why:  "A replica holds transactions that the master never had. It is out before anybody counts on it.",
		when: serverErrant},
	{Name: "server-left-behind", Action: Quarantine,
		Why:  "A replica lacks transactions that its source has purged from its binary log: it can never catch up.",
		when: serverLeftBehind},
	{Name: "ackers-lost", Action: Reform,
		Why:  "Too few ackers answer and are up to date, or they answer and acknowledge nothing, so commits wait: another replica has to acknowledge.",
		when: ackersLost},
	{Name: "master-unprotected", Action: Protect,
		Why:  "The master does not wait for the acknowledgements that the policy asks for, or for others, or an acker does not offer any.",
		when: masterUnprotected},
	{Name: "server-returned", Action: Rejoin,
		Why:  "A server that was out of rotation answers, and everything it holds is the master's.",
		when: serverReturned},
	{Name: "replica-astray", Action: Mend,
		Why:  "A replica follows the wrong source, none, or does not receive.",
		when: replicaAstray},
	{Name: "ackers-astray", Action: Reform,
		Why:  "The ackers are not those that the policy wants, and can be: one is whole again, proven dead, or not needed any more.",
		when: ackersAstray},
	{Name: "publish-behind", Action: Publish,
		Why:  "The published file does not show the chain as it is.",
		when: publishBehind},
	{Name: "events-asleep", Action: Mend,
		Why:  "Scheduled events came to the master by replication and do not run there.",
		when: eventsAsleep},
	{Name: "gtids-reusable", Action: Mend,
		Why:  "A rebuilt server would, as master, give GTIDs again that stood for its errant transactions: the master takes them out of use.",
		when: gtidsReusable},
	{Name: "maintenance-over", Action: Rejoin,
		Why:  "The time that was given for the maintenance of a server is over.",
		when: maintenanceOver},
	{Name: "candidate-lost", Action: Raise,
		Why:  "The candidate is out of rotation, or has not answered for a minute: a slave takes its seat, so that there is somebody to promote.",
		when: candidateLost},
	{Name: "candidate-same-zone", Action: Raise,
		Why:  "The candidate is in the master's zone and a slave is in another: one zone's loss must not take both.",
		when: candidateSameZone},
	{Name: "server-rebuild", Action: Rebuild,
		Why:  "A server in quarantine is rebuilt from the least useful healthy one, once what only it holds is saved.",
		when: serverRebuild},
	{Name: "acker-behind", Action: Alert,
		Why:  "The only acker there is has much still to receive: commits wait until it has.",
		when: ackerBehind},
	{Name: "commits-stalled", Action: Alert,
		Why:  "Commits wait for an acknowledgement that does not come: no acker is left, or they answer and acknowledge nothing, and there is nobody else to ask.",
		when: commitsStalled},
	{Name: "durability-weak", Action: Alert,
		Why:  "The settings of the master or of one who acknowledges for it let an acknowledged write be lost by a crash.",
		when: durabilityWeak},
	{Name: "replica-broken", Action: Alert,
		Why:  "A replica's applier stopped with an error.",
		when: replicaBroken},
	{Name: "server-missing", Action: Alert,
		Why:  "A server other than the master does not answer.",
		when: serverMissing},
	{Name: "facts-missing", Action: Wait,
		Why:  "A server answers but has not been looked at since the chain was last changed.",
		when: factsMissing},
	{Name: "healthy", Action: None,
		Why: "Everything is as it should be.",
		when: func(*Picture) (found, bool) {
			return found{why: "all servers answer and replicate as they should"}, true
		}},
}

func tooFewViews(p *Picture) (found, bool) {
	if len(p.fresh) >= p.quorum() {
		return found{}, false
	}
	return found{why: fmt.Sprintf("%d of %d watchers have a fresh view, %d are needed", len(p.fresh), p.Watchers, p.quorum())}, true
}

func publishBehind(p *Picture) (found, bool) {
	return found{why: fmt.Sprintf("the published file does not show epoch %d as it is", p.Chain.Epoch)}, !p.Published
}

func join(names []string) string { return strings.Join(names, ", ") }
