// Package testenv is the real world for tests, the demo and the benchmarks: MySQL servers that are
// started, killed, frozen and cut off, and an S3 service on loopback that can be made to misbehave.
//
// A Chain is four real mysqld processes in the seats master, candidate, slave and dump. They are children of
// the calling process and cannot outlive it, whatever way it ends (on Linux, by the parent-death signal).
package testenv
