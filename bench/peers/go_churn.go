// bench/peers/go_churn.go - the churn figure with net.
// usage: GOMAXPROCS=1 go_churn PORT
package main

import (
	"log"
	"net"
	"os"
)

func handle(conn net.Conn) {
	defer conn.Close()
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go handle(conn)
	}
}
