// bench/peers/go_switch.go - the switch figures with runtime.Gosched().
// usage: GOMAXPROCS=1 go_switch [SWITCHES [GOROUTINES=2]]
package main

import (
	"fmt"
	"os"
	"runtime"
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

func main() {
	n, k := argument(1, 5000000), argument(2, 2)
	var group sync.WaitGroup
	group.Add(k)
	start := cpu()
	for i := 0; i < k; i++ {
		go func() {
			for j := 0; j < n/k; j++ {
				runtime.Gosched()
			}
			group.Done()
		}()
	}
	group.Wait()
	figure := "switch"
	if k == 1 {
		figure = "switch1"
	}
	fmt.Printf("%s go %.1f %d\n", figure, (cpu()-start)/float64(n), n)
}
