/*
 * The work that the sensor's cost is measured by: load KIND COUNT RATE [COMMAND...]
 *
 *   open     opens and closes a file that no rule is about
 *   exec     starts /bin/true and waits for its end
 *   connect  opens a TCP connection to a listener of its own, on loopback, and resets it: no port is left waiting
 *   turns    as connect, to two listeners in turn
 *   run      starts COMMAND and waits for its end
 *
 * COUNT times, RATE times a second (0: as fast as it goes). Prints how often, the nanoseconds that went by, and those
 * that it and its children were on a processor: what else the machine does is not in these.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char **command;
static const char *file;
static int listeners[2];
static struct sockaddr_in addresses[2];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void open_one(void) {
  int fd = open(file, O_RDONLY);
  if (fd < 0) fail(file);
  close(fd);
}

static void start(char **argv) {
  static char *environment[] = {"PATH=/usr/bin:/bin", NULL};
  pid_t pid;
  int status;
  if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environment) != 0) fail(argv[0]);
  if (waitpid(pid, &status, 0) < 0) fail("waitpid");
  if (status != 0) exit(1);
}

static void exec_one(void) {
  static char *argv[] = {"/bin/true", "of", "the", "load", NULL};
  start(argv);
}

static void run_one(void) { start(command); }

static void connect_to(int which) {
  struct linger reset = {.l_onoff = 1, .l_linger = 0};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&addresses[which], sizeof addresses[which]) < 0) fail("connect");
  int other = accept(listeners[which], NULL, NULL);
  if (other < 0) fail("accept");
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(fd);
  close(other);
}

static void connect_one(void) { connect_to(0); }

static void connect_in_turn(void) {
  static int which;
  connect_to(which ^= 1);
}

static void listen_here(void) {
  for (int which = 0; which < 2; which++) {
    struct sockaddr_in *address = &addresses[which];
    socklen_t size = sizeof *address;
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listeners[which] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listeners[which], (struct sockaddr *)address, size) < 0 || listen(listeners[which], 16) < 0 ||
        getsockname(listeners[which], (struct sockaddr *)address, &size) < 0)
      fail("listen");
  }
}

static long long elapsed(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long worked(int who) {
  struct rusage usage;
  getrusage(who, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000LL +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
}

static const struct {
  const char *name;
  void (*one)(void);
} kinds[] = {{"open", open_one}, {"exec", exec_one}, {"connect", connect_one}, {"turns", connect_in_turn}, {"run", run_one}};

int main(int argc, char **argv) {
  void (*one)(void) = NULL;
  for (unsigned i = 0; argc > 3 && i < sizeof kinds / sizeof kinds[0]; i++)
    if (strcmp(argv[1], kinds[i].name) == 0) one = kinds[i].one;
  if (!one) {
    fprintf(stderr, "usage: load open|exec|connect|turns|run COUNT RATE [COMMAND...]\n");
    return 2;
  }
  long count = atol(argv[2]), rate = atol(argv[3]);
  command = argv + 4;
  file = argv[0];
  if (one == connect_one || one == connect_in_turn) listen_here();
  long long since = elapsed(), before = worked(RUSAGE_SELF) + worked(RUSAGE_CHILDREN);
  for (long made = 0; made < count; made++) {
    while (rate > 0 && made > (elapsed() - since) / 1e9 * rate) usleep(200);
    one();
  }
  printf("%ld %lld %lld\n", count, elapsed() - since, worked(RUSAGE_SELF) + worked(RUSAGE_CHILDREN) - before);
}
