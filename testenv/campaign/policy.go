package campaign

import (
	"context"
	"errors"
	"regexp"

	"github.com/failoverd/failoverd/internal/api"
)

// holdDown is short, so that one run's promotion does not hold back the next's.
const holdDown = "3s"

// policy is what the product's inventory says. Write probes find out a master that commits nothing.
var policy = []string{"holdDown: " + holdDown, "writeProbe: 500ms", "hangAfter: 5s"}

var holdDownLine = regexp.MustCompile(`holdDown: \S+`)

// setHoldDown changes the product's policy, as an operator would. The inventory shows no default, which d must not be.
func (s *Scene) setHoldDown(ctx context.Context, d string) error {
	reply, err := s.Client.Inventory(ctx)
	if err != nil {
		return err
	}
	if !holdDownLine.MatchString(reply.Inventory) {
		return errors.New("the inventory does not show the hold-down")
	}
	_, err = s.Client.Apply(ctx, api.InventoryRequest{Inventory: holdDownLine.ReplaceAllString(reply.Inventory, "holdDown: "+d)})
	return err
}
