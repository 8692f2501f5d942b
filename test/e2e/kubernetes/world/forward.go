package main

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A connection on the same machine is made at once, or the other side has stopped accepting.
const dialTimeout = 2 * time.Second

// forward passes each connection on to the port that `next` names; 0 resets it.
func forward(listener net.Listener, next func() int) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			port := next()
			if port == 0 {
				reset(client)
				return
			}
			server, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), dialTimeout)
			if err != nil {
				reset(client)
				return
			}
			join(client.(*net.TCPConn), server.(*net.TCPConn))
		}()
	}
}

func reset(connection net.Conn) {
	connection.(*net.TCPConn).SetLinger(0)
	connection.Close()
}

// join copies both ways until both sides have ended.
func join(one, other *net.TCPConn) {
	var both sync.WaitGroup
	copyTo := func(to, from *net.TCPConn) {
		defer both.Done()
		if _, err := io.Copy(to, from); err != nil {
			to.SetLinger(0)
			to.Close()
			return
		}
		to.CloseWrite()
	}
	both.Add(2)
	go copyTo(one, other)
	copyTo(other, one)
	both.Wait()
	one.Close()
	other.Close()
}

// balancer is the gate's Service: connections go in turn to the replicas that accept them.
type balancer struct {
	listener net.Listener
	mu       sync.Mutex
	backends []string
	turn     int
}

func newBalancer() (*balancer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: listener}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go b.serve(client)
		}
	}()
	return b, nil
}

func (b *balancer) serve(client net.Conn) {
	for _, address := range b.order() {
		server, err := net.DialTimeout("tcp", address, dialTimeout)
		if err == nil {
			join(client.(*net.TCPConn), server.(*net.TCPConn))
			return
		}
	}
	reset(client)
}

func (b *balancer) set(backends []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = backends
}

// order is all of them, beginning with the one whose turn it is.
func (b *balancer) order() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.backends) == 0 {
		return nil
	}
	b.turn = (b.turn + 1) % len(b.backends)
	return append(append([]string{}, b.backends[b.turn:]...), b.backends[:b.turn]...)
}
