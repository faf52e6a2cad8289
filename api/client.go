package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/daobank/daobank/ledger"
)

// Client speaks to one bank. It is safe for concurrent use. Every method takes
// a context and sends one request, but for those that say otherwise.
//
// Errors of all methods: *ledger.Error when the bank refused; *TransportError
// when no answer came or none that can be read; the context's.
type Client struct {
	url  string
	http *http.Client

	mu    sync.Mutex
	pin   *ledger.BankID
	bank  *Bank     // of the first answer
	proof *verifier // of its charter
}

// ErrBank says that the server is not the bank that was expected, or that what
// it says of itself contradicts its id.
var ErrBank = errors.New("this is not the bank that was expected")

// A TransportError says that a request got no answer that can be read. Whatever
// was ordered may have been carried out or not: send the same order again.
type TransportError struct {
	URL string
	Err error
}

func (e *TransportError) Error() string {
	return fmt.Sprintf("no answer from the bank at %s: %v", e.URL, e.Err)
}

func (e *TransportError) Unwrap() error { return e.Err }

// answerMax bounds the bytes that are read of one answer. The largest is a list
// of batches whose last one is large.
const answerMax = 256 << 20

// Dial returns a client of the bank at a URL such as http://127.0.0.1:7070. It
// sends nothing yet.
func Dial(url string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64 // all go to one host
	// A server that accepts a request and hangs is as good as one that is gone.
	transport.ResponseHeaderTimeout = time.Minute
	return &Client{url: strings.TrimRight(url, "/"), http: &http.Client{Transport: transport}}
}

// Pin makes the client refuse, with ErrBank, every bank but the one of this id.
// Without it the client believes the first answer about which bank it is.
func (c *Client) Pin(id ledger.BankID) *Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pin = &id
	return c
}

// Bank returns what the bank says of itself now, checked against its id. Error
// besides: ErrBank.
func (c *Client) Bank(ctx context.Context) (Bank, error) {
	var b Bank
	if err := c.get(ctx, "/v1/bank", nil, &b); err != nil {
		return Bank{}, err
	}
	if err := b.Charter.Validate(); err != nil {
		return Bank{}, fmt.Errorf("%w: %w", ErrBank, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch id := b.Charter.ID(); {
	case id != b.ID:
		return Bank{}, fmt.Errorf("%w: its charter has the id %s and it says %s", ErrBank, id, b.ID)
	case c.pin != nil && id != *c.pin:
		return Bank{}, fmt.Errorf("%w: its id is %s, not %s", ErrBank, id, *c.pin)
	case c.bank != nil && id != c.bank.ID:
		return Bank{}, fmt.Errorf("%w: its id was %s and is now %s", ErrBank, c.bank.ID, id)
	}
	if c.bank == nil {
		c.bank, c.proof = &b, newVerifier(b.Charter)
	}
	return b, nil
}

// known returns what checks receipts, and asks for the charter once.
func (c *Client) known(ctx context.Context) (*verifier, error) {
	c.mu.Lock()
	proof := c.proof
	c.mu.Unlock()
	if proof != nil {
		return proof, nil
	}
	if _, err := c.Bank(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proof, nil
}

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, "", nil, func(body io.Reader) error { return json.NewDecoder(body).Decode(into) })
}

// do sends one request and hands the body of a good answer to read.
func (c *Client) do(ctx context.Context, method, path, contentType string, body []byte, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the bank's URL: %w", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return c.lost(ctx, err)
	}
	defer answer.Body.Close()
	limited := io.LimitReader(answer.Body, answerMax)
	if answer.StatusCode != http.StatusOK {
		return c.refused(ctx, answer.StatusCode, limited)
	}
	if err := read(limited); err != nil {
		return c.lost(ctx, err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(limited, 4096)) // so that the connection is used again
	return nil
}

// lost reports a missing answer; the context's end is told as such.
func (c *Client) lost(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return &TransportError{URL: c.url, Err: err}
}

// refused reads the bank's refusal. An error page of something between the bank
// and here is no answer of the bank.
func (c *Client) refused(ctx context.Context, status int, body io.Reader) error {
	var form errorForm
	text, err := io.ReadAll(io.LimitReader(body, 64<<10))
	if err != nil {
		return c.lost(ctx, err)
	}
	if err := json.Unmarshal(text, &form); err != nil || form.Error == nil || form.Error.Code == "" {
		return c.lost(ctx, fmt.Errorf("status %d without the bank's own error", status))
	}
	return form.Error.refusal()
}
