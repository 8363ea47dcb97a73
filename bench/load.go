package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// result is one measurement. Times are microseconds.
type result struct {
	Target, Scenario string
	Clients, Round   int
	Calls, Errors    int
	CallsPerSecond   float64
	CPU              float64 // of the target, per call
	StubCPU, LoadCPU float64 // of the other two parties, per call
	P50, P99         float64
	OtherLoad        float64 // part of the machine that others used
	FirstError       string  `json:",omitempty"`
}

// load makes the scenario's call from n clients at once, each waiting for its
// answer, and measures for o.dur after o.warm.
func load(t *target, stub *target, s scenario, n int, o *options) result {
	var (
		phase   atomic.Int32 // 0 warm up, 1 measure, 2 stop
		workers = make([]worker, n)
		ready   sync.WaitGroup
		done    sync.WaitGroup
	)
	for i := range workers {
		ready.Add(1)
		done.Go(func() { workers[i].run(t, s, i, tokensOf(s, i, n, o), &phase, &ready) })
	}
	ready.Wait()
	time.Sleep(o.warm)
	before := takeReading(t, stub)
	phase.Store(1)
	time.Sleep(o.dur)
	phase.Store(2)
	used := takeReading(t, stub).minus(before)
	done.Wait()

	r := result{Target: t.name, Scenario: s.name, Clients: n}
	var took []time.Duration
	for i := range workers {
		w := &workers[i]
		took = append(took, w.took...)
		r.Errors += w.errors
		if r.FirstError == "" && w.firstError != nil {
			r.FirstError = w.firstError.Error()
		}
	}
	r.Calls = len(took)
	if r.Calls == 0 {
		return r
	}
	slices.Sort(took)
	each := func(d time.Duration) float64 { return micros(d) / float64(r.Calls) }
	r.CPU, r.StubCPU, r.LoadCPU = each(used.target), each(used.stub), each(used.self)
	r.CallsPerSecond = float64(r.Calls) / used.wall.Seconds()
	r.P50, r.P99 = micros(took[r.Calls/2]), micros(took[r.Calls*99/100])
	others := used.machine - used.target - used.self
	if t != stub {
		others -= used.stub
	}
	r.OtherLoad = max(0, others.Seconds()/(used.wall.Seconds()*float64(processors())))
	return r
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// reading is what the parties had used at one time.
type reading struct{ target, stub, self, machine, wall time.Duration }

func takeReading(t, stub *target) reading {
	return reading{
		target: cpu(t.pids), stub: cpu(stub.pids), self: cpu(selfPID()), machine: machineCPU(),
		wall: time.Duration(time.Now().UnixNano()),
	}
}

func (r reading) minus(b reading) reading {
	return reading{r.target - b.target, r.stub - b.stub, r.self - b.self, r.machine - b.machine, r.wall - b.wall}
}

// worker is one client and what it saw while measuring.
type worker struct {
	took       []time.Duration
	errors     int
	firstError error
}

// tokensOf are the tokens that one of n clients shows in turn.
func tokensOf(s scenario, number, n int, o *options) (tokens []string) {
	if !s.guarded || o.issuer == nil {
		return []string{""}
	}
	for i := number % users; i < users; i += n {
		tokens = append(tokens, o.issuer.tokens[i])
	}
	return tokens
}

// rendered is a request that is sent again and again, with another id each time.
type rendered struct {
	raw  []byte
	idAt int
}

func (w *worker) run(t *target, s scenario, number int, tokens []string, phase *atomic.Int32, ready *sync.WaitGroup) {
	c := newClient(t.url)
	defer c.close()
	session := ""
	if !s.modern && s.method != "initialize" {
		var err error
		if session, err = c.open(); err != nil {
			w.fail(err)
			ready.Done()
			return
		}
	}
	requests := make([]rendered, len(tokens))
	for i, token := range tokens {
		requests[i].raw, requests[i].idAt = s.request(c.host, c.path, session, token, t.prefix())
	}
	id := 1_000_000_000 + number*10_000_000
	ready.Done()
	for phase.Load() < 2 {
		id++
		req := &requests[id%len(requests)]
		for v, i := id, req.idAt+idWidth-1; i >= req.idAt; v, i = v/10, i-1 {
			req.raw[i] = byte('0' + v%10)
		}
		measured := phase.Load() == 1
		begin := time.Now()
		a, err := c.do(req.raw)
		took := time.Since(begin)
		if err == nil {
			err = a.result(s.atLeast)
		}
		switch {
		case err != nil:
			w.fail(err)
			time.Sleep(10 * time.Millisecond) // a broken target must not be asked as fast as it breaks
		case measured && phase.Load() == 1:
			w.took = append(w.took, took)
		}
	}
}

func (w *worker) fail(err error) {
	w.errors++
	if w.firstError == nil {
		w.firstError = err
	}
}
