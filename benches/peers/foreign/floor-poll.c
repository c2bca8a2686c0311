/* The floor with unconditional busy-polling: it polls a level-triggered epoll set for 60 us after each event
 * before it sleeps. It closes a connection that ends or whose read or write fails, and exits when another call
 * fails. */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 4096, EVENTS = 256, POLL_NS = 60000 };

static char buffer[64 * 1024];

static int must(int result, const char *call) {
    if (result < 0) {
        perror(call);
        exit(1);
    }
    return result;
}

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void accept_client(int epoll, int listener) {
    int on = 1, connection = must(accept(listener, NULL, NULL), "accept");
    must(setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
    watch(epoll, connection);
}

/* The socket is blocking, so one write takes the whole message. A client that never reads would block
 * the server. */
static void echo(int connection) {
    ssize_t length = read(connection, buffer, sizeof buffer);
    if (length <= 0 || write(connection, buffer, length) != length)
        close(connection);
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons(argc == 3 ? atoi(argv[2]) : 0); /* --port PORT */
    socklen_t size = sizeof address;
    int listener = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    must(bind(listener, (struct sockaddr *)&address, size), "bind");
    must(listen(listener, BACKLOG), "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &size), "getsockname");
    printf("{\"status\": \"listening\", \"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);

    int epoll = must(epoll_create1(0), "epoll_create1");
    watch(epoll, listener);
    for (long last = now();;) {
        struct epoll_event events[EVENTS];
        int count = must(epoll_wait(epoll, events, EVENTS, 0), "epoll_wait");
        if (count == 0 && now() - last > POLL_NS)
            count = must(epoll_wait(epoll, events, EVENTS, -1), "epoll_wait");
        for (int i = 0; i < count; i++)
            events[i].data.fd == listener ? accept_client(epoll, listener) : echo(events[i].data.fd);
        if (count > 0)
            last = now();
    }
}
