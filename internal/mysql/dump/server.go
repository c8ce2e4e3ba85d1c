package dump

import (
	"context"
	"errors"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/snapshot"
)

// Server is a MySQL server that can be copied. It implements snapshot.Source and
// keeps no connection of its own.
type Server struct{ cfg mysql.Config }

var _ snapshot.Source = (*Server)(nil)

// New returns the server at cfg.Addr, which is logged in to with cfg.Account; that
// one needs what Grants gives.
func New(cfg mysql.Config) *Server { return &Server{cfg: cfg} }

// ErrNotNow says that the server cannot be copied at this moment, for a reason that
// passes: a long transaction is being applied, or something holds a lock.
var ErrNotNow = errors.New("the server cannot be copied now")

// Open implements snapshot.Source.
func (s *Server) Open(ctx context.Context, workers int) (snapshot.Point, error) {
	p, err := openPoint(ctx, s.cfg, max(workers, 1))
	if err != nil {
		return nil, err
	}
	return p, nil
}
