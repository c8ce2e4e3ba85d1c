package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"time"
)

// Client asks the watchers. It is safe for concurrent use.
//
// Its methods return an *Error for whatever a watcher answered, ErrUnreachable
// when none answered, and an error that wraps ErrUnknownOutcome when a change was
// sent and its answer was lost.
type Client struct {
	endpoints      []string
	reads, changes *http.Client
	first          atomic.Int32 // the endpoint that answered last

	// Actor is who asks, where there is no certificate that says it.
	Actor string
	// Patience is how long to go on while no watcher answers or none leads: an
	// election takes a second or two. Default 5 s.
	Patience time.Duration
	// Alone is told which watcher answered, when none could be asked that knows of a
	// leader: what it says may be old. Of History only; other answers say it themselves.
	Alone func(watcher string)
}

// ErrUnreachable says that no watcher could be asked; nothing was changed.
var ErrUnreachable = errors.New("no watcher answers")

const (
	defaultPatience = 5 * time.Second
	connectTimeout  = time.Second
	answerTimeout   = 40 * time.Second // beyond every route's own limit
	maxReply        = 64 << 20
	maxHops         = 3 // from watcher to leader to the leader after that
)

// NewClient returns a client of the watchers at the given addresses: base URLs, or
// host:port, which is https with a TLS config and http without.
func NewClient(endpoints []string, tlsConfig *tls.Config) (*Client, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("no endpoint is given")
	}
	c := &Client{Patience: defaultPatience}
	for _, endpoint := range endpoints {
		if !strings.Contains(endpoint, "://") {
			scheme := "http://"
			if tlsConfig != nil {
				scheme = "https://"
			}
			endpoint = scheme + endpoint
		}
		u, err := url.Parse(endpoint)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
			return nil, fmt.Errorf("endpoint %q is not https://host:port", endpoint)
		}
		if u.Scheme == "https" && tlsConfig == nil {
			return nil, fmt.Errorf("endpoint %s needs a certificate to show: give --ca, --cert and --key", endpoint)
		}
		c.endpoints = append(c.endpoints, u.Scheme+"://"+u.Host)
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 2 * connectTimeout,
		IdleConnTimeout:     time.Minute,
	}
	// A change is never sent on a connection that may be dead already.
	fresh := transport.Clone()
	fresh.DisableKeepAlives = true
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.reads = &http.Client{Transport: transport, CheckRedirect: stay}
	c.changes = &http.Client{Transport: fresh, CheckRedirect: stay}
	return c, nil
}

// exchange is one request and where its answer goes.
type exchange struct {
	method, path string
	body         []byte
	out          any
	// changes says that the request may have an effect, and must not be sent twice.
	changes bool
	// alone, when it is not nil, becomes the name of the watcher that answered without
	// knowing of a leader, empty for any other: every endpoint is asked for a better one.
	alone *string
}

// get asks any watcher, again and again within Patience.
func (c *Client) get(ctx context.Context, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, exchange{method: http.MethodGet, path: path, out: out})
}

// post asks for a change. Once it was sent to a watcher it is sent to no other.
func (c *Client) post(ctx context.Context, path string, body, out any) error {
	return c.send(ctx, path, body, out, true)
}

// send posts a body; without changes it is a read that has one.
func (c *Client) send(ctx context.Context, path string, body, out any, changes bool) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.do(ctx, exchange{method: http.MethodPost, path: path, body: data, out: out, changes: changes})
}

func (c *Client) do(ctx context.Context, e exchange) error {
	giveUp := time.Now().Add(c.Patience)
	for {
		err := c.round(ctx, e)
		if err == nil || !isPassing(err) || ctx.Err() != nil || time.Now().After(giveUp) {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// isPassing says whether an error may go away by itself and nothing was changed.
func isPassing(err error) bool {
	return errors.Is(err, ErrUnreachable) || errors.Is(err, ErrNoQuorum)
}

// round asks each endpoint until one has an answer.
func (c *Client) round(ctx context.Context, e exchange) error {
	var failures []string
	var noQuorum error
	answered := false
	for i := range c.endpoints {
		at := (int(c.first.Load()) + i) % len(c.endpoints)
		err := c.ask(ctx, c.endpoints[at]+e.path, e)
		switch {
		case errors.Is(err, ErrNoQuorum):
			noQuorum = err // another may know the leader
			continue
		case errors.Is(err, ErrUnreachable):
			failures = append(failures, strings.TrimPrefix(err.Error(), ErrUnreachable.Error()+": "))
			continue
		case err == nil && e.alone != nil && *e.alone != "":
			answered = true
			continue
		}
		c.first.Store(int32(at))
		return err
	}
	if answered {
		return nil
	}
	if noQuorum != nil {
		return noQuorum
	}
	return fmt.Errorf("%w: %s", ErrUnreachable, strings.Join(failures, "; "))
}

// ask asks one endpoint and follows it to the leader.
func (c *Client) ask(ctx context.Context, address string, e exchange) error {
	for range maxHops {
		next, err := c.once(ctx, address, e)
		if err != nil || next == "" {
			return err
		}
		address = next
	}
	return &Error{Code: NoQuorum, Message: "the watchers do not agree on who leads", Help: helpNoQuorum}
}

// once makes one exchange. It returns the address to go on with, if any.
func (c *Client) once(ctx context.Context, address string, e exchange) (next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	sent := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }})
	request, err := http.NewRequestWithContext(ctx, e.method, address, bytes.NewReader(e.body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.Actor != "" {
		request.Header.Set(ActorHeader, c.Actor)
	}
	client := c.reads
	if e.changes {
		client = c.changes
	}
	response, err := client.Do(request)
	if err != nil {
		return "", lost(address, e.changes && sent, err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusTemporaryRedirect {
		return response.Header.Get("Location"), nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return "", lost(address, e.changes, err)
	}
	if response.StatusCode != http.StatusOK {
		return "", failure(response, body)
	}
	if e.out == nil {
		return "", nil
	}
	if e.alone != nil {
		reflect.ValueOf(e.out).Elem().SetZero() // there may be another's answer in it
		*e.alone = response.Header.Get(leaderlessHeader)
	}
	if err := json.Unmarshal(body, e.out); err != nil {
		return "", fmt.Errorf("the answer of %s is not as expected: %w", request.URL.Host, err)
	}
	return "", nil
}

// lost says what it means that no answer came. Only a change that found a
// connection may have had an effect. A watcher that does not like our certificate
// says so after our side of the handshake is done, and has then read no request.
func lost(address string, mayHaveChanged bool, err error) error {
	host := address
	if u, parseErr := url.Parse(address); parseErr == nil {
		host = u.Host
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return &Error{Code: Forbidden, Message: fmt.Sprintf("%s does not accept our certificate: %v", host, op.Err), Help: "give --cert and --key that \"failoverd tls cert\" made with the same authority"}
	}
	if op != nil && op.Op == "dial" {
		err = op.Err // the rest of it repeats the address
	}
	if !mayHaveChanged {
		return fmt.Errorf("%w: %s: %w", ErrUnreachable, host, err)
	}
	return &Error{Code: UnknownOutcome, Message: fmt.Sprintf("%s was asked and its answer was lost (%v)", host, err), Help: helpUnknown}
}

// failure reads an error's body; something in between may have answered instead.
func failure(response *http.Response, body []byte) error {
	e := &Error{}
	if err := json.Unmarshal(body, e); err == nil && e.Code != "" {
		return e
	}
	text := strings.TrimSpace(string(body))
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return &Error{Code: Internal, Message: fmt.Sprintf("%s answered %s: %s", response.Request.URL.Host, response.Status, text)}
}
