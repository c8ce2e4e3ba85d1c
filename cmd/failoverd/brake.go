package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
)

func (c *cli) brakeCommand() *cobra.Command {
	var output format
	var reason string
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "brake [show|on|off|watch]",
		Short: "The global brake: when many products fail at once, hold the others",
		Long: `When a fifth of all products, and two at least, have failed over within ten minutes,
it is more likely that the watchers or their network are at fault: the brake then
holds every other automatic failover until the first ones are ten minutes old.

  show   what it does at the moment
  watch  the rule above; it comes back to this when the time of --for is over
  off    let failovers happen however many products fail at once
  on     stop every automatic failover

A person's failover and switchover are never held.`,
		Example: `  failoverd brake
  failoverd brake off --reason "the rack really lost power" --for 10m
  failoverd brake on --reason "core switch is replaced" --for 1h
  failoverd brake watch`,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"show", string(journal.BrakeOn), string(journal.BrakeOff), string(journal.BrakeWatch)},
		RunE: func(cmd *cobra.Command, args []string) error {
			mode := journal.BrakeMode(strings.Join(args, ""))
			shows := mode == "" || mode == "show"
			ask := api.BrakeRequest{Mode: mode, Reason: reason}
			switch {
			case cmd.Flags().Changed("for") && (shows || mode == journal.BrakeWatch || length <= 0):
				return usageError(fmt.Errorf("--for takes a time above 0, with on or off"))
			case cmd.Flags().Changed("for"):
				ask.For = length.String()
			}
			if mode == journal.BrakeOn || mode == journal.BrakeOff {
				o := order{reason: reason}
				if err := c.needReason(cmd.Context(), &o, "brake "+string(mode)); err != nil {
					return err
				}
				ask.Reason = o.reason
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			var brake api.Brake
			if shows {
				brake, err = client.Brake(cmd.Context())
			} else {
				brake, err = client.SetBrake(cmd.Context(), ask)
			}
			if err != nil {
				return err
			}
			if output != asTable {
				return c.encode(output, brake)
			}
			c.sayBrake(brake)
			return nil
		},
	}
	formatFlag(cmd, &output)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the history and for whoever finds the brake set")
	cmd.Flags().DurationVar(&length, "for", 0, "how long; until somebody changes it unless given")
	return c.remote(cmd)
}

// sayBrake says what the brake does and how to change that.
func (c *cli) sayBrake(b api.Brake) {
	lately := fmt.Sprintf("%d of %d products failed over within 10 minutes", len(b.Failed), b.Products)
	if len(b.Failed) > 0 {
		lately += " (" + some(b.Failed, 5) + ")"
	}
	switch {
	case b.Mode == journal.BrakeOn:
		c.say(c.paint(bad, "brake on: "), fmt.Sprintf("no automatic failover, by %s (%s) %s. \"failoverd brake watch\" ends that, \"failoverd failover PRODUCT --reason TEXT\" does one",
			b.Actor, b.Reason, untilText(b.Until, "it is changed")))
	case b.Mode == journal.BrakeOff:
		c.say(c.paint(odd, "brake off: "), fmt.Sprintf("any number of products may fail over at once, by %s (%s) %s; %s. \"failoverd brake watch\" ends that",
			b.Actor, b.Reason, untilText(b.Until, "it is changed"), lately))
	case b.Holds:
		c.say(c.paint(bad, "brake holds: "), fmt.Sprintf("%s, no other does by itself. Look whether the watchers or their network are at fault: "+
			"\"failoverd brake off --for 10m --reason TEXT\" lets all go, \"failoverd failover PRODUCT --reason TEXT\" one", lately))
	default:
		c.say("brake watch: ", fmt.Sprintf("%s; once %d have, the others are held", lately, b.Most))
	}
}

// some are the first names, and how many more there are.
func some(names []string, most int) string {
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// untilText says when something ends.
func untilText(t time.Time, otherwise string) string {
	if t.IsZero() {
		return "until " + otherwise
	}
	return "until " + at(t)
}
