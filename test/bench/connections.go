package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	idleConnections  = 256
	slowConnections  = 512
	burstConnections = 64

	// The load beside which others are idle or slow: well below what any server can do, so that latency is not that of a
	// queue of its own making.
	steadyConnections = 8
	steadyInterval    = 10 * time.Millisecond // between the requests of one connection
	newcomerInterval  = 100 * time.Millisecond

	rollingStops = 5
)

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// observed is what a working client sees: of its requests at a constant rate, and of the new connections beside them.
type observed struct {
	latenciesMs, newcomersMs []float64
	failed                   int
}

func (o observed) longest() float64 {
	return quantile(append(append([]float64{}, o.latenciesMs...), o.newcomersMs...), 1)
}

func (s *server) observe(request []byte, length time.Duration) observed {
	// A collection of this program would look like a slow server.
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	ctx, stop := context.WithTimeout(context.Background(), length)
	defer stop()
	var o observed
	var lost int
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.newcomersMs, lost = s.newcomers(ctx, request)
	}()
	o.latenciesMs, o.failed = s.steady(request, length)
	<-done
	o.failed += lost
	return o
}

// steady sends requests at a constant rate. A request that its forerunner delays counts from when it was due.
func (s *server) steady(request []byte, length time.Duration) (latenciesMs []float64, failed int) {
	var mutex sync.Mutex
	var group sync.WaitGroup
	start := time.Now()
	one := func(offset time.Duration) {
		defer group.Done()
		var mine []float64
		var lost int
		defer func() {
			mutex.Lock()
			defer mutex.Unlock()
			latenciesMs = append(latenciesMs, mine...)
			failed += lost
		}()
		c, err := s.dial()
		if err != nil {
			lost++
			return
		}
		defer func() { c.close() }()
		if err := c.review(request); err != nil {
			lost++
			return
		}
		for due := start.Add(offset); due.Before(start.Add(length)); due = due.Add(steadyInterval) {
			began := due
			if early := time.Until(due); early > 0 {
				time.Sleep(early)
				began = time.Now()
			}
			if err := c.review(request); err != nil {
				lost++
				c.close()
				if c, err = s.dial(); err != nil {
					return
				}
				continue
			}
			mine = append(mine, milliseconds(time.Since(began)))
		}
	}
	for i := 0; i < steadyConnections; i++ {
		group.Add(1)
		go one(steadyInterval * time.Duration(i) / steadyConnections)
	}
	group.Wait()
	return latenciesMs, failed
}

// newcomer is one new connection with one request.
func (s *server) newcomer(request []byte) (time.Duration, error) {
	began := time.Now()
	c, err := s.dial()
	if err != nil {
		return 0, err
	}
	defer c.close()
	err = c.review(request)
	return time.Since(began), err
}

// newcomers come one after the other until the context ends.
func (s *server) newcomers(ctx context.Context, request []byte) (tookMs []float64, failed int) {
	for tick := time.NewTicker(newcomerInterval); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return tookMs, failed
		case <-tick.C:
			if took, err := s.newcomer(request); err != nil {
				failed++
			} else {
				tookMs = append(tookMs, milliseconds(took))
			}
		}
	}
}

// burst opens `burstConnections` at once and keeps all until the last is served.
func (s *server) burst(request []byte) (tookMs []float64, failed int) {
	var mutex sync.Mutex
	var group, served sync.WaitGroup
	served.Add(burstConnections)
	began := time.Now()
	one := func() {
		defer group.Done()
		c, err := s.dial()
		if err == nil {
			defer c.close()
			err = c.review(request)
		}
		took := time.Since(began)
		mutex.Lock()
		if err != nil {
			failed++
		} else {
			tookMs = append(tookMs, milliseconds(took))
		}
		mutex.Unlock()
		served.Done()
		served.Wait()
	}
	for i := 0; i < burstConnections; i++ {
		group.Add(1)
		go one()
	}
	group.Wait()
	return tookMs, failed
}

// handshakes makes new connections, four at a time, each with a full handshake and one small review.
func (s *server) handshakes(request []byte, length time.Duration) (perSecond, cpuUs float64, failed int) {
	var group sync.WaitGroup
	var made, lost int64
	began, before := time.Now(), s.cpu()
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Since(began) < length {
				if _, err := s.newcomer(request); err != nil {
					atomic.AddInt64(&lost, 1)
				} else {
					atomic.AddInt64(&made, 1)
				}
			}
		}()
	}
	group.Wait()
	used := s.cpu() - before
	return float64(made) / time.Since(began).Seconds(), float64(used.Microseconds()) / float64(made), int(lost)
}

// idlers are connections that were served once and then stay, as the API server's do.
func (s *server) idlers(request []byte) (connections []*client, err error) {
	for i := 0; i < idleConnections; i++ {
		c, err := s.dial()
		if err == nil {
			err = c.review(request)
		}
		if err != nil {
			closeAll(connections)
			return nil, fmt.Errorf("idle connection %d of %s: %w", i, s.name, err)
		}
		connections = append(connections, c)
	}
	return connections, nil
}

func closeAll(connections []*client) {
	for _, c := range connections {
		c.close()
	}
}

// slowloris attacks until the context ends: each connection sends one byte a second, half of them of a header that never
// ends, half of a body. One that the server cuts comes again. Returns when all have been connected once, and a function
// that waits for their end.
func (s *server) slowloris(ctx context.Context) (wait func()) {
	var group, connected sync.WaitGroup
	one := func(opening string, phase time.Duration) {
		defer group.Done()
		// Spread over the second: otherwise this program would be what delays its own requests.
		time.Sleep(phase)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for first := true; ctx.Err() == nil; first = false {
			c, err := s.dial()
			if err == nil {
				defer c.close()
				_, err = c.conn.Write([]byte(opening))
			}
			if first {
				connected.Done()
			}
			for more := true; more && err == nil; {
				if more = wakes(ctx, tick.C); more {
					_ = c.conn.SetDeadline(time.Now().Add(patience))
					_, err = c.conn.Write([]byte("a"))
				}
			}
			if err != nil {
				wakes(ctx, tick.C)
			}
		}
	}
	for i := 0; i < slowConnections; i++ {
		opening := requestHead(64 << 10)
		if i%2 == 0 {
			opening = "POST /validate HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
		}
		group.Add(1)
		connected.Add(1)
		go one(opening, time.Second*time.Duration(i)/slowConnections)
	}
	connected.Wait()
	return group.Wait
}

// wakes waits for the tick; false if the context ends before.
func wakes(ctx context.Context, tick <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-tick:
		return true
	}
}

// rollingStop replaces the server again and again, as a rolling update does: the successor is ready and known to the
// clients, then the old one is told to end. Clients leave when an answer says so.
func (b *bench) rollingStop(r *results) error {
	request := b.requests[small]
	now, err := b.machine.start(b.rolling, request)
	if err != nil {
		return err
	}
	defer func() { now.stop() }()
	var current atomic.Pointer[server]
	current.Store(now)
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	var failed int64
	one := func() {
		defer group.Done()
		for ctx.Err() == nil {
			c, err := current.Load().dial()
			for err == nil && !c.leaving && ctx.Err() == nil {
				err = c.review(request)
			}
			if err != nil {
				atomic.AddInt64(&failed, 1)
			}
			if c != nil {
				c.close()
			}
		}
	}
	for i := 0; i < steadyConnections; i++ {
		group.Add(1)
		go one()
	}
	for i := 1; i <= rollingStops && err == nil; i++ {
		note("rolling stop, %d of %d", i, rollingStops)
		var next *server
		if next, err = b.machine.start(b.rolling, request); err == nil {
			current.Store(next)
			now.stop()
			now = next
		}
	}
	stop()
	group.Wait()
	r.rollingFailed = float64(failed)
	return err
}
