// bench/peers/go_semaphore.go - the semaphore figure with a buffered channel as
// the semaphore: sending acquires, receiving releases. The denominator.
// usage: GOMAXPROCS=1 go_semaphore [N]
package main

import (
	"fmt"
	"os"
	"strconv"
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

type semaphore chan struct{}

func (s semaphore) acquire() { s <- struct{}{} }
func (s semaphore) release() { <-s }

func main() {
	n := argument(1, 4000000)
	there, back := make(semaphore, 1), make(semaphore, 1)
	there.acquire() // both begin without a permit
	back.acquire()
	start := cpu()
	go func() {
		for i := 0; i < n/2; i++ {
			there.acquire()
			back.release()
		}
	}()
	for i := 0; i < n/2; i++ {
		there.release()
		back.acquire()
	}
	fmt.Printf("semaphore go %.1f %d\n", (cpu()-start)/float64(n), n)
}
