package mysql

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	mysqldriver "github.com/go-sql-driver/mysql"

	"github.com/failoverd/failoverd/internal/topology"
)

// contactOf says what an error of a fresh connection tells about the server.
// Only the kernel's own words count as refusal, and only a lack of any answer as
// silence; whatever a server or our own side says in between is no sign of death.
func contactOf(err error) topology.Contact {
	if number := serverNumber(err); number != 0 {
		return contactOfNumber(number)
	}
	var dns *net.DNSError
	var network net.Error
	switch {
	case err == nil:
		return topology.Answered
	case errors.As(err, &dns):
		return topology.Unclear
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return topology.Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ETIMEDOUT):
		return topology.Silent
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return topology.Silent
	case errors.As(err, &network) && network.Timeout():
		return topology.Silent
	}
	return topology.Unclear
}

// contactOfNumber sorts the server's own error numbers: it spoke, so it lives.
func contactOfNumber(number uint16) topology.Contact {
	switch number {
	case errTooManyConnections, errOutOfResources, errCannotCreateThread, errTooManyUserConns, errUserLimitReached:
		return topology.Busy
	case 3032:
		return topology.Offline
	case 1044, 1045, // access denied to a database, to a user
		1129, 1130, // host blocked after too many broken handshakes, host not allowed
		1142, 1143, 1227, // a privilege is missing
		1251, 1524, // the account's authentication plugin is not spoken or not loaded
		1698,       // access denied without password
		1820, 1862, // the password must be changed, has expired
		3118, // account locked
		3159, // only encrypted connections
		3955: // account blocked for a while
		return topology.Denied
	}
	return topology.Unclear
}

// broken says whether a connection ended under our hands without the server
// giving a reason: one more try then tells what is really there.
func broken(err error) bool {
	return errors.Is(err, mysqldriver.ErrInvalidConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		serverNumber(err) == errServerShutdown
}
