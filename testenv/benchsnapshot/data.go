package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/dump"
	"github.com/failoverd/failoverd/testenv"
)

var reader = mysql.Account{User: "bench_reader", Password: "bench-secret"}

func grants() []string { return dump.Grants(reader) }

// table is one of the database's tables: its share of the rows, what one is like, and
// how one is changed.
type table struct {
	name, create string
	change       string // SET
	percent      int
	row          func(r *rand.Rand, id int, out *bufio.Writer)
}

// rows is how many of all rows the table has.
func (t table) rows(all int) int { return all * t.percent / 100 }

// perSensor is how many measurements one sensor has.
const perSensor = 5000

// tables are those of a shop: numbers, money and times; measurements; text; documents.
var tables = []table{
	{"orders", `(id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, customer INT UNSIGNED NOT NULL, product INT NOT NULL, quantity SMALLINT NOT NULL,
 price DECIMAL(10,2) NOT NULL, discount FLOAT, status ENUM('new','paid','sent','back') NOT NULL, ordered DATETIME NOT NULL, changed TIMESTAMP(3) NULL, reference CHAR(36) NOT NULL, KEY (customer))`, "quantity = quantity + 1, price = price + 1", 45,
		func(r *rand.Rand, id int, out *bufio.Writer) {
			fmt.Fprintf(out, "%d\t%d\t%d\t%d\t%d.%02d\t%s\t%s\t%s\t%s.%03d\t%08x-%04x-4%03x-a%03x-%012x\n", id, r.IntN(500000), r.IntN(20000), 1+r.IntN(9), r.IntN(2000), r.IntN(100),
				orNull(r, strconv.FormatFloat(float64(float32(r.Float64())), 'g', -1, 32)), []string{"new", "paid", "sent", "back"}[r.IntN(4)],
				stamp(int64(id)*17), stamp(int64(id)*17+int64(r.IntN(100000))), r.IntN(1000), r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Int64N(1<<48))
		}},
	{"measurements", `(sensor INT NOT NULL, at DATETIME(3) NOT NULL, id INT NOT NULL, v1 DOUBLE NOT NULL, v2 DOUBLE, v3 FLOAT, v4 FLOAT, ok BOOL NOT NULL, PRIMARY KEY (sensor, id))`, "v1 = v1 + 1", 30,
		func(r *rand.Rand, id int, out *bufio.Writer) {
			fmt.Fprintf(out, "%d\t%s.%03d\t%d\t%s\t%s\t%s\t%s\t%d\n", id/perSensor, stamp(int64(id)), r.IntN(1000), id, double(r), orNull(r, double(r)), single(r), single(r), r.IntN(2))
		}},
	{"customers", `(id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL, mail VARCHAR(120) NOT NULL, city VARCHAR(60) CHARACTER SET latin1, born DATE, note TEXT, UNIQUE KEY (mail))`, "city = REVERSE(city)", 17,
		func(r *rand.Rand, id int, out *bufio.Writer) {
			fmt.Fprintf(out, "%d\t%s %s\t%s.%d@example.net\t%s\t%s\t%s\n", id, word(r), word(r), word(r), id, word(r), stamp(r.Int64N(2e9) - 1e9)[:10], text(r, 40+r.IntN(160)))
		}},
	{"documents", `(id INT NOT NULL PRIMARY KEY, body JSON NOT NULL, packed BLOB)`, "body = JSON_SET(body, '$.total', id + 0.5)", 8,
		func(r *rand.Rand, id int, out *bufio.Writer) {
			fmt.Fprintf(out, `%d`+"\t"+`{"id": %d, "tags": ["%s", "%s"], "total": %d.5, "address": {"street": "%s %s", "zip": "%05d"}, "active": true}`+"\t%s\n", id, id, word(r), word(r), r.IntN(10000), word(r), word(r), r.IntN(100000), text(r, 10+r.IntN(40)))
		}},
}

func stamp(seconds int64) string {
	return time.Unix(1_600_000_000+seconds%100_000_000, 0).UTC().Format(time.DateTime)
}

func double(r *rand.Rand) string {
	return strconv.FormatFloat(r.NormFloat64()*math.Pow(10, float64(r.IntN(6))), 'g', -1, 64)
}

func single(r *rand.Rand) string {
	return strconv.FormatFloat(float64(float32(r.NormFloat64()*100)), 'g', -1, 32)
}

func orNull(r *rand.Rand, value string) string {
	if r.IntN(10) == 0 {
		return `\N`
	}
	return value
}

var words = []string{"able", "acid", "after", "amber", "anchor", "bank", "basket", "bell", "bridge", "candle", "carbon", "castle", "circle", "cloud", "copper", "corner", "cotton", "desert", "dragon", "eagle",
	"ember", "engine", "fabric", "falcon", "feather", "forest", "garden", "glass", "harbor", "hollow", "island", "ivory", "jungle", "kernel", "lantern", "linen", "marble", "meadow", "mirror", "needle", "ocean", "orange",
	"paper", "pepper", "pillar", "planet", "quartz", "ribbon", "river", "saddle", "silver", "stone", "thread", "timber", "tunnel", "valley", "velvet", "violin", "water", "window", "winter", "yellow"}

func word(r *rand.Rand) string { return words[r.IntN(len(words))] }

func text(r *rand.Rand, n int) string {
	out := make([]byte, 0, 8*n)
	for range n {
		out = append(append(out, word(r)...), ' ')
	}
	return string(out)
}

// load makes the database, without the binary log. The same rows come of the same number.
func load(ctx context.Context, s *testenv.Server, rows int) error {
	for _, statement := range []string{"SET GLOBAL innodb_flush_log_at_trx_commit = 0", "CREATE DATABASE bench"} {
		if err := s.Exec(ctx, statement); err != nil {
			return err
		}
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(3)
	for _, t := range tables {
		all.Go(func() error { return create(ctx, s, t, t.rows(rows)) })
	}
	return all.Wait()
}

// chunk is how many rows one statement loads.
const chunk = 100_000

func create(ctx context.Context, s *testenv.Server, t table, rows int) error {
	if err := s.Exec(ctx, "CREATE TABLE bench."+t.name+" "+t.create); err != nil {
		return err
	}
	return fill(ctx, s, t, 1, rows, false)
}

// fill adds the rows from one number to another, into the binary log if asked to.
func fill(ctx context.Context, s *testenv.Server, t table, from, upto int, logged bool) error {
	conn, err := s.DB().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "SET SESSION sql_log_bin = ?, unique_checks = 0, foreign_key_checks = 0, sql_mode = '', time_zone = '+00:00'", logged); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(uint64(from), uint64(len(t.name))))
	for first := from; first <= upto; first += chunk {
		read, write := io.Pipe()
		go func() {
			out := bufio.NewWriterSize(write, 1<<20)
			for id := first; id < min(first+chunk, upto+1); id++ {
				t.row(r, id, out)
			}
			write.CloseWithError(out.Flush())
		}()
		driver.RegisterReaderHandler(t.name, func() io.Reader { return read })
		_, err := conn.ExecContext(ctx, "LOAD DATA LOCAL INFILE 'Reader::"+t.name+"' INTO TABLE bench."+t.name+" CHARACTER SET utf8mb4")
		read.Close()
		if err != nil {
			return fmt.Errorf("load %s: %w", t.name, err)
		}
	}
	_, err = conn.ExecContext(ctx, "SET SESSION sql_log_bin = 1, unique_checks = 1, foreign_key_checks = 1")
	return err
}

// settle waits until the server has written out what was loaded.
func settle(ctx context.Context, s *testenv.Server) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		var dirty int
		if err := s.DB().QueryRowContext(ctx, "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Innodb_buffer_pool_pages_dirty'").Scan(&dirty); err != nil {
			return err
		}
		if dirty < 100 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
