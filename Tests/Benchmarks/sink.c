// An HTTP/1.1 server on loopback that takes uploads faster than any client sends them, so that a benchmark measures the
// client. It speaks just enough WebDAV for rclone.
//
//   sink [--tls CERT KEY] [--keep DIR]
//
// It prints its port on standard output when it is ready.
//   PUT /keep/NAME   is stored in DIR, so that bytes can be compared; any other PUT is discarded
//   HEAD /keep/NAME  is 200 if it is there; any other HEAD is 404
//
// cc -std=c11 -O2 -o sink sink.c -lssl -lcrypto -lpthread

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_SIZE = 256 * 1024, PATH_SIZE = 1024, REMEMBERED = 64 };
// More than a socket ever holds: the kernel discards all there is in one call.
enum { DISCARD_AT_ONCE = 1 << 30 };

struct connection {
  int socket;
  SSL *tls;  // NULL if plain
  size_t start, end;  // what is in buffer and not yet used
  char buffer[BUFFER_SIZE];
};

struct request {
  char method[16], path[PATH_SIZE];
  uint64_t length;
  bool chunked, expects_continue, closes;
};

static SSL_CTX *tls_context;
static const char *keep_folder;

// Sizes of the last paths that were uploaded: a WebDAV client asks for them afterwards.
static struct { char path[PATH_SIZE]; uint64_t size; } remembered[REMEMBERED];
static size_t next_remembered;
static pthread_mutex_t remembered_lock = PTHREAD_MUTEX_INITIALIZER;

static void remember(const char *path, uint64_t size) {
  pthread_mutex_lock(&remembered_lock);
  size_t slot = 0;
  while (slot < REMEMBERED && strcmp(remembered[slot].path, path) != 0) slot++;
  if (slot == REMEMBERED) slot = next_remembered++ % REMEMBERED;
  snprintf(remembered[slot].path, PATH_SIZE, "%s", path);
  remembered[slot].size = size;
  pthread_mutex_unlock(&remembered_lock);
}

static bool recall(const char *path, uint64_t *size) {
  bool found = false;
  pthread_mutex_lock(&remembered_lock);
  for (size_t slot = 0; slot < REMEMBERED && !found; slot++) {
    if ((found = strcmp(remembered[slot].path, path) == 0)) *size = remembered[slot].size;
  }
  pthread_mutex_unlock(&remembered_lock);
  return found;
}

// What came, at most size bytes; 0 or less at the end or on an error.
static ssize_t receive(struct connection *c, void *into, size_t size, int flags) {
  if (c->tls) return SSL_read(c->tls, into, (int)size);
  ssize_t n;
  do n = recv(c->socket, into, size, flags);
  while (n < 0 && errno == EINTR);
  return n;
}

static bool send_all(struct connection *c, const char *bytes, size_t size) {
  while (size > 0) {
    ssize_t n = c->tls ? SSL_write(c->tls, bytes, (int)size) : send(c->socket, bytes, size, MSG_NOSIGNAL);
    if (n < 0 && !c->tls && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes += n;
    size -= (size_t)n;
  }
  return true;
}

static bool write_all(int file, const char *bytes, size_t size) {
  while (size > 0) {
    ssize_t n = write(file, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes += n;
    size -= (size_t)n;
  }
  return true;
}

// The next line without its end, valid until the next call; NULL at the end of the connection or if it is too long.
static char *read_line(struct connection *c) {
  for (;;) {
    char *line = c->buffer + c->start, *newline = memchr(line, '\n', c->end - c->start);
    if (newline) {
      c->start = (size_t)(newline + 1 - c->buffer);
      if (newline > line && newline[-1] == '\r') newline--;
      *newline = 0;
      return line;
    }
    memmove(c->buffer, line, c->end - c->start);
    c->end -= c->start;
    c->start = 0;
    if (c->end == BUFFER_SIZE) return NULL;
    ssize_t n = receive(c, c->buffer + c->end, BUFFER_SIZE - c->end, 0);
    if (n <= 0) return NULL;
    c->end += (size_t)n;
  }
}

// Takes size bytes of a body and writes them to file, or discards them if it is -1.
static bool take(struct connection *c, uint64_t size, int file) {
  while (size > 0) {
    if (c->start == c->end) {
      ssize_t n;
      if (file < 0 && !c->tls) {
        // MSG_TRUNC: the kernel drops the bytes instead of copying them.
        n = receive(c, NULL, size < DISCARD_AT_ONCE ? (size_t)size : DISCARD_AT_ONCE, MSG_TRUNC);
        if (n <= 0) return false;
        size -= (uint64_t)n;
        continue;
      }
      n = receive(c, c->buffer, BUFFER_SIZE, 0);
      if (n <= 0) return false;
      c->start = 0;
      c->end = (size_t)n;
    }
    size_t n = c->end - c->start < size ? c->end - c->start : (size_t)size;
    if (file >= 0 && !write_all(file, c->buffer + c->start, n)) return false;
    c->start += n;
    size -= n;
  }
  return true;
}

static bool take_chunked(struct connection *c, uint64_t *total, int file) {
  for (*total = 0;;) {
    char *line = read_line(c), *end;
    if (!line) return false;
    uint64_t size = strtoull(line, &end, 16);
    if (end == line) return false;
    if (size == 0) break;
    if (!take(c, size, file) || !read_line(c)) return false;
    *total += size;
  }
  char *trailer;
  while ((trailer = read_line(c)) && *trailer) {}
  return trailer != NULL;
}

static bool read_request(struct connection *c, struct request *r) {
  *r = (struct request){0};
  char *line = read_line(c);
  if (!line || sscanf(line, "%15s %1023s", r->method, r->path) != 2) return false;
  r->path[strcspn(r->path, "?")] = 0;
  // They would have to be escaped in the answer to PROPFIND; no benchmark needs them.
  if (r->path[0] != '/' || strpbrk(r->path, "<&")) return false;
  while ((line = read_line(c)) && *line) {
    char *value = strchr(line, ':');
    if (!value) return false;
    *value++ = 0;
    value += strspn(value, " \t");
    if (strcasecmp(line, "Content-Length") == 0) r->length = strtoull(value, NULL, 10);
    if (strcasecmp(line, "Transfer-Encoding") == 0) r->chunked = strcasestr(value, "chunked");
    if (strcasecmp(line, "Expect") == 0) r->expects_continue = strncasecmp(value, "100", 3) == 0;
    if (strcasecmp(line, "Connection") == 0) r->closes = strcasestr(value, "close");
  }
  return line != NULL;
}

// The file that a path is kept in, or false if it is not to be kept.
static bool kept_file(const char *path, char file[static 2 * PATH_SIZE]) {
  const char *name = path + strlen("/keep/");
  if (!keep_folder || strncmp(path, "/keep/", strlen("/keep/")) != 0) return false;
  if (*name == 0 || *name == '.' || strchr(name, '/')) return false;
  return snprintf(file, 2 * PATH_SIZE, "%s/%s", keep_folder, name) < 2 * PATH_SIZE;
}

static bool answer(struct connection *c, const char *status, uint64_t length, const char *body) {
  char text[4 * PATH_SIZE];
  int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %llu\r\n%s\r\n%s", status,
                   (unsigned long long)length, *body ? "Content-Type: application/xml\r\n" : "", body);
  return n > 0 && (size_t)n < sizeof text && send_all(c, text, (size_t)n);
}

static bool answer_propfind(struct connection *c, const char *path) {
  char properties[256], body[2 * PATH_SIZE];
  uint64_t size;
  if (path[strlen(path) - 1] == '/' || strcmp(path, "/keep") == 0) {
    snprintf(properties, sizeof properties, "<d:resourcetype><d:collection/></d:resourcetype>");
  } else if (recall(path, &size)) {
    snprintf(properties, sizeof properties, "<d:resourcetype/><d:getcontentlength>%llu</d:getcontentlength>",
             (unsigned long long)size);
  } else {
    return answer(c, "404 Not Found", 0, "");
  }
  int n = snprintf(body, sizeof body,
                   "<?xml version=\"1.0\"?><d:multistatus xmlns:d=\"DAV:\"><d:response><d:href>%s</d:href><d:propstat>"
                   "<d:prop>%s<d:getlastmodified>Thu, 01 Jan 1970 00:00:00 GMT</d:getlastmodified></d:prop>"
                   "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>",
                   path, properties);
  return answer(c, "207 Multi-Status", (uint64_t)n, body);
}

// False when the connection is to be closed.
static bool serve_request(struct connection *c) {
  struct request r;
  if (!read_request(c, &r)) return false;
  if (r.expects_continue && !send_all(c, "HTTP/1.1 100 Continue\r\n\r\n", 25)) return false;

  bool is_put = strcmp(r.method, "PUT") == 0;
  char kept[2 * PATH_SIZE], partial[2 * PATH_SIZE + 32];
  bool keeps = kept_file(r.path, kept);
  int file = -1;
  if (is_put && keeps) {
    // It gets its name when it is whole; half an upload is never taken for one.
    snprintf(partial, sizeof partial, "%s.partial-%d", kept, c->socket);
    if ((file = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) < 0) {
      answer(c, "500 Internal Server Error", 0, "");
      return false;
    }
  }
  bool whole = r.chunked ? take_chunked(c, &r.length, file) : take(c, r.length, file);
  if (file >= 0) {
    close(file);
    if (!whole || rename(partial, kept) < 0) unlink(partial), whole = false;
  }
  if (!whole) return false;

  bool sent;
  struct stat status;
  if (is_put) {
    remember(r.path, r.length);
    sent = answer(c, "201 Created", 0, "");
  } else if (strcmp(r.method, "HEAD") == 0) {
    bool found = keeps && stat(kept, &status) == 0;
    sent = answer(c, found ? "200 OK" : "404 Not Found", found ? (uint64_t)status.st_size : 0, "");
  } else if (strcmp(r.method, "PROPFIND") == 0) {
    sent = answer_propfind(c, r.path);
  } else if (strcmp(r.method, "MKCOL") == 0 || strcmp(r.method, "MOVE") == 0) {
    sent = answer(c, "201 Created", 0, "");
  } else if (strcmp(r.method, "DELETE") == 0) {
    sent = send_all(c, "HTTP/1.1 204 No Content\r\n\r\n", 27);
  } else {
    sent = answer(c, "405 Method Not Allowed", 0, "");
  }
  return sent && !r.closes;
}

static void *serve_connection(void *argument) {
  struct connection *c = argument;
  if (tls_context) {
    c->tls = SSL_new(tls_context);
    if (c->tls && SSL_set_fd(c->tls, c->socket) == 1 && SSL_accept(c->tls) == 1) {
      while (serve_request(c)) {}
      SSL_shutdown(c->tls);
    }
    SSL_free(c->tls);
  } else {
    while (serve_request(c)) {}
  }
  close(c->socket);
  free(c);
  return NULL;
}

static int fail(const char *what) {
  fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
  return 1;
}

int main(int count, char **arguments) {
  for (int i = 1; i < count; i++) {
    if (strcmp(arguments[i], "--keep") == 0 && i + 1 < count) {
      keep_folder = arguments[++i];
    } else if (strcmp(arguments[i], "--tls") == 0 && i + 2 < count) {
      tls_context = SSL_CTX_new(TLS_server_method());
      // One read of the socket takes many records.
      SSL_CTX_set_read_ahead(tls_context, 1);
      SSL_CTX_set_default_read_buffer_len(tls_context, BUFFER_SIZE);
      const char *certificate = arguments[++i], *key = arguments[++i];
      if (SSL_CTX_use_certificate_chain_file(tls_context, certificate) != 1 ||
          SSL_CTX_use_PrivateKey_file(tls_context, key, SSL_FILETYPE_PEM) != 1)
        return fprintf(stderr, "sink: certificate or key cannot be used\n"), 1;
    } else {
      return fprintf(stderr, "usage: sink [--tls CERT KEY] [--keep DIR]\n"), 2;
    }
  }
  // A client that goes away ends its connection, not the server.
  signal(SIGPIPE, SIG_IGN);

  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 128) < 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) < 0)
    return fail("listen");
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);

  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  for (;;) {
    int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (socket < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return fail("accept");
    }
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct connection *c = malloc(sizeof *c);
    pthread_t thread;
    if (c) c->socket = socket, c->tls = NULL, c->start = c->end = 0;
    if (!c || pthread_create(&thread, &detached, serve_connection, c) != 0) {
      free(c);
      close(socket);
    }
  }
}
