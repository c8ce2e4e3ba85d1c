package sim

import (
	"fmt"
	"iter"
	"runtime/debug"
	"time"
)

// clock runs events in the order of their time, and of their making where that
// is equal. Nothing else in a world decides what happens next.
type clock struct {
	now   time.Duration // since the world began
	made  uint64
	queue []event // a heap
	// running is the process whose code runs now, nil between processes.
	running *proc
	ran     int
}

// event is something to be called at a time. What is called again and again has
// one function for all its events and tells them apart by the number.
type event struct {
	at     time.Duration
	made   uint64
	do     func()
	number func(int)
	n      int
}

func (e *event) before(other *event) bool {
	return e.at < other.at || (e.at == other.at && e.made < other.made)
}

// after has do called when d has passed.
func (c *clock) after(d time.Duration, do func()) { c.push(d, event{do: do}) }

// afterNumber has do called with a number when d has passed.
func (c *clock) afterNumber(d time.Duration, do func(int), n int) { c.push(d, event{number: do, n: n}) }

// branches is how many children a place in the heap has. Four make it flat.
const branches = 4

func (c *clock) push(d time.Duration, e event) {
	c.made++
	e.at, e.made = c.now+max(d, 0), c.made
	c.queue = append(c.queue, e)
	i := len(c.queue) - 1
	for i > 0 {
		parent := (i - 1) / branches
		if !e.before(&c.queue[parent]) {
			break
		}
		c.queue[i] = c.queue[parent]
		i = parent
	}
	c.queue[i] = e
}

// next runs the next event. It reports false when there is none up to that time.
func (c *clock) next(until time.Duration) bool {
	if len(c.queue) == 0 || c.queue[0].at > until {
		c.now = max(c.now, until)
		return false
	}
	e := c.pop()
	c.now = e.at
	c.ran++
	if e.do != nil {
		e.do()
	} else {
		e.number(e.n)
	}
	return true
}

func (c *clock) pop() event {
	first := c.queue[0]
	last := len(c.queue) - 1
	e := c.queue[last]
	c.queue[last] = event{}
	c.queue = c.queue[:last]
	i := 0
	for {
		least := branches*i + 1
		if least >= last {
			break
		}
		for child := least + 1; child < min(branches*i+1+branches, last); child++ {
			if c.queue[child].before(&c.queue[least]) {
				least = child
			}
		}
		if !c.queue[least].before(&e) {
			break
		}
		c.queue[i] = c.queue[least]
		i = least
	}
	if last > 0 {
		c.queue[i] = e
	}
	return first
}

// proc is a process that waits in the middle of its code. Exactly one runs at a
// time: the clock hands over to it, and it hands back when it waits.
type proc struct {
	clock *clock
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	ended bool
	waits int // counts the waits, so that a late wake-up of an earlier one does nothing
	// children end with it.
	children []*proc
	// held is asked before it goes on: a process of a stopped machine is kept back.
	held  func(*proc) bool
	wakes func(int) // wake, made once
	// owed is set when a wake-up came while it was held.
	owed bool
}

// stopped unwinds a process that is killed.
type stopped struct{}

// spawn starts a process now.
func (c *clock) spawn(held func(*proc) bool, f func(*proc)) *proc {
	p := &proc{clock: c, held: held}
	p.wakes = p.wake
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		defer func() {
			p.ended = true
			if r := recover(); r != nil {
				if _, ok := r.(stopped); !ok {
					panic(fmt.Sprintf("%v\n%s", r, debug.Stack())) // the stack of the process is lost otherwise
				}
			}
		}()
		f(p)
	})
	p.waits++
	ticket := p.waits
	c.afterNumber(0, p.wakes, ticket)
	return p
}

// ticket begins a wait: whoever wakes the process needs it.
func (p *proc) ticket() int {
	p.waits++
	return p.waits
}

// pause waits until the process is woken with the latest ticket.
func (p *proc) pause() {
	if !p.yield(struct{}{}) {
		panic(stopped{})
	}
}

// wake lets the process go on if it still waits with this ticket.
func (p *proc) wake(ticket int) {
	if p.ended || ticket != p.waits {
		return
	}
	if p.held != nil && p.held(p) {
		p.owed = true
		return
	}
	if p.clock.running != nil { // one at a time
		p.clock.afterNumber(0, p.wakes, ticket)
		return
	}
	p.waits++
	p.step()
}

// release lets a held process catch up with a wake-up that it missed.
func (p *proc) release() {
	if p.owed && !p.ended {
		p.owed = false
		ticket := p.waits
		p.clock.afterNumber(0, p.wakes, ticket)
	}
	for _, child := range p.children {
		child.release()
	}
}

func (p *proc) step() {
	outer := p.clock.running
	p.clock.running = p
	defer func() { p.clock.running = outer }()
	p.next()
}

// kill ends the process where it waits. The caller goes on, unless it is the process itself.
func (p *proc) kill() {
	own := false
	p.killTree(&own)
	if own {
		panic(stopped{})
	}
}

func (p *proc) killTree(own *bool) {
	for _, child := range p.children {
		child.killTree(own)
	}
	p.children = nil
	switch {
	case p.ended:
	case p.clock.running == p:
		*own = true
	default:
		p.ended = true
		p.stop()
	}
}
