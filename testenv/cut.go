package testenv

import (
	"errors"
	"time"
)

// Cut lets no byte pass between two hosts, whoever connects: connections stall, new ones are never answered.
// After Heal they go on if neither side has given up, as they would after a network fault.
func (c *Chain) Cut(a, b string) error {
	return errors.Join(c.CutOneWay(a, b), c.CutOneWay(b, a))
}

// CutOneWay drops only what from sends to to.
func (c *Chain) CutOneWay(from, to string) error {
	if c.network == Netns {
		return c.spaces.drop(from, to)
	}
	if err := c.cuttable(from, to); err != nil {
		return err
	}
	c.links.block(from, to)
	return nil
}

// CutReset resets the connections between two hosts, existing ones and new.
func (c *Chain) CutReset(a, b string) error {
	if c.network == Netns {
		return errors.Join(c.spaces.reset(a, b), c.spaces.reset(b, a))
	}
	if err := c.cuttable(a, b); err != nil {
		return err
	}
	c.links.reset(a, b)
	return nil
}

// Isolate cuts a server off from every other server and from the given viewers, except those named in but.
func (c *Chain) Isolate(name string, viewers []string, but ...string) error {
	others := append([]string{}, viewers...)
	for _, s := range c.Servers {
		others = append(others, s.Name)
	}
	spared := map[string]bool{name: true}
	for _, b := range but {
		spared[b] = true
	}
	var failed error
	for _, other := range others {
		if !spared[other] {
			failed = errors.Join(failed, c.Cut(name, other))
		}
	}
	return failed
}

// Delay adds d to each way between two hosts, so that a round trip takes 2d longer. Zero takes it away.
func (c *Chain) Delay(a, b string, d time.Duration) error {
	if c.network == Netns {
		return errors.New("delays need the Loopback or Proxied network")
	}
	if err := c.cuttable(a, b); err != nil {
		return err
	}
	c.links.delay(a, b, d)
	return nil
}

// Heal ends every cut between two hosts; delays stay.
func (c *Chain) Heal(a, b string) error {
	if c.network == Netns {
		return c.spaces.heal(a, b)
	}
	c.links.heal(a, b)
	return nil
}

// HealAll ends every cut and every delay.
func (c *Chain) HealAll() error {
	if c.network == Netns {
		return c.spaces.healAll()
	}
	c.links.healAll()
	return nil
}

func (c *Chain) cuttable(a, b string) error {
	if c.network == Loopback && c.Server(a) != nil && c.Server(b) != nil {
		return ErrNotCuttable
	}
	return nil
}
