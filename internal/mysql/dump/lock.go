package dump

import (
	"context"
	"errors"
	"fmt"
)

// ErrLocked says that somebody else copies the server at the moment.
var ErrLocked = errors.New("somebody else copies this server now")

// lockName is one for all products: it is the server that is not to be copied twice at once.
const lockName = "failoverd.dump"

// Lock keeps every other failoverd from copying the server until release, or until the
// session that holds the lock is lost. It does not wait: the error is ErrLocked, and
// names the session that has it.
func (s *Server) Lock(ctx context.Context) (release func(), err error) {
	session, err := connect(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	row, err := session.row(ctx, fmt.Sprintf(lockSQL, literal(lockName)))
	if err == nil && row[0] != "1" {
		err = fmt.Errorf("%w: session %s of %s has the lock", ErrLocked, row[1], s.cfg.Addr)
	}
	if err != nil {
		session.close()
		return nil, err
	}
	return session.close, nil
}
