package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is a file system of its own, made of a sparse file and mounted at Dir, that can be full or stand still. It
// needs root, loop devices and mkfs.ext4. A sync on it survives the death of every process, not that of the machine:
// without barriers it costs what it does on a good disk, although there are two file systems below each other.
type Disk struct {
	Dir   string
	image string

	mu     sync.Mutex
	frozen bool
	slow   chan struct{} // closed to end Slow, nil when not slow
	slowed chan struct{} // closed when it has ended
}

// diskBytes is how large a Disk is. The file takes only what is written.
const diskBytes = 1 << 30

// The ioctls behind fsfreeze(8), from linux/fs.h.
const (
	fiFreeze = 0xC0045877
	fiThaw   = 0xC0045878
)

// DisksWork says whether this machine can make Disks; the error says why not.
func DisksWork() error {
	if os.Getuid() != 0 {
		return errors.New("disks that can fail need root")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return fmt.Errorf("disks that can fail need loop devices: %w", err)
	}
	_, err := exec.LookPath("mkfs.ext4")
	return err
}

// NewDisk makes and mounts a disk at dir, which is made too. Close it before the directory is removed.
func NewDisk(ctx context.Context, dir string) (*Disk, error) {
	if err := DisksWork(); err != nil {
		return nil, err
	}
	d := &Disk{Dir: dir, image: dir + ".img"}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(d.image, diskBytes); err != nil {
		return nil, err
	}
	for _, command := range [][]string{
		{"mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-J", "size=16", d.image},
		{"mount", "-o", "loop,noatime,nobarrier", d.image, dir},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w: %s", command[0], err, lastLines(string(out), 2)), os.Remove(d.image))
		}
	}
	return d, os.RemoveAll(filepath.Join(dir, "lost+found"))
}

// filler is the file that takes what is left of a full disk.
func (d *Disk) filler() string { return filepath.Join(d.Dir, "filler") }

// Fill takes every free block, again when it is called again.
func (d *Disk) Fill() error {
	file, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil && !errors.Is(err, unix.ENOSPC) {
		return err
	}
	defer file.Close()
	for size := int64(64 << 20); size >= 4<<10; {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		err = unix.Fallocate(int(file.Fd()), 0, info.Size(), size)
		switch {
		case errors.Is(err, unix.ENOSPC):
			size /= 2
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("fill %s: %w", d.Dir, err)
		}
	}
	return nil
}

// Free undoes Fill.
func (d *Disk) Free() error {
	if err := os.Remove(d.filler()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Freeze lets nothing be written until Thaw: whoever writes or syncs waits, and cannot even be killed meanwhile.
func (d *Disk) Freeze() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.freeze()
}

func (d *Disk) freeze() error {
	if d.frozen {
		return nil
	}
	if err := ioctl(d.Dir, fiFreeze); err != nil {
		return fmt.Errorf("freeze %s: %w", d.Dir, err)
	}
	d.frozen = true
	return nil
}

func (d *Disk) thaw() error {
	if !d.frozen {
		return nil
	}
	if err := ioctl(d.Dir, fiThaw); err != nil {
		return fmt.Errorf("thaw %s: %w", d.Dir, err)
	}
	d.frozen = false
	return nil
}

// Slow lets what is written wait up to hold, then lets everybody through for a tenth of that, over and over until Thaw.
func (d *Disk) Slow(hold time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.slow != nil {
		return
	}
	d.slow, d.slowed = make(chan struct{}), make(chan struct{})
	go func(end, ended chan struct{}) {
		defer close(ended)
		for {
			for _, phase := range []struct {
				do    func() error
				lasts time.Duration
			}{{d.Freeze, hold}, {d.thawOnly, hold / 10}} {
				_ = phase.do() // a disk that cannot be frozen is merely not slow
				select {
				case <-end:
					return
				case <-time.After(phase.lasts):
				}
			}
		}
	}(d.slow, d.slowed)
}

func (d *Disk) thawOnly() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.thaw()
}

// Thaw ends Freeze and Slow.
func (d *Disk) Thaw() error {
	d.mu.Lock()
	end, ended := d.slow, d.slowed
	d.slow, d.slowed = nil, nil
	d.mu.Unlock()
	if end != nil {
		close(end)
		<-ended
	}
	return d.thawOnly()
}

// Close unmounts the disk and removes its file. Nobody may use it any more.
func (d *Disk) Close() error {
	return errors.Join(d.Thaw(), unmount(d.Dir), os.Remove(d.image))
}

func ioctl(dir string, request uint) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	return unix.IoctlSetInt(int(file.Fd()), request, 0)
}

// unmount waits a little for those who are about to let go of it.
func unmount(dir string) error {
	for range 40 {
		err := unix.Unmount(dir, 0)
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return unix.Unmount(dir, unix.MNT_DETACH)
}

// unmountUnder takes away the disks that a program that was killed left under dir, frozen ones too.
func unmountUnder(dir string) {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			_ = ioctl(fields[1], fiThaw) // it fails where nothing is frozen
			_ = unmount(fields[1])
		}
	}
}
