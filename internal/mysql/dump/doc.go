// Package dump is the adapter that reads everything of a MySQL server at one point:
// its schema, its accounts and its rows as the server has them.
package dump
