package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/load"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

// restoring is what a restore was asked for.
type restoring struct {
	from               depotFlags
	id, toTime, toGTID string
	into, dir, mysqld  string
	user, password, ca string
	tables             []string
	workers            int
	diverged           bool
	until              time.Time
	gtids              topology.GTIDSet
	only               []snapshot.TableID
	output             format
	member             bool // the server is one of a chain, whose watchers take it in
}

func (c *cli) restoreCommand() *cobra.Command {
	var r restoring
	cmd := &cobra.Command{
		Use:   "restore PRODUCT --into HOST:PORT | --new DIR",
		Short: "Put a copy into an empty server, up to any moment",
		Long: `Restores the newest snapshot and then all of the binary log that was shipped after
it, so that what is lost is the last seconds. --snapshot takes one snapshot as it is;
--to-time and --to-gtid stop at a moment. It asks the stores alone: no server and no
watcher need be left.

--into fills a running server, which must be empty; --new makes one in a directory and
leaves it stopped, to be started with the my.cnf there. Both are left read-only with
gtid_purged set, so that they can join the chain or be made its first master.

The account for --into needs what root has: GRANT ALL ON *.* and GRANT PROXY ON ''@'',
both WITH GRANT OPTION, so that it can make every account of the snapshot.

It can be interrupted: with --into the same command goes on where it was, with the
snapshot that it began with. With --table only these tables are put into the server,
which may then hold others.`,
		Example: `  failoverd restore shop --new /var/lib/mysql-restored
  failoverd restore shop --into 10.0.0.21:3306 --user root --password-file pw
  failoverd restore shop --new /srv/look --to-time 2026-11-28T19:04:59Z
  failoverd restore shop --into 10.0.0.50:3306 --snapshot 20261128T190000Z --table shop.orders
  failoverd restore shop --new /srv/shop --store s3://example-copies/shop?region=eu-central-1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.parse(); err != nil {
				return usageError(err)
			}
			return c.restore(cmd.Context(), args[0], r)
		},
	}
	formatFlag(cmd, &r.output)
	r.from.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&r.into, "into", "", "the empty server to fill, `host:port`")
	f.StringVar(&r.dir, "new", "", "the `directory` of a new server")
	f.StringVar(&r.id, "snapshot", "", "this snapshot, by its `name` or how that begins, and nothing after it unless --to-time or --to-gtid says so")
	f.StringVar(&r.toTime, "to-time", "", "nothing that was committed after this `time`, such as 2026-11-28T19:04:59Z or 19:04:59 (UTC, today)")
	f.StringVar(&r.toGTID, "to-gtid", "", "as soon as it holds this GTID `set`")
	f.StringSliceVar(&r.tables, "table", nil, "only this table, `database.table`; may be given again")
	f.BoolVar(&r.diverged, "include-diverged", false, "also transactions that did not survive a promotion")
	r.accountFlags(cmd)
	f.StringVar(&r.mysqld, "mysqld", "", "the `program` for --new (the configuration's, else FAILOVERD_MYSQLD, else the one on PATH)")
	cmd.MarkFlagsMutuallyExclusive("into", "new")
	cmd.MarkFlagsOneRequired("into", "new")
	cmd.MarkFlagsMutuallyExclusive("to-time", "to-gtid")
	return cmd
}

// accountFlags say how a running server is filled.
func (r *restoring) accountFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.user, "user", "root", "the account at the server that is filled, which needs all privileges")
	f.StringVar(&r.password, "password-file", "", "the `file` with its password (FAILOVERD_RESTORE_PASSWORD)")
	f.StringVar(&r.ca, "mysql-ca", "", "the authority's `file`, for TLS to that server")
	f.IntVar(&r.workers, "workers", 4, "sessions that put rows in side by side")
}

// parse reads what was typed.
func (r *restoring) parse() (err error) {
	if r.into != "" {
		if _, _, err := net.SplitHostPort(r.into); err != nil {
			return fmt.Errorf("--into %q is not host:port", r.into)
		}
	}
	if r.toTime != "" {
		if r.until, err = moment(r.toTime, time.Now()); err != nil {
			return err
		}
	}
	if r.toGTID != "" {
		if r.gtids, err = topology.ParseGTIDSet(r.toGTID); err != nil {
			return fmt.Errorf("--to-gtid: %w", err)
		}
		if r.gtids.Empty() {
			return errors.New("--to-gtid is empty")
		}
	}
	for _, text := range r.tables {
		database, name, ok := strings.Cut(text, ".")
		if !ok || database == "" || name == "" {
			return fmt.Errorf("--table %q is not database.table", text)
		}
		r.only = append(r.only, snapshot.TableID{Database: database, Name: name})
	}
	if len(r.only) > 0 && (r.toTime != "" || r.toGTID != "") {
		return errors.New("single tables are as a snapshot has them: --table goes with --snapshot, not with --to-time or --to-gtid")
	}
	return nil
}

// moment reads a time: RFC 3339, or a time of the present day in UTC. Nobody knows the
// zone of another that names none.
func moment(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	for _, form := range []string{"2006-01-02 15:04:05Z", "2006-01-02T15:04:05.999Z"} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	for _, form := range []string{"15:04:05.999", "15:04"} {
		if at, err := time.Parse(form, text); err == nil {
			day := now.UTC().Truncate(24 * time.Hour)
			return day.Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second + time.Duration(at.Nanosecond())), nil
		}
	}
	return time.Time{}, fmt.Errorf("--to-time %q is not a time such as 2026-11-28T19:04:59Z, or 19:04:59 for today in UTC", text)
}

// restored is what came of a restore, for programs.
type restored struct {
	Snapshot string                 `json:"snapshot"`
	Store    string                 `json:"store"`
	Point    time.Time              `json:"point"`
	Report   snapshot.RestoreReport `json:"report"`
	// Replayed are the transactions after the snapshot, Last when the latest was committed.
	Replayed int64     `json:"replayedTransactions"`
	Last     time.Time `json:"last,omitzero"`
	LeftOut  string    `json:"leftOut,omitempty"`
	GTIDs    string    `json:"gtids"`
	Ms       int64     `json:"ms"`
	Server   string    `json:"server"` // host:port, or the directory
}

func (c *cli) restore(ctx context.Context, product string, r restoring) error {
	_, err := c.restoreCopy(ctx, product, r)
	return err
}

// restoreCopy restores and says so. With an error, done has the snapshot if one was found.
func (c *cli) restoreCopy(ctx context.Context, product string, r restoring) (done restored, err error) {
	began := time.Now()
	depot, cfg, err := c.openDepot(ctx, r.from, product)
	if err != nil {
		return done, err
	}
	if cfg != nil && r.mysqld == "" {
		r.mysqld = cfg.Drill.Mysqld
	}
	place, m, err := c.findFor(ctx, depot, r)
	if err != nil {
		return done, c.notFound(err, product)
	}
	if !m.Diverged.Empty() && !r.diverged {
		hint := "--include-diverged restores it all the same; without --snapshot the newest good one is taken"
		if r.member {
			hint = "--snapshot newest takes the newest good one: what this one holds beyond it the chain would not take in"
		}
		return done, &exitError{code: exitRefused, message: fmt.Sprintf("snapshot %s holds transactions that no surviving server has: %s", m.ID, m.Diverged), hint: hint}
	}
	done = restored{Snapshot: m.ID, Store: place.Name, Point: m.Point}
	lease, err := snapshot.Hold(ctx, place.Store, product, m.ID, "restore")
	if err == nil {
		defer lease.End() // without one a sweep can make this fail, and no more
	}
	history, err := r.history(ctx, depot, place, m)
	if err != nil {
		return done, historyError(err, product, m)
	}
	if r.output == asTable {
		c.sayPlan(place, m, history)
	}
	if err := c.fill(ctx, depot, place, m, history, r, &done); err != nil {
		var said *exitError
		if ctx.Err() != nil && r.dir == "" && !errors.As(err, &said) {
			return done, &exitError{code: exitUnknown, message: "interrupted", hint: "the same command goes on where it was"}
		}
		return done, err
	}
	done.Ms = time.Since(began).Milliseconds()
	return done, c.printRestored(done, history, r)
}

// findFor is find, but for a server that holds half of an earlier restore, which goes on.
func (c *cli) findFor(ctx context.Context, depot *snapshot.Depot, r restoring) (snapshot.Place, snapshot.Manifest, error) {
	place, m, err := r.find(ctx, depot)
	if err != nil || r.into == "" || r.id != "" {
		return place, m, err
	}
	cfg, err := c.intoConfig(r)
	if err != nil {
		return place, m, err
	}
	id, err := load.Unfinished(ctx, cfg)
	if err != nil || id == "" || id == m.ID {
		return place, m, err
	}
	place, m, err = depot.Find(ctx, id, time.Time{})
	if errors.Is(err, snapshot.ErrNoSnapshot) {
		err = &exitError{code: exitRefused, message: fmt.Sprintf("%s holds half of a restore of %s, which no store has any more", r.into, id),
			hint: "drop its databases, failoverd_restore last, and give the same command again"}
	}
	return place, m, err
}

// find returns the snapshot to begin with.
func (r restoring) find(ctx context.Context, depot *snapshot.Depot) (snapshot.Place, snapshot.Manifest, error) {
	if r.id != "" {
		return depot.Find(ctx, r.id, time.Time{})
	}
	if r.toGTID == "" {
		return depot.Find(ctx, "", r.until)
	}
	held, errs := depot.List(ctx)
	for i := len(held) - 1; i >= 0; i-- {
		if h := held[i]; h.Diverged.Empty() && r.gtids.Contains(h.GTIDs) {
			return depot.Place(h.Places[0]), h.Manifest, nil
		}
	}
	return snapshot.Place{}, snapshot.Manifest{}, errors.Join(append(errs, fmt.Errorf("%w: each of them holds more than %s: a set of all that is to be there is asked for, as in gtid_executed", snapshot.ErrNoSnapshot, r.toGTID))...)
}

// history is what is replayed after the snapshot; nil when nothing is to be.
func (r restoring) history(ctx context.Context, depot *snapshot.Depot, place snapshot.Place, m snapshot.Manifest) (*snapshot.History, error) {
	if len(r.only) > 0 || r.id != "" && r.toTime == "" && r.toGTID == "" {
		return nil, nil
	}
	request := snapshot.HistoryRequest{Box: depot.Box, Product: depot.Product, From: m.GTIDs, ToTime: r.until, ToGTIDs: r.gtids, Diverged: r.diverged}
	// The store of the snapshot may be the one whose log is behind: the one with most wins.
	places := append([]snapshot.Place{place}, depot.Places...)
	var best *snapshot.History
	var first error
	for i, p := range places {
		if i > 0 && p.Name == place.Name {
			continue
		}
		request.Store = p.Store
		h, err := snapshot.FindHistory(ctx, request)
		switch {
		case err != nil && first == nil:
			first = err
		case err == nil && (best == nil || h.GTIDs.Count() > best.GTIDs.Count()):
			best = h
		}
	}
	if best != nil {
		return best, nil
	}
	return nil, first
}

func historyError(err error, product string, m snapshot.Manifest) error {
	if errors.Is(err, snapshot.ErrHistory) || errors.Is(err, snapshot.ErrDamaged) {
		return &exitError{code: exitRefused, message: err.Error(), cause: err,
			hint: fmt.Sprintf("nothing was begun. \"failoverd restore %s --snapshot %s …\" restores what was there at %s, and nothing after it", product, m.ID, at(m.Point))}
	}
	return err
}

// sayPlan says what will be done, before it is.
func (c *cli) sayPlan(place snapshot.Place, m snapshot.Manifest, h *snapshot.History) {
	fmt.Fprintf(c.out, "snapshot %s from store %s: %s rows, %s, as of %s\n", c.paint(bold, m.ID), place.Name, groupText(m.Totals.Rows), sizeText(m.Totals.Bytes), at(m.Point))
	if h == nil {
		return
	}
	if h.GTIDs.Empty() {
		fmt.Fprintln(c.out, "nothing was shipped after it that is wanted")
	} else {
		fmt.Fprintf(c.out, "then %s, %s of binary log, the last committed at %s\n", several(int(h.GTIDs.Count()), "transaction"), sizeText(h.Bytes), at(h.Last))
	}
	if !h.LeftOut.Empty() {
		c.say(c.paint(odd, "left out")+": ", fmt.Sprintf("%s did not survive a promotion; --include-diverged takes them", h.LeftOut))
	}
}

// intoConfig is the server of --into, and the account for it.
func (c *cli) intoConfig(r restoring) (mysql.Config, error) {
	cfg := mysql.Config{Addr: r.into, Account: mysql.Account{User: r.user, Password: c.env("FAILOVERD_RESTORE_PASSWORD")}}
	if r.password != "" {
		var err error
		if cfg.Account.Password, err = readPassword(r.password); err != nil {
			return cfg, err
		}
	}
	if r.ca != "" {
		var err error
		if cfg.TLS, err = caOnly(r.ca); err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

func (c *cli) printRestored(done restored, h *snapshot.History, r restoring) error {
	if r.output != asTable {
		return c.encode(r.output, done)
	}
	t := table{indent: "  "}
	for _, p := range done.Report.Phases {
		t.row(cell{p.Name, plain}, cell{took(int64(p.Seconds * 1000)), plain})
	}
	c.print(t)
	for _, n := range done.Report.Notes {
		c.say("  note: ", n.Text)
	}
	fmt.Fprintf(c.out, "%s in %s: %s, %s rows", c.paint(good, "restored"), took(done.Ms), several(done.Report.Tables, "table"), groupText(done.Report.Rows))
	if h != nil && !h.GTIDs.Empty() {
		fmt.Fprintf(c.out, ", and %s up to %s", several(int(done.Replayed), "transaction"), at(done.Last))
	}
	fmt.Fprintln(c.out)
	switch {
	case len(r.only) > 0 || r.member:
	case r.dir != "": // not wrapped, for it is to be copied
		fmt.Fprintf(c.out, "start it with: mysqld --defaults-file=%s/my.cnf\n", r.dir)
		c.say("", "It boots read-only. \"failoverd apply\" takes it into an inventory, as the master of a new chain or as a replica of an old one.")
	default:
		c.say("", fmt.Sprintf("%s is read-only, with gtid_executed as above: \"failoverd apply\" takes it into an inventory, or SET GLOBAL super_read_only = OFF opens it", r.into))
	}
	return nil
}
