package main

import (
	"context"
	"fmt"

	"github.com/failoverd/failoverd/testenv/stage"
)

type screen struct{ stage *stage.Stage }

func newScreen(s *stage.Stage) *screen { return &screen{s} }

func (s *screen) run(ctx context.Context) error { <-ctx.Done(); return fmt.Errorf("interrupted") }
