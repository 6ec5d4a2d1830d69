// bench/peers/go_memory.go - the memory figure with time.Sleep.
// usage: GOMAXPROCS=1 go_memory [N]
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

func argument(i, otherwise int) int {
	if len(os.Args) > i {
		otherwise, _ = strconv.Atoi(os.Args[i])
	}
	return otherwise
}

func resident() int {
	var size, pages int
	runtime.GC()
	f, err := os.Open("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fscan(f, &size, &pages)
	return pages * os.Getpagesize()
}

func main() {
	n := argument(1, 100000)
	begun := 0 // GOMAXPROCS=1: nobody else runs between two statements
	blocked := func() {
		begun++
		time.Sleep(24 * time.Hour)
	}
	go blocked()
	time.Sleep(10 * time.Millisecond)
	rss := resident()
	for i := 0; i < n; i++ {
		go blocked()
	}
	for begun <= n {
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("memory go %d %d\n", (resident()-rss)/n, n)
}
