// bench/peers/go_poolmap.go - the poolmap figure: ten goroutines take the items
// of one map from a channel. The denominator.
// usage: GOMAXPROCS=1 go_poolmap [N]
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

func double(x int) int { return 2 * x }

func poolMap(workers int, fn func(int) int, items []int) []int {
	results, places := make([]int, len(items)), make(chan int)
	var group sync.WaitGroup
	for w := 0; w < workers; w++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range places {
				results[i] = fn(items[i])
			}
		}()
	}
	for i := range items {
		places <- i
	}
	close(places)
	group.Wait()
	return results
}

func main() {
	n := argument(1, 1000000)
	items := make([]int, 100)
	for i := range items {
		items[i] = i + 1
	}
	start := cpu()
	for i := 0; i < n/100; i++ {
		if poolMap(10, double, items)[99] != 200 {
			panic("another result")
		}
	}
	fmt.Printf("poolmap go %.1f %d\n", (cpu()-start)/float64(n), n)
}
