// bench/peers/go_http_json.go - the http_json figure with net/http: its router
// has no parameters before Go 1.22, so the identifier is what follows /users/.
// usage: GOMAXPROCS=1 go_http_json PORT
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
)

type user struct {
	ID     int    `json:"id"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	Active bool   `json:"active"`
	Score  int    `json:"score"`
}

func list(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Write([]byte("[]\n"))
}

func one(w http.ResponseWriter, r *http.Request) {
	if r.Method != "GET" {
		w.WriteHeader(405)
		return
	}
	id, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/users/"))
	if err != nil {
		w.WriteHeader(404)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(user{id, fmt.Sprint("user ", id),
		"user@example.com", true, id * 3})
}

func main() {
	http.HandleFunc("/users", list)
	http.HandleFunc("/users/", one)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
