package topology

// Contact is how a server answered a watcher's latest probe.
type Contact string

const (
	// Answered: handshake and query succeeded.
	Answered Contact = "answered"
	// Refused: connection refused or reset. The kernel itself said that nobody is there.
	Refused Contact = "refused"
	// Silent: no answer within the deadline, or no route. Doubtful.
	Silent Contact = "silent"
	// Busy: too many connections. Alive.
	Busy Contact = "busy"
	// Denied: the account was refused. Alive.
	Denied Contact = "denied"
	// Offline: it is in offline mode, which only administrators get past. Alive.
	Offline Contact = "offline"
	// Unclear: TLS, DNS or protocol errors; never a sign of death.
	Unclear Contact = "unclear"
)

// Missed says whether the contact counts towards death.
func (c Contact) Missed() bool { return c == Refused || c == Silent }

// Sighting is what one watcher knows of one server. A failed probe is data.
// Ages are measured by the watcher that made it, so clocks need not agree.
type Sighting struct {
	Server  string  `json:"server"`
	Contact Contact `json:"contact"`
	// Error is the probe's failure, empty when it answered. It never holds a secret.
	Error string `json:"error,omitempty"`
	// Unanswered is the time since the first probe that went unanswered was
	// sent; 0 while the server answers.
	Unanswered Duration `json:"unanswered,omitempty"`
	// Facts are the latest full facts, nil when there never were any.
	Facts *Facts `json:"facts,omitempty"`
	// FactsAge is the time since Facts were gathered.
	FactsAge Duration `json:"factsAge,omitempty"`
	// Stalled is the time over which every look saw commits wait for an
	// acknowledgement and none of them get it; 0 when that is not so.
	Stalled Duration `json:"stalled,omitempty"`
	// Hanging is the time since the oldest write probe that is not committed was
	// sent; 0 while they are committed, and without write probes.
	Hanging Duration `json:"hanging,omitempty"`
}

// Facts is the state of one server at one moment.
type Facts struct {
	UUID          string  `json:"uuid"`
	Version       string  `json:"version"`
	ServerID      uint32  `json:"serverId"`
	ReadOnly      bool    `json:"readOnly"`
	SuperReadOnly bool    `json:"superReadOnly"`
	Offline       bool    `json:"offline"`
	Executed      GTIDSet `json:"executed"`
	Purged        GTIDSet `json:"purged,omitzero"`
	// Link is its replication link, nil when it has no source.
	Link   *Link          `json:"link,omitempty"`
	Source SourceSemiSync `json:"semiSyncSource"`
	// ReplicaSemiSync says whether the server offers to acknowledge for its source.
	ReplicaSemiSync bool `json:"semiSyncReplica"`
	// HangingCommits is how many sessions have been in their commit for 5 s and more.
	HangingCommits int `json:"hangingCommits,omitempty"`
	// AsleepEvents is how many scheduled events are switched off here because
	// they came by replication (status REPLICA_SIDE_DISABLED).
	AsleepEvents int `json:"asleepEvents,omitempty"`
	// DisabledEvents are the scheduled events, as schema.name, that somebody switched
	// off on this very server; nil when the account may not see events. A replica
	// shows them as asleep like all others, so only a former master can tell.
	DisabledEvents []string `json:"disabledEvents,omitzero"`
	// Clone is the latest CLONE that this server received, nil when there was none.
	Clone *Clone `json:"clone,omitempty"`
	// HeartbeatLag is how old the newest write probe that arrived here is, by this
	// server's clock and the master's: for people to read, and to decide nothing by.
	// 0 when it is not known, as without write probes.
	HeartbeatLag Duration `json:"heartbeatLag,omitempty"`
	// Settings are the variables that the requirements name, by name.
	Settings map[string]string `json:"settings,omitempty"`
}

// Open says whether ordinary accounts can write here.
func (f Facts) Open() bool { return !f.SuperReadOnly && !f.ReadOnly && !f.Offline }

// Held is everything the server has, applied or only in its relay log.
func (f Facts) Held() GTIDSet {
	if f.Link == nil {
		return f.Executed
	}
	return f.Executed.Union(f.Link.Received)
}

// SourceSemiSync is the semi-sync source side of a server.
type SourceSemiSync struct {
	Installed bool `json:"installed"`
	// Enabled is rpl_semi_sync_source_enabled; On is the status of the same name,
	// false when the server fell back to asynchronous.
	Enabled bool `json:"enabled"`
	On      bool `json:"on"`
	// Clients is how many replicas offer to acknowledge here.
	Clients int `json:"clients"`
	// Waiting is how many sessions wait for an acknowledgement.
	Waiting int `json:"waiting"`
	// Acks is how many acknowledgements a commit waits for.
	Acks int `json:"acks,omitempty"`
}

// Clone is a copy of another server's data under way, or the latest one.
type Clone struct {
	// State is performance_schema's: Not Started, In Progress, Completed, Failed.
	State string `json:"state"`
	// Source is the donor, host:port.
	Source string `json:"source"`
	// Begun tells this clone from another; it is the server's own time of its start.
	Begun string `json:"begun,omitempty"`
	// Stage is the present stage and how far it is, such as "FILE COPY 34%".
	Stage string `json:"stage,omitempty"`
	Error string `json:"error,omitempty"`
	// Emptied says that the data that was there is gone and the copy is not complete:
	// the server holds nothing to rely on, whatever its GTID set says. It stays so
	// over restarts until another clone completes.
	Emptied bool `json:"emptied,omitempty"`
}

// The states of a clone (performance_schema.clone_status).
const (
	CloneInProgress = "In Progress"
	CloneCompleted  = "Completed"
	CloneFailed     = "Failed"
)

// ThreadState is the state of a replication thread.
type ThreadState string

// Replication thread states, as performance_schema prints them.
const (
	On         ThreadState = "ON"
	Off        ThreadState = "OFF"
	Connecting ThreadState = "CONNECTING"
)

// Link is the replica side of one replication link.
type Link struct {
	SourceAddr string      `json:"sourceAddr"`
	SourceUUID string      `json:"sourceUuid,omitempty"`
	IO         ThreadState `json:"io"`
	SQL        ThreadState `json:"sql"`
	// Silence is the time since the later of the last heartbeat and the last
	// queued transaction, by the replica's own clock.
	Silence Duration `json:"silence"`
	// Signs is another text whenever anything came from the source; who looks twice
	// can tell the silence without the replica's clock.
	Signs string `json:"signs,omitempty"`
	// Received is RECEIVED_TRANSACTION_SET: whole transactions that reached the relay log.
	Received     GTIDSet  `json:"received"`
	AutoPosition bool     `json:"autoPosition"`
	Heartbeat    Duration `json:"heartbeat"`
	IOError      string   `json:"ioError,omitempty"`
	SQLError     string   `json:"sqlError,omitempty"`
}

// View is what one watcher sees of one chain at one moment.
type View struct {
	Watcher   string              `json:"watcher"`
	Product   string              `json:"product"`
	Sightings map[string]Sighting `json:"sightings"`
	// Age is the time since the view was taken, as the reader of it reckons.
	Age Duration `json:"age"`
}
