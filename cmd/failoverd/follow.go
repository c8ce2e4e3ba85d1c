package main

import (
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/follow"
	"github.com/failoverd/failoverd/internal/s3"
)

func (c *cli) followCommand() *cobra.Command {
	var path, level string
	var once, noop, asJSONLog bool
	cmd := &cobra.Command{
		Use:   "follow --config FILE",
		Short: "Keep a web server's config up to date with the published one",
		Long: `Runs beside a web server: it listens to the object store and to every watcher,
verifies the signature, renders the server's own files from templates, checks
them, swaps them in and reloads the server, and puts the old file back when the
reload fails. When all sources are away the last good config stays in force.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logLevel := hclog.LevelFromString(level)
			if logLevel == hclog.NoLevel {
				return usageError(errors.New("--log-level is not debug, info, warn or error"))
			}
			cfg, err := follow.Load(path)
			if err != nil {
				return usageError(err)
			}
			if cfg.StoreURL != "" {
				if cfg.Store, err = s3.Open(cmd.Context(), cfg.StoreURL, s3.Options{}); err != nil {
					return usageError(err)
				}
			}
			cfg.Noop, cfg.Out = noop, c.out
			logger := hclog.New(&hclog.LoggerOptions{Name: "failoverd", Level: logLevel, JSONFormat: asJSONLog, Output: c.err,
				TimeFormat: "2006-01-02T15:04:05.000Z07:00", TimeFn: func() time.Time { return time.Now().UTC() }})
			if once || noop {
				return follow.RunOnce(cmd.Context(), cfg, logger)
			}
			return follow.Run(cmd.Context(), cfg, logger)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&path, "config", "c", "/etc/failoverd/follow.yaml", "configuration `file`")
	f.BoolVar(&once, "once", false, "bring everything up to date once, then exit")
	f.BoolVar(&noop, "noop", false, "show what would change, as diffs, and change nothing; implies --once")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	f.BoolVar(&asJSONLog, "log-json", false, "log as JSON")
	return cmd
}
