package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/failoverd/failoverd/internal/object"
)

// bucket is an object.Store over an S3 bucket.
type bucket struct {
	client   *s3.Client
	name     string
	prefix   string
	timeout  time.Duration
	attempts int
	persist  time.Duration
	lock     Lock
}

// maxBackoff keeps the SDK's waits between attempts within our deadlines; its
// own default is 20 s.
const maxBackoff = time.Second

func openBucket(ctx context.Context, l location, options Options) (*bucket, error) {
	load := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = options.Attempts
				o.MaxBackoff = maxBackoff
			})
		}),
	}
	if l.region != "" {
		load = append(load, config.WithRegion(l.region))
	}
	if options.AccessKeyID != "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(
			options.AccessKeyID, options.SecretAccessKey, options.SessionToken)))
	}
	if options.HTTPClient != nil {
		load = append(load, config.WithHTTPClient(options.HTTPClient))
	} else {
		load = append(load, config.WithHTTPClient(awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) {
			d.Timeout = 3 * time.Second
		})))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("load the S3 client's configuration: %w", err)
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = l.pathStyle
		if l.endpoint == "" {
			return
		}
		o.BaseEndpoint = aws.String(l.endpoint)
		// Many compatible stores refuse the SDK's default trailing checksums.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if o.Region == "" {
			o.Region = "us-east-1" // signing needs one; compatible stores ignore it
		}
	})
	return &bucket{client: client, name: l.bucket, prefix: l.prefix, timeout: options.Timeout, attempts: options.Attempts, persist: options.Persist, lock: options.Lock}, nil
}

// Get implements object.Store.
func (b *bucket) Get(ctx context.Context, key string) (object.Object, error) {
	return b.get(ctx, key, nil)
}

// GetIfChanged implements object.Store.
func (b *bucket) GetIfChanged(ctx context.Context, key, etag string) (object.Object, error) {
	if etag == "" {
		return b.get(ctx, key, nil)
	}
	return b.get(ctx, key, &etag)
}

func (b *bucket) get(ctx context.Context, key string, ifNoneMatch *string) (object.Object, error) {
	if err := object.CheckKey(key); err != nil {
		return object.Object{}, err
	}
	return b.read(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: aws.String(b.prefix + key), IfNoneMatch: ifNoneMatch}, "get "+key)
}

// GetRange implements object.Store.
func (b *bucket) GetRange(ctx context.Context, key string, offset, size int64) ([]byte, error) {
	if err := errors.Join(object.CheckKey(key), object.CheckRange(offset, size)); err != nil {
		return nil, err
	}
	o, err := b.read(ctx, &s3.GetObjectInput{
		Bucket: &b.name, Key: aws.String(b.prefix + key), Range: aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+size-1)),
	}, "get "+key)
	return o.Body, err
}

// read asks again when the connection breaks in the midst of the body, which the
// SDK leaves to its caller.
func (b *bucket) read(ctx context.Context, in *s3.GetObjectInput, what string) (o object.Object, err error) {
	for try := 1; ; try++ {
		var broke bool
		if o, broke, err = b.readOnce(ctx, in, what); !broke || try >= b.attempts {
			return o, err
		}
	}
}

// readOnce says whether the body broke off before its end. The size of an object is
// known, and its time is given, only when its header is there.
func (b *bucket) readOnce(ctx context.Context, in *s3.GetObjectInput, what string) (o object.Object, broke bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(b.timeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	out, err := b.client.GetObject(ctx, in)
	if err != nil {
		return object.Object{}, false, b.failed(ctx, what, err)
	}
	defer out.Body.Close()
	size := aws.ToInt64(out.ContentLength)
	timer.Reset(b.patience(size))
	body := bytes.NewBuffer(make([]byte, 0, max(min(size, maxGuess), 0)+bytes.MinRead))
	if _, err := body.ReadFrom(out.Body); err != nil {
		return object.Object{}, ctx.Err() == nil, b.failed(ctx, what, err)
	}
	return object.Object{Body: body.Bytes(), ETag: aws.ToString(out.ETag)}, false, nil
}

// maxGuess bounds what is allocated because a header says that so much will come.
const maxGuess = 64 << 20

// floorRate is the slowest transfer that is not given up, bytes per second.
const floorRate = 512 << 10

// patience is how long a call that carries size bytes may take.
func (b *bucket) patience(size int64) time.Duration {
	return b.timeout + time.Duration(max(size, 0))*time.Second/floorRate
}

// Put implements object.Store.
func (b *bucket) Put(ctx context.Context, key string, body []byte, cond object.Condition) (string, error) {
	if err := object.CheckKey(key); err != nil {
		return "", err
	}
	in := &s3.PutObjectInput{
		Bucket: &b.name, Key: aws.String(b.prefix + key),
		Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
		ContentType: contentType(key),
	}
	if err := condition(cond, &in.IfMatch, &in.IfNoneMatch); err != nil {
		return "", fmt.Errorf("put %s: %w", key, err)
	}
	if mode, until := b.lock.until(key, time.Now()); mode != "" { // for which S3 wants a checksum
		in.ObjectLockMode, in.ObjectLockRetainUntilDate = types.ObjectLockMode(mode), &until
		in.ChecksumSHA256 = checksum(sha256.Sum256(body))
	}
	ctx, cancel := context.WithTimeout(ctx, b.patience(int64(len(body))))
	defer cancel()
	out, err := b.client.PutObject(ctx, in)
	if err != nil {
		err = b.failed(ctx, "put "+key, err)
		if in.IfMatch != nil && errors.Is(err, object.ErrNotFound) {
			err = fmt.Errorf("put %s (%s): no such object: %w", key, cond, object.ErrConflict)
		}
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

// condition puts cond into the headers of a request. An empty ETag matches nothing.
func condition(cond object.Condition, ifMatch, ifNoneMatch **string) error {
	etag, asked := cond.Match()
	switch {
	case asked && etag == "":
		return fmt.Errorf("%s: %w", cond, object.ErrConflict)
	case asked:
		*ifMatch = &etag
	case cond.Absent():
		*ifNoneMatch = aws.String("*")
	}
	return nil
}

// List implements object.Store.
func (b *bucket) List(ctx context.Context, prefix string) ([]object.Entry, error) {
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{
		Bucket: &b.name, Prefix: aws.String(b.prefix + prefix),
	})
	var entries []object.Entry
	for pages.HasMorePages() {
		page, err := b.page(ctx, pages)
		if err != nil {
			return nil, b.failed(ctx, "list "+prefix, err)
		}
		for _, o := range page.Contents {
			entries = append(entries, object.Entry{
				Key:  strings.TrimPrefix(aws.ToString(o.Key), b.prefix),
				Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified),
			})
		}
	}
	return entries, nil
}

func (b *bucket) page(ctx context.Context, pages *s3.ListObjectsV2Paginator) (*s3.ListObjectsV2Output, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	return pages.NextPage(ctx)
}

// Delete implements object.Store.
func (b *bucket) Delete(ctx context.Context, key string) error {
	if err := object.CheckKey(key); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: aws.String(b.prefix + key)})
	if err != nil {
		if err = b.failed(ctx, "delete "+key, err); errors.Is(err, object.ErrNotFound) {
			return nil
		}
		return err
	}
	return nil
}

// failed puts S3's answer under the sentinel a caller branches on. The error
// codes are those of the API reference, "Error responses".
func (b *bucket) failed(ctx context.Context, what string, err error) error {
	var api smithy.APIError
	var answer *awshttp.ResponseError
	status, code := 0, ""
	if errors.As(err, &answer) {
		status = answer.HTTPStatusCode()
	}
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	switch {
	case errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled) &&
		!errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", what, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
		return fmt.Errorf("%s: no answer in time: %w", what, errors.Join(object.ErrUnavailable, context.DeadlineExceeded))
	case status == http.StatusNotModified:
		return fmt.Errorf("%s: %w", what, object.ErrNotModified)
	case code == "NoSuchBucket":
		return fmt.Errorf("%s: bucket %s does not exist", what, b.name)
	case code == "NoSuchUpload" || code == "InvalidPart":
		return fmt.Errorf("%s: the upload, or a part of it, is not there any more: %w", what, object.ErrConflict)
	case code == "NoSuchKey" || code == "NotFound" || status == http.StatusNotFound || status == http.StatusRequestedRangeNotSatisfiable:
		return fmt.Errorf("%s: %w", what, object.ErrNotFound)
	case status == http.StatusPreconditionFailed, code == "ConditionalRequestConflict":
		return fmt.Errorf("%s: %w", what, object.ErrConflict)
	case status == http.StatusNotImplemented:
		return fmt.Errorf("%s: the store does not know this request: %w", what, err)
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == 0 && isNetwork(err):
		return fmt.Errorf("%s: %w: %w", what, object.ErrUnavailable, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// isNetwork tells a request that got no answer from one that was never sent,
// for want of credentials, say.
func isNetwork(err error) bool {
	var sent *smithy.OperationError
	var request *awshttp.ResponseError
	var network net.Error
	return errors.As(err, &network) || errors.As(err, &request) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.As(err, &sent) && strings.Contains(err.Error(), "request send failed")
}

func contentType(key string) *string {
	if strings.HasSuffix(key, ".json") {
		return aws.String("application/json")
	}
	return aws.String("application/octet-stream")
}
