package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// client is one connection. Not thread safe.
type client struct {
	conn    *tls.Conn
	reader  *bufio.Reader
	leaving bool // the server's last answer closes the connection
}

// Longer than any answer that is not lost.
const patience = 20 * time.Second

// dial makes a TCP connection and a full handshake: like the API server, it keeps no session.
func (s *server) dial() (*client, error) {
	plain, err := net.DialTimeout("tcp", s.address, patience)
	if err != nil {
		return nil, err
	}
	c := &client{conn: tls.Client(plain, s.trust)}
	c.reader = bufio.NewReader(c.conn)
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if err := c.conn.Handshake(); err != nil {
		plain.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) close() { c.conn.Close() }

func requestHead(length int) string {
	return fmt.Sprintf("POST /validate?timeout=10s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: kube-apiserver-admission\r\n"+
		"Content-Length: %d\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n", length)
}

func requestOf(body []byte) []byte { return append([]byte(requestHead(len(body))), body...) }

var errRefused = errors.New("not allowed")

// review sends a request and checks that it is allowed.
func (c *client) review(request []byte) error {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	c.leaving = response.Close
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"allowed":true`) {
		return fmt.Errorf("%w: %s: %s", errRefused, response.Status, body)
	}
	return nil
}
