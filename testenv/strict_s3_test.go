package testenv

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStrictS3RefusesAWrongChecksumAndKeepsItsDataWhenKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("needs versitygw")
	}
	service, err := NewStrictS3(t.Context(), t.TempDir(), false, func(s string) { t.Log(s) })
	if errors.Is(err, ErrNoStrictS3) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(service.Close)
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(service.Endpoint), Region: service.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(service.AccessKey, service.SecretKey, ""),
		Retryer:     aws.NopRetryer{},
	})
	put := func(body string, sumOf string) error {
		sum := sha256.Sum256([]byte(sumOf))
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &service.Bucket, Key: aws.String("k"),
			Body: bytes.NewReader([]byte(body)), ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:]))})
		return err
	}
	require.NoError(t, put("one", "one"))
	require.Error(t, put("two", "another"))

	service.Kill()
	require.ErrorContains(t, put("two", "two"), "connection refused")
	require.NoError(t, service.Start(t.Context()))
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &service.Bucket, Key: aws.String("k")})
	require.NoError(t, err)
	var body bytes.Buffer
	_, err = body.ReadFrom(out.Body)
	require.NoError(t, err)
	assert.Equal(t, "one", body.String())
}
