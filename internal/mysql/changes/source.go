package changes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/go-mysql-org/go-mysql/server"

	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

// source is what a replica needs of a MySQL server to replicate a history from it.
type source struct {
	listener       net.Listener
	config         *server.Server
	history        *snapshot.History
	user, password string

	// ctx lives as long as the source, which outlives any call.
	ctx     context.Context
	cancel  context.CancelCauseFunc
	running sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func (s *source) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

var errClosed = errors.New("the replay is over")

func (s *source) close() {
	s.cancel(errClosed)
	s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// failure is why nothing more comes, nil while all is well.
func (s *source) failure() error {
	if s.ctx.Err() == nil {
		return nil
	}
	return context.Cause(s.ctx)
}

func (s *source) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // it was closed
		}
		s.mu.Lock()
		if s.conns == nil {
			s.conns = map[net.Conn]bool{}
		}
		s.conns[conn] = true
		s.mu.Unlock()
		if s.ctx.Err() != nil {
			conn.Close()
		}
		s.running.Go(func() {
			defer conn.Close()
			session := &session{source: s}
			c, err := s.config.NewConn(conn, s.user, s.password, session)
			for err == nil && !c.Closed() {
				err = c.HandleCommand() // the replica sees what went wrong, and comes again
			}
		})
	}
}

// session answers one connection of the replica. See MySQL source, rpl_replica.cc,
// "get_master_version_and_clock", for what it asks.
type session struct {
	server.EmptyHandler
	source *source
}

// UseDB implements server.Handler.
func (s *session) UseDB(string) error { return nil }

// HandleQuery implements server.Handler.
func (s *session) HandleQuery(query string) (*gomysql.Result, error) {
	upper := strings.ToUpper(query)
	if !strings.HasPrefix(upper, "SELECT ") {
		return nil, nil // SET of what the replica wants, which is given in any case
	}
	var value any = ""
	switch {
	case strings.Contains(upper, "UNIX_TIMESTAMP"):
		value = time.Now().Unix()
	case strings.Contains(upper, "CHECKSUM"):
		value = "NONE"
	case strings.Contains(upper, "GTID_MODE"):
		value = "ON"
	case strings.Contains(upper, "SERVER_UUID"):
		value = "fa110feb-0000-0000-0000-000000000000" // nobody's
	case strings.Contains(upper, "SERVER_ID"):
		value = int64(1<<32 - 2)
	case strings.Contains(upper, "SEMI_SYNC"):
		value = int64(0)
	}
	set, err := gomysql.BuildSimpleTextResultset([]string{"value"}, [][]any{{value}})
	if err != nil {
		return nil, err
	}
	return gomysql.NewResult(set), nil
}

// HandleOtherCommand implements server.Handler.
func (s *session) HandleOtherCommand(cmd byte, _ []byte) error {
	return gomysql.NewError(gomysql.ER_UNKNOWN_ERROR, fmt.Sprintf("command %d is not known in a replay", cmd))
}

// HandleRegisterSlave implements server.ReplicationHandler.
func (s *session) HandleRegisterSlave([]byte) error { return nil }

// HandleBinlogDump implements server.ReplicationHandler.
func (s *session) HandleBinlogDump(gomysql.Position) (*replication.BinlogStreamer, error) {
	return nil, gomysql.NewError(gomysql.ER_UNKNOWN_ERROR, "a replay is read by GTID")
}

// HandleBinlogDumpGTID implements server.ReplicationHandler.
func (s *session) HandleBinlogDumpGTID(has *gomysql.MysqlGTIDSet) (*replication.BinlogStreamer, error) {
	set, err := topology.ParseGTIDSet(has.String())
	if err != nil {
		return nil, err
	}
	stream := replication.NewBinlogStreamerWithChanSize(64)
	// Also long after it was fed, for whoever reads it waits for more.
	context.AfterFunc(s.source.ctx, func() { stream.AddErrorToStreamer(context.Cause(s.source.ctx)) })
	s.source.running.Go(func() {
		if err := s.source.feed(stream, set); err != nil {
			s.source.cancel(err)
		}
	})
	return stream, nil
}

// feed gives the history to a stream, but for what the replica has.
func (s *source) feed(stream *replication.BinlogStreamer, has topology.GTIDSet) error {
	add := func(raw []byte) error {
		return stream.AddEventToStreamer(&replication.BinlogEvent{RawData: append([]byte(nil), raw...)})
	}
	if err := add(artificialRotate()); err != nil {
		return nil // the source is closed
	}
	skip := false
	var format, told []byte
	err := s.history.Play(s.ctx, func(e snapshot.LogEvent) error {
		if e.Format { // a replica takes one within a transaction for a source that crashed
			format = continued(e.Raw)
			return nil
		}
		if e.Begins {
			skip = has.Contains(e.GTID)
			if !bytes.Equal(format, told) {
				if err := add(format); err != nil {
					return errClosed
				}
				told = format
			}
		}
		if skip {
			return nil
		}
		if err := add(e.Raw); err != nil {
			return errClosed
		}
		return nil
	})
	if errors.Is(err, errClosed) {
		return nil
	}
	return err
}

// continued is a format description that says that its server has not just
// started: without a time of creation, which follows the versions of format and server.
func continued(format []byte) []byte {
	format = append([]byte(nil), format...)
	const created = replication.EventHeaderSize + 2 + 50
	if len(format) >= created+4 {
		copy(format[created:], []byte{0, 0, 0, 0})
	}
	return format
}

// artificialRotate is what a source sends first: the name of its log's file, here
// one that nobody has. Its header has no time and no place, and says that it was made up
// (MySQL source documentation, "Rotate_event").
func artificialRotate() []byte {
	const name = "replay.000001"
	raw := make([]byte, replication.EventHeaderSize, replication.EventHeaderSize+8+len(name))
	raw[4] = byte(replication.ROTATE_EVENT)
	raw[5], raw[6], raw[7], raw[8] = 0xfe, 0xff, 0xff, 0xff // the number of this source, little endian
	raw[9] = byte(cap(raw))
	raw[17] = 0x20                            // LOG_EVENT_ARTIFICIAL_F
	raw = append(raw, 4, 0, 0, 0, 0, 0, 0, 0) // the position of its first event
	return append(raw, name...)
}
