// Command echo is an echo server on Go's net package: a goroutine for each connection.
//
// It reads and writes in a loop. io.Copy would splice through a pipe. The pipe needs two more
// descriptors for each connection, so the server would reach the limit of open files with
// fewer connections.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
)

// bufferSize is the same as in the Rust peers.
const bufferSize = 16 * 1024

func main() {
	port := flag.Int("port", 0, "port to listen on; 0 picks a free one")
	flag.Parse()

	// A net.TCPConn has TCP_NODELAY set by default.
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"status\": \"listening\", \"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go echo(conn)
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, bufferSize)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}
