// Package scratch starts MySQL servers that a snapshot is restored into: one that is
// to stay, in a directory, or one for a drill, which goes with it.
package scratch
