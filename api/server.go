package api

import (
	"net/http"
	"time"
)

// NewServer returns a server for the handler with limits that keep a slow or
// greedy client from holding it: ten seconds for a request's header, a minute
// for all of it, two minutes for the answer, 16 KiB of header.
func NewServer(addr string, handler http.Handler) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
