// What the core does besides the acts of test/e2e/privilege.c: `acts ACT [ARGUMENT...]`, one act of one family of events, in
// the directory that it is started in. It prints what the core needs to know besides its number.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in at(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  return address;
}

// A connection to itself: listen, connect, accept; and its end as standard input.
static void connection(char **arguments) {
  struct sockaddr_in to = at(7001);
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, mine = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  bind(listener, (void *)&to, sizeof to);
  listen(listener, 1);
  connect(mine, (void *)&to, sizeof to);
  accept(listener, 0, 0);
  dup2(mine, 0);
}

// A question by UDP that nobody answers.
static void question(char **arguments) {
  char text[] = "\x12\x34\x01\0\0\1\0\0\0\0\0\0\4node\7example\0\0\x1c\0\1";
  struct sockaddr_in to = at(53);
  sendto(socket(AF_INET, SOCK_DGRAM, 0), text, sizeof text - 1, 0, (void *)&to, sizeof to);
}

static void raw(char **arguments) { socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }

static void read_file(char **arguments) { openat(AT_FDCWD, arguments[0], O_RDONLY); }
static void create(char **arguments) { openat(AT_FDCWD, arguments[0], O_WRONLY | O_CREAT | O_TRUNC, 0600); }
static void change_mode(char **arguments) { syscall(SYS_fchmodat, AT_FDCWD, arguments[0], 04755); }
static void change_owner(char **arguments) { syscall(SYS_fchownat, AT_FDCWD, arguments[0], 12, 34, 0); }
static void hard(char **arguments) { linkat(AT_FDCWD, arguments[0], AT_FDCWD, arguments[1], 0); }
static void symbolic(char **arguments) { symlinkat(arguments[0], AT_FDCWD, arguments[1]); }
static void move(char **arguments) { renameat(AT_FDCWD, arguments[0], AT_FDCWD, arguments[1]); }
static void away(char **arguments) { unlinkat(AT_FDCWD, arguments[0], 0); }
static void directory(char **arguments) { mkdirat(AT_FDCWD, arguments[0], 0751); }

// By a descriptor of their directory, and by one of their own.
static void by_descriptor(char **arguments) {
  int above = open(arguments[0], O_RDONLY | O_DIRECTORY);
  fchmod(openat(above, arguments[1], O_RDONLY), 0640);
  unlinkat(above, arguments[1], 0);
}

// By the number that its file system knows it by; the descriptor says which file system.
static void by_handle(char **arguments) {
  struct { struct file_handle head; char bytes[128]; } handle = {{.handle_bytes = 128}};
  int mount_id;
  name_to_handle_at(AT_FDCWD, arguments[0], &handle.head, &mount_id, 0);
  open_by_handle_at(open(".", O_RDONLY), &handle.head, O_RDONLY);
}

static void a_signal(char **arguments) { kill(atoi(arguments[0]), SIGPIPE); }
static void module(char **arguments) {
  syscall(SYS_finit_module, open(arguments[0], O_RDONLY), "", 0);
  syscall(SYS_delete_module, arguments[1], 0);
}
static void child(char **arguments) {
  int pid = fork();
  if (pid == 0) _exit(0);
  waitpid(pid, 0, 0);
  _exit(7);
}

static struct {
  char *name;
  void (*act)(char **);
} acts[] = {
    {"connection", connection}, {"question", question}, {"raw", raw}, {"read", read_file}, {"create", create},
    {"chmod", change_mode}, {"chown", change_owner}, {"link", hard}, {"symlink", symbolic}, {"rename", move},
    {"unlink", away}, {"mkdir", directory}, {"by-descriptor", by_descriptor}, {"signal", a_signal}, {"module", module},
    {"child", child}, {"handle", by_handle},
};

int main(int count, char **arguments) {
  for (unsigned i = 0; i < sizeof acts / sizeof *acts; i++)
    if (!strcmp(arguments[1], acts[i].name)) acts[i].act(arguments + 2);
}
