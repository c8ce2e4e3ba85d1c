package follow

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/renameio/v2"
	"github.com/hashicorp/go-hclog"

	"github.com/failoverd/failoverd/internal/publish"
)

// StateFile is the name of the state file in the cache directory: JSON, for
// monitoring and for the next start.
const StateFile = "state.json"

// State is what the state file says.
type State struct {
	Targets map[string]TargetState `json:"targets"` // by path
}

// TargetState is how one target stands.
type TargetState struct {
	Version   uint64    `json:"version"`   // of the document last applied
	AppliedAt time.Time `json:"appliedAt"` // when that was
	// Running is the SHA-256 of the content that the last successful reload
	// saw; empty when the server may run on anything.
	Running string `json:"running"`
	// Error is why Failed could not be applied; empty when all is well.
	Error  string `json:"error"`
	Failed uint64 `json:"failed"`
}

// state is the State in memory, saved at each change. All targets share it.
type state struct {
	path   string // empty: not saved
	logger hclog.Logger

	mu sync.Mutex
	State
}

func openState(cacheDir string, logger hclog.Logger) *state {
	s := &state{logger: logger}
	if cacheDir != "" {
		s.path = filepath.Join(cacheDir, StateFile)
		source, err := os.ReadFile(s.path)
		if err == nil {
			err = json.Unmarshal(source, &s.State)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			logger.Warn("state file not usable, every target is reloaded once", "error", err)
			s.State = State{}
		}
	}
	if s.Targets == nil {
		s.Targets = map[string]TargetState{}
	}
	return s
}

func (s *state) running(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Targets[path].Running
}

// setRunning is kept in memory until record saves it: if we die before that, the
// file says something older and the next start reloads once more.
func (s *state) setRunning(path, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.Targets[path]
	t.Running = content
	s.Targets[path] = t
}

func (s *state) record(path string, head *publish.Head, applyErr error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.Targets[path]
	if applyErr == nil {
		t.Version, t.AppliedAt, t.Error, t.Failed = head.Document.Version, time.Now().UTC(), "", 0
	} else {
		t.Error, t.Failed = applyErr.Error(), head.Document.Version
	}
	s.Targets[path] = t
	if s.path == "" {
		return
	}
	body, err := json.MarshalIndent(s.State, "", "  ")
	if err == nil {
		err = renameio.WriteFile(s.path, append(body, '\n'), 0o644, renameio.WithTempDir(filepath.Dir(s.path)))
	}
	if err != nil {
		s.logger.Warn("state file not saved", "error", err)
	}
}

func contentHash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
