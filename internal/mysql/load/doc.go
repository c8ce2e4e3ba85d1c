// Package load is the adapter that makes an empty MySQL server hold what a snapshot
// says: schema, rows, accounts and the set of executed transactions.
package load
