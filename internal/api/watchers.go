package api

import (
	"context"
	"net"
)

func (h *handler) join(ctx context.Context, c *call) (any, error) {
	var ask JoinRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	if ask.ID == "" {
		return nil, badRequest("id is missing: the new watcher's")
	}
	if _, port, err := net.SplitHostPort(ask.Raft); err != nil || port == "" {
		return nil, badRequest("raft: %q is not host:port", ask.Raft)
	}
	if err := h.backend.Join(ctx, ask.ID, ask.Raft); err != nil {
		return nil, err
	}
	return Ack{OK: true}, nil
}

func (h *handler) remove(ctx context.Context, c *call) (any, error) {
	id := c.request.PathValue("id")
	if err := h.knownWatcher(id); err != nil {
		return nil, err
	}
	if err := h.backend.Remove(ctx, id); err != nil {
		return nil, err
	}
	return Ack{OK: true}, nil
}

func (h *handler) transfer(ctx context.Context, c *call) (any, error) {
	var ask TransferRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	if ask.To != "" {
		if err := h.knownWatcher(ask.To); err != nil {
			return nil, err
		}
	}
	if err := h.backend.Transfer(ctx, ask.To); err != nil {
		return nil, err
	}
	return Ack{OK: true}, nil
}

func (h *handler) knownWatcher(id string) error {
	for _, w := range h.backend.Watchers() {
		if w.ID == id {
			return nil
		}
	}
	return &Error{Code: NotFound, Message: "there is no watcher " + id, Help: "\"failoverd watchers\" lists them"}
}
