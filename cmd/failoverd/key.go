package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/publish"
)

func (c *cli) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make the key that signs the published config",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.keyGenerateCommand())
	return cmd
}

func (c *cli) keyGenerateCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Make publish.key for the watchers and publish.pub for the web servers",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			key, err := publish.GenerateKey()
			if err != nil {
				return err
			}
			private, err := key.PEM()
			if err != nil {
				return err
			}
			public, err := key.Public().PEM()
			if err != nil {
				return err
			}
			privatePath, publicPath := filepath.Join(dir, "publish.key"), filepath.Join(dir, "publish.pub")
			for _, file := range []struct {
				path string
				mode os.FileMode
				body []byte
			}{{privatePath, 0o600, private}, {publicPath, 0o644, public}} {
				if err := writeNew(file.path, file.mode, file.body); err != nil {
					return existing(err, "to rotate, make the new pair in another --dir, and let everybody trust both public keys for a while")
				}
			}
			fmt.Fprintf(c.out, "%s (key %s) goes to every watcher, the same one; %s to every web server\n", privatePath, key.ID(), publicPath)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "where to write")
	return cmd
}

// writeNew writes a file that is not there yet.
func writeNew(path string, mode os.FileMode, body []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := file.Write(body); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
