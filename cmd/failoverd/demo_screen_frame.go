package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/topology"
)

// frame is everything that the demo's screen shows at one moment.
type frame struct {
	now, started time.Time
	status       api.Status
	product      api.Product
	statusAt     time.Time // when status came, zero before the first
	// servers and watchers say what was done to the processes.
	servers, watchers map[string]condition
	s3Down            bool
	webs              []webFrame
	last              *gap // the latest outage
	check             check
	events            []event
	note              event // what the latest key did
}

// condition is the state of a process as the demo itself knows it.
type condition string

const (
	runs     condition = ""
	killed   condition = "killed"
	frozen   condition = "frozen"
	starting condition = "starting"
	ended    condition = "ended" // and nobody asked for it
)

type webFrame struct {
	name                   string
	writes                 string // the server that its config names
	epoch                  uint64 // of the config
	acked, failed, unknown int
	rate                   int   // acknowledgements per second
	curve                  []int // acknowledgements per slot, oldest first
	silence                time.Duration
}

// check is a comparison of the ledgers with the master.
type check struct {
	at            time.Time // zero before the first
	lost, phantom int
	trouble       string // why it could not be done
}

type event struct {
	at    time.Time
	style style
	text  string
}

const (
	staleAfter  = 1500 * time.Millisecond
	silentAfter = 400 * time.Millisecond
	inverse     = style("1;37;41")

	// Screens from this size on have room for longer words, and for a second line of a sentence.
	wide, tall = 100, 30
)

// lines lays the frame out; there are exactly height of them.
func (f frame) lines(width, height int) []line {
	var top []line
	top = append(top, f.head(width), line{})
	top = append(top, f.chain(width, height >= tall)...)
	top = append(top, f.judgement(width)...)
	if height >= tall {
		top = append(top, line{})
	}
	top = append(top, f.trio())
	if f.product.Copies != nil {
		top = append(top, f.copies())
	}
	top = append(top, f.writers(width)...)
	top = append(top, f.sums(width), line{})
	bottom := []line{f.noteLine(), f.keys(width)}
	room := height - len(top) - len(bottom)
	if room < 0 {
		top, room = top[:max(0, height-len(bottom))], 0
	}
	out := append(top, f.log(width, room)...)
	for len(out) < height-len(bottom) {
		out = append(out, line{})
	}
	out = append(out, bottom...)
	out = out[:min(len(out), max(height, 0))]
	for i := range out {
		out[i] = out[i].within(width)
	}
	return out
}

func (f frame) head(width int) line {
	var l line
	if width >= wide {
		l.add(dim, " failoverd demo ")
	}
	l.add(bold, " "+f.product.Name)
	l.add(plain, fmt.Sprintf("  epoch %d  ", f.product.Epoch))
	l.add(modeStyle(f.product), modeText(f.product)+"  ")
	age := f.now.Sub(f.statusAt)
	switch {
	case f.statusAt.IsZero():
		l.add(odd, "no watcher has answered yet")
	case age > staleAfter:
		l.add(inverse, fmt.Sprintf(" %.0f s old: no watcher answers ", age.Seconds()))
	case f.status.Leader.ID == "":
		l.add(inverse, fmt.Sprintf(" no watcher leads: as %s alone sees it ", f.status.Watcher))
	case f.product.Protected && width >= wide:
		l.add(good, "every acknowledged write is on two servers")
	case f.product.Protected:
		l.add(good, "protected")
	default:
		l.add(bad, "not protected: "+f.product.ProtectedWhy)
	}
	clock := fmt.Sprintf(" %s  %sZ ", f.now.Sub(f.started).Truncate(time.Second), f.now.UTC().Format("15:04:05"))
	l = l.within(width - len(clock) - 1)
	l.tab(width - len(clock))
	l.add(dim, clock)
	return l
}

func modeText(p api.Product) string {
	if p.Pause != nil {
		return "paused"
	}
	return string(p.Mode)
}

func modeStyle(p api.Product) style {
	if p.Pause != nil || p.Mode != topology.Auto {
		return odd
	}
	return plain
}

// judgement is the verdict, always in two lines, and the open plan.
func (f frame) judgement(width int) []line {
	v := f.product.Verdict
	rule := verdictText(v)
	if v.Why != "" {
		rule += ": "
	}
	out := []line{{}, {}, {}}
	for i, text := range wrapWords(rule+v.Why, width-2, 2) {
		l := &out[1+i]
		l.add(plain, " ")
		if i == 0 && strings.HasPrefix(text, rule) {
			l.add("1;"+verdictStyle(v), rule)
			text = strings.TrimPrefix(text, rule)
		}
		l.add(plain, text)
	}
	plan := line{{plain, " "}}
	switch {
	case f.product.Open != nil:
		open := openText(*f.product.Open)
		plan.add("1;33", open)
		if f.product.Waiting != "" {
			waiting := f.product.Waiting
			if step, reason, ok := strings.Cut(waiting, ": "); ok && strings.HasSuffix(open, ", "+step) {
				waiting = reason // the step is named already
			}
			plan.add(odd, ", "+waitingText(waiting))
		}
	case f.product.Waiting != "":
		plan.add(odd, waitingText(f.product.Waiting))
	case f.product.Would != "":
		plan.add(odd, f.product.Would)
	default:
		plan.add(dim, "no plan is open")
	}
	return append(out, plan)
}

// trio is the watchers, and how far the published config got.
func (f frame) trio() line {
	l := line{{dim, " watchers  "}}
	for _, w := range f.status.Watchers {
		text, look := w.ID, plain
		switch {
		case f.watchers[w.ID] != runs:
			text, look = text+" "+string(f.watchers[w.ID]), bad
		case w.ID == f.status.Leader.ID:
			text, look = text+" leads", "1;32"
		case f.status.Leads && w.LastContactMs > 2*staleAfter.Milliseconds():
			text, look = fmt.Sprintf("%s silent for %d s", text, w.LastContactMs/1000), odd
		}
		l.add(look, text+"  ")
	}
	l.add(plain, fmt.Sprintf(" config %d", f.status.Head.Version))
	switch stored := f.status.Head; {
	case f.s3Down:
		l.add(bad, ", S3 is down")
		if f.status.Leads && stored.StoredVersion < stored.Version {
			l.add(bad, fmt.Sprintf(" and has %d", stored.StoredVersion))
		}
	case !f.status.Leads: // only the leader knows
	case stored.StoredVersion < stored.Version:
		l.add(odd, fmt.Sprintf(", S3 has %d", stored.StoredVersion))
	default:
		l.add(plain, ", S3 has it")
	}
	return l
}

// copies is how old the newest copy in the stores is, and what would be lost with all else.
func (f frame) copies() line {
	c := f.product.Copies
	l := line{{dim, " copies    "}}
	switch {
	case c.Away:
		l.add(bad, "the dump service is silent")
	case c.Newest == nil && c.Running == nil:
		l.add(odd, "none yet")
	case c.Newest == nil:
		l.add(odd, "the first is being taken")
	default:
		l.add(plain, fmt.Sprintf("%s old (%s in %s)", ageText(c.Newest.AgeMs), sizeText(c.Newest.Bytes), took(c.Newest.TookMs)))
	}
	if c.Running != nil {
		l.add(odd, ", next runs")
	}
	if c.Failing != "" {
		l.add(bad, ", failing")
	}
	shipped := int64(-1)
	for _, s := range c.Stores {
		if s.ShippedMs >= 0 && (shipped < 0 || s.ShippedMs < shipped) {
			shipped = s.ShippedMs
		}
	}
	if shipped >= 0 {
		look := plain
		if shipped > shippedLate.Milliseconds() {
			look = bad
		}
		l.add(look, ", log shipped "+ageText(shipped)+" ago")
	}
	switch d := c.Drill; {
	case c.Drilling:
		l.add(odd, ", a drill runs")
	case d != nil && d.Passed:
		l.add(good, fmt.Sprintf(", drilled in %s", took(d.RestoreMs)))
	case d != nil:
		l.add(bad, ", DRILL FAILED")
	}
	return l
}

// shippedLate is twice the ten seconds that may be lost with everything.
const shippedLate = 20 * time.Second

func (f frame) writers(width int) []line {
	var out []line
	for _, w := range f.webs {
		l := line{{plain, fmt.Sprintf(" %-9s ", w.name)}}
		l.add(f.nameStyle(w.writes), fmt.Sprintf("→ %-5s", w.writes))
		l.add(plain, fmt.Sprintf(" epoch %-3d", w.epoch))
		if w.silence > silentAfter {
			l.add(inverse, fmt.Sprintf(" stalled %.1f s ", w.silence.Seconds()))
		} else {
			l.add(plain, fmt.Sprintf(" %4d writes/s", w.rate))
		}
		l.tab(45)
		n := max(0, min(len(w.curve), width-l.width()-1))
		curve := w.curve[len(w.curve)-n:]
		l.add("32", bars(curve, slices.Max(append(curve, 1))))
		out = append(out, l)
	}
	return out
}

func (f frame) nameStyle(server string) style {
	for _, s := range f.product.Servers {
		if s.Name == server && s.Seat == topology.Master && f.servers[server] == runs {
			return good
		}
	}
	return bad
}

func (f frame) sums(width int) line {
	acked, failed, unknown := 0, 0, 0
	for _, w := range f.webs {
		acked, failed, unknown = acked+w.acked, failed+w.failed, unknown+w.unknown
	}
	l := line{{dim, " writes    "}}
	switch {
	case f.check.trouble != "":
		l.add(odd, "lost: not checked")
	case f.check.at.IsZero():
		l.add(dim, "lost: ?")
	case f.check.lost+f.check.phantom > 0:
		l.add(inverse, fmt.Sprintf(" %d lost, %d refused and there ", f.check.lost, f.check.phantom))
	default:
		l.add(good, "0 lost")
	}
	word := "acked"
	if width >= wide {
		word = "acknowledged"
	}
	l.add(plain, fmt.Sprintf("  %d %s  %d failed  %d unknown", acked, word, failed, unknown))
	if f.last != nil {
		l.add(plain, "  outage ")
		l.add(bold, took(f.last.took().Milliseconds()))
		if f.last.moved {
			l.add(plain, fmt.Sprintf(" (epoch %d)", f.last.epoch))
		}
	}
	return l
}

// log is the latest events, newest last; on a tall screen long ones are wrapped.
func (f frame) log(width, room int) []line {
	const indent = 13
	var out []line
	for i := len(f.events) - 1; i >= 0 && len(out) < room; i-- {
		e := f.events[i]
		most := 1
		if room > 12 {
			most = 3
		}
		var block []line
		for n, text := range wrapWords(e.text, width-indent-1, most) {
			var l line
			if n == 0 {
				l.add(dim, " "+e.at.UTC().Format("15:04:05.0")+"  ")
			}
			l.tab(indent)
			l.add(e.style, text)
			block = append(block, l)
		}
		out = append(block, out...)
	}
	return out[max(0, len(out)-room):]
}

func (f frame) noteLine() line {
	return line{{f.note.style, " " + f.note.text}}
}

func (f frame) keys(width int) line {
	freeze := "freeze"
	for _, did := range f.servers {
		if did == frozen {
			freeze = "thaw"
		}
	}
	s3 := "S3 down"
	if f.s3Down {
		s3 = "S3 up"
	}
	long := keyLine([2]string{"k", "kill master"}, [2]string{"f", freeze + " master"}, [2]string{"s", "switchover"}, [2]string{"r", "revive all"},
		[2]string{"w", "kill a watcher"}, [2]string{"d", s3}, [2]string{"t", "drill"}, [2]string{"c", "check writes"}, [2]string{"q", "quit"})
	if long.width() <= width {
		return long
	}
	return keyLine([2]string{"k", "kill"}, [2]string{"f", freeze}, [2]string{"s", "switch"}, [2]string{"r", "revive"},
		[2]string{"w", "watcher"}, [2]string{"d", "S3"}, [2]string{"t", "drill"}, [2]string{"c", "check"}, [2]string{"q", "quit"})
}

func keyLine(words ...[2]string) line {
	l := line{{plain, " "}}
	for i, word := range words {
		if i > 0 {
			l.add(plain, "  ")
		}
		l.add("1;7", word[0])
		l.add(plain, " "+word[1])
	}
	return l
}
