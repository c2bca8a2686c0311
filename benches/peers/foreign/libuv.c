/* libuv, after the TCP echo server of its guide: each read allocates a buffer. The write sends
 * that buffer, and its callback frees the buffer. */

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

/* The backlog of the guide. */
enum { BACKLOG = 128 };

typedef struct {
    uv_write_t request;
    uv_buf_t buffer;
} write_request;

static void must(int result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, uv_strerror(result));
        exit(1);
    }
}

static void free_handle(uv_handle_t *handle) { free(handle); }

static void allocate(uv_handle_t *handle, size_t suggested_size, uv_buf_t *buffer) {
    (void)handle;
    buffer->base = malloc(suggested_size);
    buffer->len = suggested_size;
}

static void after_write(uv_write_t *request, int status) {
    write_request *write = (write_request *)request;
    (void)status; /* The next read reports a broken connection. */
    free(write->buffer.base);
    free(write);
}

static void after_read(uv_stream_t *client, ssize_t length, const uv_buf_t *buffer) {
    if (length > 0) {
        write_request *write = malloc(sizeof *write);
        write->buffer = uv_buf_init(buffer->base, (unsigned int)length);
        uv_write(&write->request, client, &write->buffer, 1, after_write);
        return;
    }
    if (length < 0)
        uv_close((uv_handle_t *)client, free_handle);
    free(buffer->base);
}

static void on_connection(uv_stream_t *server, int status) {
    must(status, "listen");
    uv_tcp_t *client = malloc(sizeof *client);
    uv_tcp_init(server->loop, client);
    if (uv_accept(server, (uv_stream_t *)client) == 0) {
        uv_tcp_nodelay(client, 1);
        uv_read_start((uv_stream_t *)client, allocate, after_read);
    } else {
        uv_close((uv_handle_t *)client, free_handle);
    }
}

int main(int argc, char **argv) {
    int port = 0;
    if (argc == 3 && strcmp(argv[1], "--port") == 0) {
        port = atoi(argv[2]);
    } else if (argc != 1) {
        fprintf(stderr, "usage: %s [--port PORT]\n", argv[0]);
        return 2;
    }

    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t server;
    uv_tcp_init(loop, &server);
    struct sockaddr_in address;
    must(uv_ip4_addr("127.0.0.1", port, &address), "address");
    must(uv_tcp_bind(&server, (const struct sockaddr *)&address, 0), "bind");
    must(uv_listen((uv_stream_t *)&server, BACKLOG, on_connection), "listen");

    int length = sizeof address;
    must(uv_tcp_getsockname(&server, (struct sockaddr *)&address, &length), "getsockname");
    printf("{\"status\": \"listening\", \"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
