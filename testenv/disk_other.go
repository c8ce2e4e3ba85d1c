//go:build unix && !linux

package testenv

import (
	"context"
	"errors"
	"time"
)

var errNoDisks = errors.New("disks that can fail need Linux")

// Disk is a file system of its own that can be full or stand still. It needs Linux.
type Disk struct{ Dir string }

// DisksWork says whether this machine can make Disks.
func DisksWork() error { return errNoDisks }

// NewDisk fails.
func NewDisk(context.Context, string) (*Disk, error) { return nil, errNoDisks }

// Fill fails.
func (d *Disk) Fill() error { return errNoDisks }

// Free fails.
func (d *Disk) Free() error { return errNoDisks }

// Freeze fails.
func (d *Disk) Freeze() error { return errNoDisks }

// Thaw fails.
func (d *Disk) Thaw() error { return errNoDisks }

// Slow does nothing.
func (d *Disk) Slow(time.Duration) {}

// Close does nothing.
func (d *Disk) Close() error { return nil }

func unmountUnder(string) {}
