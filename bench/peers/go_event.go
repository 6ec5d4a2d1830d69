// bench/peers/go_event.go - the event figure with sync.Cond, the flag that an
// event has, and a lock around it: the denominator.
// usage: GOMAXPROCS=1 go_event [N]
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
)

func argument(i, otherwise int) int {
	if len(os.Args) > i {
		otherwise, _ = strconv.Atoi(os.Args[i])
	}
	return otherwise
}

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

type event struct {
	lock sync.Mutex
	cond *sync.Cond
	flag bool
}

func newEvent() *event {
	e := &event{}
	e.cond = sync.NewCond(&e.lock)
	return e
}

func (e *event) set() {
	e.lock.Lock()
	e.flag = true
	e.lock.Unlock()
	e.cond.Broadcast()
}

func (e *event) waitAndClear() {
	e.lock.Lock()
	for !e.flag {
		e.cond.Wait()
	}
	e.flag = false
	e.lock.Unlock()
}

func main() {
	n := argument(1, 2000000)
	there, back := newEvent(), newEvent()
	start := cpu()
	go func() {
		for i := 0; i < n; i++ {
			there.waitAndClear()
			back.set()
		}
	}()
	for i := 0; i < n; i++ {
		there.set()
		back.waitAndClear()
	}
	fmt.Printf("event go %.1f %d\n", (cpu()-start)/float64(n), n)
}
