// Package campaign breaks real deployments in every way that failoverd promises to survive, under load, and holds
// what came of it against the promises. The faults are a table (Faults); a run is one fault, one workload and one
// judgement, drawn from a seed.
package campaign
