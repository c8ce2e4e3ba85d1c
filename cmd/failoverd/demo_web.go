package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"database/sql"

	"github.com/go-sql-driver/mysql"
	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/testenv/stage"
)

// newDemoWebCommand is the web server of the demo: it writes rows to the database
// that its rendered config names, reads the config anew at SIGHUP, and notes what
// became of each write.
func newDemoWebCommand() *cobra.Command {
	w := &web{}
	cmd := &cobra.Command{
		Use:    "web",
		Short:  "A web server of the demo",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return w.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&w.name, "name", "web", "prefix of the rows' keys")
	f.StringVar(&w.config, "config", "", "the rendered config")
	f.StringVar(&w.pidFile, "pid-file", "", "where to put the process ID")
	f.StringVar(&w.ledgerPath, "ledger", "", "where to note outcomes")
	f.StringVar(&w.user, "user", "", "MySQL account; its password is in "+stage.WebPasswordEnv)
	f.StringVar(&w.database, "database", "", "schema")
	f.IntVar(&w.workers, "workers", 2, "connections")
	f.IntVar(&w.rate, "rate", 100, "writes per second, all connections together")
	return cmd
}

type web struct {
	name, config, pidFile, ledgerPath, user, database string
	workers, rate                                     int

	mu     sync.Mutex
	ledger *json.Encoder
	next   int
}

// webConfig is what the demo's template renders.
type webConfig struct {
	Host  string `json:"host"`
	Port  int    `json:"port"`
	Epoch uint64 `json:"epoch"`
}

func (w *web) run(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	if err := os.WriteFile(w.pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return err
	}
	file, err := os.OpenFile(w.ledgerPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	w.ledger = json.NewEncoder(file)
	for {
		generation, end := context.WithCancel(ctx)
		var busy sync.WaitGroup
		if config, err := w.read(); err == nil {
			fmt.Printf("writing to %s:%d, epoch %d\n", config.Host, config.Port, config.Epoch)
			busy.Go(func() { w.write(generation, config) })
		}
		select {
		case <-ctx.Done():
		case <-hup:
		}
		end() // writes that still wait are given up: their outcome stays unknown
		busy.Wait()
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (w *web) read() (webConfig, error) {
	data, err := os.ReadFile(w.config)
	if err != nil {
		return webConfig{}, err
	}
	var c webConfig
	return c, json.Unmarshal(data, &c)
}

// write writes at the rate until ctx ends.
func (w *web) write(ctx context.Context, c webConfig) {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	config.User, config.Passwd, config.DBName = w.user, os.Getenv(stage.WebPasswordEnv), w.database
	config.Timeout = time.Second
	config.InterpolateParams = true
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	db.SetMaxIdleConns(w.workers)
	var busy sync.WaitGroup
	for range w.workers {
		busy.Go(func() { w.work(ctx, db, c.Epoch) })
	}
	busy.Wait()
}

func (w *web) work(ctx context.Context, db *sql.DB, epoch uint64) {
	pace := time.NewTicker(time.Second * time.Duration(w.workers) / time.Duration(w.rate))
	defer pace.Stop()
	for ctx.Err() == nil {
		id := w.newID()
		sent := time.Now()
		_, err := db.ExecContext(ctx, "INSERT INTO ledger (id, web, epoch) VALUES (?, ?, ?)", id, w.name, epoch)
		w.note(id, epoch, sent, err)
		select {
		case <-ctx.Done():
		case <-pace.C:
		}
	}
}

func (w *web) newID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	return fmt.Sprintf("%s-%d", w.name, w.next)
}

func (w *web) note(id string, epoch uint64, sent time.Time, err error) {
	line := stage.Write{ID: id, Outcome: outcomeOf(err), Micros: time.Now().UnixMicro(), Took: time.Since(sent).Microseconds(), Epoch: epoch}
	if err != nil {
		line.Error = err.Error()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ledger.Encode(line); err != nil {
		fmt.Println("ledger:", err)
	}
}

// outcomeOf says what an INSERT's error tells of the row. Only a refusal by the
// server, or a connection that never came about, is a certain no.
func outcomeOf(err error) stage.Outcome {
	var refused *mysql.MySQLError
	var dial *net.OpError
	switch {
	case err == nil:
		return stage.Acked
	case errors.As(err, &refused) && refused.Number != 1053 && refused.Number != 3032: // shutdown, offline mode: may come after the commit
		return stage.Failed
	case errors.As(err, &dial) && dial.Op == "dial":
		return stage.Failed
	}
	return stage.Unknown
}
