// Package arch holds no code, only the tests that keep the house rules: which
// package may know which, how the source reads, and that the tables in
// ARCHITECTURE.md are those of the code.
package arch
