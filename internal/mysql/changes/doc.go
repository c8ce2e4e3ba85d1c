// Package changes is the adapter for a server's binary log: which rows a range of
// transactions changed, the events as they are, and their replay into another server.
package changes
