package testenv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// release is what /etc/os-release says about the machine.
type release struct{ id, codename string }

// unpackMySQL puts MySQL and every library it needs, libc included, into root. It works in a directory beside
// root and renames it when all is done, so that an interrupted run leaves nothing that looks complete. The
// caller holds the lock.
func unpackMySQL(ctx context.Context, root string, progress func(string)) error {
	rel, err := thisRelease("/etc/os-release")
	if err != nil {
		return err
	}
	if runtime.GOOS != "linux" || (runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64") {
		return fmt.Errorf("%s/%s is not a platform MySQL can be unpacked for", runtime.GOOS, runtime.GOARCH)
	}
	for _, tool := range []string{"apt-get", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	mirror, err := rel.mirror(ctx)
	if err != nil {
		return err
	}
	work := root + ".new"
	for _, stale := range []string{work, root} {
		if err := os.RemoveAll(stale); err != nil {
			return err
		}
	}
	defer os.RemoveAll(work)
	apt, err := newPrivateApt(filepath.Join(work, "apt"))
	if err != nil {
		return err
	}
	patchelf, err := findPatchelf(ctx, apt, rel, mirror, progress)
	if err != nil {
		return err
	}
	progress("downloading MySQL (about 80 MB) with the machine's own apt")
	if err := apt.downloadMySQL(ctx, rel, mirror); err != nil {
		return err
	}
	progress("unpacking")
	tree := filepath.Join(work, "tree")
	if err := apt.unpack(ctx, tree); err != nil {
		return err
	}
	if err := relink(ctx, patchelf, tree, root); err != nil {
		return err
	}
	return os.Rename(tree, root)
}

func thisRelease(path string) (release, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return release{}, errors.New("only on Debian and Ubuntu can MySQL be unpacked")
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			fields[key] = strings.Trim(value, `"'`)
		}
	}
	rel := release{id: fields["ID"], codename: fields["VERSION_CODENAME"]}
	if (rel.id != "debian" && rel.id != "ubuntu") || rel.codename == "" {
		return release{}, fmt.Errorf("only on Debian and Ubuntu can MySQL be unpacked, this is %q", fields["PRETTY_NAME"])
	}
	return rel, nil
}

// origin is the name the distribution's own Release files carry; a vendor's repository has another.
func (r release) origin() string {
	if r.id == "ubuntu" {
		return "Ubuntu"
	}
	return "Debian"
}

// mirror reads from the machine's apt where its own release comes from. Without package lists (a fresh
// container) it reads the source files themselves.
func (r release) mirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)",
		"Created-By: Packages", "Codename: "+r.codename, "Origin: "+r.origin()).Output()
	if err == nil {
		if line, _, _ := strings.Cut(string(out), "\n"); line != "" {
			return line, nil
		}
	}
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, file := range append([]string{"/etc/apt/sources.list"}, files...) {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if strings.HasSuffix(file, ".list") {
			if uri := mirrorInList(text, r.codename); uri != "" {
				return uri, nil
			}
		}
		if strings.HasSuffix(file, ".sources") {
			if uri := mirrorInSources(text, r.codename); uri != "" {
				return uri, nil
			}
		}
	}
	return "", fmt.Errorf("no apt source for %s", r.codename)
}

// mirrorInList reads the one-line format of sources.list(5): deb [options] uri suite component...
func mirrorInList(text []byte, suite string) string {
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			_, rest, _ = strings.Cut(rest, "]")
		}
		f := strings.Fields(rest)
		if len(f) >= 3 && f[1] == suite && f[2] == "main" {
			return f[0]
		}
	}
	return ""
}

// mirrorInSources reads the deb822 format of sources.list(5).
func mirrorInSources(text []byte, suite string) string {
	var uri string
	var suites, components []string
	match := func() string {
		for _, s := range suites {
			for _, c := range components {
				if s == suite && c == "main" {
					return uri
				}
			}
		}
		return ""
	}
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		line := scan.Text()
		if strings.TrimSpace(line) == "" {
			if found := match(); found != "" {
				return found
			}
			uri, suites, components = "", nil, nil
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		switch f := strings.Fields(value); strings.ToLower(key) {
		case "uris":
			if len(f) > 0 {
				uri = f[0]
			}
		case "suites":
			suites = f
		case "components":
			components = f
		}
	}
	return match()
}

// privateApt is an apt with its own sources, lists, cache and an empty package status, so that it neither reads
// nor changes what the system has installed.
type privateApt struct{ dir string }

func newPrivateApt(dir string) (privateApt, error) {
	for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return privateApt{}, err
		}
	}
	return privateApt{dir}, os.WriteFile(filepath.Join(dir, "status"), nil, 0o644)
}

func (a privateApt) run(ctx context.Context, args ...string) error {
	in := func(name string) string { return filepath.Join(a.dir, name) }
	options := []string{
		"-o", "Dir::Etc::sourcelist=" + in("sources.list"), "-o", "Dir::Etc::sourceparts=-",
		"-o", "Dir::State::Lists=" + in("lists"), "-o", "Dir::Cache=" + in("cache"),
		"-o", "Dir::State::status=" + in("status"), "-o", "Debug::NoLocking=1",
		"-o", "Acquire::Languages=none", "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		// The download user of apt cannot read a home directory's cache.
		"-o", "APT::Sandbox::User=root",
	}
	cmd := exec.CommandContext(ctx, "apt-get", append(options, args...)...)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, lastLines(string(out), 3))
	}
	return nil
}

// sources points the private apt at some suites of a mirror and reads their lists.
func (a privateApt) sources(ctx context.Context, rel release, mirror string, suites ...string) error {
	components := "main"
	if rel.id == "ubuntu" {
		components = "main universe"
	}
	option := ""
	keyring := "/usr/share/keyrings/" + rel.id + "-archive-keyring.gpg"
	if _, err := os.Stat(keyring); err == nil {
		option = "[signed-by=" + keyring + "] "
	}
	var lines strings.Builder
	for _, suite := range suites {
		fmt.Fprintf(&lines, "deb %s%s %s %s\n", option, mirror, suite, components)
	}
	if err := os.WriteFile(filepath.Join(a.dir, "sources.list"), []byte(lines.String()), 0o644); err != nil {
		return err
	}
	return a.run(ctx, "update")
}

// downloadMySQL fetches the server with all its dependencies. Debian's stable releases carry MariaDB only, so
// there it is the unstable suite's; Ubuntu has its own under names that changed over the releases.
func (a privateApt) downloadMySQL(ctx context.Context, rel release, mirror string) error {
	suites, versions := []string{"sid"}, []string{""}
	if rel.id == "ubuntu" {
		suites, versions = []string{rel.codename, rel.codename + "-updates"}, []string{"", "-8.4", "-8.0"}
	}
	if err := a.sources(ctx, rel, mirror, suites...); err != nil {
		return err
	}
	var failed error
	for _, version := range versions {
		err := a.run(ctx, "install", "-y", "--no-install-recommends", "--download-only",
			"mysql-server-core"+version, "mysql-client-core"+version)
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

func (a privateApt) unpack(ctx context.Context, tree string) error {
	debs, _ := filepath.Glob(filepath.Join(a.dir, "cache", "archives", "*.deb"))
	for _, deb := range debs {
		// perl is only there for scripts of the client package that nobody runs here.
		if strings.HasPrefix(filepath.Base(deb), "perl") || strings.HasPrefix(filepath.Base(deb), "libperl") {
			continue
		}
		if out, err := exec.CommandContext(ctx, "dpkg", "-x", deb, tree).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg -x %s: %w: %s", filepath.Base(deb), err, lastLines(string(out), 3))
		}
	}
	return os.RemoveAll(filepath.Join(tree, "usr", "share", "doc"))
}

// findPatchelf returns patchelf from PATH, else unpacks the one of the machine's own release.
func findPatchelf(ctx context.Context, apt privateApt, rel release, mirror string, progress func(string)) (string, error) {
	if path, err := exec.LookPath("patchelf"); err == nil {
		return path, nil
	}
	progress("fetching patchelf")
	if err := apt.sources(ctx, rel, mirror, rel.codename); err != nil {
		return "", err
	}
	if err := apt.run(ctx, "download", "patchelf"); err != nil {
		return "", err
	}
	debs, _ := filepath.Glob(filepath.Join(apt.dir, "patchelf_*.deb"))
	if len(debs) == 0 {
		return "", errors.New("apt-get download patchelf left no file")
	}
	dir := filepath.Join(apt.dir, "patchelf")
	if out, err := exec.CommandContext(ctx, "dpkg", "-x", debs[0], dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("dpkg -x patchelf: %w: %s", err, lastLines(string(out), 3))
	}
	return filepath.Join(dir, "usr", "bin", "patchelf"), nil
}

// relink makes the programs in tree use the loader and libraries they will find once tree has become root.
// RPATH, not RUNPATH, because only the former reaches the libraries' own libraries (ld.so(8)).
func relink(ctx context.Context, patchelf, tree, root string) error {
	var loader string
	for _, pattern := range []string{"usr/lib/*-linux-gnu/ld-linux-*.so.*", "lib/*-linux-gnu/ld-linux-*.so.*",
		"usr/lib/ld-linux-*.so.*", "lib/ld-linux-*.so.*"} {
		if found, _ := filepath.Glob(filepath.Join(tree, pattern)); len(found) > 0 {
			loader = found[0]
			break
		}
	}
	if loader == "" {
		return errors.New("no dynamic loader among the packages")
	}
	inRoot := func(path string) string { return root + strings.TrimPrefix(path, tree) }
	var dirs []string
	for _, pattern := range []string{"usr/lib/*-linux-gnu", "lib/*-linux-gnu", "usr/lib/mysql/private"} {
		found, _ := filepath.Glob(filepath.Join(tree, pattern))
		for _, dir := range found {
			dirs = append(dirs, inRoot(dir))
		}
	}
	for _, program := range []string{"sbin/mysqld", "bin/mysql", "bin/mysqldump", "bin/mysqlbinlog", "bin/mysqladmin"} {
		path := filepath.Join(tree, "usr", program)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, patchelf, "--set-interpreter", inRoot(loader),
			"--force-rpath", "--set-rpath", strings.Join(dirs, ":"), path).CombinedOutput()
		if err != nil {
			return fmt.Errorf("patchelf %s: %w: %s", program, err, lastLines(string(out), 3))
		}
	}
	return nil
}

// lastLines keeps the end of a program's output, where the reason stands.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, " | ")
}
