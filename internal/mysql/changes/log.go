package changes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

var _ snapshot.Log = (*Reader)(nil)

// Follow implements snapshot.Log.
func (r *Reader) Follow(ctx context.Context, without topology.GTIDSet, yield func(snapshot.LogEvent) error, idle func() error) error {
	var stream transactions
	err := r.config.ReadBinlog(ctx, without, func(raw []byte) (bool, error) {
		step, err := stream.event(raw)
		if err != nil {
			return false, err
		}
		if step.Artificial && !step.Format {
			return true, nil
		}
		e := snapshot.LogEvent{Raw: raw, Format: step.Format, Begins: step.Begins, GTID: step.GTID, Committed: step.Committed, Ends: step.Ends}
		return true, yield(e)
	}, func() (bool, error) { return true, idle() })
	if mysql.IsPurged(err) {
		return fmt.Errorf("%w: %w", snapshot.ErrPurged, err)
	}
	return err
}

// State implements snapshot.Log. What a replica has is as fresh as its source's last
// heartbeat, for the source sends one only when it has nothing else to send; without a running link
// nobody knows.
func (r *Reader) State(ctx context.Context) (s snapshot.LogState, err error) {
	db, err := open(r.config)
	if err != nil {
		return s, err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return s, fmt.Errorf("state of the binary log: %w", err)
	}
	defer conn.Close()
	// The link first: what it had received is in the set that is read after it, or it is not all executed.
	link, err := linkOf(ctx, conn)
	if err != nil {
		return s, fmt.Errorf("state of the binary log: %w", err)
	}
	var executed, purged string
	if err := conn.QueryRowContext(ctx, setsSQL).Scan(&s.UUID, &executed, &purged); err != nil {
		return s, fmt.Errorf("state of the binary log: %w", err)
	}
	if s.Executed, err = topology.ParseGTIDSet(executed); err != nil {
		return s, err
	}
	if s.Purged, err = topology.ParseGTIDSet(purged); err != nil {
		return s, err
	}
	switch now := time.Now().UTC(); {
	case link == nil:
		s.Fresh = now
	case link.running && s.Executed.Contains(link.received):
		s.Fresh = now.Add(-link.heartbeatAge)
	}
	return s, nil
}

// link is how a replica hears from its source.
type link struct {
	running      bool
	received     topology.GTIDSet
	heartbeatAge time.Duration
}

// linkOf is nil for a server that is no replica.
func linkOf(ctx context.Context, conn *sql.Conn) (*link, error) {
	var state, received string
	var age sql.NullInt64
	err := conn.QueryRowContext(ctx, linkSQL).Scan(&state, &received, &age)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l := &link{running: state == "ON" && age.Valid, heartbeatAge: time.Duration(age.Int64) * time.Microsecond}
	l.received, err = topology.ParseGTIDSet(received)
	return l, err
}
