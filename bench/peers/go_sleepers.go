// bench/peers/go_sleepers.go - the sleepers figure with time.Sleep.
// usage: GOMAXPROCS=1 go_sleepers [N]
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func cpu() int64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

func main() {
	n := 100000
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	var all sync.WaitGroup
	sleeper := func(i int) {
		time.Sleep(time.Second + time.Second*time.Duration(i*7919%n)/
			time.Duration(n))
		all.Done()
	}
	start := cpu()
	all.Add(n)
	for i := 1; i <= n; i++ {
		go sleeper(i)
	}
	all.Wait()
	fmt.Printf("sleepers go %.1f %d\n", float64(cpu()-start)/float64(n), n)
}
