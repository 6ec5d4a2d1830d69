// bench/peers/go_https.go - the tls figures with net/http.
// usage: GOMAXPROCS=1 go_https PORT CERT KEY FILE
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	handle := func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, os.Args[4])
	}
	server := &http.Server{
		Addr:     "127.0.0.1:" + os.Args[1],
		Handler:  http.HandlerFunc(handle),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	log.Fatal(server.ListenAndServeTLS(os.Args[2], os.Args[3]))
}
