// go_http_client.go - the http_client figure: GETs by 16 goroutines over the
// connections that net/http keeps.
// usage: go_http_client REQUESTS PORT
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
)

const clients = 16

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func run(client *http.Client, url string, n int) {
	for i := 0; i < n; i++ {
		res, err := client.Get(url)
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || string(body) != "hello" {
			panic("bad answer")
		}
	}
}

func runAll(client *http.Client, url string, n int) {
	var wg sync.WaitGroup
	for i := 0; i < clients; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			run(client, url, n/clients)
		}()
	}
	wg.Wait()
}

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	url := "http://127.0.0.1:" + os.Args[2] + "/"
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	runAll(client, url, n/10)
	before := cpu()
	runAll(client, url, n)
	n = n / clients * clients
	fmt.Printf("http_client go %.1f %d\n", (cpu()-before)/float64(n), n)
}
