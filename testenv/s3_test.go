package testenv

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// s3Bench is a service and two calls of a client that never tries twice.
func s3Bench(t *testing.T) (*S3, func(value string) error, func() (string, error)) {
	t.Helper()
	service, err := NewS3(t.Context())
	require.NoError(t, err)
	t.Cleanup(service.Close)
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(service.Endpoint), Region: service.Region, UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(service.AccessKey, service.SecretKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		Retryer:                    aws.NopRetryer{},
	})
	put := func(value string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &service.Bucket, Key: aws.String("k"),
			Body: bytes.NewReader([]byte(value))})
		return err
	}
	get := func() (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &service.Bucket, Key: aws.String("k")})
		if err != nil {
			return "", err
		}
		defer out.Body.Close()
		body, err := io.ReadAll(out.Body)
		return string(body), err
	}
	return service, put, get
}

func TestS3DownRefusesAndUpKeepsTheData(t *testing.T) {
	service, put, get := s3Bench(t)
	require.NoError(t, put("one"))
	service.Down()
	require.Error(t, put("two"), "on the connection that was cut")
	require.ErrorContains(t, put("two"), "connection refused")
	require.NoError(t, service.Up(t.Context()))
	value, err := get()
	require.NoError(t, err)
	assert.Equal(t, "one", value)
}

func TestS3FailHasNoEffect(t *testing.T) {
	service, put, get := s3Bench(t)
	require.NoError(t, put("one"))
	service.Fail(503, 1)
	require.ErrorContains(t, put("two"), "SlowDown")
	value, err := get()
	require.NoError(t, err)
	assert.Equal(t, "one", value)
}

func TestS3LoseReplyTakesEffect(t *testing.T) {
	service, put, get := s3Bench(t)
	require.NoError(t, put("one"))
	service.LoseReply(1)
	require.Error(t, put("two"))
	value, err := get()
	require.NoError(t, err)
	assert.Equal(t, "two", value)
}

func TestS3DelayOutlastsTheDeadline(t *testing.T) {
	service, put, get := s3Bench(t)
	service.Delay(time.Minute)
	require.ErrorIs(t, put("one"), context.DeadlineExceeded)
	service.Delay(0)
	_, err := get()
	require.ErrorContains(t, err, "NoSuchKey")
}
