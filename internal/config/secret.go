package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Secret says where a secret is. The secret itself is never in the file.
type Secret struct {
	File string `yaml:"file"`
	// Env is the name of an environment variable.
	Env string `yaml:"env"`
	// Credential is the name of a systemd credential (LoadCredential=, systemd.exec(5)).
	Credential string `yaml:"credential"`
}

// UnmarshalYAML refuses a secret that stands in the file itself, without repeating it.
func (s *Secret) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err == nil {
		return errors.New("a secret does not belong in this file: give {file: PATH}, {env: NAME} or {credential: NAME}")
	}
	type plain Secret
	return unmarshal((*plain)(s))
}

func (s Secret) check(needed bool) error {
	given := 0
	for _, v := range []string{s.File, s.Env, s.Credential} {
		if v != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("give one of file, env and credential")
	case given == 0 && needed:
		return errors.New("missing: {file: PATH}, {env: NAME} or {credential: NAME}")
	}
	return nil
}

// Given says whether there is a secret to read.
func (s Secret) Given() bool { return s != Secret{} }

// Read returns the secret, without the newline at the end of a file. Its errors
// say where it was looked for.
func (s Secret) Read() (string, error) {
	switch {
	case s.File != "":
		return readSecret(s.File)
	case s.Env != "":
		value, ok := os.LookupEnv(s.Env)
		if !ok || value == "" {
			return "", fmt.Errorf("secret: the environment variable %s is not set", s.Env)
		}
		return value, nil
	case s.Credential != "":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return "", fmt.Errorf("secret: no systemd credentials here, so no %s: add LoadCredential=%s:PATH to the unit", s.Credential, s.Credential)
		}
		return readSecret(filepath.Join(dir, s.Credential))
	}
	return "", nil
}

func readSecret(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	value := strings.TrimRight(string(data), "\r\n")
	if value == "" {
		return "", fmt.Errorf("secret: %s is empty", path)
	}
	return value, nil
}
