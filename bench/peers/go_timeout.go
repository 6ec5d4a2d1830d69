// bench/peers/go_timeout.go - the timeout figure with a timer of
// time.AfterFunc, used again: Reset starts it, Stop takes it back.
// usage: GOMAXPROCS=1 go_timeout [N]
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
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

func main() {
	n := argument(1, 3000000)
	timer := time.AfterFunc(10*time.Second, func() { panic("too late") })
	timer.Stop()
	start := cpu()
	for i := 0; i < n; i++ {
		timer.Reset(10 * time.Second)
		timer.Stop()
	}
	fmt.Printf("timeout go %.1f %d\n", (cpu()-start)/float64(n), n)
}
