// bench/peers/go_pingpong.go - the pingpong figure: two goroutines, a channel
// of capacity 1 for each direction.
// usage: GOMAXPROCS=1 go_pingpong [N]
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

func main() {
	n := argument(1, 2000000)
	there, back := make(chan int, 1), make(chan int, 1)
	start := cpu()
	go func() {
		for i := range there {
			back <- i
		}
	}()
	for i := 0; i < n; i++ {
		there <- i
		if <-back != i {
			panic("another item came back")
		}
	}
	fmt.Printf("pingpong go %.1f %d\n", (cpu()-start)/float64(n), n)
}
