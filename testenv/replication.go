package testenv

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// replicate turns freshly booted servers into a chain and waits until every link is up and the master sees its
// ackers.
func (c *Chain) replicate(ctx context.Context, specs []ServerSpec) error {
	var ackers int
	all, allCtx := errgroup.WithContext(ctx)
	for _, spec := range specs {
		if spec.Source == "" {
			continue
		}
		replica, source := c.Server(spec.Name), c.Server(spec.Source)
		if source == nil {
			return fmt.Errorf("%s: no source %q", spec.Name, spec.Source)
		}
		acks := spec.Seat == Candidate
		if acks {
			ackers++
		}
		all.Go(func() error {
			if err := replica.Follow(allCtx, source, acks); err != nil {
				return err
			}
			return replica.AwaitReplicating(allCtx)
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	for _, spec := range specs {
		if spec.Seat != Master {
			continue
		}
		if err := c.Server(spec.Name).openAsMaster(ctx, ackers); err != nil {
			return err
		}
	}
	return nil
}

// Follow makes the server a replica of source with auto-position, whatever it replicated before. acks says
// whether its receipt lets the source acknowledge a commit.
func (s *Server) Follow(ctx context.Context, source *Server, acks bool) error {
	for _, statement := range []string{
		"STOP REPLICA",
		fmt.Sprintf("SET GLOBAL rpl_semi_sync_replica_enabled=%t", acks),
		fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_HOST='%s', SOURCE_PORT=%d, SOURCE_USER='%s', "+
			"SOURCE_PASSWORD='%s', SOURCE_AUTO_POSITION=1, SOURCE_HEARTBEAT_PERIOD=0.5, SOURCE_CONNECT_RETRY=1, "+
			"SOURCE_RETRY_COUNT=1000000, GET_SOURCE_PUBLIC_KEY=1", source.Host, source.Port,
			Accounts.Replication.User, Accounts.Replication.Password),
		"START REPLICA",
	} {
		if err := s.Exec(ctx, statement); err != nil {
			return fmt.Errorf("follow %s: %w", source.Name, err)
		}
	}
	return nil
}

// AwaitReplicating waits until both replication threads run.
func (s *Server) AwaitReplicating(ctx context.Context) error {
	const both = `SELECT c.SERVICE_STATE = 'ON' AND a.SERVICE_STATE = 'ON'
		FROM performance_schema.replication_connection_status c
		JOIN performance_schema.replication_applier_status a USING (CHANNEL_NAME)`
	return s.await(ctx, "replicating", both)
}

// AwaitApplied waits until the server has executed every transaction of a GTID set.
func (s *Server) AwaitApplied(ctx context.Context, gtids string) error {
	return s.await(ctx, "applied "+gtids, "SELECT GTID_SUBSET(?, @@GLOBAL.gtid_executed)", gtids)
}

// Executed returns @@GLOBAL.gtid_executed without line breaks.
func (s *Server) Executed(ctx context.Context) (string, error) {
	var set string
	err := s.db.QueryRowContext(ctx, `SELECT REPLACE(@@GLOBAL.gtid_executed, '\n', '')`).Scan(&set)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.Name, err)
	}
	return set, nil
}

// openAsMaster makes commits wait for an acker, then allows writes.
func (s *Server) openAsMaster(ctx context.Context, ackers int) error {
	if ackers > 0 {
		const seen = `SELECT VARIABLE_VALUE >= ? FROM performance_schema.global_status
			WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_clients'`
		if err := s.await(ctx, "seeing its ackers", seen, ackers); err != nil {
			return err
		}
		if err := s.Exec(ctx, "SET GLOBAL rpl_semi_sync_source_enabled=ON"); err != nil {
			return err
		}
	}
	return s.Exec(ctx, "SET GLOBAL read_only=OFF") // which turns super_read_only off too
}

// await polls a query of one boolean until it is true.
func (s *Server) await(ctx context.Context, what, query string, args ...any) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var holds bool
		err := s.db.QueryRowContext(ctx, query, args...).Scan(&holds)
		if err == nil && holds {
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("%s: not %s: %w: %w", s.Name, what, context.Cause(ctx), err)
			}
			return fmt.Errorf("%s: not %s: %w", s.Name, what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
