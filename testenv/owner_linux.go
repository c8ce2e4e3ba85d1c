package testenv

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// ownerOf returns the process at the other end of a loopback connection if it is among pids, else 0.
// known is false when the connection is no longer there. It reads proc(5): the socket's inode stands in the table of
// TCP sockets, and the owner has a descriptor that links to it.
func ownerOf(c net.Conn, pids []int) (pid int, known bool) {
	inode := socketInode(c.RemoteAddr().(*net.TCPAddr), c.LocalAddr().(*net.TCPAddr))
	if inode == "" {
		return 0, false
	}
	want := "socket:[" + inode + "]"
	for _, pid := range pids {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, link := range links {
			if target, err := os.Readlink(link); err == nil && target == want {
				return pid, true
			}
		}
	}
	return 0, true
}

// socketInode reads the table of this very thread's network namespace. /proc/net would be that of the program's
// first thread, which the runtime may have lent to somebody who took it into another namespace.
func socketInode(local, remote *net.TCPAddr) string {
	file, err := os.Open("/proc/thread-self/net/tcp")
	if err != nil {
		return ""
	}
	defer file.Close()
	want := procAddr(local) + " " + procAddr(remote)
	for scan := bufio.NewScanner(file); scan.Scan(); {
		f := strings.Fields(scan.Text())
		if len(f) > 9 && f[1]+" "+f[2] == want {
			return f[9]
		}
	}
	return ""
}

// procAddr writes an address as that table does: the four bytes as one number of the machine's own order.
func procAddr(a *net.TCPAddr) string {
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(a.IP.To4()), a.Port)
}
