package testenv

import (
	"context"
	"errors"
	"net"
)

var errNoNamespaces = errors.New("the Netns network is not there yet")

type namespaces struct{}

func (c *Chain) placeInNamespaces(context.Context) error { return errNoNamespaces }

func (n *namespaces) close() {}

func (n *namespaces) dial(context.Context, string, string, string) (net.Conn, error) {
	return nil, errNoNamespaces
}
func (n *namespaces) drop(string, string) error  { return errNoNamespaces }
func (n *namespaces) reset(string, string) error { return errNoNamespaces }
func (n *namespaces) heal(string, string) error  { return errNoNamespaces }
func (n *namespaces) healAll() error             { return errNoNamespaces }
