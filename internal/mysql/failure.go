package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	mysqldriver "github.com/go-sql-driver/mysql"

	"github.com/failoverd/failoverd/internal/promote"
)

// Error numbers of the MySQL 9.7 Error Message Reference that failoverd branches on.
const (
	errTooManyConnections   = 1040
	errOutOfResources       = 1041
	errServerShutdown       = 1053
	errSyntax               = 1064
	errNoSuchThread         = 1094
	errTableDenied          = 1142
	errNoSuchTable          = 1146
	errCannotCreateThread   = 1135
	errUnknownVariable      = 1193
	errTooManyUserConns     = 1203
	errUserLimitReached     = 1226
	errReplicaNotConfigured = 1200
	errLockWait             = 1205
	errReadOnly             = 1290
	errTooManyClones        = 3634
	errNotSupervised        = 3707
)

// serverNumber is the error number that the server itself gave, 0 when it gave none.
func serverNumber(err error) uint16 {
	var refusal *mysqldriver.MySQLError
	if errors.As(err, &refusal) {
		return refusal.Number
	}
	return 0
}

// failed names the operation and wraps promote.ErrUnreachable when no answer
// came. The secrets are cut out of the text: a server may quote a statement.
func failed(op string, err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	if noAnswer(err) {
		return fmt.Errorf("%s: %w: %w", op, promote.ErrUnreachable, err)
	}
	if serverNumber(err) == errSyntax && len(secrets) > 0 {
		return fmt.Errorf("%s: the server refused the statement's syntax (error %d)", op, errSyntax)
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(err.Error(), secret) {
			return fmt.Errorf("%s: %s", op, strings.ReplaceAll(err.Error(), secret, "***"))
		}
	}
	return fmt.Errorf("%s: %w", op, err)
}

// noAnswer says whether an error came from the way to the server, or from a
// server that is going down, rather than from one that refused.
func noAnswer(err error) bool {
	if number := serverNumber(err); number != 0 {
		return number == errServerShutdown
	}
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysqldriver.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network)
}
