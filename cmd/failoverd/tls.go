package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/pki"
)

func (c *cli) tlsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tls",
		Short: "Make and show the certificates of this installation",
		Long: `One authority stands for one installation, and every certificate carries its
owner's role: watcher, operator, follower (web servers) or dump. Make the
authority once, keep ca.key off the servers, and give each its own pair.`,
		Example: `  failoverd tls ca
  failoverd tls cert --role watcher --name w1 --host w1.example.net,10.0.0.11
  failoverd tls cert --role operator --name alice`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.tlsCACommand(), c.tlsCertCommand(), c.tlsShowCommand())
	return cmd
}

func (c *cli) tlsCACommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Make the authority: ca.crt and ca.key",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cert, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
			if err := pki.CreateCA(cert, key); err != nil {
				return existing(err, "a new authority would lock out every certificate of the old one")
			}
			fmt.Fprintf(c.out, "%s goes to every watcher, operator and web server; %s stays where you issue certificates\n", cert, key)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "where to write")
	return cmd
}

func (c *cli) tlsCertCommand() *cobra.Command {
	var dir string
	var days int
	var request pki.Request
	cmd := &cobra.Command{
		Use:   "cert --role ROLE --name NAME",
		Short: "Issue a certificate: NAME.crt and NAME.key",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if request.Name == "" || strings.ContainsAny(request.Name, "/\\") {
				return usageError(fmt.Errorf("--name %q cannot be a file's name", request.Name))
			}
			if !slices.Contains(pki.Roles, request.Role) {
				return usageError(fmt.Errorf("--role %q is not one of %s", request.Role, strings.Join(pki.Roles, ", ")))
			}
			if request.Role == pki.RoleWatcher && len(request.Hosts) == 0 {
				return usageError(errors.New("a watcher needs --host: the names and IP addresses under which the others, operators and web servers reach it"))
			}
			if days < 1 {
				return usageError(errors.New("--days must be at least 1"))
			}
			request.Validity = time.Duration(days) * 24 * time.Hour
			file := func(name string) string { return filepath.Join(dir, name) }
			cert, key := file(request.Name+".crt"), file(request.Name+".key")
			if err := pki.Issue(file("ca.crt"), file("ca.key"), cert, key, request); err != nil {
				return existing(err, "--replace renews it")
			}
			fmt.Fprintf(c.out, "%s and %s, for the role %s, valid for %d days\n", cert, key, request.Role, days)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", ".", "where ca.crt and ca.key are, and where to write")
	f.StringVar(&request.Role, "role", "", "one of "+strings.Join(pki.Roles, ", "))
	f.StringVar(&request.Name, "name", "", "the owner's name, as logs and the history show it")
	f.StringSliceVar(&request.Hosts, "host", nil, "`name or IP` under which the owner is reached; a watcher needs one")
	f.IntVar(&days, "days", 365, "how long it is valid")
	f.BoolVar(&request.Replace, "replace", false, "renew: put the new pair in place of the old one, which a running watcher notices")
	_ = cmd.MarkFlagRequired("role")
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(pki.Roles, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// existing adds what to do about a file that is there already.
func existing(err error, hint string) error {
	if errors.Is(err, fs.ErrExist) {
		return &exitError{code: exitRefused, message: err.Error(), hint: hint, cause: err}
	}
	return err
}

func (c *cli) tlsShowCommand() *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "show FILE...",
		Short: "Show whose certificates these are and when they expire",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			certificates := map[string]pki.Certificate{}
			t := table{}
			t.head("FILE", "ROLE", "NAME", "HOSTS", "EXPIRES")
			for _, path := range files {
				cert, err := pki.Inspect(path)
				if err != nil {
					return err
				}
				certificates[path] = cert
				role, look := cert.Role, plain
				if role == "" {
					role = "authority"
				}
				left := cert.NotAfter.Sub(c.now())
				expires := fmt.Sprintf("%s, in %d days", cert.NotAfter.UTC().Format("2006-01-02"), int(left.Hours()/24))
				switch {
				case left <= 0:
					expires, look = cert.NotAfter.UTC().Format("2006-01-02")+", expired", bad
				case left < 30*24*time.Hour:
					look = odd
				}
				t.row(cell{path, plain}, cell{role, plain}, cell{cert.Name, plain}, cell{strings.Join(cert.Hosts, ","), plain}, cell{expires, look})
			}
			if output != asTable {
				return c.encode(output, certificates)
			}
			c.print(t)
			return nil
		},
	}
	formatFlag(cmd, &output)
	return cmd
}
