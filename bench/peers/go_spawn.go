// bench/peers/go_spawn.go - the spawn figure: a goroutine with an empty
// function, joined by a WaitGroup.
// usage: GOMAXPROCS=1 go_spawn [N]
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

func main() {
	n := argument(1, 1000000)
	var group sync.WaitGroup
	start := cpu()
	for i := 0; i < n; i++ {
		group.Add(1)
		go func() {
			group.Done()
		}()
		group.Wait()
	}
	fmt.Printf("spawn go %.1f %d\n", (cpu()-start)/float64(n), n)
}
