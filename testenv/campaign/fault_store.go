package campaign

import (
	"context"
	"time"
)

// storeFaults make S3 misbehave and kill the master: that must be replaced as ever.
func storeFaults() []Fault {
	fault := func(name, what string, hold time.Duration, begin func(*Scene)) Fault {
		return Fault{Name: name, What: what + "; the master is killed", Promotions: one, Awaits: true, Hold: hold,
			Begin: func(ctx context.Context, s *Scene) error {
				begin(s)
				if err := pause(ctx, time.Second); err != nil {
					return err
				}
				s.kill(s.master())
				return nil
			}}
	}
	return []Fault{
		fault("s3-5xx", "S3 answers 503 to everything", 5*time.Second, func(s *Scene) { s.S3.Fail(503, -1) }),
		fault("s3-slow", "S3 takes 10 s for each answer", 15*time.Second, func(s *Scene) { s.S3.Delay(10 * time.Second) }),
		fault("s3-409", "S3 answers 409 to everything", 5*time.Second, func(s *Scene) { s.S3.Fail(409, -1) }),
		fault("s3-412", "S3 answers 412 to everything", 5*time.Second, func(s *Scene) { s.S3.Fail(412, -1) }),
		fault("s3-reply-lost", "S3 does as told and cuts the connection instead of answering", 5*time.Second, func(s *Scene) { s.S3.LoseReply(1 << 30) }),
		fault("s3-down-60s", "S3 refuses connections for a minute", time.Minute, func(s *Scene) { s.S3.Down() }),
	}
}
