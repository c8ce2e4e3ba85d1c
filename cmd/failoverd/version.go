package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// version is set by the linker: -X main.version=1.2.3.
var version string

// build says which build this is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"` // of the revision
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "dev"
	}
	if ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Revision = s.Value
			case "vcs.time":
				b.Time = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	return b
}

// buildVersion is for logs.
func buildVersion() string { return thisBuild().Version }

func (c *cli) versionCommand() *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if output != asTable {
				return c.encode(output, b)
			}
			line := "failoverd " + b.Version
			if b.Revision != "" {
				line += " (" + b.Revision[:min(12, len(b.Revision))] + ")"
			}
			_, err := fmt.Fprintf(c.out, "%s, %s, %s\n", line, b.Go, b.Platform)
			return err
		},
	}
	formatFlag(cmd, &output)
	return cmd
}

func (c *cli) manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a directory",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root.DisableAutoGenTag = true // the same source gives the same pages
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "failoverd " + buildVersion(), Manual: "failoverd"}, args[0])
		},
	}
}
