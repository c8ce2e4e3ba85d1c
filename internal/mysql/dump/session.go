package dump

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/failoverd/failoverd/internal/mysql"
)

// session is one connection to a server. It is used by one goroutine at a time. When
// a call's context ends the connection is closed, and with it the session is over.
type session struct {
	conn *client.Conn
	wire *wire
	// link is the connection below all protocols.
	link net.Conn
}

const connectTimeout = 10 * time.Second

// connect logs in and settles everything on which an answer could depend.
func connect(ctx context.Context, cfg mysql.Config) (*session, error) {
	host, _, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("server address %q is not host:port", cfg.Addr)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	s := &session{}
	stop := func() bool { return false }
	dial := func(_ context.Context, _, addr string) (net.Conn, error) {
		link, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			s.link = link
			stop = context.AfterFunc(ctx, func() { link.Close() }) // the library's handshake knows no context
		}
		return link, err
	}
	option := func(c *client.Conn) error {
		c.SetAttributes(map[string]string{"program_name": "failoverd"})
		// What ends a result is then never taken for a row.
		c.UnsetCapability(gomysql.CLIENT_DEPRECATE_EOF)
		c.UnsetCapability(gomysql.CLIENT_QUERY_ATTRIBUTES)
		if cfg.TLS != nil {
			t := cfg.TLS.Clone()
			if t.ServerName == "" {
				t.ServerName = host
			}
			c.SetTLSConfig(t)
		}
		return nil
	}
	s.conn, err = client.ConnectWithDialer(ctx, "tcp", cfg.Addr, cfg.Account.User, cfg.Account.Password, "", dial, option)
	if stopped := stop(); err == nil && !stopped {
		err = context.Cause(ctx)
	}
	if err != nil && over(ctx) {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Addr, plain(err))
	}
	if err := s.exec(ctx, settleSQL); err != nil {
		s.close()
		return nil, fmt.Errorf("connect to %s: %w", cfg.Addr, err)
	}
	s.wire = newWire(s.conn.Conn.Conn)
	return s, nil
}

// close ends the session, and with it its transaction and its locks.
func (s *session) close() { s.link.Close() }

// exec runs a statement without an answer.
func (s *session) exec(ctx context.Context, statement string) error {
	_, err := s.rows(ctx, statement)
	return err
}

// rows runs a statement and returns its rows as text; what is NULL is empty.
func (s *session) rows(ctx context.Context, statement string) ([][]string, error) {
	var out [][]string
	err := s.during(ctx, func() error {
		result, err := s.conn.Execute(statement)
		if err != nil {
			return err
		}
		defer result.Close()
		if result.Resultset == nil {
			return nil
		}
		for _, values := range result.Values {
			row := make([]string, len(values))
			for i, value := range values {
				switch v := value.Value().(type) {
				case nil:
				case []byte:
					row[i] = string(v)
				default:
					row[i] = fmt.Sprint(v)
				}
			}
			out = append(out, row)
		}
		return nil
	})
	return out, err
}

// row is rows of a statement that gives exactly one.
func (s *session) row(ctx context.Context, statement string) ([]string, error) {
	rows, err := s.rows(ctx, statement)
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("%d rows instead of one", len(rows))
	}
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// stream runs a query and gives its rows in the binary protocol to yield.
func (s *session) stream(ctx context.Context, statement string, check func([]column) error, yield func(row []byte) error) error {
	return s.during(ctx, func() error { return s.wire.query(statement, check, yield) })
}

func (s *session) during(ctx context.Context, f func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	stop := context.AfterFunc(ctx, func() { s.link.Close() })
	defer stop()
	err := f()
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return plain(err)
}

// over says whether a context has ended, or does right now: what is given its deadline
// can notice that before the context does.
func over(ctx context.Context) bool {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}

// plain leaves out the stack that the library adds.
func plain(err error) error {
	var refusal *gomysql.MyError
	if errors.As(err, &refusal) {
		return refusal
	}
	return err
}

// number is the server's own error number, 0 for what it did not say.
func number(err error) uint16 {
	var refusal *gomysql.MyError
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return 0
}

// ident quotes a name.
func ident(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// literal quotes a string, for the sql_mode that settleSQL sets.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(text) + "'"
}
