// Package s3 implements object.Store over S3 and over a directory. It is the
// only place that knows the AWS SDK.
package s3

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/object"
)

// Options are what a store's URL does not carry. The zero value uses the SDK's
// default credential chain and the default limits.
type Options struct {
	// AccessKeyID and SecretAccessKey are used instead of the default chain
	// when set; SessionToken goes with them when they are temporary.
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	// Timeout bounds one call, all its attempts included. Default 10 s. A call that
	// carries much data has two seconds more for each MiB of it.
	Timeout time.Duration
	// Attempts bounds how often one call asks. Default 3.
	Attempts int
	// Persist is for how long a part of an upload is sent again while the store gives
	// no usable answer, since much work may hang on it. Default 2 min; negative: not at all.
	Persist time.Duration
	// Lock protects what is written; without a mode nothing is.
	Lock Lock
	// HTTPClient replaces the SDK's, for a private CA or a test.
	HTTPClient *http.Client
}

// Lock is the retention that objects get with which they are written (Amazon S3 user guide,
// "Locking objects with Object Lock"). It needs a bucket with versions and object lock. A
// Delete then leaves the object's version behind, unseen; a lifecycle rule of the
// bucket for noncurrent versions has to remove it when its time has passed.
type Lock struct {
	// Mode is "governance", "compliance" or empty.
	Mode string
	Days int
	// Of says which keys; nil is all of them.
	Of func(key string) bool
}

func (l Lock) check() error {
	switch l.Mode {
	case "":
		return nil
	case "governance", "compliance":
		if l.Days < 1 {
			return fmt.Errorf("object lock: %d days: want 1 or more", l.Days)
		}
		return nil
	}
	return fmt.Errorf("object lock: mode %q is neither governance nor compliance", l.Mode)
}

// until says for how long an object that is written at now is locked; mode is empty if it is not.
func (l Lock) until(key string, now time.Time) (mode string, until time.Time) {
	if l.Mode == "" || l.Of != nil && !l.Of(key) {
		return "", time.Time{}
	}
	return strings.ToUpper(l.Mode), now.AddDate(0, 0, l.Days)
}

// String hides the credentials from any log.
func (o Options) String() string {
	return fmt.Sprintf("{Timeout:%s Attempts:%d Persist:%s}", o.Timeout, o.Attempts, o.Persist)
}

// GoString hides the credentials from %#v too.
func (o Options) GoString() string { return o.String() }

const (
	defaultTimeout  = 10 * time.Second
	defaultAttempts = 3
	defaultPersist  = 2 * time.Minute
)

// Open returns the store that rawURL names:
//
//	s3://bucket/prefix?region=eu-central-1&endpoint=https://minio:9000&pathStyle=true
//	file:///var/lib/failoverd/objects
//
// region, endpoint and pathStyle may be left out. Open sends nothing to S3 (the
// default credential chain may ask its own services); it creates a directory
// store's directory. Errors name the part of the URL that is wrong.
func Open(ctx context.Context, rawURL string, options Options) (object.Store, error) {
	location, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	if options.Timeout <= 0 {
		options.Timeout = defaultTimeout
	}
	if options.Attempts <= 0 {
		options.Attempts = defaultAttempts
	}
	if options.Persist == 0 {
		options.Persist = defaultPersist
	}
	if err := options.Lock.check(); err != nil {
		return nil, err
	}
	if location.dir != "" && options.Lock.Mode != "" {
		return nil, fmt.Errorf("object store URL %s: a directory has no object lock", rawURL)
	}
	if location.dir != "" {
		return openDir(location.dir, options.Timeout)
	}
	return openBucket(ctx, location, options)
}

type location struct {
	dir string // of a file URL; empty for S3

	bucket    string
	prefix    string // empty or ending in a slash
	region    string
	endpoint  string
	pathStyle bool
}

func parse(rawURL string) (location, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// url.Error quotes the URL, which may carry a secret by mistake.
		return location{}, fmt.Errorf("object store URL cannot be parsed")
	}
	if u.User != nil {
		return location{}, fmt.Errorf("object store URL: credentials do not belong in it, use the credential settings")
	}
	if u.Fragment != "" {
		return location{}, fmt.Errorf("object store URL %s: has a #fragment", rawURL)
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.RawQuery != "" {
			return location{}, fmt.Errorf("object store URL %s: want file:///absolute/dir", rawURL)
		}
		return location{dir: u.Path}, nil
	case "s3":
		return parseBucket(rawURL, u)
	default:
		return location{}, fmt.Errorf("object store URL %s: scheme %q is neither s3 nor file", rawURL, u.Scheme)
	}
}

func parseBucket(rawURL string, u *url.URL) (location, error) {
	l := location{bucket: u.Host, prefix: strings.Trim(u.Path, "/")}
	if l.bucket == "" {
		return location{}, fmt.Errorf("object store URL %s: names no bucket", rawURL)
	}
	if l.prefix != "" {
		if err := object.CheckKey(l.prefix); err != nil {
			return location{}, fmt.Errorf("object store URL %s: prefix: %w", rawURL, err)
		}
		l.prefix += "/"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return location{}, fmt.Errorf("object store URL %s: query: %w", rawURL, err)
	}
	known := []string{"region", "endpoint", "pathStyle"}
	for name, values := range query {
		if !slices.Contains(known, name) || len(values) != 1 {
			return location{}, fmt.Errorf("object store URL %s: parameter %q is unknown or repeated, know %s",
				rawURL, name, strings.Join(known, ", "))
		}
	}
	l.region, l.endpoint = query.Get("region"), query.Get("endpoint")
	if l.endpoint != "" {
		e, err := url.Parse(l.endpoint)
		if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil {
			return location{}, fmt.Errorf("object store URL: endpoint is not http(s)://host[:port]")
		}
	}
	if query.Has("pathStyle") {
		if l.pathStyle, err = strconv.ParseBool(query.Get("pathStyle")); err != nil {
			return location{}, fmt.Errorf("object store URL %s: pathStyle %q is neither true nor false", rawURL, query.Get("pathStyle"))
		}
	}
	return l, nil
}
