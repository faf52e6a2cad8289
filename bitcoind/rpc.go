package bitcoind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Codes of RPC errors that callers meet most. Both bitcoind and btcd use them
// unless said otherwise.
const (
	CodeMisc             = -1  // also btcd's answer for a height out of range
	CodeNotFound         = -5  // no such block, transaction or address
	CodeInvalidParameter = -8  // also bitcoind's answer for a height out of range
	CodeVerifyError      = -25 // inputs missing or spent; on btcd also a script that fails
	CodeVerifyRejected   = -26 // refused by consensus or mempool rules
	CodeAlreadyInChain   = -27 // the transaction's outputs are already in the UTXO set
	CodeInWarmup         = -28 // the node is starting
	CodeMethodNotFound   = -32601

	codeInternal = -32603 // btcd's, for the height of a block outside the active chain
)

// maxResponse bounds what one call may make this process hold: a block as hex
// has at most 8 MB, and the verbose mempool of a full node some tens.
const maxResponse = 128 << 20

// ErrResponseTooLarge is wrapped by the TransportError of a call whose
// response exceeded the bound (128 MiB).
var ErrResponseTooLarge = errors.New("response too large")

// ErrUnauthorized is wrapped by the TransportError of a call that the node
// refused for its user or password.
var ErrUnauthorized = errors.New("node refused the user or password")

// errResult: the node answered, and not with what the call is known to return. A
// second answer would be no better.
var errResult = errors.New("unexpected result")

// RPCError is a node's answer that a call failed.
type RPCError struct {
	Method  string // of the call
	Code    int    // compare by this
	Message string // the node's text, for people: it differs between versions
}

// Error implements error.
func (e *RPCError) Error() string {
	return fmt.Sprintf("bitcoind: %s: %s (code %d)", e.Method, e.Message, e.Code)
}

// Is reports whether target is an RPCError with the same code.
func (e *RPCError) Is(target error) bool {
	other, ok := target.(*RPCError)
	return ok && other.Code == e.Code
}

// TransportError says that no readable answer came. Whether the node executed
// the call is unknown.
type TransportError struct {
	Method string // of the call
	Status int    // of HTTP, zero when there was no response
	Err    error
}

// Error implements error.
func (e *TransportError) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("bitcoind: %s: HTTP status %d: %v", e.Method, e.Status, e.Err)
	}
	return fmt.Sprintf("bitcoind: %s: %v", e.Method, e.Err)
}

// Unwrap returns the cause.
func (e *TransportError) Unwrap() error { return e.Err }

// newHTTPClient makes the one client of a Client. A POST is never repeated by
// net/http once a byte of it has been written. Idle connections are dropped
// well before the node's own limit (-rpcservertimeout, 30 s), because a call
// on a connection which the node is just closing is a lost reply.
func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 16,
			MaxConnsPerHost:     16, // bitcoind has 16 RPC threads; more only fill its queue
			IdleConnTimeout:     5 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type rpcRequest struct {
	Version string `json:"jsonrpc"`
	ID      uint64 `json:"id"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

type rpcResponse struct {
	ID     *uint64         `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// Call makes one JSON-RPC call and decodes its result into out, which may be
// nil. It sends the request once: an error is an *RPCError when the node
// answered with one, else a *TransportError, which wraps the context's error
// when that ended first.
func (c *Client) Call(ctx context.Context, method string, out any, params ...any) error {
	request := c.request(method, params)
	var response rpcResponse
	status, err := c.exchange(ctx, method, request, &response)
	if err != nil {
		return err
	}
	return response.decode(request, status, out)
}

// callInTurn makes one call for each list of parameters, all in one request, which
// the node executes in order. It returns the results, or the first error.
func (c *Client) callInTurn(ctx context.Context, method string, params [][]any) ([]json.RawMessage, error) {
	requests := make([]rpcRequest, len(params))
	for i := range params {
		requests[i] = c.request(method, params[i])
	}
	var responses []rpcResponse
	status, err := c.exchange(ctx, method, requests, &responses)
	if err != nil {
		return nil, err
	}
	if len(responses) != len(requests) {
		return nil, &TransportError{Method: method, Status: status, Err: fmt.Errorf("%d responses to %d calls", len(responses), len(requests))}
	}
	results := make([]json.RawMessage, len(responses))
	for i, response := range responses {
		if err := response.decode(requests[i], status, &results[i]); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (c *Client) request(method string, params []any) rpcRequest {
	if params == nil {
		params = []any{}
	}
	// Version 1.0 is what bitcoind and btcd have in common.
	return rpcRequest{Version: "1.0", ID: c.nextID.Add(1), Method: method, Params: params}
}

// exchange sends one request or several and reads what comes back.
func (c *Client) exchange(ctx context.Context, method string, requests, responses any) (status int, err error) {
	body, err := json.Marshal(requests)
	if err != nil {
		return 0, fmt.Errorf("bitcoind: %s: encode parameters: %w", method, err)
	}
	status, reply, err := c.post(ctx, body)
	if err == nil {
		if err = json.Unmarshal(reply, responses); err != nil {
			err = fmt.Errorf("unreadable response %q: %w", excerpt(reply), err)
		}
	}
	if err != nil {
		return status, &TransportError{Method: method, Status: status, Err: err}
	}
	return status, nil
}

// decode reads the result into out, if it answers the request.
func (r rpcResponse) decode(request rpcRequest, status int, out any) error {
	method := request.Method
	if r.ID == nil || *r.ID != request.ID {
		return &TransportError{Method: method, Status: status, Err: errors.New("response to another call")}
	}
	if r.Error != nil {
		return &RPCError{Method: method, Code: r.Error.Code, Message: r.Error.Message}
	}
	if status != http.StatusOK {
		return &TransportError{Method: method, Status: status, Err: errors.New("no error in the response")}
	}
	if out == nil {
		return nil
	}
	if r.Result == nil {
		return &TransportError{Method: method, Status: status, Err: errors.New("no result in the response")}
	}
	if err := json.Unmarshal(r.Result, out); err != nil {
		return &TransportError{Method: method, Status: status, Err: fmt.Errorf("%w %q: %w", errResult, excerpt(r.Result), err)}
	}
	return nil
}

// post sends one body and returns the whole response.
func (c *Client) post(ctx context.Context, body []byte) (status int, reply []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.URL, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth(c.config.User, c.config.Password)
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		return response.StatusCode, nil, ErrUnauthorized
	}
	reply, err = io.ReadAll(io.LimitReader(response.Body, c.maxResponse+1))
	if err != nil {
		return response.StatusCode, nil, err
	}
	if int64(len(reply)) > c.maxResponse {
		return response.StatusCode, nil, ErrResponseTooLarge
	}
	return response.StatusCode, reply, nil
}

// excerpt shortens a response for an error message.
func excerpt(b []byte) []byte {
	const most = 80
	if len(b) > most {
		return b[:most]
	}
	return b
}

// transient reports whether an error may pass by itself: the node is away,
// starting or overloaded. Whoever asks may repeat only calls that read.
func transient(err error) bool {
	var transport *TransportError
	if errors.As(err, &transport) {
		return !errors.Is(err, ErrUnauthorized) && !errors.Is(err, ErrResponseTooLarge) && !errors.Is(err, errResult)
	}
	return errors.Is(err, &RPCError{Code: CodeInWarmup}) || errors.Is(err, ErrIndexing)
}
