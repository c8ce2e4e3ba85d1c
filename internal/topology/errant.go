package topology

// Errant are the transactions that a server holds and the master will never have,
// or has with another content. The two may have been looked at one after the
// other, in either order, for what a replica can show before its master is known:
// what the master gave itself, and waits for an acknowledgement of; what it has
// received over the link that a new master still has; and, at a server of the
// chain or one with a fresh copy of its data, the GTIDs that are being taken out of use.
func (c Chain) Errant(s Server, facts, master Facts) GTIDSet {
	errant := facts.Executed.WithoutServer(master.UUID).Minus(master.Held())
	copied := s.Replaced(facts)
	if s.Standing == In || copied {
		errant = errant.Minus(c.Burning)
	}
	if copied {
		return errant
	}
	return errant.Union(facts.Executed.Common(s.Doubt))
}

// Replaced says that the server's data became a copy of another's since its rebuild was begun.
func (s Server) Replaced(facts Facts) bool {
	return s.CloneMark != "" && facts.Clone != nil && facts.Clone.State == CloneCompleted && facts.Clone.Begun != s.CloneMark
}
