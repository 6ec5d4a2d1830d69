// bench/peers/go_http_hello.go - the http_hello figure with net/http.
// usage: GOMAXPROCS=1 go_http_hello PORT
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	hello := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte("hello"))
	}
	http.HandleFunc("/", hello)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
