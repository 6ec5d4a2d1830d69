// bench/peers/go_http_static.go - the http_static figure with net/http.
// usage: GOMAXPROCS=1 go_http_static PORT DIRECTORY
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	files := http.FileServer(http.Dir(os.Args[2]))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], files))
}
