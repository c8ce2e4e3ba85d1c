// Package check judges the history of a fault campaign's run: what clients were told against what the final master
// holds, and against who was master when. It is pure; whoever has the history brings it.
package check
