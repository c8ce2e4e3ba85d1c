package mysql

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"

	"github.com/failoverd/failoverd/internal/topology"
)

func TestOnlyTheKernelAndSilenceCountAsSignsOfDeath(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	server := func(number uint16) error { return &mysqldriver.MySQLError{Number: number, Message: "m"} }
	for _, c := range []struct {
		err  error
		want topology.Contact
	}{
		{nil, topology.Answered},
		{dial(syscall.ECONNREFUSED), topology.Refused},
		{dial(syscall.ECONNRESET), topology.Refused},
		{fmt.Errorf("%w: %w", mysqldriver.ErrInvalidConn, dial(syscall.ECONNRESET)), topology.Refused},
		{dial(syscall.EHOSTUNREACH), topology.Silent},
		{dial(syscall.ENETUNREACH), topology.Silent},
		{dial(syscall.ETIMEDOUT), topology.Silent},
		{context.DeadlineExceeded, topology.Silent},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, topology.Silent},
		{server(1040), topology.Busy},
		{server(1203), topology.Busy},
		{server(1226), topology.Busy},
		{server(1044), topology.Denied},
		{server(1045), topology.Denied},
		{server(1129), topology.Denied},
		{server(1698), topology.Denied},
		{server(1820), topology.Denied},
		{server(3032), topology.Offline},
		{server(3118), topology.Denied},
		{server(1053), topology.Unclear},
		{server(1105), topology.Unclear},
		{&net.DNSError{Err: "i/o timeout", Name: "db1", IsTimeout: true}, topology.Unclear},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "db1", IsNotFound: true}}, topology.Unclear},
		{x509.UnknownAuthorityError{}, topology.Unclear},
		{mysqldriver.ErrNoTLS, topology.Unclear},
		{mysqldriver.ErrMalformPkt, topology.Unclear},
		{mysqldriver.ErrInvalidConn, topology.Unclear},
		{io.EOF, topology.Unclear},
		{context.Canceled, topology.Unclear},
		{dial(syscall.EMFILE), topology.Unclear},
		{dial(syscall.EADDRNOTAVAIL), topology.Unclear},
	} {
		assert.Equal(t, c.want, contactOf(c.err), "%v", c.err)
	}
}
