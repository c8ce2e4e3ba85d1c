//go:build unix && !linux

package testenv

import (
	"context"
	"errors"
	"net"
)

var errNoNamespaces = errors.New("network namespaces need Linux")

type namespaces struct{}

func (c *Chain) placeInNamespaces(context.Context) error { return errNoNamespaces }

func (n *namespaces) dial(context.Context, string, string, string) (net.Conn, error) {
	return nil, errNoNamespaces
}
func (n *namespaces) within(context.Context, string, func() error) error { return errNoNamespaces }
func (n *namespaces) host(context.Context, string) (string, error)       { return "", errNoNamespaces }
func (n *namespaces) namespace(context.Context, string) (string, error)  { return "", errNoNamespaces }
func (n *namespaces) drop(string, string) error                          { return errNoNamespaces }
func (n *namespaces) reset(string, string) error                         { return errNoNamespaces }
func (n *namespaces) heal(string, string) error                          { return errNoNamespaces }
func (n *namespaces) healAll() error                                     { return errNoNamespaces }
func (n *namespaces) enter(string) error                                 { return errNoNamespaces }
func (n *namespaces) gateway() string                                    { return "" }
func (n *namespaces) close()                                             {}
