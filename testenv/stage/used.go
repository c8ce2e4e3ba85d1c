package stage

import (
	"context"
	"database/sql"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/failoverd/failoverd/testenv"
)

// sessionsOfUse is how many sessions at once a server that was ever in use has had.
const sessionsOfUse = 24

// use makes new servers like ones that have been in use. InnoDB makes 16 transactions
// at the start, and all others that its pool has room for when a 17th session wants one
// (Pool in storage/innobase/include/ut0pool.h): that takes 20 ms once, in which other new
// sessions wait, and it would be the first writes after the first switchover.
func use(ctx context.Context, servers []*testenv.Server) error {
	var all errgroup.Group
	for _, server := range servers {
		all.Go(func() error {
			var sessions []*sql.Conn
			defer func() {
				for _, c := range sessions {
					c.Close()
				}
			}()
			for range sessionsOfUse {
				c, err := server.DB().Conn(ctx)
				if err != nil {
					return fmt.Errorf("%s: %w", server.Name, err)
				}
				sessions = append(sessions, c)
				for _, statement := range []string{"START TRANSACTION WITH CONSISTENT SNAPSHOT", "COMMIT"} {
					if _, err := c.ExecContext(ctx, statement); err != nil {
						return fmt.Errorf("%s: %w", server.Name, err)
					}
				}
			}
			return nil
		})
	}
	return all.Wait()
}
