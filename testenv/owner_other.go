//go:build unix && !linux

package testenv

import "net"

// ownerOf cannot tell without Linux's /proc, so every caller counts as a client.
func ownerOf(net.Conn, []int) int { return 0 }
