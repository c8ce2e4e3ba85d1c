package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/failoverd/failoverd/internal/object"
)

// partBytes is the size of all parts but the last. S3 takes 5 MiB and more, and at
// most 10,000 of them (user guide, "Amazon S3 multipart upload limits").
const partBytes = 8 << 20

// partBuffers keeps the memory of parts: an upload holds two, one that is filled
// while the other is sent.
var partBuffers = sync.Pool{New: func() any { return new([partBytes]byte) }}

// bucketUpload is an object.Upload: a multipart upload, or, when all of it fits in
// one part, a plain put.
type bucketUpload struct {
	b     *bucket
	key   string
	size  int64
	part  *[partBytes]byte // being filled; nil when there is nothing in it
	used  int              // of part
	id    string           // of the multipart upload, once there is one
	parts []types.CompletedPart

	sent   chan error // of the part under way; nil when there is none
	broken error      // of the part that failed
	cancel context.CancelFunc
}

// Upload implements object.Store.
func (b *bucket) Upload(ctx context.Context, key string) (object.Upload, error) {
	if err := errors.Join(object.CheckKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	return &bucketUpload{b: b, key: key}, nil
}

// Write implements object.Upload.
func (u *bucketUpload) Write(ctx context.Context, p []byte) error {
	u.size += int64(len(p))
	for len(p) > 0 {
		if u.used == partBytes {
			if err := u.send(ctx); err != nil {
				return err
			}
		}
		if u.part == nil {
			u.part = partBuffers.Get().(*[partBytes]byte)
		}
		n := copy(u.part[u.used:], p)
		u.used, p = u.used+n, p[n:]
	}
	return ctx.Err()
}

// send starts to send the part once the one before has arrived.
func (u *bucketUpload) send(ctx context.Context) error {
	if err := u.wait(); err != nil {
		return err
	}
	if u.id == "" {
		if err := u.b.again(ctx, func() error { return u.begin(ctx) }); err != nil {
			return err
		}
	}
	part, used, number := u.part, u.used, int32(len(u.parts)+1)
	sum := sha256.Sum256(part[:used])
	u.part, u.used = nil, 0
	u.parts = append(u.parts, types.CompletedPart{PartNumber: &number, ChecksumSHA256: checksum(sum)})
	completed := &u.parts[number-1]
	ctx, u.cancel = context.WithCancel(ctx)
	u.sent = make(chan error, 1)
	go func(sent chan<- error) {
		sent <- u.b.again(ctx, func() (err error) {
			completed.ETag, err = u.sendPart(ctx, number, part[:used], sum)
			return err
		})
		partBuffers.Put(part)
	}(u.sent)
	return nil
}

// wait returns the outcome of the part under way, or of one before that failed.
func (u *bucketUpload) wait() error {
	if u.sent == nil {
		return u.broken
	}
	u.broken = <-u.sent
	u.cancel()
	u.sent = nil
	return u.broken
}

func (u *bucketUpload) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, u.b.timeout)
	defer cancel()
	in := &s3.CreateMultipartUploadInput{
		Bucket: &u.b.name, Key: aws.String(u.b.prefix + u.key), ContentType: contentType(u.key),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	}
	if mode, until := u.b.lock.until(u.key, time.Now()); mode != "" {
		in.ObjectLockMode, in.ObjectLockRetainUntilDate = types.ObjectLockMode(mode), &until
	}
	out, err := u.b.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return u.b.failed(ctx, "begin the upload "+u.key, err)
	}
	u.id = aws.ToString(out.UploadId)
	return nil
}

func (u *bucketUpload) sendPart(ctx context.Context, number int32, body []byte, sum [sha256.Size]byte) (etag *string, err error) {
	ctx, cancel := context.WithTimeout(ctx, u.b.patience(int64(len(body))))
	defer cancel()
	out, err := u.b.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.b.name, Key: aws.String(u.b.prefix + u.key), UploadId: &u.id, PartNumber: &number,
		Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))), ChecksumSHA256: checksum(sum),
	}, presummed(sum))
	if err != nil {
		return nil, u.b.failed(ctx, "upload "+u.key, err)
	}
	return out.ETag, nil
}

// again repeats what the store gave no usable answer to, for the time of Options.Persist.
func (b *bucket) again(ctx context.Context, do func() error) error {
	began := time.Now()
	for wait := maxBackoff; ; wait = min(2*wait, 16*maxBackoff) {
		err := do()
		if !errors.Is(err, object.ErrUnavailable) || time.Since(began) > b.persist {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// Commit implements object.Upload.
func (u *bucketUpload) Commit(ctx context.Context, cond object.Condition) error {
	if u.id == "" && u.size <= partBytes {
		var body []byte
		if u.part != nil {
			body = u.part[:u.used]
		}
		return u.b.again(ctx, func() error {
			_, err := u.b.Put(ctx, u.key, body, cond)
			return err
		})
	}
	if u.used > 0 {
		if err := u.send(ctx); err != nil {
			return err
		}
	}
	if err := u.wait(); err != nil {
		return err
	}
	return u.b.again(ctx, func() error { return u.complete(ctx, cond) })
}

func (u *bucketUpload) complete(ctx context.Context, cond object.Condition) error {
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &u.b.name, Key: aws.String(u.b.prefix + u.key), UploadId: &u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	}
	if err := condition(cond, &in.IfMatch, &in.IfNoneMatch); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, u.b.patience(u.size))
	defer cancel()
	if _, err := u.b.client.CompleteMultipartUpload(ctx, in); err != nil {
		return u.b.failed(ctx, "upload "+u.key, err)
	}
	u.id = ""
	return nil
}

// Abort implements object.Upload.
func (u *bucketUpload) Abort(ctx context.Context) error {
	if u.sent != nil {
		u.cancel()
		_ = u.wait() // it was given up
	}
	u.release()
	if u.id == "" {
		return nil
	}
	err := u.b.Discard(ctx, object.Unfinished{Key: u.key, ID: u.id})
	if err == nil {
		u.id = ""
	}
	return err
}

func (u *bucketUpload) release() {
	if u.part != nil {
		partBuffers.Put(u.part)
	}
	u.part, u.used = nil, 0
}

// Unfinished implements object.Store.
func (b *bucket) Unfinished(ctx context.Context, prefix string) ([]object.Unfinished, error) {
	var all []object.Unfinished
	in := &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: aws.String(b.prefix + prefix)}
	for {
		page, err := b.unfinishedPage(ctx, in)
		if errors.Is(err, object.ErrConflict) {
			return all, nil // some say so instead of an empty list
		}
		if err != nil {
			return nil, err
		}
		for _, u := range page.Uploads {
			key, ours := strings.CutPrefix(aws.ToString(u.Key), b.prefix)
			if ours && strings.HasPrefix(key, prefix) {
				all = append(all, object.Unfinished{Key: key, Begun: aws.ToTime(u.Initiated), ID: aws.ToString(u.UploadId)})
			}
		}
		if !aws.ToBool(page.IsTruncated) || aws.ToString(page.NextKeyMarker) == "" {
			return all, nil
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}

func (b *bucket) unfinishedPage(ctx context.Context, in *s3.ListMultipartUploadsInput) (*s3.ListMultipartUploadsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	page, err := b.client.ListMultipartUploads(ctx, in)
	if err != nil {
		return nil, b.failed(ctx, "list unfinished uploads of "+aws.ToString(in.Prefix), err)
	}
	return page, nil
}

// Discard implements object.Store.
func (b *bucket) Discard(ctx context.Context, u object.Unfinished) error {
	if err := object.CheckKey(u.Key); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &b.name, Key: aws.String(b.prefix + u.Key), UploadId: &u.ID,
	})
	if err == nil {
		return nil
	}
	if err = b.failed(ctx, "discard the upload "+u.Key, err); errors.Is(err, object.ErrConflict) || errors.Is(err, object.ErrNotFound) {
		return nil // it is gone
	}
	return err
}

func checksum(sum [sha256.Size]byte) *string {
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

// presummed spares the SDK from hashing the body once more for the signature.
func presummed(sum [sha256.Size]byte) func(*s3.Options) {
	known := middleware.FinalizeMiddlewareFunc("KnownPayloadHash", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		return next.HandleFinalize(v4.SetPayloadHash(ctx, hex.EncodeToString(sum[:])), in)
	})
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(known, (&v4.ComputePayloadSHA256{}).ID(), middleware.Before)
	})
}
