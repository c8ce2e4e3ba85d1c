package sim

import (
	"fmt"
	"strings"
	"time"
)

// scenario is the faults of one run.
type scenario struct {
	name     string
	harmless bool
	faults   []fault
}

// scenario draws one to four faults, or takes those that the options name.
func (w *World) scenario() *scenario {
	sc := &scenario{harmless: true}
	if w.opts.Scenario != "" {
		for _, name := range strings.Split(w.opts.Scenario, " + ") {
			sc.faults = append(sc.faults, faultNamed(name))
		}
	} else {
		for range 1 + w.rng.IntN(4) {
			sc.faults = append(sc.faults, faults[w.rng.IntN(len(faults))])
		}
	}
	var names []string
	for _, f := range sc.faults {
		names = append(names, f.name)
		sc.harmless = sc.harmless && f.harmless
		switch f.name {
		case "switchover", "master cut from the watchers", "master refuses the probe account, and its replicas lose it", "one watcher and the replicas lose the master":
			// Beside others they may well end in a promotion.
			sc.harmless = sc.harmless && len(sc.faults) == 1
		}
	}
	sc.name = strings.Join(names, " + ")
	return sc
}

func faultNamed(name string) fault {
	for _, f := range faults {
		if f.name == name {
			return f
		}
	}
	panic(fmt.Sprintf("sim: there is no fault %q", name))
}

// play lets the faults happen, in the middle of each other or far apart.
func (sc *scenario) play(w *World) {
	w.run(w.between(500*time.Millisecond, 2*time.Second)) // the chain is well
	w.oracle.harmless = sc.harmless && w.opts.at == nil
	end := w.now
	spread := []time.Duration{100 * time.Millisecond, time.Second, 4 * time.Second}[w.rng.IntN(3)]
	for _, f := range sc.faults {
		begin := w.between(0, spread)
		lasts := []time.Duration{w.between(50*time.Millisecond, time.Second), w.between(time.Second, 4*time.Second), w.between(4*time.Second, 12*time.Second)}[w.rng.IntN(3)]
		if w.opts.lasts > 0 {
			lasts = w.opts.lasts
		}
		w.after(begin, func() {
			w.say("fault: %s", f.name)
			mend := f.begin(w)
			w.linksChanged()
			if mend != nil {
				w.after(lasts, func() {
					w.say("mended: %s", f.name)
					mend()
					w.linksChanged()
				})
			}
		})
		end = max(end, w.now+begin+lasts+500*time.Millisecond)
	}
	w.run(end)
	w.run(w.lasting)
}

// mend ends whatever is still wrong.
func (sc *scenario) mend(w *World) {
	w.mended = true
	w.cut, w.ambushes = [nodes]uint32{}, nil
	w.deliverKept()
	sc.heal(w)
}

// heal is mend for everything but the network.
func (sc *scenario) heal(w *World) {
	w.store.away, w.store.losesReplies = false, false
	for _, s := range w.servers {
		s.denied, s.slowWire = false, 0
		if s.doomed {
			continue
		}
		s.thaw()
		s.start()
		s.gone = false
		s.freeDisk()
		if l := s.link; l != nil && l.sqlErr != "" {
			l.sqlErr, l.sqlOn = "", true
			l.kick()
		}
	}
	for _, x := range w.watchers {
		x.diskHangs = false
		x.start()
		x.unpause()
	}
	w.linksChanged()
}

// deliverKept lets statements arrive that a mended network had held back.
func (w *World) deliverKept() {
	kept := w.kept
	w.kept = nil
	for _, k := range kept {
		if w.isCut(k.from, k.to) {
			w.kept = append(w.kept, k)
			continue
		}
		w.after(w.latency(), k.deliver)
	}
}
